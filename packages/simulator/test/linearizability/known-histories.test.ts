import { describe, expect, it } from 'vitest';
import { assertLinearizable, checkHistory, checkStaleReads, type Operation } from '../../src/linearizability/index.js';
import { Client } from './operations.js';

const one = new Client('c1');
const two = new Client('c2');
const three = new Client('c3');
const twoOfB = new Client('c2', 'b');
const never = Number.POSITIVE_INFINITY;

describe('the checker accepts a linearizable history', () => {
  it.each<[string, Operation[]]>([
    ['nothing', []],
    ['a write and a read after it', [one.put([1, 2], 'x', 1), two.get([3, 4], 'x', 1)]],
    [
      'reads during a write, of the new value and then of the old one, by reads that overlap',
      [one.put([1, 2], 'x', 1), one.put([3, 9], 'y', 2), two.get([4, 7], 'y', 2), three.get([5, 8], 'x', 1)],
    ],
    ['two times that are equal: either may be first', [one.put([1, 2], 'x', 1), two.get([2, 3], null, 0)]],
    ['a write of unknown outcome that is never seen', [one.put([1, 2], 'x', 'unknown'), two.get([3, 4], null, 0)]],
    [
      'a write of unknown outcome that happens after its answer, and after it was not seen',
      [one.put([1, 2], 'x', 'unknown'), two.get([3, 4], null, 0), two.get([5, 6], 'x', 1)],
    ],
    [
      'a deletion of unknown outcome between two reads',
      [one.put([1, 2], 'x', 1), one.delete([3, never], 'unknown'), two.get([4, 5], 'x', 1), two.get([6, 7], null, 0)],
    ],
    [
      'a deletion that needs a write of unknown outcome before it',
      [one.put([1, never], 'x', 'unknown'), two.delete([2, 3], 2), two.get([4, 5], null, 0)],
    ],
    [
      'a cas that was refused by the revision of a write of unknown outcome',
      [one.put([1, 2], 'x', 'unknown'), two.refused([3, 4], 0, 'y', 3)],
    ],
    [
      'a chain of unknown outcomes, of which only the last was seen',
      [
        one.put([1, 2], 'x', 1),
        one.delete([3, 4], 'unknown'),
        two.cas([5, 6], 0, 'y', 'unknown'),
        three.get([7, 8], 'y', 3),
      ],
    ],
    ['a write that was not done and not seen', [one.put([1, 2], 'x', 'not_done'), two.get([3, 4], null, 0)]],
    [
      'a key that is deleted and made again',
      [
        one.put([1, 2], 'x', 1),
        one.delete([3, 4], 2),
        two.cas([5, 6], 0, 'y', 3),
        three.delete([7, 8], 4),
        one.delete([9, 10], 0),
      ],
    ],
    ['revisions that other keys took', [one.put([1, 2], 'x', 5), twoOfB.put([3, 4], 'x', 7), one.put([5, 6], 'y', 12)]],
    [
      'a stale read, later than a newer one',
      [one.put([1, 2], 'x', 1), one.put([3, 4], 'y', 2), two.get([5, 6], 'y', 2), two.get([7, 8], 'x', 1, 'stale')],
    ],
    ['a stale read of nothing', [one.put([1, 2], 'x', 1), two.get([5, 6], null, 0, 'stale')]],
    [
      'a write of unknown outcome that only a stale read saw',
      [
        one.put([1, 2], 'x', 'unknown'),
        one.put([3, 9], 'y', 2),
        two.get([5, 6], 'x', 1, 'stale'),
        two.get([7, 8], 'y', 2),
      ],
    ],
  ])('%s', (_, history) => {
    assertLinearizable(history);
    expect(checkStaleReads(history).verdict).toBe('linearizable');
  });

  it('accepts a revision that no reply names, if a write of unknown outcome can have made it', () => {
    const history = [one.put([1, 2], 'x', 1), two.put([3, 4], 'y', 'unknown'), one.put([5, 6], 'z', 3)];
    expect(checkHistory(history, { allWritesRecorded: true }).verdict).toBe('linearizable');
  });
});

