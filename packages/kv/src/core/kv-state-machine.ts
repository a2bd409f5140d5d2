/**
 * The key-value store: the state that every peer computes from the same log.
 *
 * Owns: the keys with leases and locks, and the clients' sessions. Does not know the leader, the senders of requests, or the time. Two calls
 * at the leader are given a time: `housekeeping`, which only proposes, and `query`, for the remaining time of a lease.
 *
 * Invariants:
 * 1. The state and each result follow from the entries alone, in their order.
 * 2. No entry, whatever its bytes, makes `apply` throw.
 */
import {
  type HistoryStart,
  type LeaderClock,
  type StateCounts,
  type StateMachine,
  type StateMachineHistory,
  type StateMachineRestore,
  Unsupported,
} from '@conclave/actor/core';
import {
  defaultTimes,
  type EntryCommand,
  featureLevel,
  type LeaseId,
  type LogIndex,
  limits,
  publicPartOf,
  type Value,
} from '@conclave/protocol';
import { ClientSessions } from './client-sessions.js';
import type { HistoryBounds } from './key-history.js';
import { KeySpace } from './key-space.js';
import {
  decodeEntry,
  type ExpireEntry,
  encodeEntry,
  type KvCommandResult,
  type KvEntry,
  type KvResult,
  type WriteEntry,
} from './kv-entry.js';
import type { ChangesFound, ChangesQuery, KvFindings, KvQuery } from './kv-query.js';
import { KvRestore } from './kv-restore.js';
import { defaultPieceBytes, KvSnapshot } from './kv-snapshot.js';
import type { LockResult } from './locks.js';
import { ResultBudget } from './result-budget.js';
import { DigestSum, hashOf } from './state-digest.js';
import { bytesAnswered, leaseFault, transact, validateTie } from './transaction.js';

export interface KvOptions {
  /** A session that is unused for this long, by the leader's clock, expires. */
  readonly clientSessionMs?: number;
  /** Approximate size of a piece of a snapshot. */
  readonly snapshotPieceBytes?: number;
  /** How many recent changes are kept. */
  readonly history?: HistoryBounds;
}

const noSession: KvCommandResult = ['unknown', 'ESESSION', 'the session is unknown or has expired'];
/** If a request repeats a number, the reply may have no room for the kept result once more. */
const askedTooOften: KvCommandResult = [
  'unknown',
  'EINVAL',
  'the number is repeated in one request, and its result is too long for that',
];

const tooManyLeases: KvCommandResult = ['not_done', 'EBUSY', `there are ${limits.leases} leases`];

const lockFaults: Readonly<Record<Exclude<LockResult, number | 'EHISTORY'>, KvCommandResult>> = {
  ENOENT: ['not_done', 'ENOENT', 'there is no such lease'],
  too_many_of_lease: ['not_done', 'EINVAL', `a lease has at most ${limits.leaseLocks} locks`],
  too_many_locks: ['not_done', 'EBUSY', `there are ${limits.locks} locks`],
  too_many_waiters: ['not_done', 'EBUSY', `${limits.lockWaiters} wait for the lock`],
};

/** The work of a search in the history, in rows. */
const changesSearch = 64;

const noSecret: KvCommandResult = ['not_done', 'EINVAL', 'the lease has a secret: give its complete id, or `force`'];

const noProof: KvCommandResult = [
  'not_done',
  'EINVAL',
  'the lock is held by a lease with a secret: give its `lease_id`, or `force`',
];

export class KvStateMachine implements StateMachine {
  private keys: KeySpace;
  private sessions: ClientSessions;
  private readonly clientSessionMs: number;
  private readonly pieceBytes: number;
  private readonly historyBounds: HistoryBounds;

  constructor(options: KvOptions = {}) {
    this.clientSessionMs = options.clientSessionMs ?? defaultTimes.clientSessionMs;
    this.historyBounds = options.history ?? { revisions: limits.historyRevisions, bytes: limits.historyBytes };
    this.keys = new KeySpace(this.historyBounds);
    this.pieceBytes = options.snapshotPieceBytes ?? defaultPieceBytes;
    this.sessions = new ClientSessions(this.clientSessionMs);
  }

