/** What a node applies committed entries to, and the door through which clients reach it. */
import type { ConclaveEvent, Consistency, GroupUid, LogIndex, Term } from '@conclave/protocol';

/** What `apply` returns for an entry that this build cannot read. */
export class Unsupported {
  readonly type = 'conclave.unsupported';

  /** @param reason in a sentence: what is not known */
  constructor(readonly reason: string) {}

  /** Each instance of any copy of this module: the command contains one, and a custom state machine imports the one that is installed. */
  static [Symbol.hasInstance](value: unknown): value is Unsupported {
    return typeof value === 'object' && value !== null && 'type' in value && value.type === 'conclave.unsupported';
  }
}

/** Deterministic: the same payloads in the same order give the same state and results on every peer. */
export interface StateMachine {
  /**
   * Applies one committed entry and answers its result. Bad input is a result, not an exception: what throws
   * stops the node.
   * An entry that this build does not know, as a newer one wrote it, is neither: the result is an `Unsupported`, and nothing of
   * the entry is done. The peer then stops applying, and a newer build goes on from that entry.
   * @param command what the service decoded the payload to, where this peer has it at hand; the same as decoding it.
   * @param level the feature level of the entry (`levels.ts` of the protocol); none: 0
   */
  apply(index: LogIndex, payload: Uint8Array, command?: unknown, level?: number): unknown;
  /**
   * The highest version of commands that `apply` reads, a whole number; it reads all lower ones too. Left out: 0. A leader proposes no
   * write of a higher version (`WriteRequest.version`) than what each member that it has heard of reads.
   */
  readonly commandVersion?: number;
  /**
   * The group was reset so often, and what follows is another history: what only the lost peers held is forgotten, and
   * clients may know of it still. Numbers that are given out must not be given out again. Called as entries are applied,
   * in their order, on every peer; for the same epoch perhaps more than once.
   */
  beginEpoch?(epoch: number): void;
  /**
   * The entries that follow belong to this history of the group. In groups of level 1 and above this takes the place of
   * `beginEpoch`. Called in the order of the entries, on every peer, and for one history more than once: only the first call
   * for a `groupUid` begins it. Everything that an earlier history has given out (sessions, say) ends, and every number that
   * is given out from now on is above `base` and above all numbers of earlier histories. `base` 0: the same history goes on, and
   * its group has just reached level 1; nothing ends.
   */
  beginHistory?(history: HistoryStart): void;
  /**
   * Answers a read of the state as it is.
   * @param clock of the leader, where this peer leads: what was timed by `housekeeping` was timed by it
   */
  query(query: unknown, clock?: LeaderClock): unknown;
  /**
   * What the leader should propose of its own accord, say to let idle clients' sessions expire: a payload, or
   * undefined. Called about once a second on the leader. What was timed in another term was timed by another leader.
   * @param level the group's feature level: the payload may hold only what this level has
   */
  housekeeping?(nowMs: number, term: Term, level: number): Uint8Array | undefined;
  /**
   * The whole state as it is at this call, as pieces of at most `limits.snapshotPieceBytes`. The first piece is drawn at
   * once, the others one by one while further entries are applied: what these change must not show. An iterator that is
   * given up gets `return()`.
   */
  snapshot(): Iterator<Uint8Array, void>;
  /** Forgets the state; then takes the pieces of a snapshot, as they were given and in their order. */
  restore(): StateMachineRestore;
  /**
   * A digest of the state, of at most 64 characters: the same on all peers that have applied the same entries, also where one of
   * them was restored from a snapshot. The members of a group compare theirs about once a second, so it is kept up as entries are applied.
   * A state machine without one is not compared.
   */
  digest?(): string;
  /** What has changed lately. A state machine that keeps none cannot be watched. */
  readonly history?: StateMachineHistory;
}

/** Where a history of a group begins. */
export interface HistoryStart {
  readonly groupUid: GroupUid;
  /** Whole numbers that are given out begin above it, below 2^53; 0: the history goes on from before level 1. */
  readonly base: number;
}

/** When a leader is asked: its monotonic clock, and the term that it leads in. */
export interface LeaderClock {
  readonly nowMs: number;
  readonly term: Term;
}

/**
 * What has changed, by revisions: whole numbers that rise from 1 on, the same for the same entries on every peer. How far
 * back it goes may differ from peer to peer, and is no part of a snapshot.
 */
export interface StateMachineHistory {
  /** The last one; 0 before the first. */
  readonly revision: number;
  /** The first one whose change is still known; `revision` + 1 where none is. */
  readonly first: number;
  /**
   * The changes that match a selector, from a revision on that is not below `first`.
   * @param selector what the service made of a request
   */
  changes(selector: unknown, from: number, most: ChangesBound): ChangesPage;
  /**
   * Where each revision changes one key at most, and selectors are prefixes of keys: then a leader looks a revision up once
   * for all watches, thousands of them. Without this it calls `changes` for each watch.
   */
  readonly keyed?: KeyedHistory;
}

