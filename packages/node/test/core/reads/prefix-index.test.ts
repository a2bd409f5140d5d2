import { describe, expect, test } from 'vitest';
import { PrefixIndex } from '../../../src/core/reads/prefix-index.js';

/** The same numbers in the same order, for the same seed. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
}

describe('an index of prefixes', () => {
  test('finds the items of all prefixes of a key, the longest first', () => {
    const index = new PrefixIndex<string>();
    for (const prefix of ['a/b', 'a', '', 'b', 'a/b/c', 'ab', 'a/c']) index.add(prefix, prefix);
    expect(index.prefixesOf('a/b/d')).toEqual(['a/b', 'a', '']);
    expect(index.prefixesOf('a/b')).toEqual(['a/b', 'a', '']);
    expect(index.prefixesOf('a/')).toEqual(['a', '']);
    expect(index.prefixesOf('z')).toEqual(['']);
    index.delete('a');
    index.delete('');
    expect(index.prefixesOf('a/b/d')).toEqual(['a/b']);
    expect(index.prefixesOf('z')).toEqual([]);
    expect([index.get('a'), index.get('a/b'), index.size]).toEqual([undefined, 'a/b', 5]);
  });

  test('finds what a search of each prefix finds, whatever is added and removed', () => {
    const random = generator(7);
    const text = (longest: number): string =>
      Array.from({ length: random(longest + 1) }, () => 'ab\u{1f600}\uffff'.charAt(random(5))).join('');
    const index = new PrefixIndex<string>();
    const prefixes = new Set<string>();
    for (let turn = 0; turn < 20_000; turn++) {
      const prefix = text(6);
      if (prefixes.delete(prefix)) index.delete(prefix);
      else if (prefixes.size < 60) {
        prefixes.add(prefix);
        index.add(prefix, prefix);
      }
      const key = text(9);
      const expected = [...prefixes].filter((one) => key.startsWith(one)).sort((a, b) => b.length - a.length);
      expect(index.prefixesOf(key)).toEqual(expected);
    }
    expect(index.items().sort()).toEqual([...prefixes].sort());
  });
});
