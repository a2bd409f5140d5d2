/** A fixed set of seeds; `npm run simulate` runs others. */
import { expect, test } from 'vitest';
import { runSeed } from '../src/index.js';

const perTest = 20;
const timeout = 120_000;

test.each([1, 21, 41, 61, 81])('runs from seed %i on keep all invariants and come back', { timeout }, (from) => {
  let written = 0;
  for (let seed = from; seed < from + perTest; seed++) {
    const { violation, coverage } = runSeed(seed);
    expect(violation, `seed ${seed}`).toBeUndefined();
    written += coverage['answer put ok'] ?? 0;
  }
  expect(written).toBeGreaterThan(100);
});
