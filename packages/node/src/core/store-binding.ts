/**
 * Whether the group binds this peer's name to this store, as its leader says: each AppendEntries names the store that it
 * is for. A store that has taken the place of a lost one hears so until it is healed; one that is a stranger under this
 * name, because two processes were started for one peer, as long as both run.
 *
 * Owns what was heard. It decides nothing: a store that is not bound is in no configuration, so it neither votes nor counts.
 */
import type { Body, LogIndex, PeerId, StoreId } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

/** Election timeouts after which it is forgotten, if it is not said again. */
const rememberedTimeouts = 10;

export class StoreBinding {
  private other: { readonly storeId: StoreId; readonly heardMs: number } | undefined;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
  ) {}

  /** AppendEntries under this peer's name were for another store. */
  onOther({ target_store_id, leader_id }: Pick<Body<'node.append_entries'>, 'target_store_id' | 'leader_id'>): void {
    const { state, context } = this;
    const isNews = this.other?.storeId !== target_store_id;
    this.other = { storeId: target_store_id, heardMs: context.nowMs };
    if (!isNews) return;
    context.event('store_refused', { store_id: state.storeId, bound_store_id: target_store_id, leader_id });
    context.log('warn', 'the group binds the name of this peer to another store than this one', {
      store_id: state.storeId,
      bound_store_id: target_store_id,
    });
  }

  /**
   * Whether this store lacks what it has acknowledged. It stays so: what else it has lost is not known.
   * @param acknowledged the last entry that it is known to have had, as this peer says
   */
  lacks(acknowledged: LogIndex | undefined, saidBy: PeerId): boolean {
    const { state, context } = this;
    if (state.wentBack === '' && (acknowledged ?? 0) > state.log.lastIndex) {
      state.wentBack =
        `ECORRUPT: this store ends at entry ${state.log.lastIndex}, and had acknowledged entry ${acknowledged}: an older copy of ` +
        'its data was put back. It neither votes nor counts. To heal it: stop this peer, delete its data folder and start it ' +
        'again, nothing else. Its groups’ leaders notice the new store, catch it up and take it in the place of this one';
      const { storeId } = state;
      context.event('store_refused', { store_id: storeId, bound_store_id: storeId, leader_id: saidBy });
      context.log('error', state.wentBack);
    }
    return state.wentBack !== '';
  }

  /** They were for this one. */
  onOwn(): void {
    this.other = undefined;
  }

  /** Why this peer does not count, or undefined. */
  get refusal(): string | undefined {
    const { other, context, state } = this;
    if (state.wentBack !== '') return state.wentBack;
    if (other === undefined) return undefined;
    if (context.nowMs - other.heardMs > rememberedTimeouts * context.options.electionTimeoutMs) return undefined;
    return (
      `wiped, or a second one: the group binds ${state.peerId} to another store (${other.storeId}) than this one ` +
      `(${state.storeId}), which neither votes nor counts until the leader has healed it. That waits for as long as the ` +
      'other one is heard'
    );
  }
}
