/** Checks that the replies to the clients of a run are those of one atomic store, in each history of the group. */
import { type History, isStale, partsOf, type RecordedCall } from '../clients/history.js';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import {
  checkHistory,
  faultOfLocks,
  faultOfTransactions,
  faultOfWatches,
  type Holding,
  historyBaseOf,
  type LeaseCall,
  LeaseHistories,
  type Operation,
  operationsOf,
  type PartResult,
  type Transaction,
  type WhenPassed,
} from '../linearizability/index.js';
import { callsByHistory, carriedInto, type HistoryCalls } from './calls-by-history.js';

/**
 * @param whenPassed returns when a time has passed for a lease; by default, by the time of the run
 * @throws InvariantViolation
 */
export function checkClients(history: History, whenPassed: WhenPassed = (fromMs, forMs) => fromMs + forMs): void {
  // If a lock is acquired by a client that waited in its queue, no reply names the revision of that change.
  const usesLocks = history.calls.some(({ operation }) => operation === 'lock' || operation === 'unlock');
  let before: Operation[] = [];
  let ever: Operation[] = [];
  const histories = callsByHistory(history);
  for (const one of histories) {
    if (!one.isContinuing) before = [];
    if (one.isRestored) before = ever;
    const operations = checkOne(one, { usesLocks, before, whenPassed, isOnlyHistory: histories.length === 1 });
    before = [...before, ...operations];
    ever = [...ever, ...operations];
  }
}

interface Known {
  readonly usesLocks: boolean;
  /** Operations of earlier histories: this history may contain the effects of some of them. */
  readonly before: readonly Operation[];
  readonly whenPassed: WhenPassed;
  readonly isOnlyHistory: boolean;
}

/** @returns the operations of this history */
function checkOne({ groupUid, calls, watched, isContinuing }: HistoryCalls, known: Known): Operation[] {
  const { usesLocks, before, whenPassed, isOnlyHistory } = known;
  const where = groupUid === undefined ? '' : `in the history ${groupUid}: `;
  const transactions = calls.filter(({ operation }) => operation === 'txn').map(asTransaction);
  const reported = [...calls.flatMap(asOperation), ...transactions.flatMap(operationsOf)];
  const leases = new LeaseHistories(calls.flatMap(asLeaseCall), whenPassed);
  const operations = [...reported, ...leases.deletions()];
  const all = [...carriedInto(before, operations), ...operations];
  const verdict = checkHistory(all, {
    allWritesRecorded: !usesLocks && !isContinuing,
    base: historyBaseOf(calls.map(({ result }) => result?.revision ?? 0)),
  });
  if (verdict.verdict !== 'linearizable') {
    throw new InvariantViolation('history-is-linearizable', where + verdict.report);
  }
  // A rejection names no history: if there are several, it is unknown which one has no such lease.
  const leaseFault = isOnlyHistory ? leases.fault(reported) : undefined;
  if (leaseFault !== undefined)
    throw new InvariantViolation('leases-last-as-long-as-they-are-kept', where + leaseFault);
  const fault = faultOfTransactions(transactions, all);
  if (fault !== undefined) throw new InvariantViolation('transactions-are-atomic', where + fault);
  const lockFault = faultOfLocks(calls.flatMap(asHolding), all);
  if (lockFault !== undefined) throw new InvariantViolation('lock-tokens-grow', where + lockFault);
  const watches = watched.flatMap(({ after, ...rest }) => (after === undefined ? [] : [{ ...rest, after }]));
  const watchFault = faultOfWatches(watches, operations);
  if (watchFault !== undefined) throw new InvariantViolation('watches-deliver-each-change-once', where + watchFault);
  return operations;
}

function asTransaction(call: RecordedCall): Transaction {
  const { client, key, other = '', value = '', expectedRevision = 0, invokedMs, settledMs, outcome, result } = call;
  const times = { client, called: invokedMs, returned: settledMs ?? Number.POSITIVE_INFINITY };
  const parts = partsOf({ key, other, value, expectedRevision });
  if (outcome !== 'ok' || result === undefined) {
    return { ...times, ...parts, ended: { outcome: outcome === 'not_done' ? 'not_done' : 'unknown' } };
  }
  const { revision, changed = false, parts: found = [] } = result;
  const results = found as readonly PartResult[];
  return { ...times, ...parts, ended: { outcome: 'done', reply: { succeeded: changed, revision, results } } };
}

/** Returns a call that names a lease of keys; a grant that failed has no lease. */
function asLeaseCall(call: RecordedCall): LeaseCall[] {
  const { client, operation, key, value, leaseId, invokedMs, settledMs, outcome, code, result, ttlMs } = call;
  const isOfLease = operation === 'grant' || operation === 'keep' || operation === 'revoke' || operation === 'put';
  if (!isOfLease || leaseId === undefined) return [];
  return [
    {
      client,
      name: operation,
      lease: String(leaseId),
      called: invokedMs,
      returned: settledMs ?? Number.POSITIVE_INFINITY,
      outcome: outcome === 'ok' ? 'done' : outcome,
      changed: result?.changed,
      code,
      ttlMs,
      ...(operation === 'put' ? { key, value } : {}),
    },
  ];
}

/** Returns the holding of a lock, if a client received the reply that it has acquired the lock. */
function asHolding(call: RecordedCall): Holding[] {
  const { client, operation, key, leaseId, invokedMs, settledMs, result } = call;
  if (operation !== 'lock' || result?.changed !== true || settledMs === undefined) return [];
  const owner = `lease ${leaseId}`;
  return [{ client, name: key, owner, called: invokedMs, returned: settledMs, token: result.revision }];
}

function asOperation(call: RecordedCall): Operation[] {
  const { operation } = call;
  const isOfKey = operation === 'put' || operation === 'get' || operation === 'delete' || operation === 'cas';
  return isOfKey ? [keyOperation({ ...call, operation })] : [];
}

type KeyCall = RecordedCall & { readonly operation: 'put' | 'get' | 'delete' | 'cas' };

function keyOperation(call: KeyCall): Operation {
  const { client, key, invokedMs, settledMs, value = '' } = call;
  const called = { client, key, called: invokedMs, returned: settledMs ?? Number.POSITIVE_INFINITY };
  switch (call.operation) {
    case 'put':
      return { ...called, name: 'put', value, ...ended(call, ({ revision }) => ({ revision })) };
    case 'get':
      return {
        ...called,
        name: 'get',
        consistency: isStale(call) ? 'stale' : 'linearizable',
        ...ended(call, (result) => ({ revision: result.revision, value: result.value ?? null })),
      };
    case 'delete':
      return {
        ...called,
        name: 'delete',
        ...ended(call, ({ revision, changed }) => ({ revision, deleted: changed === true })),
      };
    case 'cas':
      return {
        ...called,
        name: 'cas',
        value,
        expectedRevision: call.expectedRevision ?? 0,
        ...ended(call, ({ revision, changed }) => ({ revision, swapped: changed === true })),
      };
  }
}

type Result = NonNullable<RecordedCall['result']>;
type Ended<R> = { outcome: 'done'; reply: R } | { outcome: 'not_done' } | { outcome: 'unknown' };

function ended<R>({ outcome, result }: RecordedCall, reply: (result: Result) => R): Ended<R> {
  if (outcome !== 'ok' || result === undefined) return { outcome: outcome === 'not_done' ? 'not_done' : 'unknown' };
  return { outcome: 'done', reply: reply(result) };
}
