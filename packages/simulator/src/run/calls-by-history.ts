/**
 * What clients were told, one history of the group after the other: each answer belongs to the history that has given it.
 *
 * A history that goes on with what those before it held (a reset, a restored backup) has some of their writes, and nobody outside
 * can tell which. So there a write of before counts where something of the history itself shows it; and its deletes may have
 * happened or not. A group that is founded anew has none of them.
 */
import { type History, isStale, type RecordedCall } from '../clients/history.js';
import type { Watched } from '../clients/virtual-watch.js';
import type { Operation } from '../linearizability/index.js';

export interface HistoryCalls {
  /** Of before feature level 1: undefined. */
  readonly groupUid: string | undefined;
  /** Those that it has answered, and those that it may have carried out. */
  readonly calls: readonly RecordedCall[];
  readonly watched: readonly Watched[];
  /** It goes on with what the histories before it held. */
  readonly isContinuing: boolean;
  /** What it goes on with is a backup's, which may be of any history before it. */
  readonly isRestored: boolean;
}

/** In the order in which each first answered. */
export function callsByHistory(history: History): HistoryCalls[] {
  const { checkedUntilMs = Number.POSITIVE_INFINITY, continuing } = history;
  // A peer that holds nothing of the group answers a stale read from no history.
  const calls = history.calls.filter((call) => call.groupUid !== '' || !isStale(call));
  const answered = calls.filter(isAnswered).sort((a, b) => a.answeredMs - b.answeredMs);
  const named = [...new Set(answered.flatMap(({ groupUid }) => groupUid ?? []))];
  const [first] = named;
  // What names no history is of the first one, unless that was begun by a reset at level 0.
  const isFirstNamed = first !== undefined && !continuing.has(first);
  const firstUid = isFirstNamed ? first : undefined;
  const isOfFirst = (call: RecordedCall): boolean =>
    call.groupUid === undefined ? (call.answeredMs ?? 0) <= checkedUntilMs : call.groupUid === firstUid;
  const ofFirst = calls.flatMap((call) => {
    if (call.outcome !== 'ok' || isOfFirst(call)) return [call];
    return call.groupUid === undefined ? [unknownOf(call)] : [];
  });
  return [
    {
      groupUid: firstUid,
      // What was asked for behind the first reset belongs to no history that is not named.
      calls: isFirstNamed ? ofFirst : ofFirst.filter(({ invokedMs }) => invokedMs <= checkedUntilMs),
      watched:
        !isFirstNamed && checkedUntilMs < Number.POSITIVE_INFINITY
          ? []
          : history.watched.filter(({ groupUid }) => groupUid === undefined || groupUid === firstUid),
      isContinuing: false,
      isRestored: false,
    },
    ...named.slice(isFirstNamed ? 1 : 0).map((groupUid) => ({
      groupUid,
      calls: calls.flatMap((call) => {
        if (call.outcome !== 'ok' || call.groupUid === groupUid) return [call];
        return call.groupUid === undefined && !isOfFirst(call) ? [unknownOf(call)] : [];
      }),
      watched: history.watched.filter((watched) => watched.groupUid === groupUid),
      isContinuing: continuing.has(groupUid),
      isRestored: history.restored.has(groupUid),
    })),
  ];
}

/**
 * Returns those of the operations of earlier histories that this one may hold.
 * @param before all that was done in them since a group was last founded anew
 * @param operations of the history itself
 */
export function carriedInto(before: readonly Operation[], operations: readonly Operation[]): Operation[] {
  const seen = new Set(operations.flatMap(revisionsShownBy));
  // Of a delete only its own number may show: not the write of the key that it ended.
  const shown = before.filter((operation) => puts(operation) && seen.has(revisionOf(operation)));
  const keys = new Set(shown.map(({ key }) => key));
  const deleted = before.filter((operation) => operation.name === 'delete' && keys.has(operation.key));
  return [...shown, ...[...deleted, ...ended(before, operations, seen)].map(asUnknown)];
}

/** A delete that found its key shows that one of the writes of before is there, and not which: any that nothing else shows. */
function ended(before: readonly Operation[], operations: readonly Operation[], seen: ReadonlySet<number>): Operation[] {
  const keys = new Set(operations.filter(deletes).map(({ key }) => key));
  return before.filter((operation) => puts(operation) && keys.has(operation.key) && !seen.has(revisionOf(operation)));
}

function deletes(operation: Operation): boolean {
  return operation.name === 'delete' && operation.outcome === 'done' && operation.reply.deleted;
}

function asUnknown(operation: Operation): Operation {
  return { ...operation, outcome: 'unknown' };
}

/** Whether it gave its key a value. */
function puts(operation: Operation): boolean {
  if (operation.outcome !== 'done') return false;
  return operation.name === 'cas' ? operation.reply.swapped : operation.name === 'put';
}

function revisionOf(operation: Operation): number {
  return operation.outcome === 'done' ? operation.reply.revision : 0;
}

function revisionsShownBy(operation: Operation): number[] {
  if (operation.outcome !== 'done') return [];
  // What a client expected in vain it was told by an earlier history.
  const expected = operation.name === 'cas' && operation.reply.swapped ? [operation.expectedRevision] : [];
  return [operation.reply.revision, ...expected];
}

function isAnswered(call: RecordedCall): call is RecordedCall & { readonly answeredMs: number } {
  return call.outcome === 'ok' && call.answeredMs !== undefined;
}

function unknownOf(call: RecordedCall): RecordedCall {
  return { ...call, answeredMs: undefined, outcome: 'unknown', result: undefined };
}
