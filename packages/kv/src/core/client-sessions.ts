/**
 * The sessions of clients, by which a repeated write is executed once (Raft thesis, section 6.3).
 *
 * Owns: the sessions, each with its low-water mark and the results above it. Does not know keys or values.
 *
 * All state except `idleSince` is replicated, and follows from the entries alone.
 *
 * Invariants:
 * 1. `sessions` is in the order of last use, longest ago first, and has at most `limits.clientSessions`.
 * 2. A session keeps results only for the `limits.clientSequences` numbers above `lowWater`, and at most
 *    `limits.clientResults` results. The values in them that transactions have read take at most `limits.foundBytes` in a
 *    session, and at most `limits.keptFoundBytes` in all sessions together. The entries whose commands are kept because
 *    they have no digest yet have at most `commandBounds` bytes.
 * 3. `lowWater` never falls.
 * 4. A number at or below `lowWater`, or one that has a result, is never executed again. A command that was refused permanently
 *    has a result, too; one that was refused for lack of room has none.
 */
import {
  type ClientId,
  type EntryCommand,
  invariant,
  type LogIndex,
  limits,
  type OperationResult,
} from '@conclave/protocol';
import { digestOf } from './digest.js';
import type { KvCommandResult } from './kv-entry.js';
import type { SnapshotRows } from './snapshot-piece.js';
import { ChangedRows, type DigestSum, hashOf, mix, mixNumber } from './state-digest.js';
import { detached } from './stored-value.js';
import { bytesAnswered } from './transaction.js';

const outOfNumbers: KvCommandResult = ['not_done', 'EINVAL', 'the numbers of a session start with 1'];
const otherCommand: KvCommandResult = [
  'not_done',
  'EINVAL',
  'another command was executed under this number: each call needs its own number',
];
const forgotten: KvCommandResult = ['unknown', 'ESESSION', 'the result was acknowledged and is no longer kept'];
const tooFar: KvCommandResult = [
  'not_done',
  'EINVAL',
  `a number is at most ${limits.clientSequences} above what the client has acknowledged`,
];
const tooMany: KvCommandResult = [
  'not_done',
  'EBUSY',
  `a session keeps at most ${limits.clientResults} results that are not acknowledged`,
];

/** The most bytes of the entries whose commands are kept because they have no digest yet: of one session, and of all. */
const commandBounds = { session: 4 * 1024 * 1024, all: 64 * 1024 * 1024 };

interface SessionState {
  readonly lowWater: number;
  readonly results: readonly (KvCommandResult | undefined)[];
  readonly digests: readonly (number | undefined)[];
}

/** One client's session. */
export class ClientSession {
  private lowWater = 0;
  /** The results of the numbers from `lowWater + 1` on; holes for numbers that were not executed. */
  private results: (KvCommandResult | undefined)[] = [];
  /**
   * The digest of the command whose result is at the same place; undefined: it was executed at feature level 0. Computing a digest
   * takes time, and most results are acknowledged before one is needed: until it is needed, the command itself is kept here.
   */
  private digests: (number | EntryCommand | undefined)[] = [];
  /** Bytes of the entries whose commands `digests` may still have, in this session. */
  private commandBytes = 0;
  /** How many results are kept. */
  private kept = 0;
  /** Bytes of the values in the results that transactions have read, in this session. */
  private foundBytes = 0;

  constructor(
    /** The index of the entry that used it last. */
    public lastIndex: LogIndex,
    /** The same sums over all sessions. */
    private readonly all: { foundBytes: number; commandBytes: number },
  ) {}

  /** How many more bytes of values that a transaction reads the session can keep. */
  get room(): number {
    return Math.min(limits.foundBytes - this.foundBytes, limits.keptFoundBytes - this.all.foundBytes);
  }

  /** The client has received all results up to this number. */
  acknowledge(upTo: number): void {
    if (upTo <= this.lowWater) return;
    const over = this.results.splice(0, upTo - this.lowWater);
    this.digests.splice(0, upTo - this.lowWater);
    for (const result of over) {
      if (result === undefined) continue;
      this.kept -= 1;
      this.countFound(-bytesAnswered(result));
    }
    this.lowWater = upTo;
    if (this.digests.length === 0) this.countCommands(-this.commandBytes);
  }

  /**
   * @param command undefined at level 0
   * @returns why the command is not to be executed: its earlier result, or why it has none; undefined: execute it. The result of
   * another command under the same number is never returned.
   */
  resultOf(sequence: number, command?: EntryCommand): KvCommandResult | undefined {
    const place = sequence - this.lowWater - 1;
    const result = this.results[place];
    if (result !== undefined) {
      const before = this.digestAt(place);
      return before === undefined || command === undefined || before === digestOf(command) ? result : otherCommand;
    }
    if (sequence === 0) return outOfNumbers;
    if (place < 0) return forgotten;
    if (place >= limits.clientSequences) return tooFar;
    return this.kept >= limits.clientResults ? tooMany : undefined;
  }