/** A history by keys; what is asked for is not below `first`. */
export interface KeyedHistory {
  /** Which key a revision has changed; undefined: none. */
  keyOf(revision: number): string | undefined;
  /** The change of a revision that has a key, as `changes` gives it for a selector that the key begins with, and its bytes. */
  changeAt(revision: number): { readonly change: unknown; readonly bytes: number };
}

/** Where to stop, but not before one change. */
export interface ChangesBound {
  readonly changes: number;
  readonly bytes: number;
  /** Revisions to look at. */
  readonly revisions: number;
}

export interface ChangesPage {
  /** As they are published, oldest first: values of msgpack. */
  readonly changes: readonly unknown[];
  /** About. */
  readonly bytes: number;
  /** All revisions up to here have been looked at. */
  readonly upTo: number;
}

/** A restore that has begun. What throws stops the node. */
export interface StateMachineRestore {
  take(piece: Uint8Array): void;
  /** There are no more. */
  end(): void;
}

/** What a service may use to understand a request, beside the request itself. */
export interface RequestContext {
  /** The group's feature level (`levels.ts`): an entry may hold only what this level has. */
  readonly level: number;
  /** Returns a new id that nobody can guess: 22 characters of `A-Za-z0-9_-`, from 128 random bits. */
  readonly generateId: () => string;
}

/** What a reply may tell beside the result. */
export interface ReplyContext {
  /** The history in which the request was carried out. */
  readonly groupUid: GroupUid;
  /** It is of a stale read: the peer that answered may be behind the group. */
  readonly isStale?: boolean;
}

interface OfHistory {
  /** The history that the request names: in another one it is refused with EHISTORY, not done. */
  readonly groupUid?: string | undefined;
}

/** A client's request, understood. */
export type ServiceRequest = WriteRequest | ReadRequest | WatchRequest | UnwatchRequest;

export interface WriteRequest extends OfHistory {
  readonly type: 'write';
  readonly payload: Uint8Array;
  readonly command: unknown;
  /** The version of the command, see `StateMachine.commandVersion`; left out: 0. */
  readonly version?: number | undefined;
  /** Makes the reply of the result of `apply`. @throws ConclaveError */
  readonly reply: (result: unknown, context: ReplyContext) => unknown;
  /** What the leader is to publish for observers, of the result of `apply`. */
  readonly events?: ((result: unknown) => readonly ConclaveEvent[]) | undefined;
}

export interface ReadRequest extends OfHistory {
  readonly type: 'read';
  /** Undefined: the default, `linearizable` from the group, `stale` from a peer that is asked itself. */
  readonly consistency: Consistency | undefined;
  readonly query: unknown;
  /** Makes the reply of the result of `query`. @throws ConclaveError */
  readonly reply: (result: unknown, context: ReplyContext) => unknown;
}

/** Asks to have changes published. */
export interface WatchRequest extends OfHistory {
  readonly type: 'watch';
  /**
   * What the subject to publish on ends with: `<owner>.<id>`, or one token. Checked (`WatchId`). An owner has a bounded number
   * of watches, and a watch keeps the selector that it began with: selectors are compared where they are plain values.
   */
  readonly watchId: string;
  /** What is watched, for the state machine's `changes`. */
  readonly selector: unknown;
  /** The first revision that is wanted; undefined: where it is, or from now on. */
  readonly from: number | undefined;
  /** Makes the reply. */
  readonly reply: (result: WatchBegun, context: ReplyContext) => unknown;
}

export interface WatchBegun {
  /** What is published next begins behind this revision. */
  readonly after: number;
  /** The last revision. */
  readonly revision: number;
  /** Ask again before this is over. */
  readonly renewMs: number;
}

/** Closes a watch at once: what has been published before may still arrive. */
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

/** The door of a state machine: checks and understands requests. */
export interface Service {
  /** @throws ConclaveError EINVAL, ENOENT. */
  parse(operation: string, body: unknown, context: RequestContext): ServiceRequest;
  /** Optional. Whether an operation of this name changes nothing: one that fails is then not done, also if it was not parsed yet. */
  reads?(operation: string): boolean;
  /**
   * Optional. Returns a reply that takes at most so many bytes as JSON, where text may take six times what it takes in msgpack;
   * undefined: there is none, and the request is refused.
   * @param reply what `reply` made, which takes more
   */
  fitReply?(operation: string, reply: unknown, maxBytes: number): unknown;
  /**
   * Optional. Returns a change without what makes it too large for a message of JSON. Without this method such a change is left
   * out, and the message of the watch says so (`omitted`).
   */
  fitChange?(change: unknown): unknown;
}

/** What a user brings to `conclave run --application`: what the entries of a group mean. */
export interface Application {
  readonly service: Service;
  /** A state machine as new: for each group, and again whenever its node starts over. */
  makeStateMachine(): StateMachine;
}
