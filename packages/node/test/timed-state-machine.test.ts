import { KvStateMachine } from '@conclave/kv';
import { expect, it } from 'vitest';
import { newApplyHistogram, timeApplies } from '../src/timed-state-machine.js';

it('a timed state machine applies like an untimed one, and records the time of each apply', () => {
  const [timed, seconds] = [new KvStateMachine(), newApplyHistogram()];
  timeApplies(timed, seconds);
  const bad = new Uint8Array([0xc1]);
  expect(timed.apply(1 as never, bad, undefined, 0)).toEqual(new KvStateMachine().apply(1 as never, bad, undefined, 0));
  expect(seconds.count).toBe(1);
});
