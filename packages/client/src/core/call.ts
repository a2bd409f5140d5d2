/** The inputs and effects of the client's core. */
import type {
  AdminCommand,
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

/** The time of a step, and a random number for it, as for the cores of actors. */
export interface Instant {
  /** Milliseconds on the process's monotonic clock. */
  readonly nowMs: number;
  /** Uniform in [0, 1), new for each step. */
  readonly random: number;
}

/** A write; executed once, however often it is sent. Exception: `lease_keep` may be executed again, which does no harm. */
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
      /** With `force`, its public part suffices. */
      readonly leaseId: LeaseId;
      readonly force?: boolean;
    }
  | {
      readonly operation: 'lock';
      readonly name: string;
      readonly owner: string;
      readonly leaseId: LeaseId;
      /** Wait in the queue if another client holds it. */
      readonly wait: boolean;
    }
  | {
      readonly operation: 'unlock';
      readonly name: string;
      readonly token: number;
      /** The holder's lease. */
      readonly leaseId?: LeaseId | undefined;
      readonly force?: boolean;
    };

export interface ReadCall {
  readonly operation: 'get';
  readonly key: string;
  /** `linearizable` by default, `stale` if `peerId` is given. */
  readonly consistency?: Consistency | undefined;
  /** Sends it to this peer instead of the leader. */
  readonly peerId?: PeerId | undefined;
}

/** Operations that change nothing, each in its own request. */
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
  /** Sends it to this peer instead of the leader. */
  readonly peerId?: PeerId | undefined;
  /** By the holder of a lock, to check that it still holds it: waits for no other call. */
  readonly urgent?: boolean;
}

export interface AdminCall {
  readonly operation: 'admin';
  readonly command: AdminCommand;
  /** By the command's schema. */
  readonly body: unknown;
  /** Sends it to this peer's node instead of the leader. */
  readonly peerId?: PeerId | undefined;
}

export type Call = WriteCall | ReadCall | QueryCall | AdminCall;

/** The outcome of a call, which is always true. */
export type Settlement =
  /** It was executed; `result` is the reply of the operation or command, by its schema. */
  | { readonly outcome: 'done'; readonly result: unknown }
  /** `not_done`: it was not executed and will not be. `unknown`: it may have been executed, or may still be. */
  | { readonly outcome: Outcome; readonly error: ErrorBody };

/** What was received for one request. */
export type Reply =
  /** A decoded body, not yet checked; possibly an error. */
  | { readonly type: 'body'; readonly body: unknown }
  /** Bytes that do not decode. */
  | { readonly type: 'malformed' }
  /** There is no subscriber: nobody received it. */
  | { readonly type: 'no_responders' }
  /** It did not leave this process; `code`: because NATS rejects the login. */
  | { readonly type: 'not_sent'; readonly message: string; readonly code?: 'ELOGIN' }
  /** NATS does not permit this login the request (`not_done`) or its reply (`unknown`): repeating it would not help. */
  | { readonly type: 'not_permitted'; readonly message: string; readonly outcome: Outcome };

export type ClientInput =
  /** `callId` grows with each call. */
  | { readonly type: 'call'; readonly callId: number; readonly call: Call; readonly timeoutMs?: number | undefined }
  | { readonly type: 'reply'; readonly requestId: number; readonly reply: Reply }
  /** NATS has refused a request to this target: one input for each refused request. Without a target: it refuses all replies. */
  | { readonly type: 'not_permitted'; readonly target?: RequestTarget | undefined; readonly message: string }
  | { readonly type: 'timer'; readonly timer: 'due' }
  /** The group has elected a leader. */
  | { readonly type: 'leader_elected' }
  /** The turn of the event loop has ended: its calls can be sent together. Must follow every other input, sooner or later. */
  | { readonly type: 'idle' }
  /** Settles all open calls; later ones are refused. */
  | { readonly type: 'close' };

/** The recipient of a request. */
export interface RequestTarget {
  readonly api: 'kv' | 'admin';
  readonly name: string;
  /** Undefined: the leader. */
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
  /** The client's history has ended: what it issued (leases, locks, revisions) is void in the next one. */
  | { readonly type: 'history_ended'; readonly groupUid: GroupUid };
