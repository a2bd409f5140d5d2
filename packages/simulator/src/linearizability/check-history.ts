/**
 * Judges a history: whether all that clients were told can be true of one key-value store that does one thing at a time.
 *
 * 1. What the answers say of each revision must fit together (`revision-table.ts`).
 * 2. The revisions of the whole group must grow with time (`revision-order.ts`).
 * 3. The operations of each key must have an order (`key-search.ts`). One key can be judged without the others: a history
 *    has an order if those of each key have (Herlihy and Wing 1990), but for what the revisions tell, which is rule 2.
 *
 * All that is rejected is wrong. What is accepted has an order for each key; that the unknown outcomes of several keys
 * also fit together in one line of revisions is looked at by rule 2 only as far as they are clear.
 */

import { numbersPerSecond } from '@conclave/protocol';
import { KeySearch } from './key-search.js';
import { HistoryMinimizer } from './minimize-history.js';
import { MultiMap } from './multi-map.js';
import type { Violation } from './operation.js';
import { describeOperations, describeTime, type Operation } from './operation.js';
import { RevisionOrder } from './revision-order.js';
import { RevisionTable } from './revision-table.js';
import { checkStaleStatements } from './stale-reads.js';
import { type Statement, statementsOf } from './statement.js';

export interface CheckOptions {
  /** All writes of the group are in the history: then a revision that none of them made is a write that happened twice. */
  readonly allWritesRecorded?: boolean;
  /** The group's history counts its revisions from here on: above it, all of them were made by its writes. None: 0. */
  readonly base?: number;
  /** How many operations may be looked at in the search of one key; 20,000,000 unless given. */
  readonly workLimit?: number;
}

/** `report`: what is wrong, for people, in several lines. `undecided` is no pass: the search would have taken too long. */
export type Verdict =
  | { readonly verdict: 'linearizable'; readonly work: number }
  | { readonly verdict: 'violated'; readonly work: number; readonly violation: Violation; readonly report: string }
  | { readonly verdict: 'undecided'; readonly work: number; readonly key: string; readonly report: string };

const defaultWorkLimit = 20_000_000;
/** How many of the operations around those that show a violation are told of. */
const contextOperations = 24;

/** Judges linearizable and stale operations, each by its own rules. */
export function checkHistory(history: readonly Operation[], options: CheckOptions = {}): Verdict {
  const statements = statementsOf(history);
  const table = new RevisionTable(statements);
  const violation =
    table.violations[0] ??
    new RevisionOrder(statements, table).check(options.allWritesRecorded === true, options.base) ??
    checkStaleStatements(statements, table);
  if (violation !== undefined) return violated(violation, history, statements.length);
  return checkKeys(history, statements, table, options.workLimit ?? defaultWorkLimit);
}

/** Judges all but the stale reads. */
export function checkLinearizability(history: readonly Operation[], options: CheckOptions = {}): Verdict {
  return checkHistory(
    history.filter((operation) => operation.name !== 'get' || operation.consistency !== 'stale'),
    options,
  );
}

/** Judges the stale reads alone, by the writes of the history: what each saw was there once. */
export function checkStaleReads(history: readonly Operation[]): Verdict {
  const statements = statementsOf(history);
  const table = new RevisionTable(statements);
  const violation =
    table.violations.find(({ operations }) => operations.some(isStaleRead)) ?? checkStaleStatements(statements, table);
  const work = statements.length;
  return violation === undefined ? { verdict: 'linearizable', work } : violated(violation, history, work);
}

/** @throws Error with the report unless the history is in order and could be judged. */
export function assertLinearizable(history: readonly Operation[], options: CheckOptions = {}): void {
  const judgement = checkHistory(history, options);
  if (judgement.verdict !== 'linearizable') throw new Error(judgement.report);
}

function checkKeys(
  history: readonly Operation[],
  statements: readonly Statement[],
  table: RevisionTable,
  workLimit: number,
): Verdict {
  let work = statements.length;
  let undecided: string | undefined;
  const groups = new MultiMap<Statement>();
  for (const statement of statements) groups.add(statement.operation.key, statement);
  for (const [key, ofKey] of groups) {
    const search = new KeySearch(key, ofKey, table);
    const result = search.run(workLimit);
    work += search.work;
    if (result === 'none') return violated(violationOf(key, ofKey, table), history, work);
    if (result === 'undecided') undecided ??= key;
  }
  if (undecided === undefined) return { verdict: 'linearizable', work };
  const report = `undecided: the search for an order of key ${undecided} was given up after ${workLimit} looks`;
  return { verdict: 'undecided', work, key: undecided, report };
}

function violationOf(key: string, statements: readonly Statement[], table: RevisionTable): Violation {
  const taken = new Set<number>();
  for (const fact of table.all()) if (fact.key !== key) taken.add(fact.revision);
  const core = new HistoryMinimizer(key, taken).minimize(statements).sort((a, b) => a.called - b.called);
  const operations = core.map(({ operation }) => operation);
  const message = `these ${core.length} of its ${statements.length} operations have no order, whatever the others did`;
  return { rule: 'order', key, message, operations };
}

function violated(violation: Violation, history: readonly Operation[], work: number): Verdict {
  const shown = new Set(violation.operations);
  const times = violation.operations.flatMap(({ called, returned }) => [called, returned]).filter(Number.isFinite);
  const from = Math.min(...times);
  const to = Math.max(...times);
  const around = history.filter(
    (operation) =>
      operation.key === violation.key &&
      operation.called <= to &&
      operation.returned >= from &&
      !shown.has(operation) &&
      (operation.outcome === 'done' || operation.name !== 'get'),
  );
  const lines = [
    `not linearizable, key ${JSON.stringify(violation.key)}, ${describeTime(from)} .. ${describeTime(to)} (${violation.rule}): ${violation.message}`,
    ...describeOperations(violation.operations).map((line) => `  ${line}`),
    ...(around.length === 0
      ? []
      : [
          `meanwhile on this key${around.length > contextOperations ? `, the last ${contextOperations} of ${around.length}` : ''}:`,
        ]),
    ...describeOperations(around)
      .slice(-contextOperations)
      .map((line) => `  ${line}`),
    ...notDoneWithSameValue(violation, history),
  ];
  return { verdict: 'violated', violation, report: lines.join('\n'), work };
}

/** A value from nowhere may be that of a write that was answered `not done`. */
function notDoneWithSameValue({ rule, key, operations }: Violation, history: readonly Operation[]): string[] {
  if (rule !== 'origin') return [];
  const read = operations.findLast((operation) => operation.name === 'get');
  if (read?.name !== 'get' || read.outcome !== 'done') return [];
  const { value } = read.reply;
  const undone = history.filter(
    (operation) =>
      operation.key === key && operation.outcome === 'not_done' && 'value' in operation && operation.value === value,
  );
  if (undone.length === 0) return [];
  return ['but this one was answered as not done:', ...describeOperations(undone).map((line) => `  ${line}`)];
}

function isStaleRead(operation: Operation): boolean {
  return operation.name === 'get' && operation.consistency === 'stale';
}

/**
 * Returns the `base` for `checkHistory`: bases are whole seconds, and no run makes as many writes in one second as a second
 * holds.
 *
 * @param revisions those that calls were answered with; 0 (no such key) is passed over
 */
export function historyBaseOf(revisions: readonly number[]): number {
  const given = revisions.filter((revision) => revision > 0);
  const least = given.reduce((min, revision) => Math.min(min, revision), Number.POSITIVE_INFINITY);
  return given.length === 0 ? 0 : least - (least % numbersPerSecond);
}
