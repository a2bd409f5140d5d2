/**
 * Checks a history: whether all replies to clients fit one atomic key-value store.
 *
 * 1. The replies must agree about each revision (`revision-table.ts`).
 * 2. The revisions of the whole group must grow with time (`revision-order.ts`).
 * 3. The operations of each key must have an order (`key-search.ts`). Keys can be checked separately: a history has an
 *    order if the operations of each key have one (Herlihy and Wing 1990), except for what the revisions say, which is
 *    rule 2.
 *
 * Everything that is rejected is wrong. What is accepted has an order for each key; whether unknown outcomes of several
 * keys also fit into one sequence of revisions is checked by rule 2 only if it is unambiguous.
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
  /** The history has all writes of the group: then a revision that none of them made is a duplicated write. */
  readonly allWritesRecorded?: boolean;
  /** The base of the group's revisions: all greater ones were made by its writes. Undefined: 0. */
  readonly base?: number;
  /** How many operations the search of one key may visit; default 20,000,000. */
  readonly workLimit?: number;
}

/** `report`: what is wrong, for people, in several lines. `undecided` does not pass: the search reached its limit. */
export type Verdict =
  | { readonly verdict: 'linearizable'; readonly work: number }
  | { readonly verdict: 'violated'; readonly work: number; readonly violation: Violation; readonly report: string }
  | { readonly verdict: 'undecided'; readonly work: number; readonly key: string; readonly report: string };

const defaultWorkLimit = 20_000_000;
/** How many operations around a violation are reported. */
const contextOperations = 24;

/** Checks linearizable and stale operations, each by its own rules. */
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

/** Checks all but the stale reads. */
export function checkLinearizability(history: readonly Operation[], options: CheckOptions = {}): Verdict {
  return checkHistory(
    history.filter((operation) => operation.name !== 'get' || operation.consistency !== 'stale'),
    options,
  );
}

/** Checks the stale reads only, by the writes of the history: what each returned existed before it returned. */
export function checkStaleReads(history: readonly Operation[]): Verdict {
  const statements = statementsOf(history);
  const table = new RevisionTable(statements);
  const violation =
    table.violations.find(({ operations }) => operations.some(isStaleRead)) ?? checkStaleStatements(statements, table);
  const work = statements.length;
  return violation === undefined ? { verdict: 'linearizable', work } : violated(violation, history, work);
}

/** @throws Error with the report, unless the history is linearizable. */
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

/** A value without a writer may be that of a write with the reply `not_done`. */
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
  const lowest = given.reduce((min, revision) => Math.min(min, revision), Number.POSITIVE_INFINITY);
  return given.length === 0 ? 0 : lowest - (lowest % numbersPerSecond);
}
