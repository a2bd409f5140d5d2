/** What clients called and what they were told, for whoever judges it. */

import type { LeaseId, OperationResult } from '@conclave/protocol';
import type { Part, Transaction } from '../linearizability/index.js';
import type { Watched } from './virtual-watch.js';

/** `not_done`: it did not happen and will not. `unknown`: it may have happened, or may happen yet. */
export type CallOutcome = 'ok' | 'not_done' | 'unknown';

/** One call. Times are those of the run, in milliseconds. */
export interface RecordedCall {
  readonly client: string;
  readonly operation: 'put' | 'get' | 'delete' | 'cas' | 'txn' | 'lock' | 'unlock' | 'grant' | 'keep' | 'revoke';
  /** Or the name of a lock, or of a lease of the client. */
  readonly key: string;
  /** Of a transaction: the other key. */
  readonly other?: string | undefined;
  /** Of a lock: the client's lease, as whose holder it asks. Of a lease, and of a put that ties a key to one: that. */
  leaseId?: LeaseId | undefined;
  /** Of a grant. */
  readonly ttlMs?: number | undefined;
  /** What is to be written, of a put, a cas or a transaction. */
  readonly value?: string | undefined;
  readonly expectedRevision?: number | undefined;
  /** Of a read: the peer that was asked, where it was not the leader. */
  readonly at?: string | undefined;
  /** Of a read: how it was to be made sure of; a peer's are stale where nothing is said. */
  readonly by?: 'quorum' | 'lease' | undefined;
  readonly invokedMs: number;
  /** Undefined: it was never answered, as its client died or the run ended. */
  answeredMs?: number | undefined;
  /** `unknown` until it is answered. */
  outcome: CallOutcome;
  /** Of an answer `ok`. */
  result?: CallResult | undefined;
  /** Of an answer `ok`: the history of the group that has given it; undefined: at feature level 0 it does not say. */
  groupUid?: string | undefined;
  /** Of another answer: the error's code. */
  code?: string | undefined;
}

export interface CallResult {
  readonly revision: number;
  /** What a get has found; null: nothing. */
  readonly value?: string | null | undefined;
  /** What became of the parts of a transaction. */
  readonly parts?: readonly OperationResult[] | undefined;
  /** Whether a cas has swapped, a delete deleted, a transaction found what it expects, a lock is held or was given back, a lease was revoked. */
  readonly changed?: boolean | undefined;
}

/** Whether it is a read that may see what is no longer so. */
export function isStale({ at, by }: RecordedCall): boolean {
  return at !== undefined && by === undefined;
}

export class History {
  /**
   * The first reset. What was told behind it is judged by the history that it names; where it names none (at feature level 0), not at
   * all, as a reset may lose what was acknowledged.
   */
  checkedUntilMs: number | undefined;
  readonly calls: RecordedCall[] = [];
  /** Histories of the group that go on with what those before them held: resets begin such, and restored backups. */
  readonly continuing = new Set<string>();
  /** Those of them that a backup has begun, which may be of any history before. */
  readonly restored = new Set<string>();
  /** What watchers were told. */
  readonly watched: Watched[] = [];

  add(call: RecordedCall): RecordedCall {
    this.calls.push(call);
    return call;
  }

  count(outcome: CallOutcome): number {
    return this.calls.filter((call) => call.outcome === outcome && call.answeredMs !== undefined).length;
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
