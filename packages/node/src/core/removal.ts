/**
 * Whether this peer is out of the group, as it says once, as soon as that is committed.
 *
 * Who is out is who has been in and may stand no more. That is one rule with the elections' (`state.isMember`): who still
 * stands asks for votes, and is told by the leader; who does not is never heard again, and has to know it by itself.
 */
import { isIn } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

export class Removal {
  private isSaid = false;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
  ) {}

  /** It has been in a configuration, and is in none from the last one known committed on. */
  get isRemoved(): boolean {
    const { state } = this;
    if (state.isMember()) return false;
    return state.log.configurations.some(({ configuration }) => isIn(configuration, state.peerId, state.storeId));
  }

  /** More is committed, or was found so. */
  note(): void {
    const { state, context, isRemoved } = this;
    const committed = state.log.configurationAt(state.commitIndex);
    if (isRemoved && !this.isSaid && committed !== undefined) {
      context.event('peer_removed', { index: committed.index });
      context.log('info', 'this peer is out of the group', { index: committed.index });
    }
    this.isSaid = isRemoved;
  }
}
