import { expect, it } from 'vitest';
import { checkHistory } from '../../src/linearizability/index.js';
import { Random } from '../../src/mesh/random.js';
import { type HistoryPlan, mutated, randomHistory, usualPlan } from './atomic-store.js';

/** The duration is printed only: a busy machine must not fail the test. */
const patienceMs = 60_000;
const large: HistoryPlan = { ...usualPlan, operations: 20_000, clients: 64, keys: 8 };

it.each<[string, Partial<HistoryPlan>]>([
  ['each write a value of its own', {}],
  ['half of the outcomes unknown', { unknown: 0.5 }],
  ['three values, a third of the outcomes unknown', { values: 3, unknown: 0.3 }],
  ['all on one key', { keys: 1 }],
])(
  '20,000 operations on 8 keys by 64 clients (%s) are checked, in the time that is printed',
  { timeout: patienceMs },
  (name, changes) => {
    const history = randomHistory(new Random(1), { ...large, ...changes });
    const began = performance.now();
    const { verdict, work } = checkHistory(history, { allWritesRecorded: true });
    const tookMs = Math.round(performance.now() - began);
    console.info(`20,000 operations, ${name}: checked in ${tookMs} ms, with ${work} operations visited`);
    expect(verdict).toBe('linearizable');
  },
);

it(
  'a change in 5,000 operations that makes them wrong is found and reported in a few lines',
  () => {
    let violated = 0;
    for (let seed = 1; seed <= 5; seed++) {
      const random = new Random(seed);
      const judgement = checkHistory(mutated(randomHistory(random, { ...large, operations: 5000 }), random), {
        allWritesRecorded: true,
      });
      expect(judgement.verdict).not.toBe('undecided');
      if (judgement.verdict !== 'violated') continue;
      violated += 1;
      expect(judgement.report.split('\n').length).toBeLessThan(60);
    }
    expect(violated).toBeGreaterThan(1);
  },
  patienceMs,
);
