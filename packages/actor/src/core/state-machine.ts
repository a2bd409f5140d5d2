/** The ports to a custom state machine: what a node applies committed entries to, and how clients reach it. */
import type { ConclaveEvent, Consistency, GroupUid, LogIndex, Term } from '@conclave/protocol';

/** What `apply` returns for an entry that this build cannot read. */
export class Unsupported {
  readonly type = 'conclave.unsupported';

  /** @param reason in a sentence: what is unknown */
  constructor(readonly reason: string) {}

  /** True of instances of any copy of this module: the command contains one copy, and a custom state machine imports the installed one. */
  static [Symbol.hasInstance](value: unknown): value is Unsupported {
    return typeof value === 'object' && value !== null && 'type' in value && value.type === 'conclave.unsupported';
  }
}

/** Deterministic: the same payloads in the same order give the same state and results on every peer. */
export interface StateMachine {
  /**
   * Applies one committed entry and returns its result. Bad input is a result, not an exception: an exception stops the node.
   * For an entry that this build does not know, as a newer one wrote it, the result is an `Unsupported`, and nothing of the
   * entry is done. The peer then stops applying, and a newer build continues from that entry.
   * @param command what the service decoded the payload to, if this peer has it at hand; the same as decoding the payload
   * @param level the feature level of the entry (`levels.ts` of the protocol); undefined: 0
   */
  apply(index: LogIndex, payload: Uint8Array, command?: unknown, level?: number): unknown;
  /**
   * The highest version of commands that `apply` reads, a whole number; it reads all lower ones too. Undefined: 0. A leader
   * proposes no write of a higher version (`WriteRequest.version`) than every member reads, as far as members have reported.
   */
  readonly commandVersion?: number;
  /**
   * The group was reset `epoch` times, and another history follows: what only the lost peers held is gone, though clients may
   * still know of it. Numbers that were issued must not be issued again. Called as entries are applied, in their order, on every
   * peer; possibly more than once for one epoch.
   */
  beginEpoch?(epoch: number): void;
  /**
   * The entries that follow belong to this history of the group. In groups of level 1 and above this replaces `beginEpoch`. Called
   * in the order of the entries, on every peer, possibly more than once for one history: only the first call for a `groupUid`
   * begins it. Everything that an earlier history has issued (such as sessions) ends, and every number issued from now on is above
   * `base` and above all numbers of earlier histories. `base` 0: the same history continues, and its group has just reached level
   * 1; nothing ends.
   */
  beginHistory?(history: HistoryStart): void;
  /**
   * Reads the current state.
   * @param clock of the leader, if this peer leads: the clock that `housekeeping` uses
   */
  query(query: unknown, clock?: LeaderClock): unknown;
  /** How many rows a result of `query` has, about: a node answers reads of many rows in several turns. Without it each has one. */
  rowsIn?(result: unknown): number;
  /**
   * What the leader should propose by itself, for instance to expire idle sessions: a payload, or undefined. Called about once a
   * second on the leader. In another term, another leader measured the times.
   * @param level the group's feature level: the payload may contain only what this level has
   */
  housekeeping?(nowMs: number, term: Term, level: number): Uint8Array | undefined;
  /**
   * The whole state at the time of this call, as pieces of at most `limits.snapshotPieceBytes`. The first piece is read at once,
   * the others one by one while further entries are applied: their changes must not show. An abandoned iterator gets `return()`.
   */
  snapshot(): Iterator<Uint8Array, void>;
  /** Drops the state; then receives the pieces of a snapshot, unchanged and in their order. */
  restore(): StateMachineRestore;
  /**
   * A digest of the state, of at most 64 characters: the same on all peers that have applied the same entries, also if one of
   * them was restored from a snapshot. The members of a group compare their digests about once a second, so it is maintained as
   * entries are applied. A state machine without one is not compared.
   */
  digest?(): string;
  /** How much the state contains, for metrics. */
  counts?(): StateCounts;
  /** The recent changes. A state machine without them cannot be watched. */
  readonly history?: StateMachineHistory;
}

/** How much a state contains. What a state machine does not have is undefined. */
export interface StateCounts {
  readonly keys?: number;
  readonly leases?: number;
  readonly locks?: number;
  readonly sessions?: number;
}

/** The beginning of a history of a group. */
export interface HistoryStart {
  readonly groupUid: GroupUid;
  /** Issued numbers are above it, below 2^53; 0: the history began before level 1. */
  readonly base: number;
}

/** The leader's time: its monotonic clock, and the term that it leads. */
export interface LeaderClock {
  readonly nowMs: number;
  readonly term: Term;
}

/**
 * The recent changes, by revision: whole numbers that rise from 1 on, the same for the same entries on every peer. How far back
 * they go may differ from peer to peer, and is not part of a snapshot.
 */
export interface StateMachineHistory {
  /** The last revision; 0 before the first one. */
  readonly revision: number;
  /** The first revision whose change is still known; `revision` + 1: there is none. */
  readonly first: number;
  /**
   * The changes that match a selector, from a revision on that is not below `first`.
   * @param selector returned by the service for a request
   */
  changes(selector: unknown, from: number, bound: ChangesBound): ChangesPage;
  /**
   * For histories where each revision changes at most one key, and selectors are prefixes of keys: a leader then looks up a revision
   * once for all of thousands of watches. Without this it calls `changes` for each watch.
   */
  readonly keyed?: KeyedHistory;
}

