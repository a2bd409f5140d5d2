import { describe, expect, it } from 'vitest';
import { compareKeys, hasHighUnit } from '../src/core/key-order.js';
import { SortedKeys } from '../src/core/sorted-keys.js';
import { generator } from './support.js';

const byBytes = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other));
/** Around the places where the two orders part: beyond U+FFFF, what is just below, and plain letters. */
const letters = ['a', 'b', 'é', '€', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{1f600}', '\u{10ffff}'];

function randomKey(random: (below: number) => number, alphabet: readonly string[]): string {
  return Array.from({ length: 1 + random(4) }, () => alphabet[random(alphabet.length)]).join('');
}

describe('the order of keys', () => {
  it('is that of their UTF-8 bytes, which is not that of JavaScript', () => {
    const random = generator(3);
    let others = 0;
    for (let round = 0; round < 5000; round++) {
      const one = randomKey(random, letters);
      const other = randomKey(random, letters);
      expect(Math.sign(compareKeys(one, other)), `${one} and ${other}`).toBe(byBytes(one, other));
      if (one < other !== byBytes(one, other) < 0) others += 1;
    }
    expect(others).toBeGreaterThan(50);
    expect(compareKeys('\uffff', '\u{10000}')).toBeLessThan(0);
    expect('\uffff' < '\u{10000}').toBe(false);
  });

  it('can be determined fast for all keys but those with units from U+D800 on', () => {
    expect(letters.filter(hasHighUnit)).toEqual(['\ue000', '\uffff', '\u{10000}', '\u{1f600}', '\u{10ffff}']);
  });
});

describe('keys in order', () => {
  it.each([
    ['plain letters', letters.slice(0, 4)],
    ['all letters', letters],
  ])('are what a sorted list is: %s', (_what, alphabet) => {
    const random = generator(11);
    const model = new Set<string>();
    const keys = new SortedKeys();
    // Joined, as long lists are slow to compare one by one.
    const joined = (list: Iterable<string>) => [...list].join();
    for (let round = 0; round < 9000; round++) {
      // First it grows over many blocks, then it shrinks.
      const grows = round < 6000;
      const key = randomKey(random, alphabet) + random(grows ? 3000 : 100);
      if (model.has(key)) {
        model.delete(key);
        keys.delete(key);
      } else if (grows) {
        model.add(key);
        keys.add(key);
      }
      if (round % 3000 !== 2999) continue;
      const sorted = [...model].sort(byBytes);
      expect(joined(keys.from('', true))).toBe(joined(sorted));
      expect(keys.size).toBe(model.size);
      for (let probe = 0; probe < 10; probe++) {
        const from = randomKey(random, alphabet);
        expect(joined(keys.from(from, true))).toBe(joined(sorted.filter((one) => byBytes(one, from) >= 0)));
        const at = random(sorted.length);
        expect(joined(keys.from(sorted[at] as string, false))).toBe(joined(sorted.slice(at + 1)));
      }
    }
    for (const key of model) keys.delete(key);
    expect([...keys.from('', true)]).toEqual([]);
    expect(keys.size).toBe(0);
  });

  it('are returned in rising or in falling order, too', () => {
    const rising = Array.from({ length: 3000 }, (_, at) => String(at).padStart(6, '0'));
    const [up, down] = [new SortedKeys(), new SortedKeys()];
    for (const key of rising) up.add(key);
    for (const key of rising.toReversed()) down.add(key);
    expect([...up.from('', true)]).toEqual(rising);
    expect([...down.from('', true)]).toEqual(rising);
  });
});
