import { expect, it } from 'vitest';
import { PendingCalls } from '../src/pending-calls.js';

it('returns what was added, once, as a map does', () => {
  const [things, expected] = [new PendingCalls<string>(), new Map<number, string>()];
  // Ids beyond 32 bits, and with gaps.
  let nextId = 2 ** 40 - 1000;
  let state = 1;
  const random = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  for (let turn = 0; turn < 50_000; turn++) {
    if (random() < 0.5) {
      things.add(nextId, `of ${nextId}`);
      expected.set(nextId, `of ${nextId}`);
      nextId += 1 + Math.floor(random() * 3);
      continue;
    }
    // Mostly one of the newest; some stay for long.
    const callId = nextId - Math.floor(random() * (random() < 0.9 ? 50 : 5000));
    expect(things.take(callId)).toBe(expected.get(callId));
    expected.delete(callId);
  }
  expect(expected.size).toBeGreaterThan(1000);
  for (const callId of [...expected.keys()].slice(10)) {
    expect(things.take(callId)).toBe(expected.get(callId));
    expected.delete(callId);
  }
  expect(things.pageCount, 'pages without anything are let go').toBeLessThanOrEqual(10);
  expect(things.takeAll().sort()).toEqual([...expected.values()].sort());
  expect(things.takeAll()).toEqual([]);
  expect(things.take(nextId - 1)).toBeUndefined();
});