  /**
   * Applies one committed entry.
   * @param command the `KvEntry` that the payload encodes, if the caller has it; otherwise the payload is decoded
   */
  apply(index: LogIndex, payload: Uint8Array, command?: unknown, level = 0): KvResult {
    // Only this package's service makes commands, and it has checked them.
    const entry = command === undefined ? decodeEntry(payload) : (command as KvEntry);
    if (typeof entry === 'string') {
      // At level 0 all builds refuse the same entries. Above level 0, every entry was made by the service of a leader. A build that
      // cannot decode it is too old, and must not skip it.
      return level === 0 ? { refused: entry } : (new Unsupported(entry) as never);
    }
    if ('commands' in entry) {
      this.keys.history.begin(payload);
      return { results: this.onWrite(index, entry, payload.length) };
    }
    if ('expire' in entry) return { expired: this.onExpire(entry) };
    const clientId = entry.open_session === true ? this.keys.epochBegin + index : entry.open_session;
    this.sessions.open(clientId, index);
    return { client_id: clientId };
  }

  beginEpoch(epoch: number): void {
    this.keys.beginEpoch(epoch);
  }

  beginHistory({ groupUid, base }: HistoryStart): void {
    if (this.keys.historyUid === groupUid) return;
    this.keys.historyUid = groupUid;
    if (base === 0) return;
    this.keys.beginHistory(base);
    this.sessions.endAll();
  }

  /** Reads the current state. `query`: a `KvQuery` of this package's service. */
  query(query: unknown, clock?: LeaderClock): KvFindings[KvQuery['type']] {
    const kvQuery = query as KvQuery;
    switch (kvQuery.type) {
      case 'keys':
        return this.keys.find(kvQuery.keys);
      case 'range':
        return this.keys.range(kvQuery);
      case 'lease':
        return this.keys.leases.describe(kvQuery.leaseId, kvQuery.startAfter, kvQuery.limit, clock);
      case 'leases':
        return this.keys.leases.list(kvQuery.startAfter, kvQuery.limit);
      case 'lock':
        return this.keys.locks.find(kvQuery.name);
      case 'locks':
        return this.keys.locks.list(kvQuery.startAfter, kvQuery.limit);
      case 'changes':
        return this.changes(kvQuery);
    }
  }

  rowsIn(result: unknown): number {
    const found = result as KvFindings[KvQuery['type']];
    if ('found' in found) return found.found.length;
    if ('keys' in found && Array.isArray(found.keys)) return found.keys.length;
    if ('leases' in found) return found.leases.length;
    if ('locks' in found) return found.locks.length;
    // Changes are searched for in the whole history.
    if ('first' in found) return changesSearch + (found.page?.changes.length ?? 0);
    return Array.isArray(found) ? found.length : 1;
  }

  private changes({ prefix, from, limit }: ChangesQuery): ChangesFound {
    const { history } = this.keys;
    const { first, revision } = history;
    const known = { first, revision };
    if (from < first) return { ...known, page: undefined };
    const bound = { changes: limit, bytes: limits.foundBytes, revisions: limits.historyRevisions };
    return { ...known, page: history.changes(prefix, from, bound) };
  }

  housekeeping(nowMs: number, term = 0, level = 0): Uint8Array | undefined {
    const expire = this.sessions.idle(nowMs);
    const { overdue, remaining } = this.keys.leases.due(nowMs, term);
    const logged = level >= featureLevel.histories ? remaining : [];
    if (expire.length + overdue.length + logged.length === 0) return undefined;
    return encodeEntry({
      expire,
      ...(overdue.length === 0 ? {} : { expire_leases: overdue }),
      ...(logged.length === 0 ? {} : { remaining: logged }),
    });
  }

  /** The recent changes of keys, for watches: at most those since this peer was restored. A selector is a prefix of keys. */
  get history(): StateMachineHistory {
    return this.keys.history;
  }

  /**
   * A digest of the state. Peers with the same state have the same digest, whether the state came from entries or from a snapshot.
   * State that is not replicated (clocks, recent changes) is not included. The work is proportional to what has changed since the last
   * digest.
   */
  digest(): string {
    const { keys, sessions } = this;
    const sum = new DigestSum();
    sum.add(hashOf([keys.revision, keys.leases.lastId, keys.historyUid]));
    sum.addAll(keys.changed.digest);
    sum.addAll(keys.leases.changed.digest);
    sum.addAll(keys.locks.changed.digest);
    sum.addAll(sessions.digest);
    return sum.toString();
  }

  /** How much the state contains. */
  counts(): StateCounts {
    const { keys, sessions } = this;
    return { keys: keys.size, leases: keys.leases.size, locks: keys.locks.size, sessions: sessions.size };
  }

  /** The current state, in pieces, while entries are applied. Several snapshots may be read at once. */
  snapshot(): Iterator<Uint8Array, void> {
    return new KvSnapshot(this.keys, this.sessions, this.pieceBytes);
  }

