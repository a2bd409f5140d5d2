/**
 * The peers that a leader replicates to: the members, the peers that catch up, and for a while those that were removed.
 *
 * Owns: the targets as its replicators know them, and whether these need the payloads of entries. Does not own what the targets
 * have acknowledged (`leader-state.ts`).
 *
 * Invariants:
 * 1. The replicators are sent the targets whenever these or the configuration have changed, and only then.
 */
import {
  asLogIndex,
  type Body,
  invariant,
  isIn,
  isJoint,
  type LogIndex,
  limits,
  type Member,
  type PeerId,
  type StoreId,
  type Target,
} from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

/** A removed peer. It stays a target until it knows that the entry that removed it is committed. */
interface RemovedTarget {
  readonly storeId: StoreId;
  /** The configuration entry without the peer. */
  readonly index: LogIndex;
  readonly untilMs: number;
  /** Ticks since the peer has stored that entry and the entry is committed. Their heartbeats contain the commit index. */
  ticksSinceCommitted: number;
}

const ticksAfterCommit = 5;

/** A peer that catches up. */
interface NewPeer {
  readonly peer_id: PeerId;
  /** The new store of a member whose lost store is replaced; undefined: the peer is no member. */
  readonly store_id: StoreId | undefined;
}

export class ReplicationTargets {
  private readonly removedTargets = new Map<PeerId, RemovedTarget>();
  private newPeers: readonly NewPeer[] = [];
  /**
   * In a joint configuration that replaces a member's store, the member has two stores, of which one runs. For each such member: the
   * store that answered when the replicator expected the other one.
   */
  private readonly respondingStores = new Map<PeerId, StoreId>();
  private sentTargets = '';
  private isPayloadRequested = true;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
  ) {}

  /** A new leader has no targets but the members. Sends nothing. */
  begin(): void {
    this.removedTargets.clear();
    this.newPeers = [];
    this.respondingStores.clear();
  }

  /** Whether the node must send the replicators the payload of each new entry: a target near the end of the log does not receive the feed. */
  get needsPayload(): boolean {
    return this.isPayloadRequested;
  }

  /** Sends its full state to a replicator process that has none. */
  sendLead(): void {
    const { state, actors } = this;
    const { log } = state;
    const targets = this.targets();
    this.sentTargets = this.signature(targets);
    // True until the replicators report that they do not need it: restarted replicators have not reported yet.
    this.isPayloadRequested = true;
    actors.sendFramed('replicator', (frame) => ({
      name: 'replicator.lead',
      body: {
        ...actors.identity,
        ...frame,
        peer_id: state.peerId,
        group_uid: state.groupUid,
        term: state.term,
        last_index: log.lastIndex,
        last_term: log.lastTerm,
        commit_index: state.commitIndex,
        configuration_index: this.configurationIndex,
        targets,
        ...state.acknowledged.list(),
      },
    }));
  }

  /** Makes these peers targets that catch up, in addition to the members. They replace the previous ones. */
  setNewPeers(newPeers: readonly NewPeer[]): void {
    this.newPeers = newPeers;
    this.sync();
  }

  /** A configuration has been appended. It makes members of the peers that caught up. The removed peers are notified. */
  onConfiguration(removed: readonly Member[], index: LogIndex): void {
    this.notifyRemoved(removed, index);
    this.newPeers = [];
  }

  /** Makes these peers, which the configuration at `index` does not contain, targets until they know that this configuration is committed. */
  notifyRemoved(members: readonly Member[], index: LogIndex): void {
    const untilMs = this.context.nowMs + this.context.options.removalNoticeMs;
    for (const { peer_id, store_id } of members) {
      // Removed peers are added also when they request votes: their number is bounded.
      if (this.removedTargets.size >= limits.configurationPeers && !this.removedTargets.has(peer_id)) continue;
      this.removedTargets.set(peer_id, { storeId: store_id, index, untilMs, ticksSinceCommitted: 0 });
    }
    this.sync();
  }

  /**
   * Drops the removed peers that know of their removal, or did not answer in time. Once a tick.
   * @param matchOf returns the last entry that a target has acknowledged
   */
  onTick(matchOf: (peerId: PeerId) => number): void {
    const { removedTargets, state, context } = this;
    for (const [peerId, removed] of removedTargets) {
      if (matchOf(peerId) >= removed.index && state.commitIndex >= removed.index) removed.ticksSinceCommitted += 1;
      const isDone = removed.ticksSinceCommitted > ticksAfterCommit;
      if (isDone || context.nowMs >= removed.untilMs) removedTargets.delete(peerId);
    }
    this.sync();
  }

  /** The replicators have reported. */
  onProgress({ targets, wants_content }: Body<'node.progress'>): void {
    this.isPayloadRequested = wants_content;
    const configuration = this.state.log.configuration?.configuration;
    // In a joint configuration a member may have two stores: not the one that the replicator expects may run, but the other one.
    if (configuration === undefined || !isJoint(configuration)) return this.respondingStores.clear();
    for (const { peer_id, refusal, found } of targets) {
      if (refusal !== 'ESTORE' || found === undefined || !isIn(configuration, peer_id, found.store_id)) continue;
      this.respondingStores.set(peer_id, found.store_id);
    }
    this.sync();
  }

  /** Sends the targets to the replicators, if they have changed. */
  private sync(): void {
    const { state, actors } = this;
    const targets = this.targets();
    const signature = this.signature(targets);
    if (signature === this.sentTargets) return;
    this.sentTargets = signature;
    actors.sendFramed('replicator', (frame) => ({
      name: 'replicator.targets',
      body: { ...actors.identity, ...frame, term: state.term, configuration_index: this.configurationIndex, targets },
    }));
  }

  private get configurationIndex(): LogIndex {
    return this.state.log.configuration?.index ?? asLogIndex(0);
  }

  private targets(): Target[] {
    const configuration = this.state.log.configuration?.configuration;
    invariant(configuration !== undefined, 'a leader has a configuration');
    const targets = new Map<PeerId, Target>();
    for (const [peer_id, { storeId }] of this.removedTargets) {
      targets.set(peer_id, { peer_id, store_id: storeId, catching_up: false });
    }
    for (const { peer_id, store_id } of this.newPeers) {
      targets.set(peer_id, { peer_id, store_id: store_id ?? ('' as StoreId), catching_up: true });
    }
    const isNewStore = ({ peer_id, store_id }: NewPeer) =>
      store_id !== undefined && !isIn(configuration, peer_id, store_id);
    const replaced = new Set(this.newPeers.filter(isNewStore).map(({ peer_id }) => peer_id));
    for (const { peer_id, store_id } of [...configuration.peers, ...configuration.old_peers]) {
      const known = targets.get(peer_id);
      // If a member has two stores, the target is the new one, unless only the lost one answers.
      const isKnown = known?.catching_up === false && isIn(configuration, peer_id, known.store_id);
      if (replaced.has(peer_id) || (isKnown && this.respondingStores.get(peer_id) !== store_id)) continue;
      targets.set(peer_id, { peer_id, store_id, catching_up: false });
    }
    targets.delete(this.state.peerId);
    return [...targets.values()];
  }

  private signature(targets: readonly Target[]): string {
    const byName = [...targets].sort((a, b) => (a.peer_id < b.peer_id ? -1 : 1));
    return JSON.stringify([this.configurationIndex, byName]);
  }
}
