/**
 * Whether this peer has been removed from the group, which it publishes once, as soon as that is committed.
 * A peer is removed if it was a member and may no longer campaign (`state.isMember`): a peer that may campaign requests votes,
 * and the leader notifies it; one that may not is never notified again, and has to find out by itself.
 */
import { isIn } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

export class RemovedPeer {
  private isPublished = false;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
  ) {}

  /** Whether a configuration in this peer's log contains it, but neither the last one known to be committed nor a later one does. */
  get isRemoved(): boolean {
    const { state } = this;
    if (state.isMember()) return false;
    return state.log.configurations.some(({ configuration }) => isIn(configuration, state.peerId, state.storeId));
  }

  /** The commit index has risen, or was read from the log-store. */
  onCommitted(): void {
    const { state, context, isRemoved } = this;
    const committed = state.log.configurationAt(state.commitIndex);
    if (isRemoved && !this.isPublished && committed !== undefined) {
      context.event('peer_removed', { index: committed.index });
      context.log('info', 'this peer has been removed from the group', { index: committed.index });
    }
    this.isPublished = isRemoved;
  }
}
