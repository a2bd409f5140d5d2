/** What a history holds: the calls of clients on keys, each with its times and with what became of it. */

/** Who called, on which key, and when. */
interface Called {
  /** Who called; for people. */
  readonly client: string;
  readonly key: string;
  /**
   * When the call was made and when its answer came: by one clock for the whole history, in whatever unit (milliseconds,
   * or the number of the event). Two times that are equal count as concurrent, so a clock that ticks with each event
   * sees most. `returned` is infinite where nothing came. A write whose outcome is unknown may happen after it.
   */
  readonly called: number;
  readonly returned: number;
}

/**
 * What became of a call. `done`: it happened between `called` and `returned`, and `reply` says how. `not_done`: it never
 * happened. `unknown`: it happened at some time after `called`, perhaps yet to come, or never.
 */
type Ended<Reply> =
  | { readonly outcome: 'done'; readonly reply: Reply }
  | { readonly outcome: 'not_done' }
  | { readonly outcome: 'unknown' };

/**
 * One call, with the replies of `kvOperations` in the protocol. Revisions count the writes of the whole group that
 * changed something, so no two writes have the same, on whatever keys; 0 is the revision of a key that is not there.
 * Values are text, and a judge sees the more, the fewer writes have the same one.
 */
export type Operation = Called &
  (
    | ({ readonly name: 'put'; readonly value: string } & Ended<{ readonly revision: number }>)
    | ({ readonly name: 'get'; readonly consistency: 'linearizable' | 'stale' } & Ended<{
        readonly value: string | null;
        readonly revision: number;
      }>)
    /** The revision of the deletion, or 0 where there was nothing to delete. */
    | ({ readonly name: 'delete' } & Ended<{ readonly deleted: boolean; readonly revision: number }>)
    /** The revision that the key has after it, swapped or not. */
    | ({ readonly name: 'cas'; readonly value: string; readonly expectedRevision: number } & Ended<{
        readonly swapped: boolean;
        readonly revision: number;
      }>)
  );

/** One operation in a line, without its times: `put "x": revision 7`. */
export function describeOperation(operation: Operation): string {
  return `${describeCall(operation)}: ${describeEnd(operation)}`;
}

function describeCall(operation: Operation): string {
  switch (operation.name) {
    case 'put':
      return `put ${JSON.stringify(operation.value)}`;
    case 'get':
      return operation.consistency === 'stale' ? 'get (stale)' : 'get';
    case 'delete':
      return 'delete';
    case 'cas':
      return `cas ${JSON.stringify(operation.value)} if revision ${operation.expectedRevision}`;
  }
}

function describeEnd(operation: Operation): string {
  if (operation.outcome !== 'done') return operation.outcome === 'unknown' ? 'unknown' : 'not done';
  switch (operation.name) {
    case 'put':
      return `revision ${operation.reply.revision}`;
    case 'get':
      return `${JSON.stringify(operation.reply.value)}, revision ${operation.reply.revision}`;
    case 'delete':
      return operation.reply.deleted ? `deleted, revision ${operation.reply.revision}` : 'was not there';
    case 'cas':
      return `${operation.reply.swapped ? 'swapped' : 'refused'}, revision ${operation.reply.revision}`;
  }
}

/** A time as a person reads it: at most six digits after the point. */
export function describeTime(time: number): string {
  return Number.isFinite(time) ? String(Math.round(time * 1e6) / 1e6) : 'never';
}

/** Operations as a table: times, client, key, call and answer, in the order of their calls. */
export function describeOperations(operations: readonly Operation[]): string[] {
  const rows = operations
    .toSorted((a, b) => a.called - b.called)
    .map((operation) => [
      `${describeTime(operation.called)} .. ${describeTime(operation.returned)}`,
      operation.client,
      operation.key,
      describeOperation(operation),
    ]);
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
}

/** Which rule a history breaks. */
export type Rule =
  /** An answer that contradicts itself, whatever else happened. */
  | 'answer'
  /** Two answers that cannot both be true of one revision. */
  | 'revision'
  /** A value that was read, and that no write of the history may have put there. */
  | 'origin'
  /** Revisions of the whole group that do not grow with time. */
  | 'time'
  /** A revision that nobody can have made. */
  | 'gap'
  /** The operations of one key that have no order. */
  | 'order'
  /** A stale read of what was never there, or not yet. */
  | 'stale';

/** What is wrong with a history: the few operations that show it, and a sentence about them. */
export interface Violation {
  readonly rule: Rule;
  readonly key: string;
  readonly message: string;
  readonly operations: readonly Operation[];
}
