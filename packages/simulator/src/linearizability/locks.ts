/**
 * Locks, by the replies to their holders (promise 20): no token is given to two holders, and each later holder of a
 * lock has a higher token. A token is a revision of the group: so no write has the same, and what was called after a
 * token was received has a higher revision.
 */
import type { Operation } from './operation.js';

/** A client received the reply that it holds a lock. */
export interface Holding {
  readonly client: string;
  readonly name: string;
  /** A unique name of the holder, such as its lease. */
  readonly owner: string;
  readonly called: number;
  readonly returned: number;
  readonly token: number;
}

/**
 * Returns what is wrong, in a sentence.
 * @param operations the history of the keys
 */
export function faultOfLocks(holdings: readonly Holding[], operations: readonly Operation[]): string | undefined {
  return sharedToken(holdings) ?? fallingToken(holdings) ?? faultOfWrites(holdings, operations);
}

function sharedToken(holdings: readonly Holding[]): string | undefined {
  const byToken = new Map<number, Holding>();
  for (const holding of holdings) {
    const before = byToken.get(holding.token) ?? holding;
    byToken.set(holding.token, before);
    if (before.owner === holding.owner && before.name === holding.name) continue;
    return `token ${holding.token} was issued to two holders: ${described(before)}, and ${described(holding)}`;
  }
  return undefined;
}

/** Of one lock: a call made after a token was received gets the same token or a higher one. */
function fallingToken(holdings: readonly Holding[]): string | undefined {
  const byEnd = holdings.toSorted((one, other) => one.returned - other.returned);
  const highest = new Map<string, Holding>();
  let ended = 0;
  for (const holding of holdings.toSorted((one, other) => one.called - other.called)) {
    for (; (byEnd[ended]?.returned ?? Infinity) < holding.called; ended++) {
      const over = byEnd[ended] as Holding;
      if (over.token > (highest.get(over.name)?.token ?? 0)) highest.set(over.name, over);
    }
    const before = highest.get(holding.name);
    if (before === undefined || before.token <= holding.token) continue;
    return `a lower token came after a higher one: ${described(before)}, and then ${described(holding)}`;
  }
  return undefined;
}

function faultOfWrites(holdings: readonly Holding[], operations: readonly Operation[]): string | undefined {
  const byToken = new Map(holdings.map((holding) => [holding.token, holding]));
  const byEnd = holdings.toSorted((one, other) => one.returned - other.returned);
  let highest: Holding | undefined;
  let ended = 0;
  for (const operation of operations.toSorted((one, other) => one.called - other.called)) {
    for (; (byEnd[ended]?.returned ?? Infinity) < operation.called; ended++) {
      const over = byEnd[ended] as Holding;
      if (over.token > (highest?.token ?? 0)) highest = over;
    }
    const revision = madeBy(operation);
    if (revision === undefined) continue;
    const same = byToken.get(revision);
    if (same !== undefined)
      return `a write of ${operation.key} has revision ${revision}, and so has ${described(same)}`;
    if (highest === undefined || highest.token < revision) continue;
    return `a write of ${operation.key} has revision ${revision}, and was called after ${described(highest)}`;
  }
  return undefined;
}

/** Returns the revision that it made. */
function madeBy(operation: Operation): number | undefined {
  if (operation.outcome !== 'done' || operation.name === 'get') return undefined;
  if (operation.name === 'delete' && !operation.reply.deleted) return undefined;
  if (operation.name === 'cas' && !operation.reply.swapped) return undefined;
  return operation.reply.revision;
}

function described({ client, owner, name, token, called, returned }: Holding): string {
  return `${client} (${owner}) holds ${name} with token ${token}, by a call from ${called} to ${returned}`;
}
