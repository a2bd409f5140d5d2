import { describe, expect, it } from 'vitest';
import { checkHistory, checkLinearizability } from '../../src/linearizability/index.js';
import { Random } from '../../src/mesh/random.js';
import { type HistoryPlan, mutated, randomHistory, randomOperations, usualPlan } from './atomic-store.js';
import { hasOrder } from './brute-force.js';

const rounds = Number(process.env.ROUNDS ?? 1);

describe('the checker accepts a history of an atomic store', () => {
  const plans: [string, Partial<HistoryPlan>][] = [
    ['usual', {}],
    ['many unknown', { unknown: 0.4, clients: 16 }],
    ['one key, few values', { keys: 1, values: 3, unknown: 0.3 }],
    ['writers besides', { unrecorded: 0.2 }],
    ['stale reads', { stale: 0.5 }],
  ];
  it.each(plans)('%s', (_, changes) => {
    const plan = { ...usualPlan, ...changes };
    for (let seed = 1; seed <= 60 * rounds; seed++) {
      const history = randomHistory(new Random(seed), plan);
      const judgement = checkHistory(history, { allWritesRecorded: plan.unrecorded === 0 });
      expect(judgement, `seed ${seed}`).toMatchObject({ verdict: 'linearizable' });
    }
  });
});

describe('the checker agrees with a brute-force search on small histories, about half of them wrong', () => {
  const small: HistoryPlan = { ...usualPlan, operations: 7, clients: 3, unknown: 0.25, notDone: 0, values: 2 };
  const own = Number.POSITIVE_INFINITY;

  it.each<[string, Partial<HistoryPlan>, boolean]>([
    ['one key', { keys: 1 }, false],
    ['one key, each write a value of its own', { keys: 1, values: own }, false],
    ['one key, with writers besides', { keys: 1, unrecorded: 0.3 }, false],
    ['one key, many unknown', { keys: 1, unknown: 0.5, reads: 0.6 }, false],
    ['one key, none unknown, all writes recorded', { keys: 1, unknown: 0 }, true],
    ['several keys, none unknown', { keys: 3, unknown: 0 }, false],
    ['several keys, none unknown, all writes recorded', { keys: 3, unknown: 0, values: own }, true],
  ])('%s: exactly', (_, changes, allWritesRecorded) => {
    const tally = compare({ ...small, ...changes }, allWritesRecorded);
    expect(tally).toMatchObject({ missed: 0 });
  });

  it.each<[string, Partial<HistoryPlan>, boolean]>([
    ['several keys', { keys: 2 }, false],
    ['one key, all writes recorded', { keys: 1 }, true],
    ['several keys, all writes recorded', { keys: 2, values: own }, true],
  ])('%s, with unknown outcomes: most of the wrong ones are rejected', (_, changes, allWritesRecorded) => {
    const { missed, wrong } = compare({ ...small, ...changes }, allWritesRecorded);
    expect(missed).toBeLessThan(wrong / 10);
  });

  /** Checks histories and tries their orders. No linearizable one may be rejected. */
  function compare(plan: HistoryPlan, allWritesRecorded: boolean): { right: number; wrong: number; missed: number } {
    let right = 0;
    let wrong = 0;
    let missed = 0;
    for (let seed = 1; seed <= 600 * rounds; seed++) {
      const random = new Random(seed);
      let history = randomHistory(random, plan);
      if (seed % 3 === 0) history = randomOperations(random, 5, plan.unknown === 0 ? 0 : 0.4);
      else for (let changes = random.below(3); changes > 0; changes--) history = mutated(history, random);
      const judgement = checkLinearizability(history, { allWritesRecorded });
      const isRight = hasOrder(history, allWritesRecorded);
      if (isRight) right += 1;
      else wrong += 1;
      if (isRight && judgement.verdict !== 'linearizable') expect.fail(`seed ${seed}: ${JSON.stringify(judgement)}`);
      if (!isRight && judgement.verdict !== 'violated') missed += 1;
    }
    expect(Math.min(right, wrong)).toBeGreaterThan(100);
    return { right, wrong, missed };
  }
});
