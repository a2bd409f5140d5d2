/**
 * Random runs of the real cores; each failure names its seed, and the seed repeats it.
 * `CONCLAVE_SEEDS=1000-1999` runs these seeds instead of the few that are run every time.
 */
import { expect, test } from 'vitest';
import { randomRun } from '../src/random-run.js';

const [first = 1, last = 100] = (process.env.CONCLAVE_SEEDS ?? '1-100').split('-').map(Number);
const perTest = 25;
const steps = 200;

test.each(Array.from({ length: Math.ceil((last - first + 1) / perTest) }, (_, part) => first + part * perTest))(
  'runs from seed %i on lose nothing, split nothing and come back',
  (from) => {
    let acknowledged = 0;
    for (let seed = from; seed < from + perTest && seed <= last; seed++) {
      try {
        acknowledged += randomRun(seed, steps).acknowledged;
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
    expect(acknowledged).toBeGreaterThan(0);
  },
  120_000,
);
