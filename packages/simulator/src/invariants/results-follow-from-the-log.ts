/**
 * The result of an entry in the state machine of each peer equals the result in the key-value model: the same
 * revisions, tokens and ids, and no entry is skipped (Raft thesis, section 6.3; DESIGN, section 9).
 */
import type { LogIndex } from '@conclave/protocol';
import { type OperationResult, withoutText } from '../model/model-state.js';
import { type Invariant, Rule } from './invariant.js';
import { entryText } from './record/log-tree.js';

export class ResultsFollowFromTheLog extends Rule implements Invariant {
  readonly name = 'results-follow-from-the-log';

  onResult(index: LogIndex, result: unknown): void {
    const entry = this.record.commits.at(index);
    // Other invariants check that it is committed.
    const expected = entry === undefined ? undefined : this.record.states.appliedOf(entry);
    if (entry === undefined || expected === undefined) return;
    const [found, wanted] = [textOf(result), textOf(expected.result)];
    this.check(
      found === wanted,
      () => `${this.record.step?.actor.name} makes ${found} of ${entryText(entry)}, in place of ${wanted}`,
    );
  }
}

function textOf(result: unknown): string {
  const { results } = result as { readonly results?: readonly OperationResult[] };
  return JSON.stringify(results === undefined ? result : results.map(withoutText));
}
