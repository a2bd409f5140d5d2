/** Whether this peer is out of the group, as it says once, as soon as that is committed. */
import { isIn } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

export class Removal {
  private isKnown = false;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
  ) {}

  /** It has been in a configuration and is no longer, as is committed. */
  get isRemoved(): boolean {
    return this.isKnown;
  }

  /** More is committed, or was found so. */
  note(): void {
    const { state, context } = this;
    const latest = state.log.configuration;
    if (latest === undefined || latest.index > state.commitIndex) return;
    const isOut =
      !isIn(latest.configuration, state.peerId, state.storeId) &&
      state.log.configurations.some(({ configuration }) => isIn(configuration, state.peerId, state.storeId));
    if (isOut && !this.isKnown) {
      context.event('peer_removed', { index: latest.index });
      context.log('info', 'this peer is out of the group', { index: latest.index });
    }
    this.isKnown = isOut;
  }
}
