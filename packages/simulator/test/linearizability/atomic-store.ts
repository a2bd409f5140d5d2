/** An atomic store, clients that call it at random, and the resulting history. */
import type { Operation } from '../../src/linearizability/index.js';
import type { Random } from '../../src/mesh/random.js';

export interface HistoryPlan {
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** How many values there are; infinite: each write has its own. */
  readonly values: number;
  /** The share of calls with this outcome. */
  readonly unknown: number;
  readonly notDone: number;
  /** The share of reads; the others are spread over put, delete and cas. */
  readonly reads: number;
  /** The share of writes, by others, that are not in the history. */
  readonly unrecorded: number;
  /** The share of reads that return an earlier state. */
  readonly stale: number;
}

export const usualPlan: HistoryPlan = {
  operations: 100,
  clients: 8,
  keys: 2,
  values: Number.POSITIVE_INFINITY,
  unknown: 0.1,
  notDone: 0.05,
  reads: 0.4,
  unrecorded: 0,
  stale: 0,
};

type Ask =
  | { readonly name: 'put'; readonly value: string }
  | { readonly name: 'get'; readonly consistency: 'linearizable' | 'stale' }
  | { readonly name: 'delete' }
  | { readonly name: 'cas'; readonly value: string; readonly expectedRevision: number };

interface Stored {
  readonly value: string;
  readonly revision: number;
}

interface OpenCall {
  readonly client: string;
  readonly key: string;
  readonly ask: Ask;
  readonly called: number;
  readonly fate: 'done' | 'not_done' | 'unknown';
  reply: unknown;
  hasHappened: boolean;
}

class Store {
  readonly past: Map<string, Stored>[] = [];
  private keys = new Map<string, Stored>();
  private revision = 0;

  get(key: string): Stored | undefined {
    return this.keys.get(key);
  }

  apply(key: string, ask: Ask, past: number): unknown {
    const stored = this.keys.get(key);
    switch (ask.name) {
      case 'put':
        return { revision: this.write(key, ask.value) };
      case 'delete':
        return stored === undefined
          ? { deleted: false, revision: 0 }
          : { deleted: true, revision: this.write(key, undefined) };
      case 'cas': {
        const revision = stored?.revision ?? 0;
        if (revision !== ask.expectedRevision) return { swapped: false, revision };
        return { swapped: true, revision: this.write(key, ask.value) };
      }
      case 'get': {
        const found = ask.consistency === 'stale' ? this.past[past % (this.past.length + 1)]?.get(key) : stored;
        return { value: found?.value ?? null, revision: found?.revision ?? 0 };
      }
    }
  }

  private write(key: string, value: string | undefined): number {
    this.past.push(new Map(this.keys));
    this.revision += 1;
    if (value === undefined) this.keys.delete(key);
    else this.keys.set(key, { value, revision: this.revision });
    return this.revision;
  }
}

/** Returns a linearizable history. */
export function randomHistory(random: Random, plan: HistoryPlan): Operation[] {
  const store = new Store();
  const history: Operation[] = [];
  const open = new Map<string, OpenCall>();
  /** Calls of unknown outcome that may still happen. */
  const late: OpenCall[] = [];
  const lastSeen = new Map<string, number>();
  let now = 0;
  let calls = 0;
  while (history.length < plan.operations) {
    now += 1;
    if (random.next() < plan.unrecorded) store.apply('elsewhere', { name: 'put', value: `other ${now}` }, 0);
    const [straggler] = late.splice(random.below(late.length * 8 + 1), 1);
    if (straggler !== undefined) store.apply(straggler.key, straggler.ask, 0);
    const client = `c${random.below(plan.clients)}`;
    const call = open.get(client);
    if (call === undefined) {
      if (calls === plan.operations) continue;
      calls += 1;
      open.set(client, newCall(client));
    } else if (!call.hasHappened && call.fate !== 'not_done' && random.next() < 0.7) {
      happen(call);
    } else if (call.hasHappened || call.fate !== 'done') {
      end(call);
    }
  }
  return history;

  function newCall(client: string): OpenCall {
    const key = `key-${random.below(plan.keys)}`;
    const chance = random.next();
    const fate = chance < plan.unknown ? 'unknown' : chance < plan.unknown + plan.notDone ? 'not_done' : 'done';
    return { client, key, ask: newAsk(key), called: now, fate, reply: undefined, hasHappened: false };
  }

  function newAsk(key: string): Ask {
    if (random.next() < plan.reads) {
      return { name: 'get', consistency: random.next() < plan.stale ? 'stale' : 'linearizable' };
    }
    const value = Number.isFinite(plan.values) ? `v${random.below(plan.values)}` : `v${calls}`;
    switch (random.below(6)) {
      case 0:
        return { name: 'delete' };
      case 1:
      case 2:
        return { name: 'put', value };
      case 3:
        return { name: 'cas', value, expectedRevision: random.below(3) === 0 ? 0 : random.below(now) };
      default:
        return { name: 'cas', value, expectedRevision: lastSeen.get(key) ?? 0 };
    }
  }

  function happen(call: OpenCall): void {
    call.hasHappened = true;
    call.reply = store.apply(call.key, call.ask, random.below(1000));
    const stored = store.get(call.key);
    if (call.fate === 'done') lastSeen.set(call.key, stored?.revision ?? 0);
  }

  function end(call: OpenCall): void {
    open.delete(call.client);
    const { client, key, ask, called, fate, reply, hasHappened } = call;
    if (fate === 'unknown' && !hasHappened && random.next() < 0.5) late.push(call);
    const returned = fate === 'unknown' && random.next() < 0.2 ? Number.POSITIVE_INFINITY : now;
    const ended = fate === 'done' ? { outcome: 'done', reply } : { outcome: fate };
    history.push({ client, key, called, returned, ...ask, ...ended } as Operation);
  }
}

