import { KvService, KvStateMachine } from '@conclave/kv';
import { asLogIndex, ConclaveError, type ErrorBody, type GroupUid } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import {
  type Call,
  ClientCore,
  type ClientEffect,
  type ClientInput,
  type Reply,
  type Settlement,
} from '../src/index.js';

/** A client's core before a group that loses, delays and repeats requests and answers, changes leaders and ends sessions. */
class World {
  nowMs = 0;
  readonly settled = new Map<number, Settlement>();
  readonly applied = new Map<string, number>();
  readonly core = new ClientCore({ timeoutMs: 2000, requestTimeoutMs: 100 });
  private readonly stateMachine = new KvStateMachine();
  private readonly service = new KvService();
  private index = 0;
  private read = 0;
  private timerMs = Number.POSITIVE_INFINITY;
  private isIdleWanted = false;
  private readonly events: { readonly atMs: number; readonly what: () => void }[] = [];

  constructor(
    private readonly random: () => number,
    /** How much goes wrong: 0 to 1. */
    public faultRate: number,
  ) {}

  step(input: ClientInput): void {
    const effects = this.core.step(input, { nowMs: this.nowMs, random: this.random() });
    for (const effect of effects) this.carryOut(effect);
    if (input.type !== 'idle') this.isIdleWanted = true;
  }

  /** Until then, or until nothing is left to happen. */
  run(untilMs: number): void {
    for (;;) {
      if (this.isIdleWanted) {
        this.isIdleWanted = false;
        this.step({ type: 'idle' });
      }
      this.events.sort((one, other) => one.atMs - other.atMs);
      const atMs = Math.min(this.timerMs, this.events[0]?.atMs ?? Number.POSITIVE_INFINITY);
      if (atMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, atMs);
      if (this.timerMs <= this.nowMs) {
        this.timerMs = Number.POSITIVE_INFINITY;
        this.step({ type: 'timer', timer: 'due' });
      } else {
        this.events.shift()?.what();
      }
    }
    this.nowMs = untilMs;
  }

  endSessions(): void {
    const expire = this.stateMachine.housekeeping(0) ?? this.stateMachine.housekeeping(1e9);
    if (expire !== undefined) this.apply(expire);
  }

  private carryOut(effect: ClientEffect): void {
    switch (effect.type) {
      case 'request':
        return this.request(effect);
      case 'settle':
        expect(this.settled.has(effect.callId)).toBe(false);
        this.settled.set(effect.callId, effect.settlement);
        return;
      case 'set_timer':
        this.timerMs = this.nowMs + effect.afterMs;
        return;
      case 'cancel_timer':
        this.timerMs = Number.POSITIVE_INFINITY;
    }
  }

  private request({ requestId, target, body }: Extract<ClientEffect, { type: 'request' }>): void {
    const chance = this.random();
    if (chance < 0.1 * this.faultRate) return this.answer(requestId, { type: 'no_responders' });
    if (chance < 0.15 * this.faultRate) return this.answer(requestId, { type: 'not_sent', message: 'no room' });
    if (chance < 0.3 * this.faultRate) return this.answer(requestId, errorOf('EPERM', 'not_done'));
    if (chance < 0.5 * this.faultRate) return;
    if (chance < 0.6 * this.faultRate) this.answer(requestId, errorOf('EPERM', 'unknown'));
    this.later(() => this.arrive(requestId, target.name, structuredClone(body)));
  }

  private arrive(requestId: number, name: string, body: unknown): void {
    let reply: Reply;
    try {
      const request = this.service.parse(name, body);
      if (request.type === 'watch' || request.type === 'unwatch') throw new Error('nobody watches');
      const result = request.type === 'read' ? this.stateMachine.query(request.query) : this.apply(request.payload);
      reply = { type: 'body', body: request.reply(result as never, { groupUid: 'history-1' as GroupUid }) };
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      reply = { type: 'body', body: { error: error.toBody() } };
    }
    const chance = this.random();
    if (chance < 0.3 * this.faultRate) return;
    if (chance < 0.35 * this.faultRate) reply = { type: 'malformed' };
    this.answer(requestId, reply);
    if (chance > 1 - 0.1 * this.faultRate) this.answer(requestId, reply);
  }

