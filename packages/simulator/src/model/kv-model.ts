/**
 * A second implementation of the documented key-value store, as simple as possible: keys, leases, locks and sessions.
 * Runs compare the state and the replies of the peers with it. It shares no code with `packages/kv`.
 *
 * Owns one state, which entries of the log change. It has no limits, as no run comes near one.
 */
import {
  type Configuration,
  decode,
  featureLevel,
  historyGap,
  type LeaseId,
  type PublicLeaseId,
  publicPartOf,
  secretPartOf,
  type Value,
} from '@conclave/protocol';
import type {
  Claim,
  Command,
  ModelResult,
  ModelState,
  Operation,
  OperationResult,
  WrittenEntry,
} from './model-state.js';

/** Numbers of an epoch, at feature level 0. */
const epochNumbers = 2 ** 40;

/** A lease that an entry has ended after its time. */
export interface EndedLease {
  readonly name: PublicLeaseId;
  readonly ttlMs: number;
  /** The entry that granted or kept it last. */
  readonly keptIndex: number;
}

export class KvModel {
  readonly state: ModelState = {
    revision: 0,
    lastLeaseId: 0,
    historyUid: '',
    keys: new Map(),
    leases: new Map(),
    locks: new Map(),
    sessions: new Map(),
  };
  /** The leases that the last applied entry has ended. */
  ended: EndedLease[] = [];

  /** Applies the entry of a configuration. */
  configure({ history, epoch = 0, level = 0 }: Configuration): void {
    const { state } = this;
    this.ended = [];
    if (history !== undefined && history.group_uid !== state.historyUid) {
      state.historyUid = history.group_uid;
      if (history.base > 0) this.beginHistory(history.base);
    }
    const from = epoch * epochNumbers;
    if (level >= featureLevel.histories || state.revision >= from) return;
    this.continueFrom(from);
  }

  /** Applies the entry of a request. */
  apply(index: number, payload: Uint8Array): ModelResult {
    const entry = decode(payload) as WrittenEntry;
    this.ended = [];
    if (entry.commands !== undefined) return { results: this.write(index, entry) };
    if (entry.expire !== undefined) return { expired: this.expire(entry) };
    const { revision, sessions } = this.state;
    const name =
      entry.open_session === true ? revision - (revision % epochNumbers) + index : (entry.open_session ?? '');
    if (!sessions.has(name)) sessions.set(name, { lastIndex: index, lowWater: 0, results: new Map() });
    return { client_id: name };
  }

  // ---- sessions ----------------------------------------------------------------------------------

  private write(index: number, { commands = [], client_id, acknowledged = 0 }: WrittenEntry): OperationResult[] {
    if (client_id === undefined) return commands.map((command) => this.execute(index, command));
    const { sessions, historyUid } = this.state;
    const session = sessions.get(client_id);
    if (session === undefined) return commands.map(() => ['unknown', 'ESESSION']);
    // The one used last comes last.
    sessions.delete(client_id);
    sessions.set(client_id, session);
    session.lastIndex = index;
    session.lowWater = Math.max(session.lowWater, acknowledged);
    for (const sequence of session.results.keys()) if (sequence <= session.lowWater) session.results.delete(sequence);
    return commands.map((command) => {
      const [sequence] = command;
      const before = session.results.get(sequence);
      const wanted = historyUid === '' ? undefined : contentOf(command);
      if (before !== undefined) {
        const isOther = before.command !== undefined && wanted !== undefined && before.command !== wanted;
        return isOther ? ['not_done', 'EINVAL'] : before.result;
      }
      if (sequence === 0) return ['not_done', 'EINVAL'];
      if (sequence <= session.lowWater) return ['unknown', 'ESESSION'];
      const result = this.execute(index, command);
      if (result[1] !== 'EBUSY') session.results.set(sequence, { command: wanted, result });
      return result;
    });
  }

  private expire({ expire = [], expire_leases = [], remaining = [] }: WrittenEntry): number {
    const { sessions, leases } = this.state;
    let expired = 0;
    for (const [name, lastIndex] of expire) {
      if (sessions.get(name)?.lastIndex !== lastIndex) continue;
      sessions.delete(name);
      expired += 1;
    }
    for (const [name, keptIndex] of expire_leases) {
      const lease = leases.get(name);
      if (lease?.keptIndex !== keptIndex) continue;
      this.ended.push({ name, ttlMs: lease.ttlMs, keptIndex });
      this.endLease(name);
      expired += 1;
    }
    for (const [name, keptIndex, ms] of remaining) {
      const lease = leases.get(name);
      if (lease?.keptIndex === keptIndex) lease.remainingMs = Math.min(lease.remainingMs, ms);
    }
    return expired;
  }

