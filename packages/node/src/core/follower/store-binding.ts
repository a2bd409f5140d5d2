/**
 * Whether the group binds this peer's name to this store, as its leader reports: each AppendEntries names the store that it is
 * for. A store that replaces a lost one receives messages for the other store until it is a member; so does the store of a second
 * process of one peer, as long as both run.
 * Owns: these reports. It decides nothing: a store that is not bound is in no configuration, so it neither votes nor counts.
 */
import type { Body, LogIndex, PeerId, StoreId } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

/** After this many election timeouts a report expires. */
const rememberedTimeouts = 10;

export class StoreBinding {
  /** The other store for which a leader last sent AppendEntries under this peer's name. */
  private other: { readonly storeId: StoreId; readonly receivedMs: number } | undefined;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
  ) {}

  /** A leader sent AppendEntries under this peer's name for another store. */
  onOther({ target_store_id, leader_id }: Pick<Body<'node.append_entries'>, 'target_store_id' | 'leader_id'>): void {
    const { state, context } = this;
    const isNews = this.other?.storeId !== target_store_id;
    this.other = { storeId: target_store_id, receivedMs: context.nowMs };
    if (!isNews) return;
    context.event('store_refused', { store_id: state.storeId, bound_store_id: target_store_id, leader_id });
    context.log('warn', 'the group binds the name of this peer to another store than this one', {
      store_id: state.storeId,
      bound_store_id: target_store_id,
    });
  }

  /**
   * Whether this store lacks entries that it has acknowledged. Once it does, it stays so: what else was lost is not known.
   * @param acknowledged the last entry that this store is known to have acknowledged
   * @param reportedBy the peer that reports this
   */
  lacks(acknowledged: LogIndex | undefined, reportedBy: PeerId): boolean {
    const { state, context } = this;
    if (state.olderCopyReason === '' && (acknowledged ?? 0) > state.log.lastIndex) {
      state.olderCopyReason =
        `ECORRUPT: this store ends at entry ${state.log.lastIndex}, and had acknowledged entry ${acknowledged}: the data ` +
        'folder is an older copy. This peer neither votes nor counts. To repair it: stop this peer, delete its data folder and start it ' +
        'again, nothing else. The leaders of its groups send their logs to the new store and replace this store by it';
      const { storeId } = state;
      context.event('store_refused', { store_id: storeId, bound_store_id: storeId, leader_id: reportedBy });
      context.log('error', state.olderCopyReason);
    }
    return state.olderCopyReason !== '';
  }

  /** A leader sent AppendEntries for this store. */
  onOwn(): void {
    this.other = undefined;
  }

  /** Returns why the group does not count this peer; undefined: it does. */
  get refusal(): string | undefined {
    const { other, context, state } = this;
    if (state.olderCopyReason !== '') return state.olderCopyReason;
    if (other === undefined) return undefined;
    if (context.nowMs - other.receivedMs > rememberedTimeouts * context.options.electionTimeoutMs) return undefined;
    return (
      `another store: the configuration names the store ${other.storeId} for ${state.peerId}, and this peer has the store ` +
      `${state.storeId}. It neither votes nor counts until the leader has replaced the store in the configuration, which ` +
      'the leader does once the named store is silent'
    );
  }
}