describe('the checker rejects a history that is known to be wrong', () => {
  it.each<[string, string, Operation[]]>([
    [
      'a read of what was overwritten',
      'time',
      [one.put([1, 2], 'x', 1), one.put([3, 4], 'y', 2), two.get([5, 6], 'x', 1)],
    ],
    ['a read of nothing after a write', 'time', [one.put([1, 2], 'x', 1), two.get([3, 4], null, 0)]],
    ['an acknowledged write that is lost', 'time', [one.put([1, 2], 'x', 3), two.refused([3, 4], 9, 'y', 0)]],
    [
      'a lost update: two swaps on one revision',
      'order',
      [one.put([1, 2], 'x', 1), one.cas([3, 6], 1, 'y', 2), two.cas([4, 5], 1, 'z', 3)],
    ],
    [
      'a lost update: a put between a read and the swap on what it read',
      'order',
      [one.put([1, 2], 'x', 1), two.put([3, 4], 'y', 2), one.cas([5, 6], 1, 'z', 3)],
    ],
    ['a swap on a revision that the key never had', 'order', [one.put([1, 2], 'x', 1), two.cas([3, 4], 7, 'y', 9)]],
    [
      'a swap on a key that is there, as if it were not',
      'order',
      [one.put([1, 2], 'x', 1), two.cas([3, 4], 0, 'y', 2)],
    ],
    [
      'a swap refused on the revision that it expects',
      'answer',
      [one.put([1, 2], 'x', 1), two.refused([3, 4], 1, 'y', 1)],
    ],
    ['a read from the future', 'time', [two.get([1, 2], 'x', 1), one.put([3, 4], 'x', 1)]],
    [
      'a read from the future, of a write of unknown outcome',
      'time',
      [two.get([1, 2], 'x', 1), one.put([3, never], 'x', 'unknown')],
    ],
    [
      'a write that happened twice, seen the second time',
      'origin',
      [one.put([1, 2], 'x', 1), two.put([3, 4], 'y', 2), three.get([5, 6], 'x', 3)],
    ],
    [
      'a write of unknown outcome that happened twice',
      'origin',
      [one.put([1, 2], 'x', 'unknown'), three.get([3, 4], 'x', 1), two.put([5, 6], 'y', 2), three.get([7, 8], 'x', 3)],
    ],
    ['the value of a write that was not done', 'origin', [one.put([1, 2], 'x', 'not_done'), two.get([3, 4], 'x', 1)]],
    ['a value that nobody wrote', 'origin', [one.put([1, 2], 'x', 1), two.get([3, 4], 'z', 2)]],
    [
      'two clients that see two writes in opposite orders',
      'time',
      [
        one.put([1, 20], 'x', 1),
        two.put([1, 20], 'y', 2),
        one.get([2, 3], 'x', 1),
        one.get([4, 5], 'y', 2),
        two.get([2, 3], 'y', 2),
        two.get([4, 5], 'x', 1),
      ],
    ],
    [
      'a client that sees a write of unknown outcome come and go',
      'time',
      [one.put([1, 2], 'x', 1), two.put([3, never], 'y', 'unknown'), one.get([4, 5], 'y', 2), one.get([6, 7], 'x', 1)],
    ],
    ['revisions that go back in time', 'time', [one.put([1, 2], 'x', 5), one.put([3, 4], 'y', 4)]],
    ['revisions that go back in time, over two keys', 'time', [one.put([1, 2], 'x', 5), twoOfB.put([3, 4], 'y', 4)]],
    [
      'a read that is stale only by what was seen of another key',
      'time',
      [one.put([1, 20], 'x', 1), one.put([1, 20], 'y', 4), twoOfB.put([2, 3], 'z', 5), three.get([6, 7], 'x', 1)],
    ],
    ['two writes of one revision', 'revision', [one.put([1, 2], 'x', 1), twoOfB.put([1, 2], 'x', 1)]],
    ['one revision with two values', 'revision', [one.put([1, 2], 'x', 1), two.get([1, 2], 'y', 1)]],
    ['one revision on two keys', 'revision', [one.put([1, 2], 'x', 1), twoOfB.get([1, 2], 'x', 1)]],
    [
      'a revision that deleted the key, on the key',
      'revision',
      [one.put([1, 2], 'x', 1), one.delete([3, 4], 2), two.refused([3, 4], 0, 'y', 2)],
    ],
    [
      'a deletion of what was not there',
      'order',
      [one.put([1, 2], 'x', 1), one.delete([3, 4], 2), two.delete([5, 6], 3)],
    ],
    ['two deletions of one write', 'order', [one.put([1, 2], 'x', 1), one.delete([3, 9], 2), two.delete([3, 9], 3)]],
    [
      'nothing found to delete, while it was there',
      'time',
      [one.put([1, 2], 'x', 1), one.delete([3, 4], 0), one.get([5, 6], 'x', 1)],
    ],
    [
      'a key that comes back by itself after a deletion of unknown outcome',
      'order',
      [one.put([1, 2], 'x', 1), one.delete([3, never], 'unknown'), two.get([4, 5], null, 0), two.get([6, 7], 'x', 1)],
    ],
    [
      'one deletion of unknown outcome for two disappearances',
      'order',
      [
        one.put([1, 2], 'x', 1),
        two.delete([3, never], 'unknown'),
        one.get([4, 5], null, 0),
        one.put([6, 7], 'y', 4),
        one.get([8, 9], null, 0),
      ],
    ],
    ['a value and no revision', 'answer', [one.get([1, 2], 'x', 0)]],
    ['a stale read of what was never there', 'origin', [one.put([1, 2], 'x', 1), two.get([3, 4], 'y', 2, 'stale')]],
    [
      'a stale read of a value at another revision',
      'origin',
      [one.put([1, 2], 'x', 1), two.get([3, 4], 'x', 2, 'stale')],
    ],
    ['a stale read from the future', 'time', [two.get([1, 2], 'x', 1, 'stale'), one.put([3, 4], 'x', 1)]],
  ])('%s (%s)', (_, rule, history) => {
    const judgement = checkHistory(history);
    expect(judgement).toMatchObject({ verdict: 'violated', violation: { rule } });
    expect(() => assertLinearizable(history)).toThrow(/^not linearizable, key/);
    // In whatever order they were written down.
    expect(checkHistory(history.toReversed()).verdict).toBe('violated');
  });

  it.each<[string, Operation[]]>([
    ['a write of which nobody saw that it happened twice', [one.put([1, 2], 'x', 1), two.put([3, 4], 'y', 3)]],
    [
      'a write that happened twice before the one of unknown outcome was called',
      [one.put([1, 2], 'x', 2), two.put([3, 4], 'y', 'unknown'), one.get([5, 6], 'x', 2)],
    ],
  ])('all writes recorded: %s', (_, history) => {
    expect(checkHistory(history).verdict).toBe('linearizable');
    expect(checkHistory(history, { allWritesRecorded: true })).toMatchObject({ violation: { rule: 'gap' } });
  });

  it('stale reads are checked separately', () => {
    const wrong = [one.put([1, 2], 'x', 1), two.get([3, 4], null, 0), two.get([1, 2], 'x', 1)];
    expect(checkStaleReads(wrong).verdict).toBe('linearizable');
    const future = [two.get([1, 2], 'x', 1, 'stale'), one.put([3, 4], 'x', 1)];
    expect(checkStaleReads(future)).toMatchObject({ violation: { rule: 'stale' } });
  });
});

