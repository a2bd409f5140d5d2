/**
 * Splits the calls of clients by the group's histories: each reply belongs to the history that it names.
 *
 * A history that continues earlier ones (after a reset, or from a restored backup) has some of their writes, and only replies
 * show which. So an earlier write counts if a reply of the new history shows it, and the outcome of an earlier delete is
 * unknown. A group that was created again, empty, has none of them.
 */
import { type History, isStale, type RecordedCall } from '../clients/history.js';
import type { Watched } from '../clients/virtual-watch.js';
import type { Operation } from '../linearizability/index.js';

export interface HistoryCalls {
  /** Undefined: the replies came at feature level 0, and name no history. */
  readonly groupUid: string | undefined;
  /** The calls that this history has answered, and the calls that it may have executed. */
  readonly calls: readonly RecordedCall[];
  readonly watched: readonly Watched[];
  /** Whether this history continues earlier ones. */
  readonly isContinuing: boolean;
  /** Whether this history continues from a backup, which may be of any earlier history. */
  readonly isRestored: boolean;
}

/** Returns the histories, ordered by their first reply. */
export function callsByHistory(history: History): HistoryCalls[] {
  const { checkedUntilMs = Number.POSITIVE_INFINITY, continuing } = history;
  // A stale read of an empty peer belongs to no history.
  const calls = history.calls.filter((call) => call.groupUid !== '' || !isStale(call));
  const done = calls.filter(isDone).sort((a, b) => a.settledMs - b.settledMs);
  const named = [...new Set(done.flatMap(({ groupUid }) => groupUid ?? []))];
  const [first] = named;
  // A reply that names no history belongs to the first history, unless that one began with a reset at level 0.
  const isFirstNamed = first !== undefined && !continuing.has(first);
  const firstUid = isFirstNamed ? first : undefined;
  const isOfFirst = (call: RecordedCall): boolean =>
    call.groupUid === undefined ? (call.settledMs ?? 0) <= checkedUntilMs : call.groupUid === firstUid;
  const ofFirst = calls.flatMap((call) => {
    if (call.outcome !== 'ok' || isOfFirst(call)) return [call];
    return call.groupUid === undefined ? [unknownOf(call)] : [];
  });
  return [
    {
      groupUid: firstUid,
      // A call after the first reset does not belong to the unnamed history.
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
 * Returns the operations of earlier histories whose effects this history may contain.
 * @param before the operations of earlier histories since the group was last created
 * @param operations the operations of this history
 */
export function carriedInto(before: readonly Operation[], operations: readonly Operation[]): Operation[] {
  const values = valuesShownBy(operations);
  const seen = new Set([
    ...operations.flatMap(revisionsShownBy),
    ...expectedByShown(operations, new Set(values.values())),
  ]);
  // A shown compare-and-set shows the write whose revision it expected, too. That write is earlier, so the writes are visited from the
  // last one to the first. A delete shows only its own revision, not the write that it has removed.
  const shown = before
    .filter((operation) => puts(operation) && !isOtherValue(operation, values))
    .sort((a, b) => revisionOf(b) - revisionOf(a))
    .filter((operation) => {
      const isShown = seen.has(revisionOf(operation));
      if (isShown) for (const revision of revisionsShownBy(operation)) seen.add(revision);
      return isShown;
    });
  const keys = new Set(shown.map(({ key }) => key));
  const deleted = before.filter((operation) => operation.name === 'delete' && keys.has(operation.key));
  const moved = before.filter((operation) => !shown.includes(operation) && isMoved(operation, operations));
  return [...shown, ...[...deleted, ...moved, ...perhapsDeleted(before, operations, seen)].map(asUnknown)];
}

/**
 * Whether this history shows the value of this write with another revision: the reset peer had an earlier attempt of the same call in
 * another place, which was not committed then. All writes have different values.
 */
function isMoved(operation: Operation, operations: readonly Operation[]): boolean {
  if (!puts(operation) || !('value' in operation)) return false;
  return operations.some(
    (read) =>
      read.name === 'get' &&
      read.outcome === 'done' &&
      read.key === operation.key &&
      read.reply.value === operation.value &&
      read.reply.revision !== revisionOf(operation),
  );
}

/** The revisions that compare-and-sets without a reply expected, whose values reads of this history show. */
function expectedByShown(operations: readonly Operation[], shown: ReadonlySet<string | null>): number[] {
  return operations.flatMap((operation) =>
    operation.name === 'cas' && operation.outcome === 'unknown' && shown.has(operation.value)
      ? [operation.expectedRevision]
      : [],
  );
}

/** The values of revisions that reads of this history show. */
function valuesShownBy(operations: readonly Operation[]): ReadonlyMap<number, string | null> {
  return new Map(
    operations.flatMap((operation) =>
      operation.name === 'get' && operation.outcome === 'done'
        ? [[operation.reply.revision, operation.reply.value]]
        : [],
    ),
  );
}

/**
 * Whether this history has another write with the revision of this one: the reset peer had an entry in this place that was not
 * committed, and the write itself is lost.
 */
function isOtherValue(operation: Operation, values: ReadonlyMap<number, string | null>): boolean {
  const value = values.get(revisionOf(operation));
  return value !== undefined && 'value' in operation && operation.value !== value;
}

/**
 * A delete that found its key shows that one of the earlier writes of this key was there, but not which one. Returns each write that
 * it may have been: those that no other operation shows.
 */
function perhapsDeleted(
  before: readonly Operation[],
  operations: readonly Operation[],
  seen: ReadonlySet<number>,
): Operation[] {
  const keys = new Set(operations.filter(deletes).map(({ key }) => key));
  return before.filter((operation) => puts(operation) && keys.has(operation.key) && !seen.has(revisionOf(operation)));
}

function deletes(operation: Operation): boolean {
  return operation.name === 'delete' && operation.outcome === 'done' && operation.reply.deleted;
}

function asUnknown(operation: Operation): Operation {
  return { ...operation, outcome: 'unknown' };
}

/** Whether the operation set a value. */
function puts(operation: Operation): boolean {
  if (operation.outcome !== 'done') return false;
  return operation.name === 'cas' ? operation.reply.swapped : operation.name === 'put';
}

function revisionOf(operation: Operation): number {
  return operation.outcome === 'done' ? operation.reply.revision : 0;
}

function revisionsShownBy(operation: Operation): number[] {
  if (operation.outcome !== 'done') return [];
  // A compare-and-set that failed shows nothing about the revision that it expected.
  const expected = operation.name === 'cas' && operation.reply.swapped ? [operation.expectedRevision] : [];
  return [operation.reply.revision, ...expected];
}

function isDone(call: RecordedCall): call is RecordedCall & { readonly settledMs: number } {
  return call.outcome === 'ok' && call.settledMs !== undefined;
}

function unknownOf(call: RecordedCall): RecordedCall {
  return { ...call, settledMs: undefined, outcome: 'unknown', result: undefined };
}
