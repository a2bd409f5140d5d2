/** A fixed set of seeds, part of which is in `npm test`; `test/long/` runs more, and `npm run simulate` any. */
import { expect, test } from 'vitest';
import { expectRuns, timeout } from './support/random-runs.js';

test.each([1, 6, 11, 16])(
  'five seeds from %i on keep all invariants, and their groups recover',
  { timeout },
  (from) => {
    expect(expectRuns(from, from + 5)).toBeGreaterThan(100);
  },
);