  // ---- histories ---------------------------------------------------------------------------------

  private beginHistory(base: number): void {
    const { state } = this;
    const known = Math.max(state.revision, state.lastLeaseId);
    this.continueFrom(base > known ? base : known + historyGap);
    for (const lease of state.leases.values()) lease.isOfEarlierHistory = true;
    state.sessions.clear();
  }

  private continueFrom(number: number): void {
    this.state.revision = number;
    this.state.lastLeaseId = Math.max(this.state.lastLeaseId, number);
  }

  // ---- commands ----------------------------------------------------------------------------------

  private execute(index: number, command: Command): OperationResult {
    const { state } = this;
    switch (command[1]) {
      case 'put':
        return this.tieFault(command[4]) ?? ['done', this.put(command[2], command[3], command[4]), true];
      case 'delete': {
        const revision = this.delete(command[2]);
        return ['done', revision, revision > 0];
      }
      case 'cas': {
        const revision = state.keys.get(command[2])?.revision ?? 0;
        if (revision !== command[4]) return ['done', revision, false];
        return ['done', this.put(command[2], command[3], undefined), true];
      }
      case 'txn':
        return this.transact(command);
      case 'lease_grant':
        return ['done', this.grant(index, command[2], command[3]), true];
      case 'lease_keep':
        return this.keep(index, command[2]);
      case 'lease_revoke': {
        const mayEnd = command[3] === 'force' || this.isOwn(command[2]);
        const name = publicPartOf(command[2]);
        if (!mayEnd && typeof command[2] === 'number' && state.leases.has(name)) return ['not_done', 'EINVAL'];
        const ended = mayEnd && this.endLease(name);
        return ['done', state.revision, ended];
      }
      case 'lock':
        return this.lock(command[2], [command[3], publicPartOf(command[4])], command[4], command[5]);
      case 'unlock':
        return this.unlock(command[2], command[3], command[4]);
    }
  }

  private put(key: string, value: Value, leaseId: LeaseId | undefined): number {
    this.state.revision += 1;
    const lease = leaseId === undefined ? 0 : publicPartOf(leaseId);
    this.state.keys.set(key, { value, revision: this.state.revision, lease });
    return this.state.revision;
  }

  private delete(key: string): number {
    if (!this.state.keys.delete(key)) return 0;
    this.state.revision += 1;
    return this.state.revision;
  }

  private transact([, , compare, then, otherwise]: Extract<
    Command,
    readonly [number, 'txn', ...unknown[]]
  >): OperationResult {
    const { keys, locks } = this.state;
    const holds = compare.every(([name, what, relation, wanted]) => {
      if (what === 'lock') return stands((locks.get(name)?.token ?? 0) - (wanted as number), relation);
      if (what === 'revision') return stands((keys.get(name)?.revision ?? 0) - (wanted as number), relation);
      const found = keys.get(name);
      return found !== undefined && stands(compareBytes(found.value, wanted as Value), relation);
    });
    const operations = holds ? then : otherwise;
    const fault = operations.map((one) => (one[0] === 'put' ? this.tieFault(one[3]) : undefined)).find((one) => one);
    if (fault !== undefined) return fault;
    const results = operations.map((operation) => this.operate(operation));
    return ['done', this.state.revision, holds, results];
  }

  private operate(operation: Operation): readonly unknown[] {
    const [name, key] = operation;
    if (name === 'put') return ['put', this.put(key, operation[2], operation[3])];
    if (name === 'get') {
      const found = this.state.keys.get(key);
      return ['get', found?.value ?? null, found?.revision ?? 0];
    }
    const revision = this.delete(key);
    return ['delete', revision, revision > 0];
  }

  // ---- leases ------------------------------------------------------------------------------------

  private grant(index: number, ttlMs: number, secret = ''): LeaseId {
    const { state } = this;
    state.lastLeaseId += 1;
    const id = secret === '' ? state.lastLeaseId : `${state.lastLeaseId}.${secret}`;
    const lease = { id, ttlMs, keptIndex: index, remainingMs: ttlMs, isOfEarlierHistory: false };
    state.leases.set(publicPartOf(id), lease);
    return id;
  }

