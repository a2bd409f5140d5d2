/** What an operation shows about its key, in the form that the checks use. */
import type { Operation } from './operation.js';

export type Claim =
  /** The key had this revision (0: it was missing); and this value, if the reply has it. */
  | { readonly type: 'saw'; readonly revision: number; readonly value: string | undefined }
  /** It made this revision of the key; if `expected` is given, the key had that revision before. */
  | { readonly type: 'set'; readonly revision: number; readonly value: string; readonly expected: number | undefined }
  /** It removed the key, which existed, with this revision. */
  | { readonly type: 'removed'; readonly revision: number }
  /** It may have set the key; if `expected` is given, only from that revision. */
  | { readonly type: 'may_set'; readonly value: string; readonly expected: number | undefined }
  | { readonly type: 'may_remove' };

export interface Statement {
  readonly operation: Operation;
  readonly claim: Claim;
  readonly called: number;
  /** Infinite for an unknown outcome: it may happen at any time. */
  readonly returned: number;
}

/** Returns what the operation shows about its key; undefined: nothing. */
export function statementOf(operation: Operation): Statement | undefined {
  const claim = claimOf(operation);
  if (claim === undefined) return undefined;
  return { operation, claim, called: operation.called, returned: isOpen(claim) ? Infinity : operation.returned };
}

export function statementsOf(history: readonly Operation[]): Statement[] {
  return history.map(statementOf).filter((statement) => statement !== undefined);
}

/** Whether it may never have happened. */
export function isOpen({ type }: Claim): boolean {
  return type === 'may_set' || type === 'may_remove';
}

/** Whether it is a read that may return an outdated value. */
export function isStale({ operation }: Statement): boolean {
  return operation.name === 'get' && operation.consistency === 'stale';
}

/** Returns the same operation as if its reply were lost; undefined: without its reply it shows nothing. */
export function withUnknownOutcome(statement: Statement): Statement | undefined {
  const { claim } = statement;
  switch (claim.type) {
    case 'saw':
      return undefined;
    case 'set':
      return open(statement, { type: 'may_set', value: claim.value, expected: claim.expected });
    case 'removed':
      return open(statement, { type: 'may_remove' });
    case 'may_set':
    case 'may_remove':
      return statement;
  }
}

function open(statement: Statement, claim: Claim): Statement {
  return { ...statement, claim, returned: Infinity };
}

function claimOf(operation: Operation): Claim | undefined {
  if (operation.outcome === 'not_done') return undefined;
  if (operation.outcome === 'unknown') return openClaimOf(operation);
  switch (operation.name) {
    case 'put':
      return { type: 'set', revision: operation.reply.revision, value: operation.value, expected: undefined };
    case 'get': {
      const { revision, value } = operation.reply;
      return { type: 'saw', revision, value: value ?? undefined };
    }
    case 'delete': {
      const { deleted, revision } = operation.reply;
      return deleted ? { type: 'removed', revision } : { type: 'saw', revision, value: undefined };
    }
    case 'cas': {
      const { swapped, revision } = operation.reply;
      if (!swapped) return { type: 'saw', revision, value: undefined };
      return { type: 'set', revision, value: operation.value, expected: operation.expectedRevision };
    }
  }
}

function openClaimOf(operation: Operation): Claim | undefined {
  switch (operation.name) {
    case 'put':
      return { type: 'may_set', value: operation.value, expected: undefined };
    case 'get':
      return undefined;
    case 'delete':
      return { type: 'may_remove' };
    case 'cas':
      return { type: 'may_set', value: operation.value, expected: operation.expectedRevision };
  }
}
