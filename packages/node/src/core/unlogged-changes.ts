/**
 * Changes that have left no entry in the log, as they ended while new peers were catching up, or may be doing so now. A
 * leader tells the other members of them on every tick; whoever leads next says in its first entry what it has heard of
 * and cannot find in its log, so that this, too, is known to all from then on (promise 7).
 *
 * Owns what was heard and what has ended. Does not own the change that this node itself carries out as the leader.
 *
 * Invariants:
 * 1. What was heard counts only from the leader of this node's term.
 * 2. A change is said to be lost once, by the first leader after its own; never one that has come to an entry.
 */
import {
  asTerm,
  type Body,
  type Change,
  type Configuration,
  type ErrorBody,
  isJoint,
  type LogIndex,
  limits,
  type Member,
  type PeerId,
  peerIds,
  samePeers,
  type Term,
} from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

type LostChange = NonNullable<Configuration['lost_change']>;
type Peers = { readonly old_peers: readonly PeerId[]; readonly new_peers: readonly PeerId[] };

export class UnloggedChanges {
  private heard: (Peers & { readonly term: Term }) | undefined;
  /** And behind which entry each has ended. */
  private ended: { readonly behind: LogIndex; readonly change: Change }[] = [];

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
  ) {}

  /** A leader's: tells the others of a change that is catching up, or that has ended so. */
  announce(change: Peers, members: readonly Member[], over: ErrorBody | null): void {
    const { state, context } = this;
    for (const { peer_id } of members) {
      if (peer_id === state.peerId) continue;
      context.send(peer_id, {
        name: 'node.change_announced',
        body: {
          group_id: context.options.groupId,
          group_uid: state.groupUid,
          leader_id: state.peerId,
          term: state.term,
          old_peers: [...change.old_peers],
          new_peers: [...change.new_peers],
          over,
        },
      });
    }
  }

  /** The leader has a change under way, of which nothing stands in the log; or that has ended. */
  onAnnounced(body: Body<'node.change_announced'>): void {
    const { state, context } = this;
    const isLeaders = body.leader_id === state.leaderId && body.term === state.term && state.role === 'follower';
    if (!isLeaders || body.group_uid !== state.groupUid) return context.drop('change_announced_stale');
    const { old_peers, new_peers, term, over } = body;
    if (over === null) {
      this.heard = { old_peers, new_peers, term };
      return;
    }
    this.heard = undefined;
    const change = { kind: 'change' as const, old_peers, new_peers, state: 'undone' as const };
    const stage = 'catching_up' as const;
    this.end({ ...change, stage, term, index: 0 as LogIndex, error: over });
  }

  /** It has ended, and nothing of it will happen. */
  end(change: Change): void {
    const behind = this.state.log.lastIndex;
    this.ended = [...this.ended, { behind, change }].slice(-limits.rememberedChanges);
  }

  /** This node begins to lead: which change its first entry is to say is lost. */
  takeLost(): LostChange | undefined {
    const { heard, state } = this;
    this.heard = undefined;
    if (heard === undefined || heard.term >= state.term || this.isInLog(heard)) return undefined;
    return { term: heard.term, old_peers: [...heard.old_peers], new_peers: [...heard.new_peers] };
  }

  /** Whether it came to an entry, in its leader's term. */
  private isInLog({ term, old_peers, new_peers }: Peers & { readonly term: Term }): boolean {
    const { log } = this.state;
    return log.configurations.some(({ index, configuration }) => {
      if ((log.termAt(index) ?? asTerm(0)) !== term) return false;
      const is = (peers: readonly PeerId[]) => samePeers(peerIds(configuration.peers), peers);
      return is(new_peers) && (isJoint(configuration) || !samePeers(old_peers, new_peers));
    });
  }

  /** Those that are not told of by the log, each with the entry behind which it ended. */
  besides(inLog: readonly Change[]): readonly { readonly behind: LogIndex; readonly change: Change }[] {
    const isTold = (change: Change) =>
      inLog.some(
        (told) => told.index === 0 && told.term === change.term && samePeers(told.new_peers, change.new_peers),
      );
    return this.ended.filter(({ change }) => !isTold(change));
  }
}