  private keep(index: number, id: LeaseId): OperationResult {
    const fault = this.tieFault(id);
    const lease = this.state.leases.get(publicPartOf(id));
    if (fault !== undefined || lease === undefined) return fault ?? ['not_done', 'ENOENT'];
    lease.keptIndex = index;
    lease.remainingMs = lease.ttlMs;
    return ['done', lease.ttlMs, true];
  }

  /** Returns why the lease cannot be used by this id. */
  private tieFault(id: LeaseId | undefined): OperationResult | undefined {
    if (id === undefined) return undefined;
    if (!this.isOwn(id)) return ['not_done', 'ENOENT'];
    const isEarlier = this.state.leases.get(publicPartOf(id))?.isOfEarlierHistory === true;
    return isEarlier ? ['not_done', 'EHISTORY'] : undefined;
  }

  /** Whether the lease exists, and this is its whole id. */
  private isOwn(id: LeaseId | PublicLeaseId): boolean {
    const lease = this.state.leases.get(publicPartOf(id));
    return lease !== undefined && secretPartOf(lease.id) === secretPartOf(id);
  }

  /** Deletes its keys in their order, then passes its locks on in their order. */
  private endLease(name: PublicLeaseId): boolean {
    const { leases, keys, locks } = this.state;
    if (!leases.delete(name)) return false;
    const tied = [...keys].filter(([, { lease }]) => lease === name).map(([key]) => key);
    for (const key of tied.sort(compareBytes)) this.delete(key);
    for (const lockName of [...locks.keys()].sort(compareBytes)) {
      const lock = locks.get(lockName);
      if (lock === undefined) continue;
      lock.waiting = lock.waiting.filter(([, lease]) => lease !== name);
      if (lock.holder[1] === name) this.passOn(lockName);
    }
    return true;
  }

  // ---- locks -------------------------------------------------------------------------------------

  private lock(name: string, claim: Claim, id: LeaseId, wait: boolean): OperationResult {
    const { state } = this;
    const fault = this.tieFault(id);
    if (fault !== undefined) return fault;
    const lock = state.locks.get(name);
    if (lock === undefined) {
      state.revision += 1;
      state.locks.set(name, { token: state.revision, holder: claim, waiting: [] });
      return ['done', state.revision, true];
    }
    if (isSame(lock.holder, claim)) return ['done', lock.token, true];
    const waits = lock.waiting.some((one) => isSame(one, claim));
    if (!wait) lock.waiting = lock.waiting.filter((one) => !isSame(one, claim));
    else if (!waits) lock.waiting.push(claim);
    return ['done', 0, false];
  }

  private unlock(name: string, token: number, by: LeaseId | 'force' | undefined): OperationResult {
    const { state } = this;
    const lock = state.locks.get(name);
    if (lock === undefined || lock.token !== token) return ['done', state.revision, false];
    const [, holder] = lock.holder;
    const isSecret = secretPartOf(state.leases.get(holder)?.id ?? 0) !== '';
    if (by === undefined && isSecret) return ['not_done', 'EINVAL'];
    const isProven = by === undefined || by === 'force' || (publicPartOf(by) === holder && this.isOwn(by));
    if (isProven) this.passOn(name);
    return ['done', state.revision, isProven];
  }

  private passOn(name: string): void {
    const { state } = this;
    const [next, ...waiting] = state.locks.get(name)?.waiting ?? [];
    if (next === undefined) {
      state.locks.delete(name);
      return;
    }
    state.revision += 1;
    state.locks.set(name, { token: state.revision, holder: next, waiting });
  }
}

/**
 * Returns what must be equal in a repeat of the command: the leader generates another lease id each time the same call
 * arrives.
 */
function contentOf(command: Command): string {
  return JSON.stringify(command[1] === 'lease_grant' ? command.slice(1, 3) : command.slice(1));
}

function isSame(one: Claim, other: Claim): boolean {
  return one[0] === other[0] && one[1] === other[1];
}

function compareBytes(one: Value, other: Value): number {
  return Buffer.compare(Buffer.from(one as string), Buffer.from(other as string));
}

function stands(difference: number, relation: string): boolean {
  if (relation === '=') return difference === 0;
  if (relation === '!=') return difference !== 0;
  return relation === '<' ? difference < 0 : difference > 0;
}
