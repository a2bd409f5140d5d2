/**
 * Transactions are atomic. For the other checks each is split into operations on keys; what holds only for the whole is
 * checked here.
 */
import { MultiMap } from './multi-map.js';
import type { Operation } from './operation.js';

/** A transaction with two branches of a client of the simulator, and its outcome. */
export interface Transaction {
  readonly client: string;
  readonly called: number;
  readonly returned: number;
  /** The keys and their expected revisions. */
  readonly compare: readonly (readonly [key: string, revision: number])[];
  readonly then: readonly Part[];
  readonly else: readonly Part[];
  readonly ended: { readonly outcome: 'not_done' | 'unknown' } | { readonly outcome: 'done'; readonly reply: Reply };
}

export type Part =
  | readonly ['put', key: string, value: string]
  | readonly ['delete', key: string]
  | readonly ['get', key: string];

interface Reply {
  readonly succeeded: boolean;
  /** The group's revision after it. */
  readonly revision: number;
  readonly results: readonly PartResult[];
}

export type PartResult =
  | readonly ['put', revision: number]
  | readonly ['delete', revision: number, deleted: boolean]
  | readonly ['get', value: string | null, revision: number];

/** What was found of a key just before the transaction wrote. */
interface Found {
  readonly key: string;
  readonly revision: number;
}

/** Returns the operations on keys of a transaction: those that happened, or all that may have. */
export function operationsOf(transaction: Transaction): Operation[] {
  const { client, called, returned, ended } = transaction;
  const one = (key: string) => ({ client, key, called, returned });
  if (ended.outcome !== 'done') {
    return [...transaction.then, ...transaction.else].flatMap((part): Operation[] => {
      const { outcome } = ended;
      if (part[0] === 'get') return [];
      return part[0] === 'put'
        ? [{ ...one(part[1]), name: 'put', value: part[2], outcome }]
        : [{ ...one(part[1]), name: 'delete', outcome }];
    });
  }
  const { succeeded, results } = ended.reply;
  const parts = succeeded ? transaction.then : transaction.else;
  const done = parts.flatMap((part, at) => partOperation(one(part[1]), part, results[at]) ?? []);
  if (!succeeded) return done;
  // What held is what a failed swap would have returned.
  const held = transaction.compare.map(
    ([key, revision]): Operation => ({
      ...one(key),
      name: 'cas',
      value: '',
      expectedRevision: revision + 1,
      outcome: 'done',
      reply: { swapped: false, revision },
    }),
  );
  return [...held, ...done];
}

function partOperation(
  one: { readonly client: string; readonly key: string; readonly called: number; readonly returned: number },
  part: Part,
  result: PartResult | undefined,
): Operation | undefined {
  if (part[0] === 'put' && result?.[0] === 'put') {
    return { ...one, name: 'put', value: part[2], outcome: 'done', reply: { revision: result[1] } };
  }
  if (part[0] === 'delete' && result?.[0] === 'delete') {
    return { ...one, name: 'delete', outcome: 'done', reply: { revision: result[1], deleted: result[2] } };
  }
  if (part[0] === 'get' && result?.[0] === 'get') {
    const reply = { value: result[1], revision: result[2] };
    return { ...one, name: 'get', consistency: 'linearizable', outcome: 'done', reply };
  }
  return undefined;
}

/**
 * Returns what is wrong with a transaction as a whole, in a sentence: its reply is inconsistent, its writes are not
 * consecutive, or another write of a key happened between its reads and its writes.
 * @param operations all of the history, including those of transactions
 */
export function faultOfTransactions(
  transactions: readonly Transaction[],
  operations: readonly Operation[],
): string | undefined {
  const byKey = new MultiMap<WriteFact>();
  const mayBeGone = new Set<string>();
  for (const operation of operations) {
    const fact = factOf(operation);
    if (fact !== undefined) byKey.add(operation.key, fact);
    if (operation.name === 'delete' && operation.outcome === 'unknown') mayBeGone.add(operation.key);
  }
  for (const transaction of transactions) {
    const fault = faultOf(transaction, (key) => ({ facts: byKey.of(key), mayBeGone: mayBeGone.has(key) }));
    if (fault !== undefined) return `a transaction of ${transaction.client}, called at ${transaction.called}: ${fault}`;
  }
  return undefined;
}

/** The known writes of a key. */
interface KeyFacts {
  readonly facts: readonly WriteFact[];
  /** Whether a deletion without a reply may have happened. */
  readonly mayBeGone: boolean;
}

interface WriteFact {
  readonly revision: number;
  readonly isPresent: boolean;
}

function factOf(operation: Operation): WriteFact | undefined {
  if (operation.outcome !== 'done') return undefined;
  const { revision } = operation.reply;
  switch (operation.name) {
    case 'put':
      return { revision, isPresent: true };
    case 'delete':
      return operation.reply.deleted ? { revision, isPresent: false } : undefined;
    case 'cas':
      return operation.reply.swapped ? { revision, isPresent: true } : undefined;
    case 'get':
      return undefined;
  }
}

function faultOf(
  { ended, compare, then, else: otherwise }: Transaction,
  factsOf: (key: string) => KeyFacts,
): string | undefined {
  if (ended.outcome !== 'done') return undefined;
  const { succeeded, revision, results } = ended.reply;
  const parts = succeeded ? then : otherwise;
  if (results.length !== parts.length) return 'it has another number of results than of parts';
  const made = results.flatMap((result) => (result[0] !== 'get' && result[1] > 0 ? [result[1]] : []));
  const before = revision - made.length;
  if (made.some((one, at) => one !== before + 1 + at)) {
    return `its writes have the revisions ${made.join(', ')}, which are not the last ones up to ${revision}`;
  }
  const found: Found[] = succeeded ? compare.map(([key, one]) => ({ key, revision: one })) : [];
  const own = new Map<string, number>();
  for (const [at, part] of parts.entries()) {
    const result = results[at];
    if (result?.[0] !== part[0]) return `its results are not those of its parts`;
    const [, key] = part;
    if (result[0] === 'put') own.set(key, result[1]);
    else if (result[0] === 'delete') own.set(key, 0);
    else if (!own.has(key)) found.push({ key, revision: result[2] });
    else if (own.get(key) !== result[2]) return `it found ${key} at revision ${result[2]}, and not as it had left it`;
  }
  if (!succeeded && isHeld(compare, found)) return 'what it compared held, and yet it took the other branch';
  return found.map((one) => intruderOf(one, before, factsOf(one.key))).find((fault) => fault !== undefined);
}

/** Whether all compared keys were read with the expected revisions. */
function isHeld(compare: Transaction['compare'], found: readonly Found[]): boolean {
  return compare.every(([key, revision]) => found.some((one) => one.key === key && one.revision === revision));
}

/** Returns the operation that wrote the key between the transaction's read of it and the transaction's writes. */
function intruderOf({ key, revision }: Found, upTo: number, { facts, mayBeGone }: KeyFacts): string | undefined {
  if (revision > upTo) return `it found ${key} at revision ${revision}, when the group was at ${upTo}`;
  const last = facts
    .filter((fact) => fact.revision <= upTo)
    .reduce<WriteFact | undefined>((best, fact) => (fact.revision > (best?.revision ?? 0) ? fact : best), undefined);
  if (last === undefined || last.revision <= revision) return undefined;
  if (revision === 0 && (mayBeGone || !last.isPresent)) return undefined;
  return `it found ${key} at revision ${revision}, and ${last.revision} had been written when it happened`;
}
