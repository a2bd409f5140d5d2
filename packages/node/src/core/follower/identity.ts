/**
 * Replies to peers that ask which store and which data this peer has: a leader's replicator, or a peer that founds a group.
 *
 * Owns nothing.
 */
import { type Body, noGroupUid, type PeerId } from '@conclave/protocol';
import { build } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

export class Identity {
  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly founding: {
      /** Whether this peer founds the group. */
      readonly isFounding: boolean;
      /** Another peer founds the group, and this one holds nothing of it. */
      onFounder(peerId: PeerId): void;
    },
  ) {}

  onIdentify(body: Body<'node.identify'>): void {
    const { state, context } = this;
    const identity = {
      group_id: body.group_id,
      peer_id: state.peerId,
      request_id: body.request_id,
      store_id: state.storeId,
      group_uid: state.groupUid,
      last_index: state.log.lastIndex,
      ...build(context.options, state),
    };
    if (body.asker === 'replicator') {
      return context.send(body.peer_id, { name: 'replicator.identity', body: identity });
    }
    if (body.founding && state.groupUid === noGroupUid) this.founding.onFounder(body.peer_id);
    context.send(body.peer_id, {
      name: 'node.identity',
      body: {
        ...identity,
        leader_id: state.leaderId,
        founding: this.founding.isFounding,
        configuration: state.log.configuration?.configuration ?? null,
      },
    });
  }
}
