import { describe, expect, it } from 'vitest';
import { EntryRing } from '../src/core/entry-ring.js';
import { generator } from './support.js';

function entry(number: number, length: number): Uint8Array {
  return new Uint8Array(length).fill(number % 256);
}

describe('the last entries', () => {
  it('are kept in order, and the oldest make room for the newest', () => {
    const ring = new EntryRing(40);
    const places = [1, 2, 3, 4, 5].map((number) => ring.add(entry(number, 8)));
    expect(places).toEqual([0, 12, 24, 36, 48]);
    expect(ring).toMatchObject({ first: 24, end: 60 });
    for (const [at, place] of places.entries()) {
      if (place < 24) expect(() => ring.at(place)).toThrow('still there');
      else expect(ring.at(place)).toEqual(entry(at + 1, 8));
    }
    expect(() => ring.at(60)).toThrow('still there');
  });

  it('hold one that is larger than the whole bound', () => {
    const ring = new EntryRing(40);
    ring.add(entry(1, 8));
    const large = ring.add(entry(2, 5000));
    expect(ring.first).toBe(large);
    expect(ring.at(large)).toEqual(entry(2, 5000));
  });

  it('are copies, out of and into the ring', () => {
    const ring = new EntryRing(40);
    const mine = entry(1, 3);
    const place = ring.add(mine);
    mine.fill(9);
    ring.at(place).fill(9);
    expect(ring.at(place)).toEqual(entry(1, 3));
  });

  it('stay readable while the memory grows and is reused again and again', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = generator(seed);
      const maxBytes = 1000 + random(20_000);
      const ring = new EntryRing(maxBytes);
      const added: { readonly place: number; readonly entry: Uint8Array }[] = [];
      for (let number = 0; number < 500; number++) {
        const one = entry(number, random(900));
        added.push({ place: ring.add(one), entry: one });
        const there = added.filter(({ place }) => place >= ring.first);
        const bytes = there.reduce((sum, { entry }) => sum + entry.length + 4, 0);
        expect(bytes).toBe(ring.end - ring.first);
        expect(bytes).toBeLessThanOrEqual(maxBytes);
        for (const { place, entry } of number % 50 === 0 ? there : there.slice(-3)) {
          expect(Buffer.compare(ring.at(place), entry)).toBe(0);
        }
      }
    }
  });
});
