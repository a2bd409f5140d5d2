/** Whether what the clients of a run were told can be true of one store that does one thing at a time. */
import { type History, isStale, type RecordedCall } from '../clients/history.js';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import { judgeHistory, type Operation } from '../linearizability/index.js';

/** @throws InvariantViolation */
export function judgeClients({ calls }: History): void {
  const judgement = judgeHistory(calls.map(asOperation), { allWritesRecorded: true });
  if (judgement.verdict === 'linearizable') return;
  throw new InvariantViolation('history-is-linearizable', judgement.report);
}

function asOperation(call: RecordedCall): Operation {
  const { client, key, invokedMs, answeredMs, value = '' } = call;
  const called = { client, key, called: invokedMs, returned: answeredMs ?? Number.POSITIVE_INFINITY };
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
