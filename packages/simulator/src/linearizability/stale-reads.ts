/**
 * Stale reads: what each returned existed at some time before its return. (That a revision has one key, one value and
 * one writer is checked by the table of revisions, for these reads as for all others.)
 */

import type { Violation } from './operation.js';
import type { RevisionTable } from './revision-table.js';
import { isStale, type Statement } from './statement.js';

/** @param statements the whole history, as its writes are needed */
export function checkStaleStatements(statements: readonly Statement[], table: RevisionTable): Violation | undefined {
  /** By value of a key: the first call of an open write of it. */
  const firstCalled = new Map<string, number>();
  for (const { claim, called, operation } of statements) {
    if (claim.type !== 'may_set') continue;
    const id = JSON.stringify([operation.key, claim.value]);
    firstCalled.set(id, Math.min(called, firstCalled.get(id) ?? Infinity));
  }
  for (const statement of statements) {
    const { claim, operation } = statement;
    if (!isStale(statement) || claim.type !== 'saw') continue;
    const writer = table.get(claim.revision)?.writer;
    const made = writer?.called ?? firstCalled.get(JSON.stringify([operation.key, claim.value]));
    // At first, no key exists.
    if (claim.revision === 0 || (made !== undefined && made <= statement.returned)) continue;
    const message = `a stale read saw revision ${claim.revision} before the write of it was called`;
    const operations = writer === undefined ? [operation] : [operation, writer.operation];
    return { rule: 'stale', key: operation.key, message, operations };
  }
  return undefined;
}
