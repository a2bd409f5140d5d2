import { limits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import type { OpenCall } from '../src/core/client-request.js';
import { WaitingCalls } from '../src/core/waiting-calls.js';
import { openCall } from './open-call.js';

function waitingWith(calls: readonly OpenCall[]): WaitingCalls {
  const waiting = new WaitingCalls();
  for (const one of calls) waiting.add(one);
  return waiting;
}

function ids(calls: readonly OpenCall[]): number[] {
  return calls.map(({ callId }) => callId);
}

function settle(waiting: WaitingCalls, one: OpenCall | undefined): void {
  if (one === undefined) throw new Error('there is no such call');
  one.isSettled = true;
  waiting.onSettled();
}

/** How many it holds on to, whatever became of them. */
function held(waiting: WaitingCalls): number {
  return (waiting as unknown as { calls: readonly OpenCall[] }).calls.length;
}

describe('calls that wait', () => {
  it('are taken in their order, without those that are settled', () => {
    const calls = [1, 2, 3, 4, 5].map((callId) => openCall(callId));
    const waiting = waitingWith(calls);
    settle(waiting, calls[0]);
    settle(waiting, calls[2]);
    expect(waiting.first).toBe(calls[1]);
    expect(ids(waiting.take(2))).toEqual([2, 4]);
    expect(ids(waiting.open())).toEqual([5]);
    expect(ids(waiting.take(2))).toEqual([5]);
    expect(waiting.first).toBeUndefined();
    expect(waiting.take(2)).toEqual([]);
  });

  it('are taken up to a bound of bytes, one at least, and while they are alike', () => {
    const large = limits.clientRequestBytes;
    const waiting = waitingWith([openCall(1, 2 * large), openCall(2, large), openCall(3, 1)]);
    expect(ids(waiting.take(9))).toEqual([1]);
    expect(ids(waiting.take(9))).toEqual([2]);
    expect(ids(waiting.take(9, ({ callId }) => callId !== 3))).toEqual([]);
    expect(ids(waiting.take(9))).toEqual([3]);
  });

  it('are put back where they were', () => {
    const waiting = waitingWith([1, 2, 3].map((callId) => openCall(callId)));
    const taken = waiting.take(2);
    waiting.add(openCall(4));
    waiting.putBack(taken.reverse());
    expect(ids(waiting.open())).toEqual([1, 2, 3, 4]);
  });

  it('are dropped, even if there is always one that waits', () => {
    const waiting = waitingWith([openCall(0)]);
    for (let callId = 1; callId < 10_000; callId++) {
      waiting.add(openCall(callId));
      expect(waiting.take(1)).toHaveLength(1);
    }
    expect(ids(waiting.open())).toEqual([9999]);
    expect(held(waiting)).toBeLessThan(2500);
    waiting.take(1);
    expect(held(waiting)).toBe(0);
    const [stuck, ...others] = Array.from({ length: 10_000 }, (_, callId) => openCall(callId));
    if (stuck !== undefined) waiting.add(stuck);
    for (const one of others) {
      waiting.add(one);
      settle(waiting, one);
    }
    expect(ids(waiting.open())).toEqual([0]);
    expect(held(waiting)).toBeLessThan(2500);
  });
});
