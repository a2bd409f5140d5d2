/** A fixed set of seeds; `npm run simulate` runs others. */
import { expect, test } from 'vitest';
import { randomPlan, runScript } from '../src/index.js';

const perTest = 20;

test.each([1, 21, 41])('runs from seed %i on keep all invariants and come back', (from) => {
  let answered = 0;
  for (let seed = from; seed < from + perTest; seed++) {
    try {
      answered += runScript(randomPlan(seed), seed).clients.history.count('ok');
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  expect(answered).toBeGreaterThan(0);
});
