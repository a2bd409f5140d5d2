/**
 * `reset_peer`: an operator resets this peer to a group of some members, or of itself alone, because the quorum is lost for good
 * (braft's `NodeImpl::reset_peer`). Entries that only the other members held are lost, so it never happens automatically
 * (docs/decisions/0039).
 * The log stays as it is, and a configuration entry after it begins another history. Every earlier message names the old history,
 * and is refused by the usual checks; peers of the old history are strangers.
 * Invariants:
 * 1. No peer is reset while a leader is known, or may exist.
 * 2. Peers that are reset alike write the same history: its name and its terms follow from what they held in common.
 * 3. The request is answered once the one write that a reset consists of is synced.
 */
import {
  type AdminRequest,
  asLogIndex,
  batchHeader,
  type Configuration,
  encodeConfigurationBatch,
  historyAfterReset,
  isIn,
  limits,
  type Member,
  noGroupUid,
  type PeerId,
  peerIds,
  type ResetPeerReply,
  samePeers,
  termsAfterReset,
} from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { RoleControl } from '../role-control.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

/** Election timeouts without a message of a leader after which there is none. */
const leaderlessTimeouts = 2;

export class PeerReset {
  private waiting: number | undefined;
  /** When this peer last led. */
  private ledUntilMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly roles: RoleControl,
    /** This peer is alone: there is no other member to compare its state with. */
    private readonly onAlone: () => void,
  ) {}

  onReset(requestId: number, { new_peers }: AdminRequest<'reset_peer'>): void {
    const { state, context } = this;
    const busy = this.reasonBusy();
    if (busy !== undefined) return context.refuse(requestId, 'EBUSY', busy, 'not_done', state.leaderId);
    const configuration = state.log.configuration?.configuration;
    if (configuration === undefined || state.groupUid === noGroupUid) {
      return context.refuse(requestId, 'EINVAL', 'this peer holds no data of the group with which it could continue');
    }
    const rejection = this.reasonAgainst(configuration, new_peers);
    if (rejection !== undefined) return context.refuse(requestId, 'EINVAL', rejection);
    if (isInForce(configuration, new_peers)) return context.reply(requestId, this.earlierResult(configuration));
    this.waiting = requestId;
    this.reset(requestId, configuration, new_peers);
  }

  /** Returns why it cannot be reset now; undefined: it can. */
  private reasonBusy(): string | undefined {
    const { state, context, actors } = this;
    const withinMs = leaderlessTimeouts * context.options.electionTimeoutMs;
    if (this.waiting !== undefined) return 'this peer is being reset';
    if (state.role === 'leader') return 'this peer leads: change the configuration instead';
    if (state.isLogSuperseded) return 'a snapshot is replacing the log';
    if (context.nowMs - this.ledUntilMs < withinMs)
      return 'this peer led until a moment ago, and may still receive replies of its quorum';
    if (context.nowMs - state.leaderContactMs < withinMs) return `${state.leaderId || 'a leader'} leads the group`;
    if (context.nowMs - state.openedMs < withinMs)
      return 'this peer has just started, and may still receive messages of a leader';
    return actors.hasRoom('log-store', true) && actors.silent().length === 0
      ? undefined
      : 'an actor of this peer is silent';
  }

  private reasonAgainst(configuration: Configuration, newPeers: readonly PeerId[]): string | undefined {
    const { peerId, storeId } = this.state;
    if (!isIn(configuration, peerId, storeId))
      return `${peerId}, with this store, is not a member: reset the members, then add it`;
    if (!newPeers.includes(peerId)) return `${peerId} is not among the peers that are to continue`;
    const known = new Set(peerIds([...configuration.peers, ...configuration.old_peers]));
    const strangers = newPeers.filter((one) => !known.has(one));
    if (strangers.length > 0) return `${strangers.join(', ')}: not in the configuration; add them afterwards`;
    return (configuration.epoch ?? 0) < limits.epochs ? undefined : 'the group has been reset too often';
  }

  private reset(requestId: number, before: Configuration, newPeers: readonly PeerId[]): void {
    const { state, context, actors, roles } = this;
    const { groupUid: old_group_uid, commitIndex: commit_index } = state;
    const { lastIndex: last_index, lastTerm } = state.log;
    const epoch = (before.epoch ?? 0) + 1;
    const peers = this.members(before, newPeers);
    const group_uid = historyAfterReset(old_group_uid, epoch, peers);
    const terms = termsAfterReset(epoch, lastTerm);
    // The first leader begins the history, with its base: here peers that are reset alike write the same.
    const { level } = before;
    const configuration: Configuration = { peers, old_peers: [], epoch, ...(level === undefined ? {} : { level }) };
    const first = asLogIndex(last_index + 1);
    const batch = encodeConfigurationBatch(terms.entry, first, configuration);

    roles.beginHistory(terms.peer, 'an operator has reset this peer');
    actors.storeReset({ old_group_uid, group_uid, term: terms.peer, batch });
    state.enterHistory(group_uid);
    if (peers.length === 1) this.onAlone();
    state.log.append({ header: batchHeader(batch), bytes: batch });
    state.newConfigurations.add(first);
    context.event('configuration_appended', { peers: peerIds(peers), old_peers: [], index: first });

    const lost = peerIds([...before.peers, ...before.old_peers]).filter((peerId) => !newPeers.includes(peerId));
    const result = {
      old_group_uid,
      group_uid,
      epoch,
      old_peers: peerIds(before.peers),
      new_peers: peerIds(peers),
      last_index,
      commit_index,
      may_be_lost: mayBeLost(state.peerId, [...new Set(lost)], last_index, commit_index),
    };
    actors.afterSynced(() => {
      this.waiting = undefined;
      context.event('peer_reset', result);
      context.log('warn', 'an operator has reset this peer: it continues in another history', result);
      context.reply(requestId, { group_id: context.options.groupId, ...result } satisfies ResetPeerReply);
    });
  }

  /**
   * Returns the members of the new history, with the stores that they are bound to, in the order of their names: peers that are
   * reset alike write the same.
   */
  private members({ peers, old_peers }: Configuration, newPeers: readonly PeerId[]): Member[] {
    const bound = new Map<PeerId, Member>();
    // Of a peer whose store is being replaced: the new store.
    for (const member of [...old_peers, ...peers]) bound.set(member.peer_id, member);
    const { peerId, storeId } = this.state;
    bound.set(peerId, { peer_id: peerId, store_id: storeId });
    return [...newPeers].sort().flatMap((one) => bound.get(one) ?? []);
  }

  /** The request is repeated: a reply may have been lost. */
  private earlierResult({ peers, epoch = 0 }: Configuration): ResetPeerReply {
    const { groupUid, log, commitIndex } = this.state;
    return {
      group_id: this.context.options.groupId,
      old_group_uid: groupUid,
      group_uid: groupUid,
      epoch,
      old_peers: peerIds(peers),
      new_peers: peerIds(peers),
      last_index: log.lastIndex,
      commit_index: commitIndex,
      may_be_lost: 'nothing more: this peer was reset so before, and nothing is changed',
    };
  }

  /** This peer led, and no longer does. */
  onSteppedDown(): void {
    this.ledUntilMs = this.context.nowMs;
  }

  /** This node is fenced, or restarts: it does not know whether the reset was stored. */
  onFenced(reason: string): void {
    if (this.waiting !== undefined) this.context.refuse(this.waiting, 'EFENCED', reason, 'unknown');
    this.waiting = undefined;
  }
}

/** Whether this peer was reset like that already. */
function isInForce({ peers, old_peers, epoch = 0 }: Configuration, newPeers: readonly PeerId[]): boolean {
  return epoch > 0 && old_peers.length === 0 && samePeers(peerIds(peers), newPeers);
}

function mayBeLost(peerId: PeerId, lost: readonly PeerId[], last: number, commit: number): string {
  const has = `${peerId} has the entries up to ${last}, and knows that those up to ${commit} are committed`;
  const others = lost.length === 0 ? 'its former quorum' : lost.join(', ');
  return `any acknowledged entries after ${last} that only ${others} stored are lost: ${has}`;
}