  /**
   * Drops the state, and returns an object that takes the pieces of a snapshot. The methods of that object throw an InvariantError if
   * the pieces are no snapshot of a key-value store.
   */
  restore(): StateMachineRestore {
    this.keys = new KeySpace(this.historyBounds);
    this.sessions = new ClientSessions(this.clientSessionMs);
    return new KvRestore(this.keys, this.sessions);
  }

  /** @returns how many sessions and leases have ended */
  private onExpire({ expire, expire_leases = [], remaining = [] }: ExpireEntry): number {
    let expired = this.sessions.expire(expire);
    for (const [leaseId, keptIndex] of expire_leases) {
      if (!this.keys.leases.isDue(leaseId, keptIndex)) continue;
      this.keys.endLease(leaseId);
      expired += 1;
    }
    for (const [leaseId, keptIndex, ms] of remaining) this.keys.leases.setRemaining(leaseId, keptIndex, ms);
    return expired;
  }

  private onWrite(index: LogIndex, entry: WriteEntry, entryBytes: number): KvCommandResult[] {
    if (entry.client_id === undefined) {
      const room = new ResultBudget(() => Number.POSITIVE_INFINITY);
      return entry.commands.map((command, number) => this.execute(index, command, number, room));
    }
    const session = this.sessions.use(entry.client_id, index);
    if (session === undefined) return entry.commands.map(() => noSession);
    session.acknowledge(entry.acknowledged ?? 0);
    const room = new ResultBudget(() => session.room);
    const hasDigests = this.keys.historyUid !== '';
    if (hasDigests) session.keptCommandsOf(entryBytes);
    return entry.commands.map((command, number) => {
      const sequence = command[0];
      const kept = hasDigests ? command : undefined;
      const before = session.resultOf(sequence, kept);
      if (before !== undefined) return room.take(bytesAnswered(before)) ? before : askedTooOften;
      const result = this.execute(index, command, number, room);
      // `EBUSY` is temporary: it is not kept, so that the command is executed when it is repeated.
      if (result[1] !== 'EBUSY') session.keep(sequence, result, kept);
      return result;
    });
  }

  /** @param number the place of the command in its entry, from 0 */
  private execute(index: LogIndex, command: EntryCommand, number: number, room: ResultBudget): KvCommandResult {
    this.keys.history.turnTo(number);
    switch (command[1]) {
      case 'txn':
        return transact(this.keys, command, room);
      case 'put':
        return this.put(command[2], command[3], command[4]);
      case 'cas': {
        const revision = this.keys.at(command[2])?.revision ?? 0;
        return revision === command[4]
          ? ['done', this.keys.put(command[2], command[3]), true]
          : ['done', revision, false];
      }
      case 'delete': {
        const revision = this.keys.delete(command[2]);
        return ['done', revision, revision > 0];
      }
      case 'lease_grant': {
        const leaseId = this.keys.leases.grant(index, command[2], command[3]);
        return leaseId === undefined ? tooManyLeases : ['done', leaseId, true];
      }
      case 'lease_keep': {
        const ttlMs = this.keys.leases.keep(command[2], index);
        return typeof ttlMs === 'number' ? ['done', ttlMs, true] : leaseFault(command[2], ttlMs);
      }
      case 'lease_revoke': {
        const [, , leaseId, force] = command;
        const name = publicPartOf(leaseId);
        const mayEnd = force === 'force' || this.keys.leases.isOwn(leaseId);
        if (!mayEnd && typeof leaseId === 'number' && this.keys.leases.at(name) !== undefined) return noSecret;
        const revoked = mayEnd && this.keys.endLease(name);
        return ['done', this.keys.revision, revoked];
      }
      case 'lock': {
        const token = this.keys.locks.lock(command[2], command[3], command[4], command[5]);
        if (typeof token === 'number') return ['done', token, token > 0];
        return token === 'EHISTORY' ? leaseFault(command[4], token) : lockFaults[token];
      }
      case 'unlock': {
        const released = this.keys.locks.unlock(command[2], command[3], command[4]);
        return released === 'no_proof' ? noProof : ['done', this.keys.revision, released];
      }
    }
  }

  private put(key: string, value: Value, leaseId: LeaseId | undefined): KvCommandResult {
    if (leaseId === undefined) return ['done', this.keys.put(key, value), true];
    return validateTie(this.keys, leaseId, key) ?? ['done', this.keys.put(key, value, publicPartOf(leaseId)), true];
  }
}