  private apply(payload: Uint8Array): unknown {
    this.index += 1;
    const result = this.stateMachine.apply(asLogIndex(this.index), payload);
    const { history } = this.stateMachine;
    const { changes, upTo } = history.changes('', this.read + 1, { changes: 1e6, bytes: 1e9, revisions: 1e6 });
    this.read = upTo;
    for (const [, , , value] of changes as [number, string, string, string][]) {
      this.applied.set(value, (this.applied.get(value) ?? 0) + 1);
    }
    return result;
  }

  private answer(requestId: number, reply: Reply): void {
    this.later(() => this.step({ type: 'reply', requestId, reply }));
  }

  private later(what: () => void): void {
    const slow = this.random() < 0.1 * this.faultRate ? 3000 : 20;
    this.events.push({ atMs: this.nowMs + this.random() * slow, what });
  }
}

function errorOf(code: ErrorBody['code'], outcome: ErrorBody['outcome']): Reply {
  return { type: 'body', body: { error: { code, message: 'why', outcome } } };
}

/** Numbers from 0 to 1, the same for the same seed. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a write did, according to the client’s replies. */
function expectTruth(world: World, writes: ReadonlyMap<number, string>): void {
  for (const [callId, value] of writes) {
    const times = world.applied.get(value) ?? 0;
    const { outcome } = world.settled.get(callId) as Settlement;
    if (outcome === 'done') expect([value, times]).toEqual([value, 1]);
    else if (outcome === 'not_done') expect([value, times]).toEqual([value, 0]);
    else expect(times).toBeLessThanOrEqual(1);
  }
}

describe('whatever gets lost', () => {
  it('each call is settled once, and the reported outcome of a write is true', () => {
    const outcomes: Record<string, number> = {};
    for (let seed = 1; seed <= 60; seed++) {
      const random = generator(seed);
      const world = new World(random, random() ** 2);
      const writes = new Map<number, string>();
      let callId = 0;
      for (let round = 0; round < 30; round++) {
        const count = random() < 0.1 ? 500 : 1 + Math.floor(random() * 12);
        for (let at = 0; at < count; at++) {
          callId += 1;
          const timeoutMs = [undefined, 20, 150, 1000, 5000, Math.floor(random() * 3000) + 1][Math.floor(random() * 6)];
          const key = `k${Math.floor(random() * 9)}`;
          const value = `v${callId}`;
          if (random() < 0.25) {
            world.step({ type: 'call', callId, call: { operation: 'get', key }, timeoutMs });
            continue;
          }
          const large = random() < 0.02 ? value + ' '.repeat(100_000) : value;
          writes.set(callId, large);
          const call: Call =
            random() < 0.7
              ? { operation: 'put', key, value: large }
              : { operation: 'txn', compare: [], operations: [['put', key, large]], otherwise: [] };
          world.step({ type: 'call', callId, call, timeoutMs });
        }
        world.run(world.nowMs + random() * 300);
        if (random() < 0.15) world.endSessions();
        if (random() < 0.2) world.faultRate = random() < 0.3 ? 1 : random() ** 2;
      }
      if (random() < 0.2) world.step({ type: 'close' });
      world.run(world.nowMs + 20_000);
      expect(world.settled.size).toBe(callId);
      expect(world.core.status()).toEqual({ openCalls: 0, requests: 0 });
      expectTruth(world, writes);
      for (const { outcome } of world.settled.values()) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    expect(Math.min(outcomes.done ?? 0, outcomes.not_done ?? 0, outcomes.unknown ?? 0)).toBeGreaterThan(100);
  });
});
