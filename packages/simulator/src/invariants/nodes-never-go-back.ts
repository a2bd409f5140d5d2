/**
 * A node's term, commit index and applied index never decrease, and it applies nothing that it does not consider
 * committed.
 */
import type { NodeSummary } from '@conclave/node';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

const watchedNumbers = ['term', 'session', 'commit_index', 'applied_index'] as const;

/** Whether none of these numbers has changed, as in most steps. */
function isSame(one: NodeSummary, other: NodeSummary): boolean {
  return (
    one.term === other.term &&
    one.session === other.session &&
    one.commit_index === other.commit_index &&
    one.applied_index === other.applied_index
  );
}

export class NodesNeverGoBack extends Rule implements Invariant {
  readonly name = 'nodes-never-go-back';
  readonly watched = ['node'] as const;
  private readonly before = new WeakMap<object, NodeSummary>();

  onStepped(actor: Actor): void {
    if (actor.kind !== 'node') return;
    const after = summaryOf(actor);
    const before = this.before.get(actor.core);
    if (before === undefined || !isSame(before, after)) {
      this.before.set(actor.core, after);
      for (const what of watchedNumbers) {
        const was = before?.[what] ?? 0;
        if (after[what] < was) this.check(false, () => `${what} of ${actor.peerId} fell from ${was} to ${after[what]}`);
      }
    }
    const isOrdered = after.applied_index <= after.commit_index && after.commit_index <= after.last_index;
    this.check(
      isOrdered,
      () =>
        `${actor.peerId} has applied ${after.applied_index}, knows ${after.commit_index} committed, and has ${after.last_index}`,
    );
  }
}
