/** The operations of a history: calls of clients on keys, each with its times and its outcome. */

/** The client, the key and the times of a call. */
interface Called {
  /** The client, for people. */
  readonly client: string;
  readonly key: string;
  /**
   * The times of the call and of its reply: by one clock for the whole history, in any unit (milliseconds, or the
   * number of the event). Equal times count as concurrent, so a clock that ticks with each event finds most. `returned`
   * is infinite without a reply. A write of unknown outcome may happen after it.
   */
  readonly called: number;
  readonly returned: number;
}

/**
 * The outcome of a call. `done`: it happened between `called` and `returned`, with this `reply`. `not_done`: it never
 * happened. `unknown`: it happened at some time after `called`, or will happen, or never.
 */
type Ended<Reply> =
  | { readonly outcome: 'done'; readonly reply: Reply }
  | { readonly outcome: 'not_done' }
  | { readonly outcome: 'unknown' };

/**
 * One call, with the replies of `kvOperations` in the protocol. Revisions count the writes of the whole group that
 * changed something, so no two writes have the same one; 0 is the revision of a missing key. Values are text; the check
 * finds more if fewer writes have the same value.
 */
export type Operation = Called &
  (
    | ({ readonly name: 'put'; readonly value: string } & Ended<{ readonly revision: number }>)
    | ({ readonly name: 'get'; readonly consistency: 'linearizable' | 'stale' } & Ended<{
        readonly value: string | null;
        readonly revision: number;
      }>)
    /** The revision of the deletion, or 0 if there was nothing to delete. */
    | ({ readonly name: 'delete' } & Ended<{ readonly deleted: boolean; readonly revision: number }>)
    /** The key's revision afterwards, swapped or not. */
    | ({ readonly name: 'cas'; readonly value: string; readonly expectedRevision: number } & Ended<{
        readonly swapped: boolean;
        readonly revision: number;
      }>)
  );

/** Formats an operation without its times: `put "x": revision 7`. */
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

/** Formats a time for people: at most six decimals. */
export function describeTime(time: number): string {
  return Number.isFinite(time) ? String(Math.round(time * 1e6) / 1e6) : 'never';
}

/** Formats operations as a table: times, client, key, call and reply, in the order of their calls. */
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

/** The rule that a history breaks. */
export type Rule =
  /** A reply that contradicts itself, whatever else happened. */
  | 'answer'
  /** Two replies that cannot both be true of one revision. */
  | 'revision'
  /** A value that was read although no write of the history can have set it. */
  | 'origin'
  /** Revisions of the whole group that do not grow with time. */
  | 'time'
  /** A revision that no operation can have made. */
  | 'gap'
  /** The operations of one key that have no order. */
  | 'order'
  /** A stale read of a value that did not exist yet. */
  | 'stale';

/** What is wrong with a history: the few operations that show it, and a sentence about them. */
export interface Violation {
  readonly rule: Rule;
  readonly key: string;
  readonly message: string;
  readonly operations: readonly Operation[];
}
