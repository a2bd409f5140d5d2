/** More seeds of the simulator than `npm test` has time for. */
import { expect, test } from 'vitest';
import { expectRuns, timeout } from '../../packages/simulator/test/support/random-runs.js';

test.each([21, 41, 61, 81])(
  'twenty seeds from %i on keep all invariants, and their groups recover',
  { timeout },
  (from) => {
    expect(expectRuns(from, from + 20)).toBeGreaterThan(100);
  },
);
