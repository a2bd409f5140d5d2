/** What goes into the client's core and what comes out. */
import type {
  AdminCommand,
  AnyLeaseId,
  Comparison,
  Consistency,
  ErrorBody,
  GroupUid,
  LeaseId,
  Operation,
  Outcome,
  PeerId,
  Value,
} from '@conclave/protocol';

/** When a step happens, and the chance that it may use: as for the cores of actors. */
export interface Instant {
  /** Milliseconds on the process's monotonic clock. */
  readonly nowMs: number;
  /** Uniform in [0, 1), drawn anew for each step. */
  readonly random: number;
}

/** A write; happens once, however often it has to be sent. */
export type WriteCall =
  | {
      readonly operation: 'put';
      readonly key: string;
      readonly value: Value;
      /** Ties the key to this lease. */
      readonly leaseId?: LeaseId | undefined;
    }
  | { readonly operation: 'delete'; readonly key: string }
  | { readonly operation: 'cas'; readonly key: string; readonly value: Value; readonly expectedRevision: number }
  | {
      readonly operation: 'txn';
      readonly compare: readonly Comparison[];
      readonly operations: readonly Operation[];
      readonly otherwise: readonly Operation[];
    }
  | { readonly operation: 'lease_grant'; readonly ttlMs: number }
  | { readonly operation: 'lease_keep'; readonly leaseId: LeaseId }
  | {
      readonly operation: 'lease_revoke';
      /** Its public part is enough by force. */
      readonly leaseId: AnyLeaseId;
      readonly force?: boolean;
    }
  | {
      readonly operation: 'lock';
      readonly name: string;
      readonly owner: string;
      readonly leaseId: LeaseId;
      /** Wait in the queue where another holds it. */
      readonly wait: boolean;
    }
  | {
      readonly operation: 'unlock';
      readonly name: string;
      readonly token: number;
      /** The holder's. */
      readonly leaseId?: LeaseId | undefined;
      readonly force?: boolean;
    };

export interface ReadCall {
  readonly operation: 'get';
  readonly key: string;
  /** `linearizable` unless given, or unless `peerId` is. */
  readonly consistency?: Consistency | undefined;
  /** Asks this peer instead of the leader: only for stale reads. */
  readonly peerId?: PeerId | undefined;
}

/** Operations that only ask, each a request of its own. */
export type QueryOperation =
  | 'range'
  | 'lease_get'
  | 'lease_list'
  | 'lock_get'
  | 'lock_list'
  | 'changes'
  | 'watch'
  | 'unwatch';

export interface QueryCall {
  readonly operation: 'query';
  readonly name: QueryOperation;
  /** By the operation's schema. */
  readonly body: { readonly consistency?: Consistency | undefined; readonly [field: string]: unknown };
  /** Asks this peer instead of the leader: only for stale reads. */
  readonly peerId?: PeerId | undefined;
  /** Asked by the holder of a lock, of whether it holds it still: waits for no other call. */
  readonly urgent?: boolean;
}

export interface AdminCall {
  readonly operation: 'admin';
  readonly command: AdminCommand;
  /** By the command's schema. */
  readonly body: unknown;
  /** Asks this peer's node instead of the leader. */
  readonly peerId?: PeerId | undefined;
}

export type Call = WriteCall | ReadCall | QueryCall | AdminCall;

/** How a call ended, always true. */
export type Settlement =
  /** It happened; `result` is the reply of the operation or command, by its schema. */
  | { readonly outcome: 'done'; readonly result: unknown }
  /** `not_done`: it did not happen and will not. `unknown`: it may have happened, or may happen yet. */
  | { readonly outcome: Outcome; readonly error: ErrorBody };

/** What came back for one request. */
export type Reply =
  /** A decoded body, not yet checked; also one that says an error. */
  | { readonly type: 'body'; readonly body: unknown }
  /** Bytes that are no body. */
  | { readonly type: 'malformed' }
  /** Nobody listens: it has reached no one. */
  | { readonly type: 'no_responders' }
  /** It did not leave this process. */
  | { readonly type: 'not_sent'; readonly message: string }
  /** NATS permits the request (`not_done`) or its reply (`unknown`) to nobody who logs in so: asking again would not help. */
  | { readonly type: 'not_permitted'; readonly message: string; readonly outcome: Outcome };

export type ClientInput =
  /** `callId` grows with each call. */
  | { readonly type: 'call'; readonly callId: number; readonly call: Call; readonly timeoutMs?: number | undefined }
  | { readonly type: 'reply'; readonly requestId: number; readonly reply: Reply }
  /** NATS has refused a request to this target: one for each that it refuses. None: it refuses all replies. */
  | { readonly type: 'not_permitted'; readonly target?: RequestTarget | undefined; readonly message: string }
  | { readonly type: 'timer'; readonly timer: 'due' }
  /** The group has elected a leader. */
  | { readonly type: 'leader_elected' }
  /** The tick is over: what was called in it can go out in one piece. Must follow every other input, sooner or later. */
  | { readonly type: 'idle' }
  /** Settles all open calls; those that come later are refused. */
  | { readonly type: 'close' };

/** Whom a request goes to. */
export interface RequestTarget {
  readonly api: 'kv' | 'admin';
  readonly name: string;
  /** None: the leader. */
  readonly peerId?: PeerId | undefined;
}

export type ClientEffect =
  | {
      readonly type: 'request';
      readonly requestId: number;
      readonly target: RequestTarget;
      readonly body: Readonly<Record<string, unknown>>;
    }
  | { readonly type: 'set_timer'; readonly timer: 'due'; readonly afterMs: number }
  | { readonly type: 'cancel_timer'; readonly timer: 'due' }
  | { readonly type: 'settle'; readonly callId: number; readonly settlement: Settlement }
  /** The history that the client went by is over: what it gave out (leases, locks, revisions) means nothing in the next one. */
  | { readonly type: 'history_ended'; readonly groupUid: GroupUid };