/** Returns the history with one reply or one time changed. */
export function mutated(history: readonly Operation[], random: Random): Operation[] {
  const place = random.below(history.length);
  const one = history[place] as Operation;
  const other = history[random.below(history.length)] as Operation;
  return history.with(place, changed(one, other, random));
}

function changed(one: Operation, other: Operation, random: Random): Operation {
  const kind = random.below(6);
  if (kind === 0) return { ...one, called: other.called, returned: Math.max(other.called, other.returned) };
  if (kind === 1 && one.outcome === 'unknown') return { ...one, outcome: 'not_done' };
  if (kind === 2 && one.outcome !== 'done')
    return { ...one, outcome: one.outcome === 'unknown' ? 'not_done' : 'unknown' };
  if (one.outcome !== 'done') return { ...one, key: other.key };
  if (kind === 3) return { ...one, outcome: 'not_done' } as Operation;
  const revision = kind === 4 ? Math.max(0, one.reply.revision + random.below(5) - 2) : revisionOf(other);
  switch (one.name) {
    case 'put':
      return random.next() < 0.5 && 'value' in other ? { ...one, value: other.value } : { ...one, reply: { revision } };
    case 'get': {
      if (other.name === 'get' && other.outcome === 'done') return { ...one, reply: other.reply };
      return { ...one, reply: { ...one.reply, revision } };
    }
    case 'delete':
      return { ...one, reply: { deleted: revision > 0, revision } };
    case 'cas':
      return random.next() < 0.3
        ? { ...one, reply: { ...one.reply, swapped: !one.reply.swapped } }
        : { ...one, reply: { ...one.reply, revision } };
  }
}

function revisionOf(operation: Operation): number {
  return operation.outcome === 'done' ? operation.reply.revision : 0;
}

/** Returns operations of one key with random replies; few of these histories are linearizable. */
export function randomOperations(random: Random, count: number, unknown: number): Operation[] {
  return Array.from({ length: count }, (_, place) => {
    const called = random.below(2 * count);
    const times = { client: `c${place}`, key: 'key-0', called, returned: called + random.below(4) };
    const value = `v${random.below(2)}`;
    const revision = random.below(4);
    const isUnknown = random.next() < unknown;
    const end = (reply: unknown) => (isUnknown ? { outcome: 'unknown' } : { outcome: 'done', reply });
    const draw = random.below(5);
    if (draw === 0) return { ...times, name: 'put', value, ...end({ revision: revision + 1 }) } as Operation;
    if (draw === 1) return { ...times, name: 'delete', ...end({ deleted: revision > 0, revision }) } as Operation;
    if (draw === 2) {
      const reply = { value: revision === 0 ? null : value, revision };
      return { ...times, name: 'get', consistency: 'linearizable', ...end(reply) } as Operation;
    }
    const call = { name: 'cas', value, expectedRevision: random.below(4) } as const;
    return { ...times, ...call, ...end({ swapped: revision > call.expectedRevision, revision }) } as Operation;
  });
}
