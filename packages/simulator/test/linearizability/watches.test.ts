import type { KeyChange } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { faultOfWatches, type Operation, type WatchedChanges } from '../../src/linearizability/index.js';
import { Client } from './operations.js';

const client = new Client('c1');
const writes: readonly Operation[] = [
  client.put([1, 2], 'x', 1),
  client.cas([3, 4], 1, 'y', 2),
  client.refused([3, 4], 1, 'z', 2),
  client.delete([5, 6], 3),
  new Client('c1', 'b').put([5, 6], 'x', 4),
  client.put([7, 8], 'unseen', 'unknown'),
];
const changes: readonly KeyChange[] = [
  [1, 'put', 'a', 'x'],
  [2, 'put', 'a', 'y'],
  [3, 'delete', 'a'],
];

function watch(over: Partial<WatchedChanges> = {}): WatchedChanges {
  return { prefix: 'a', after: 0, upTo: 4, changes, ...over };
}

describe('the check of watches', () => {
  it('accepts watches that received each write once', () => {
    expect(faultOfWatches([watch()], writes)).toBeUndefined();
    expect(faultOfWatches([watch({ after: 1, upTo: 2, changes: changes.slice(1, 2) })], writes)).toBeUndefined();
    // One of unknown outcome may have happened.
    expect(
      faultOfWatches([watch({ upTo: 5, changes: [...changes, [5, 'put', 'a', 'unseen']] })], writes),
    ).toBeUndefined();
  });

  it.each<[string, Partial<WatchedChanges>, string]>([
    ['a write is missing', { changes: changes.slice(1) }, 'did not receive [1,"put","a","x"]'],
    [
      'a change comes twice',
      { changes: [...changes, changes[2]!] },
      'after revision 3 a watch received [3,"delete","a"]',
    ],
    ['a change is of another key', { changes: [...changes, [4, 'put', 'b', 'x']] }, 'a watch of "a" received'],
    [
      'a value is another',
      { changes: [[1, 'put', 'a', 'z'], ...changes.slice(1)] },
      'a client was sent [1,"put","a","x"], and a watch [1,"put","a","z"]',
    ],
    ['a change is from before', { after: 1 }, 'after revision 1 a watch received [1,"put","a","x"]'],
    ['a change is beyond what is covered', { upTo: 2 }, 'after revision 2 a watch received [3,"delete","a"]'],
  ])('is refused where %s', (_what, over, said) => {
    expect(faultOfWatches([watch(over)], writes)).toContain(said);
  });

  it('rejects two watches that differ', () => {
    const other = watch({ after: 4, upTo: 9, changes: [[9, 'put', 'a', 'p']] });
    const different = watch({ after: 4, upTo: 9, changes: [[9, 'put', 'a', 'q']] });
    expect(faultOfWatches([other, different], [])).toContain('one watch received [9,"put","a","p"], and another');
  });
});