/** A history by keys; never asked for revisions below `first`. */
export interface KeyedHistory {
  /** The key that a revision has changed; undefined: none. */
  keyOf(revision: number): string | undefined;
  /** The change of a revision that has a key, as `changes` returns it for a prefix of that key, and its bytes. */
  changeAt(revision: number): { readonly change: unknown; readonly bytes: number };
}

/** Bounds of a page, which holds at least one change. */
export interface ChangesBound {
  readonly changes: number;
  readonly bytes: number;
  /** How many revisions to look at. */
  readonly revisions: number;
}

export interface ChangesPage {
  /** As they are published, oldest first: values of msgpack. */
  readonly changes: readonly unknown[];
  /** Approximately. */
  readonly bytes: number;
  /** All revisions up to this one have been looked at. */
  readonly upTo: number;
}

/** A restore in progress. An exception stops the node. */
export interface StateMachineRestore {
  take(piece: Uint8Array): void;
  /** There are no more pieces. */
  end(): void;
}

/** What a service may use, besides the request, to understand it. */
export interface RequestContext {
  /** The group's feature level (`levels.ts`): an entry may contain only what this level has. */
  readonly level: number;
  /** Returns a new id that nobody can guess: 22 characters of `A-Za-z0-9_-`, from 128 random bits. */
  readonly generateId: () => string;
}

/** What a reply may contain besides the result. */
export interface ReplyContext {
  /** The history in which the request was executed. */
  readonly groupUid: GroupUid;
  /** For a stale read: the peer that replied may lag behind the group. */
  readonly isStale?: boolean;
}

interface OfHistory {
  /** The history that the request names: in another one it is refused with EHISTORY, not done. */
  readonly groupUid?: string | undefined;
}

/** A parsed request of a client. */
export type ServiceRequest = WriteRequest | ReadRequest | WatchRequest | UnwatchRequest;

export interface WriteRequest extends OfHistory {
  readonly type: 'write';
  readonly payload: Uint8Array;
  readonly command: unknown;
  /** The version of the command, see `StateMachine.commandVersion`; undefined: 0. */
  readonly version?: number | undefined;
  /** Makes the reply from the result of `apply`. @throws ConclaveError */
  readonly reply: (result: unknown, context: ReplyContext) => unknown;
  /** The events that the leader publishes for the result of `apply`. */
  readonly events?: ((result: unknown) => readonly ConclaveEvent[]) | undefined;
}

export interface ReadRequest extends OfHistory {
  readonly type: 'read';
  /** Undefined: the default, which is `linearizable` for the group, `stale` for a peer that is asked by name. */
  readonly consistency: Consistency | undefined;
  readonly query: unknown;
  /** Makes the reply from the result of `query`. @throws ConclaveError */
  readonly reply: (result: unknown, context: ReplyContext) => unknown;
}

/** A request to publish changes. */
export interface WatchRequest extends OfHistory {
  readonly type: 'watch';
  /**
   * The end of the subject to publish on: `<owner>.<id>`, or one token. Checked (`WatchId`). An owner has a bounded number of
   * watches, and a watch keeps its first selector: selectors are compared if they are plain values.
   */
  readonly watchId: string;
  /** What is watched, for the state machine's `changes`. */
  readonly selector: unknown;
  /** The first revision that is wanted; undefined: continue the watch, or begin with the next change. */
  readonly from: number | undefined;
  /** Makes the reply. */
  readonly reply: (result: WatchBegun, context: ReplyContext) => unknown;
}

export interface WatchBegun {
  /** The next publication begins after this revision. */
  readonly after: number;
  /** The last revision. */
  readonly revision: number;
  /** Ask again within this time. */
  readonly renewMs: number;
}

/** Closes a watch at once: messages published before may still arrive. */
export interface UnwatchRequest extends OfHistory {
  readonly type: 'unwatch';
  readonly watchId: string;
  /** Makes the reply. */
  readonly reply: (result: WatchClosed, context: ReplyContext) => unknown;
}

export interface WatchClosed {
  /** Whether there was a watch of that id. */
  readonly closed: boolean;
}

/** The request parser of a state machine: checks and understands requests. */
export interface Service {
  /** @throws ConclaveError EINVAL, ENOENT */
  parse(operation: string, body: unknown, context: RequestContext): ServiceRequest;
  /** Optional. Whether an operation of this name changes nothing: a failed one is then not done, even if it was not parsed yet. */
  reads?(operation: string): boolean;
  /**
   * Optional. Returns a reply of at most `maxBytes` as JSON, where text may take six times as many bytes as in msgpack;
   * undefined: there is none, and the request is refused.
   * @param reply returned by `reply`, which is larger
   */
  fitReply?(operation: string, reply: unknown, maxBytes: number): unknown;
  /**
   * Optional. Returns a change without the part that makes it too large for a message of JSON. Without this method such a change is
   * omitted, and the message of the watch lists it (`omitted`).
   */
  fitChange?(change: unknown): unknown;
}

/** A custom application for `conclave run --application`: what the entries of a group mean. */
export interface Application {
  readonly service: Service;
  /** A new state machine: for each group, and again whenever its node restarts its state. */
  makeStateMachine(): StateMachine;
}
