/**
 * Leases, by the replies to their holders, and by their keys: a lease that was kept in time exists, an ended lease
 * never comes back, and no key outlives its lease.
 *
 * The holder is not informed when a lease ends. It can end only once its time has passed since the call of the last
 * acknowledged keep, or by a `revoke`. From then on a deletion of each of its keys may have happened.
 */
import type { Operation } from './operation.js';

/** A call that names a lease. */
export interface LeaseCall {
  readonly client: string;
  readonly name: 'grant' | 'keep' | 'revoke' | 'put';
  readonly lease: string;
  /** Of a put. */
  readonly key?: string | undefined;
  readonly value?: string | undefined;
  readonly called: number;
  /** Infinite if there was no reply. */
  readonly returned: number;
  readonly outcome: 'done' | 'not_done' | 'unknown';
  /** Of a done revoke: whether there was a lease to end. */
  readonly changed?: boolean | undefined;
  /** Of an outcome other than `done`. */
  readonly code?: string | undefined;
  /** Of a grant. */
  readonly ttlMs?: number | undefined;
}

/** Returns the first time at which this much time can have passed since `fromMs`, by the clock of any leader. */
export type WhenPassed = (fromMs: number, forMs: number) => number;

export class LeaseHistories {
  private readonly leases = new Map<string, LeaseHistory>();

  constructor(calls: readonly LeaseCall[], whenPassed: WhenPassed) {
    for (const call of calls) {
      const history = this.leases.get(call.lease) ?? new LeaseHistory(whenPassed);
      this.leases.set(call.lease, history);
      history.add(call);
    }
  }

  /** Returns the deletions that may have happened when leases ended. */
  deletions(): Operation[] {
    return [...this.leases.values()].flatMap((lease) => lease.deletions());
  }

  /**
   * Returns what is wrong, in a sentence.
   * @param operations the history of the keys, without the deletions of leases
   */
  fault(operations: readonly Operation[]): string | undefined {
    for (const [name, lease] of this.leases) {
      const fault = lease.fault() ?? this.survivor(name, lease, operations);
      if (fault !== undefined) return `lease ${name}: ${fault}`;
    }
    return undefined;
  }

  /** Returns a read that was called after the end of the lease, and found one of its keys. */
  private survivor(name: string, lease: LeaseHistory, operations: readonly Operation[]): string | undefined {
    const { overMs } = lease;
    if (overMs === Number.POSITIVE_INFINITY) return undefined;
    const isElsewhere = (key: string, value: string): boolean =>
      operations.some(
        (one) =>
          one.name !== 'get' && one.name !== 'delete' && one.key === key && one.value === value && !lease.hasTied(one),
      );
    const read = operations.find(
      (one) =>
        one.name === 'get' &&
        one.consistency === 'linearizable' &&
        one.outcome === 'done' &&
        one.called > overMs &&
        one.reply.value !== null &&
        lease.ties(one.key, one.reply.value) &&
        !isElsewhere(one.key, one.reply.value),
    );
    if (read === undefined) return undefined;
    return `${read.client} read ${read.key}, which was tied to ${name}, at ${read.called}, when it was over (${overMs})`;
  }
}

class LeaseHistory {
  private readonly calls: LeaseCall[] = [];
  private ttlMs = 0;

  constructor(private readonly whenPassed: WhenPassed) {}

  add(call: LeaseCall): void {
    this.calls.push(call);
    this.ttlMs = call.ttlMs ?? this.ttlMs;
  }

  /** Returns when a client first knew that it has ended. */
  get overMs(): number {
    const witnessCalls = this.calls.filter(
      ({ name, outcome, code }) => (name === 'revoke' && outcome === 'done') || (name !== 'grant' && code === 'ENOENT'),
    );
    return Math.min(...witnessCalls.map(({ returned }) => returned));
  }

  /** Returns when it can have ended at the earliest: by its time after acknowledged calls, or by a revoke. */
  private earliestEnd(acknowledgedBy: number): number {
    const kept = this.calls.filter(
      ({ name, outcome, returned }) =>
        (name === 'grant' || name === 'keep') && outcome === 'done' && returned <= acknowledgedBy,
    );
    const byTime = Math.max(...kept.map(({ called }) => this.whenPassed(called, this.ttlMs)));
    const revokes = this.calls.filter(({ name, outcome }) => name === 'revoke' && outcome !== 'not_done');
    return Math.min(byTime, ...revokes.map(({ called }) => called));
  }

  ties(key: string, value: string): boolean {
    return this.calls.some((call) => call.name === 'put' && call.key === key && call.value === value);
  }

  /** Whether it is one of the puts that attached a key. */
  hasTied(operation: Operation): boolean {
    return (
      operation.name === 'put' &&
      this.calls.some(
        (call) =>
          call.name === 'put' &&
          call.key === operation.key &&
          call.called === operation.called &&
          call.client === operation.client,
      )
    );
  }

  deletions(): Operation[] {
    const keys = new Set(
      this.calls.flatMap(({ key, outcome }) => (key === undefined || outcome === 'not_done' ? [] : [key])),
    );
    // A lease that was granted in another history is unknown here.
    const called = Math.max(0, this.earliestEnd(Number.POSITIVE_INFINITY));
    return [...keys].map((key) => ({
      client: 'a lease',
      key,
      called,
      returned: Number.POSITIVE_INFINITY,
      name: 'delete',
      outcome: 'unknown',
    }));
  }

  fault(): string | undefined {
    const { overMs } = this;
    const revived = this.calls.find(
      ({ name, outcome, called }) => name !== 'revoke' && outcome === 'done' && called > overMs,
    );
    if (revived !== undefined)
      return `${revived.name} of ${revived.client} at ${revived.called} found it, when it was over`;
    const again = this.calls.find(
      ({ name, changed, called }) => name === 'revoke' && changed === true && called > overMs,
    );
    if (again !== undefined) return `${again.client} revoked it at ${again.called}, when it was over`;
    const early = this.calls.find(
      ({ code, name, returned }) => code === 'ENOENT' && name !== 'grant' && returned < this.earliestEnd(returned),
    );
    if (early === undefined) return undefined;
    return `${early.name} of ${early.client}, answered at ${early.returned}, did not find it, and it was kept in time`;
  }
}