  /** @param digest of the command, or the command itself; undefined: it is executed at level 0 */
  keep(sequence: number, result: KvCommandResult, digest?: number | EntryCommand): void {
    const place = sequence - this.lowWater - 1;
    invariant(place >= 0 && this.results[place] === undefined, 'a result is kept once, above the low water');
    invariant(this.kept < limits.clientResults, 'a session keeps a bounded number of results');
    while (this.results.length < place) {
      this.results.push(undefined);
      this.digests.push(undefined);
    }
    this.results[place] = result;
    this.digests[place] = digest;
    this.kept += 1;
    this.countFound(bytesAnswered(result));
  }

  /**
   * Commands of an entry of that size are kept. They hold the entry in memory until each of them is acknowledged or replaced by
   * its digest.
   */
  keptCommandsOf(entryBytes: number): void {
    this.countCommands(entryBytes);
    if (this.commandBytes > commandBounds.session || this.all.commandBytes > commandBounds.all) this.makeDigests();
  }

  /** The current state: the low-water mark, and the results above it, which are immutable. */
  get state(): SessionState {
    return { lowWater: this.lowWater, results: this.results.slice(), digests: this.makeDigests().slice() };
  }

  /** The low-water mark. */
  get acknowledged(): number {
    return this.lowWater;
  }

  get resultCount(): number {
    return this.kept;
  }

  /** A hash of the kept results, with the numbers and the digests of their commands. */
  get resultsHash(): number {
    let hash = 0;
    const digests = this.makeDigests();
    for (const [place, result] of this.results.entries()) {
      if (result === undefined) continue;
      hash = mixNumber(mix(hash, digests[place] ?? 0), this.lowWater + 1 + place);
      hash = mix(hash, hashOfResult(result));
    }
    return hash;
  }

  /** The session has ended, and its results are dropped. */
  end(): void {
    this.countFound(-this.foundBytes);
    this.countCommands(-this.commandBytes);
  }

  private digestAt(place: number): number | undefined {
    const kept = this.digests[place];
    if (typeof kept !== 'object') return kept;
    const digest = digestOf(kept);
    this.digests[place] = digest;
    return digest;
  }

  /** Replaces all kept commands by their digests. @returns the digests */
  private makeDigests(): readonly (number | undefined)[] {
    for (const place of this.digests.keys()) this.digestAt(place);
    this.countCommands(-this.commandBytes);
    return this.digests as (number | undefined)[];
  }

  private countCommands(bytes: number): void {
    this.commandBytes += bytes;
    this.all.commandBytes += bytes;
  }

  private countFound(bytes: number): void {
    this.foundBytes += bytes;
    this.all.foundBytes += bytes;
  }
}

export class ClientSessions {
  private readonly sessions = new Map<ClientId, ClientSession>();
  private readonly all = { foundBytes: 0, commandBytes: 0 };
  /** For the digest of the state. */
  private readonly changed = new ChangedRows<ClientId>(3, (clientId) => {
    const session = this.sessions.get(clientId);
    return session && [clientId, session.lastIndex, session.acknowledged, session.resultsHash];
  });
  /** Not replicated: since when, by this peer's clock, housekeeping has seen a session unused, and after which entry. */
  private readonly idleSince = new Map<ClientId, { readonly lastIndex: LogIndex; sinceMs: number }>();

  constructor(private readonly clientSessionMs: number) {}

  /** The number of sessions. */
  get size(): number {
    return this.sessions.size;
  }

  /** Opens the session of that name, by the entry of that index; drops the one unused longest if there is no room. */
  open(clientId: ClientId, index: LogIndex): void {
    // Names are random, so two clients never have the same one: this is the same request once more.
    if (this.sessions.has(clientId)) return;
    if (this.sessions.size >= limits.clientSessions) {
      const [longestAgo] = this.sessions.keys();
      invariant(longestAgo !== undefined, 'a full table is not empty');
      this.end(longestAgo);
    }
    this.sessions.set(clientId, new ClientSession(index, this.all));
    this.changed.touch(clientId);
  }

  /** @returns the session, which is now the one used last; undefined: there is none of that name */
  use(clientId: ClientId, index: LogIndex): ClientSession | undefined {
    const session = this.sessions.get(clientId);
    if (session === undefined) return undefined;
    this.sessions.delete(clientId);
    this.sessions.set(clientId, session);
    session.lastIndex = index;
    this.changed.touch(clientId);
    return session;
  }

  /** Ends those of these sessions that no entry has used after the index beside their name. @returns how many */
  expire(idle: readonly (readonly [ClientId, number])[]): number {
    let expired = 0;
    for (const [clientId, lastIndex] of idle) {
      if (this.sessions.get(clientId)?.lastIndex !== lastIndex) continue;
      this.end(clientId);
      expired += 1;
    }
    return expired;
  }

  /** The part of the state's digest that covers the sessions and their results. */
  get digest(): DigestSum {
    return this.changed.digest;
  }

