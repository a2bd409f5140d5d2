/** The calls of clients and their replies, to be checked after the run. */

import type { LeaseId, OperationResult } from '@conclave/protocol';
import type { Part, Transaction } from '../linearizability/index.js';
import type { Watched } from './virtual-watch.js';

/** `not_done`: it did not happen and will not. `unknown`: it may have happened, or may happen yet. */
export type CallOutcome = 'ok' | 'not_done' | 'unknown';

/** One call. Times are those of the run, in milliseconds. */
export interface RecordedCall {
  readonly client: string;
  readonly operation: 'put' | 'get' | 'delete' | 'cas' | 'txn' | 'lock' | 'unlock' | 'grant' | 'keep' | 'revoke';
  /** The key; or the name of a lock, or of a lease of the client. */
  readonly key: string;
  /** Of a transaction: the other key. */
  readonly other?: string | undefined;
  /**
   * Of a lock: the client's lease, by which it asks. Of a call of a lease, and of a put that attaches a key to one:
   * that lease.
   */
  leaseId?: LeaseId | undefined;
  /** Of a grant: the lease's time in milliseconds. */
  readonly ttlMs?: number | undefined;
  /** Of a put, a cas or a transaction: the value to write. */
  readonly value?: string | undefined;
  readonly expectedRevision?: number | undefined;
  /** Of a read: the peer that was asked, if not the leader. */
  readonly at?: string | undefined;
  /** Of a read: how it is confirmed; undefined at a peer: it is stale. */
  readonly by?: 'quorum' | 'lease' | undefined;
  readonly invokedMs: number;
  /** When the client settled it; undefined: it never did, because it crashed or the run ended. */
  settledMs?: number | undefined;
  /** `unknown` until it is settled. */
  outcome: CallOutcome;
  /** Of an `ok`: the result. */
  result?: CallResult | undefined;
  /** Of an `ok`: the history of the group that replied; undefined: at feature level 0 replies name none. */
  groupUid?: string | undefined;
  /** Of another outcome: the error's code. */
  code?: string | undefined;
}

export interface CallResult {
  readonly revision: number;
  /** What a get has found; null: nothing. */
  readonly value?: string | null | undefined;
  /** The results of a transaction's parts. */
  readonly parts?: readonly OperationResult[] | undefined;
  /**
   * Whether a cas swapped, a delete deleted, a transaction's condition held, a lock was acquired or released, a lease
   * was revoked.
   */
  readonly changed?: boolean | undefined;
}

/** Whether it is a read that may return outdated values. */
export function isStale({ at, by }: RecordedCall): boolean {
  return at !== undefined && by === undefined;
}

export class History {
  /**
   * The first reset. Later replies are checked in the history that they name; replies that name none (at feature level
   * 0) are not checked, as a reset may lose acknowledged writes.
   */
  checkedUntilMs: number | undefined;
  readonly calls: RecordedCall[] = [];
  /** Histories that continue earlier ones: those of resets and of restored backups. */
  readonly continuing = new Set<string>();
  /** Those of them that continue a backup, which may be of any earlier history. */
  readonly restored = new Set<string>();
  /** What watches received. */
  readonly watched: Watched[] = [];

  add(call: RecordedCall): RecordedCall {
    this.calls.push(call);
    return call;
  }

  count(outcome: CallOutcome): number {
    return this.calls.filter((call) => call.outcome === outcome && call.settledMs !== undefined).length;
  }
}

/** Returns what a transaction of a run compares and does, by its `ClientCommand`. The two keys get different values. */
export function partsOf({
  key,
  other,
  value,
  expectedRevision,
}: {
  readonly key: string;
  readonly other: string;
  readonly value: string;
  readonly expectedRevision: number;
}): Pick<Transaction, 'compare' | 'then' | 'else'> {
  const then: Part[] = [
    ['put', key, value],
    ['put', other, `${value}o`],
    ['get', other],
  ];
  return {
    compare: [[key, expectedRevision]],
    then,
    else: [
      ['get', key],
      ['delete', other],
    ],
  };
}
