import type { StateMachine } from '@conclave/actor/core';
import { KvStateMachine } from '@conclave/kv';
import { expect, it } from 'vitest';
import { TimedStateMachine } from '../src/timed-state-machine.js';

/** All members of a state machine, optional ones too. */
const members: readonly (keyof Required<StateMachine>)[] = [
  'apply',
  'commandVersion',
  'beginEpoch',
  'beginHistory',
  'query',
  'housekeeping',
  'snapshot',
  'restore',
  'digest',
  'counts',
  'history',
];

it('a timed state machine has exactly the members of the one inside', () => {
  const bare: StateMachine = {
    apply: () => undefined,
    query: () => undefined,
    snapshot: () => [][Symbol.iterator](),
    restore: () => ({ take: () => undefined, end: () => undefined }),
  };
  for (const inner of [bare, new KvStateMachine()] as StateMachine[]) {
    const timed: StateMachine = new TimedStateMachine(inner, TimedStateMachine.newHistogram());
    for (const member of members)
      expect([member, timed[member] !== undefined]).toEqual([member, inner[member] !== undefined]);
  }
});

it('a timed state machine applies and answers like the one inside, and records the time of each apply', () => {
  const [inner, seconds] = [new KvStateMachine(), TimedStateMachine.newHistogram()];
  const timed = new TimedStateMachine(inner, seconds);
  const bad = new Uint8Array([0xc1]);
  expect(timed.apply(1 as never, bad, undefined, 0)).toEqual(new KvStateMachine().apply(1 as never, bad, undefined, 0));
  expect(seconds.count).toBe(1);
  expect(timed.digest?.()).toBe(inner.digest());
  expect(timed.counts?.()).toEqual({ keys: 0, leases: 0, locks: 0, sessions: 0 });
});