  /** All sessions as they are now, for a snapshot. */
  rows(): {
    readonly sessionRows: SnapshotRows['sessions'][];
    readonly results: Iterable<SnapshotRows['results']>;
    readonly resultCount: number;
  } {
    let resultCount = 0;
    const states = [...this.sessions].map(([clientId, session]) => {
      resultCount += session.resultCount;
      return { clientId, lastIndex: session.lastIndex, ...session.state };
    });
    return {
      sessionRows: states.map(({ clientId, lastIndex, lowWater }) => [clientId, lastIndex, lowWater]),
      results: resultRows(states),
      resultCount,
    };
  }

  /** Restores a session of a snapshot, in the order of last use. @returns whether it is valid */
  restore(clientId: ClientId, lastIndex: LogIndex, lowWater: number): boolean {
    if (this.sessions.has(clientId)) return false;
    const session = new ClientSession(lastIndex, this.all);
    this.changed.touch(clientId);
    session.acknowledge(lowWater);
    this.sessions.set(clientId, session);
    return true;
  }

  /** Restores a result of a snapshot, after the sessions and in the order of their numbers. @returns whether it is valid */
  restoreResult(clientId: ClientId, sequence: number, result: KvCommandResult, digest?: number): boolean {
    const session = this.sessions.get(clientId);
    if (session === undefined || session.resultOf(sequence) !== undefined) return false;
    session.keep(sequence, detachedResult(result), digest);
    return true;
  }

  /** Another history begins: the clients of earlier ones have no session in it. */
  endAll(): void {
    for (const clientId of [...this.sessions.keys()]) this.end(clientId);
  }

  private end(clientId: ClientId): void {
    this.sessions.get(clientId)?.end();
    this.sessions.delete(clientId);
    this.changed.touch(clientId);
  }

  /**
   * @returns the sessions that should expire: unused for `clientSessionMs`, as seen by the calls of this function. So a new leader
   * begins to count with its first call. A session is returned again only after a tenth of that time, as the entry that ends it
   * may be on its way.
   */
  idle(nowMs: number): (readonly [ClientId, number])[] {
    const idle: (readonly [ClientId, number])[] = [];
    for (const [clientId, { lastIndex }] of this.sessions) {
      const seen = this.idleSince.get(clientId);
      if (seen?.lastIndex !== lastIndex) {
        this.idleSince.set(clientId, { lastIndex, sinceMs: nowMs });
      } else if (nowMs - seen.sinceMs >= this.clientSessionMs && idle.length < limits.requestCommands) {
        seen.sinceMs = nowMs - this.clientSessionMs * 0.9;
        idle.push([clientId, lastIndex]);
      }
    }
    for (const clientId of this.idleSince.keys()) if (!this.sessions.has(clientId)) this.idleSince.delete(clientId);
    return idle;
  }
}

/** Hashes of results with read values, which are long: such a result is hashed once. */
const hashesOfLong = new WeakMap<KvCommandResult, number>();

/**
 * Puts and deletes keep a result for each write: their numbers are mixed without building a list. The text of an error is left out: two
 * builds that serve one group may word it differently, and their states are equal all the same.
 */
function hashOfResult(result: KvCommandResult): number {
  if (result[0] !== 'done') return hashOf([result[0], result[1]], 1);
  const isPlain = result[0] === 'done' && result[3] === undefined && typeof result[1] === 'number';
  if (isPlain) return mixNumber(result[2] ? 0 : ~0, result[1] as number);
  const known = hashesOfLong.get(result);
  if (known !== undefined) return known;
  const hash = hashOf(result, 1);
  if (bytesAnswered(result) > 0) hashesOfLong.set(result, hash);
  return hash;
}

function* resultRows(
  states: readonly (SessionState & { readonly clientId: ClientId })[],
): Generator<SnapshotRows['results'], void> {
  for (const { clientId, lowWater, results, digests } of states) {
    for (const [place, result] of results.entries()) {
      if (result === undefined) continue;
      const digest = digests[place];
      const row = [clientId, lowWater + 1 + place, result] as const;
      yield digest === undefined ? row : [...row, digest];
    }
  }
}

/** A copy in its own memory: a result decoded from a piece of a snapshot would keep the whole piece. */
function detachedResult(result: KvCommandResult): KvCommandResult {
  if (result[0] === 'not_done') return ['not_done', result[1], detached(result[2])];
  if (result[0] === 'unknown') return ['unknown', result[1], detached(result[2])];
  const [, revision, isTrue, results] = result;
  if (typeof revision === 'string') return ['done', detached(revision), isTrue];
  if (results === undefined) return ['done', revision, isTrue];
  return ['done', revision, isTrue, results.map(detachedFinding)];
}

function detachedFinding(found: OperationResult): OperationResult {
  if (found[0] !== 'get' || found[1] === null) return found;
  const [name, value, revision] = found;
  return [name, typeof value === 'string' ? detached(value) : value.slice(), revision];
}