describe('the report of a violation', () => {
  it('names the few operations that show it, and what else happened at the time', () => {
    const history: Operation[] = [];
    for (let time = 0; time < 400; time += 4) {
      history.push(
        one.put([time, time + 1], `v${time}`, time / 2 + 1),
        two.get([time + 2, time + 3], `v${time}`, time / 2 + 1),
      );
      history.push(twoOfB.put([time, time + 1], 'other', time / 2 + 2));
    }
    history.push(three.cas([203, 209], 99, 'mine', 5000), three.put([300, 303], 'late', 'unknown'));
    const judgement = checkHistory(history);
    expect(judgement.verdict === 'violated' && judgement.report).toMatchInlineSnapshot(`
      "not linearizable, key "a", 203 .. 213 (time): this saw revision 105, which revision 107 had replaced, but revision 5000 was there at 209 before it
        203 .. 209  c3  a  cas "mine" if revision 99: swapped, revision 5000
        210 .. 211  c2  a  get: "v208", revision 105
        212 .. 213  c1  a  put "v212": revision 107
      meanwhile on this key:
        202 .. 203  c2  a  get: "v200", revision 101
        204 .. 205  c1  a  put "v204": revision 103
        206 .. 207  c2  a  get: "v204", revision 103
        208 .. 209  c1  a  put "v208": revision 105"
    `);
  });

  it('says undecided, and does not pass, if the search takes too long', () => {
    const history = [one.put([1, 2], 'x', 1), two.get([3, 4], 'x', 1)];
    expect(checkHistory(history, { workLimit: 1 })).toMatchObject({ verdict: 'undecided', key: 'a' });
    expect(() => assertLinearizable(history, { workLimit: 1 })).toThrow('undecided');
  });
});
