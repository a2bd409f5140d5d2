import { asTerm, decode, type KvReply, limits, publicPartOf } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { KvStateMachine } from '../src/index.js';
import { generator, Requester } from './support.js';

let requester: Requester;
beforeEach(() => {
  requester = new Requester(new KvStateMachine(), false, 1);
});

function grant(ttl_ms: number): string {
  return (requester.ask('lease_grant', { ttl_ms }) as { lease_id: string }).lease_id;
}

/** Looks after the leases as the leader of that term, and applies what it proposes. */
function look(nowMs: number, term = 1, level = 1): object | undefined {
  requester.clock = { nowMs, term: asTerm(term) };
  const payload = requester.stateMachine.housekeeping(nowMs, term, level);
  if (payload === undefined) return undefined;
  requester.apply(payload);
  return decode(payload) as object;
}

function leftOf(lease_id: string): number | null | undefined {
  return (requester.ask('lease_get', { lease_id }) as KvReply<'lease_get'>).remaining_ms;
}

/** Each second from one time to another, the last one with it. */
function lookFrom(fromMs: number, toMs: number, term = 1): (object | undefined)[] {
  const seen = [];
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 1000) seen.push(look(nowMs, term));
  return seen;
}

function copied(): Requester {
  const other = new Requester(new KvStateMachine(), true, 1);
  const restore = other.stateMachine.restore();
  const pieces = requester.stateMachine.snapshot();
  for (let next = pieces.next(); next.done !== true; next = pieces.next()) restore.take(next.value);
  restore.end();
  other.index = requester.index;
  return other;
}

describe('promise 34: the time that is left of a lease', () => {
  it('Is shown by the leader, by its clock, and not by a peer that does not lead.', () => {
    const lease_id = grant(10_000);
    expect(leftOf(lease_id)).toBeNull();
    look(50_000);
    expect(leftOf(lease_id)).toBe(10_000);
    requester.clock = { nowMs: 53_400, term: asTerm(1) };
    expect(leftOf(lease_id)).toBe(6600);
    requester.ask('lease_keep', { lease_id });
    expect(leftOf(lease_id)).toBe(10_000);
    lookFrom(54_000, 63_000);
    expect(leftOf(lease_id)).toBe(1000);
    requester.clock = undefined;
    expect(leftOf(lease_id)).toBeNull();
  });

  it('Goes into the log each time that it has become less by an eighth, and not for a lease that is kept more often.', () => {
    const [idle, kept, short] = [grant(60_000), grant(60_000), grant(5000)];
    const seen: object[] = [];
    for (let nowMs = 0; nowMs <= 40_000; nowMs += 1000) {
      if (nowMs % 5000 === 4000) for (const lease_id of [kept, short]) requester.ask('lease_keep', { lease_id });
      const payload = look(nowMs);
      if (payload !== undefined) seen.push(payload);
    }
    const of = (remainingMs: number) => ({ expire: [], remaining: [[publicPartOf(idle), 1, remainingMs]] });
    expect(seen).toEqual([of(52_000), of(44_000), of(36_000), of(28_000), of(20_000)]);
  });

  it('Goes on at the next leader from what is in the log, and through a snapshot.', () => {
    const lease_id = grant(40_000);
    lookFrom(0, 26_000);
    expect(leftOf(lease_id)).toBe(14_000);
    for (const next of [requester, copied()]) {
      requester = next;
      // Another clock, another term: 25 s were counted when the last entry was written.
      look(1_000_000, 2);
      expect(leftOf(lease_id)).toBe(15_000);
      for (const nowMs of [1_005_000, 1_006_000]) look(nowMs, 2);
      lookFrom(1_007_000, 1_014_000, 2);
      expect(leftOf(lease_id)).not.toBe(0);
    }
  });

  it('Is the whole time again once the lease is kept, whatever earlier or later entries of the log contain.', () => {
    const lease_id = grant(40_000);
    lookFrom(0, 24_000);
    const late = requester.stateMachine.housekeeping(25_000, 1, 1) as Uint8Array;
    expect(decode(late)).toMatchObject({ remaining: [expect.anything()] });
    requester.ask('lease_keep', { lease_id });
    requester.apply(late);
    look(2_000_000, 2);
    expect(leftOf(lease_id)).toBe(40_000);
  });

  it('Is not written in a group of level 0.', () => {
    grant(40_000);
    for (let nowMs = 0; nowMs < 39_000; nowMs += 1000) expect(look(nowMs, 1, 0)).toBeUndefined();
  });

  it('Is written for a bounded number of leases at a time, and for all of them in turn.', () => {
    const count = limits.requestCommands + 10;
    for (let number = 0; number < count; number++) grant(80_000);
    lookFrom(0, 9000);
    const [first, second, third] = lookFrom(10_000, 12_000) as { remaining: unknown[] }[];
    expect([first?.remaining.length, second?.remaining.length, third]).toEqual([limits.requestCommands, 10, undefined]);
  });

  it('Never ends a lease before its time, over any changes of leaders, clocks and keep-alives.', () => {
    const random = generator(11);
    const ttlMs = 30_000;
    const lease_id = grant(ttlMs);
    // The true time; each term has a clock with another zero.
    let [nowMs, keptMs, term, zeroMs, ended] = [0, 0, 1, 0, 0];
    let alive = lease_id;
    for (let round = 0; round < 4000; round++) {
      nowMs += random(10) === 0 ? random(9000) : 1000;
      if (random(15) === 0) [term, zeroMs] = [term + 1, random(1_000_000)];
      look(nowMs + zeroMs, term);
      if ((requester.ask('lease_get', { lease_id: alive }) as KvReply<'lease_get'>).ttl_ms === 0) {
        expect(nowMs - keptMs).toBeGreaterThanOrEqual(ttlMs);
        ended += 1;
        alive = grant(ttlMs);
        keptMs = nowMs;
      } else if (random(20) === 0) {
        requester.ask('lease_keep', { lease_id: alive });
        keptMs = nowMs;
      }
    }
    expect(ended).toBeGreaterThan(20);
  });
});
