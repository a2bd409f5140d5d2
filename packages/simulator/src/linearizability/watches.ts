/** Watches: a watch that covers two revisions received each write between them, once, with its value. */
import type { KeyChange } from '@conclave/protocol';
import type { Operation } from './operation.js';

/** All changes after `after` up to `upTo` of the keys that begin with `prefix`. */
export interface WatchedChanges {
  readonly prefix: string;
  readonly after: number;
  readonly upTo: number;
  readonly changes: readonly KeyChange[];
}

/**
 * Returns what is wrong, in a sentence.
 * @param operations the history of the keys
 */
export function faultOfWatches(
  watches: readonly WatchedChanges[],
  operations: readonly Operation[],
): string | undefined {
  const reported = new Map<number, string>();
  for (const watch of watches) {
    const fault = orderFault(watch) ?? differenceFault(watch, reported) ?? missedWrite(watch, operations);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function orderFault({ prefix, after, upTo, changes }: WatchedChanges): string | undefined {
  let last = after;
  for (const change of changes) {
    const [revision, , key] = change;
    if (revision <= last || revision > upTo) return `after revision ${last} a watch received ${described(change)}`;
    if (!key.startsWith(prefix)) return `a watch of ${JSON.stringify(prefix)} received ${described(change)}`;
    last = revision;
  }
  return undefined;
}

/** All watches receive the same of a revision. */
function differenceFault({ changes }: WatchedChanges, reported: Map<number, string>): string | undefined {
  for (const change of changes) {
    const [revision] = change;
    const before = reported.get(revision);
    if (before !== undefined && before !== described(change)) {
      return `one watch received ${before}, and another ${described(change)}`;
    }
    reported.set(revision, described(change));
  }
  return undefined;
}

function missedWrite(
  { prefix, after, upTo, changes }: WatchedChanges,
  operations: readonly Operation[],
): string | undefined {
  const seen = new Map(changes.map((change) => [change[0], change]));
  for (const operation of operations) {
    const written = writeOf(operation);
    if (written === undefined || !operation.key.startsWith(prefix)) continue;
    const [revision] = written;
    if (revision <= after || revision > upTo) continue;
    const change = seen.get(revision);
    if (change === undefined) return `a watch that knows all up to ${upTo} did not receive ${described(written)}`;
    // The client's reply names no lease.
    if (described(withoutLease(change)) !== described(written)) {
      return `a client was sent ${described(written)}, and a watch ${described(change)}`;
    }
  }
  return undefined;
}

/** Returns the change that a client's call made, according to its reply. */
function writeOf(operation: Operation): KeyChange | undefined {
  if (operation.outcome !== 'done' || operation.name === 'get') return undefined;
  const { key } = operation;
  const { revision } = operation.reply;
  if (operation.name === 'delete') return operation.reply.deleted ? [revision, 'delete', key] : undefined;
  if (operation.name === 'cas' && !operation.reply.swapped) return undefined;
  return [revision, 'put', key, operation.value];
}

function withoutLease(change: KeyChange): KeyChange {
  return change.slice(0, 4) as unknown as KeyChange;
}

function described(change: KeyChange): string {
  return JSON.stringify(change);
}
