import type { Operation } from './operation.js';

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
