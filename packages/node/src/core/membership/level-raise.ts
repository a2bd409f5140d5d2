/**
 * When a leader raises the group's feature level: which peers prevent it, and for how long none has.
 * Owns: since when all peers support a level. Does not own the entry that raises it (`configuration-change.ts`).
 * Invariants:
 * 1. The level is raised only in a step in which each member, and each peer that is being added, is known to support it and has
 *    responded within an election timeout.
 * 2. A leader raises it by itself only after that was so at each tick for `levelSettleMs`: until then an operator can return to
 *    the older build. What another leader has observed does not count.
 * 3. The level is never lowered.
 */
import {
  type AdminRequest,
  allMembers,
  defaultLevelSettleMs,
  type Levels,
  type Member,
  type PeerId,
  type PeerLevels,
  type UpgradeReply,
} from '@conclave/protocol';
import type { LeaderState } from '../leader/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { ConfigurationChange } from './configuration-change.js';

export class LevelRaise {
  /** Since when all peers support `target`; undefined: they do not. */
  private sinceMs: number | undefined;
  private target = 0;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly leadership: LeaderState,
    private readonly change: ConfigurationChange,
    private readonly isTransferring: () => boolean,
  ) {}

  /** A leadership begins. */
  begin(): void {
    this.sinceMs = undefined;
  }

  /** Checks, once a tick of a leader, whether all peers support a higher level, and raises it after long enough. */
  onTick(): void {
    const { context, state } = this;
    const target = this.highest();
    if (target <= state.level || this.holdingBack(target).length > 0) {
      this.sinceMs = undefined;
      return;
    }
    if (this.sinceMs === undefined || this.target !== target) this.sinceMs = context.nowMs;
    this.target = target;
    if (this.raisesInMs() !== 0 || this.obstacle() !== undefined) return;
    context.log('info', 'raises the feature level: all peers support it', { level: target });
    this.change.raise(target, undefined, () => undefined);
  }

  /** `upgrade`: reports the levels, and raises the level if that is requested. */
  onUpgrade(requestId: number, { raise = false }: AdminRequest<'upgrade'>): void {
    const { context, state } = this;
    const target = this.highest();
    if (raise && this.change.isRaising) return context.refuse(requestId, 'EBUSY', 'the feature level is being raised');
    if (!raise || target <= state.level) return context.reply(requestId, this.report(false));
    const holding = this.holdingBack(target);
    if (holding.length > 0) {
      const who = holding.map(({ peer_id, holds_back }) => `${peer_id} ${holds_back}`).join('; ');
      return context.refuse(requestId, 'EUNSUPPORTED', `not all support feature level ${target}: ${who}`);
    }
    const rejection = this.leadership.reasonAgainstWrites();
    if (rejection !== undefined) return context.refuse(requestId, 'EREADONLY', rejection);
    const obstacle = this.obstacle();
    if (obstacle !== undefined) return context.refuse(requestId, 'EBUSY', obstacle);
    context.log('info', 'raises the feature level: an operator requested it', { level: target });
    this.change.raise(target, requestId, () => this.report(true));
  }

  private report(raised: boolean): UpgradeReply {
    const highest = this.highest();
    return {
      level: this.state.level,
      highest,
      peers: this.peers(highest),
      obstacle: this.obstacle() ?? '',
      raises_in_ms: this.raisesInMs() ?? null,
      raised,
    };
  }

  /** Returns the highest level that all actors of this peer support. */
  private highest(): number {
    return this.state.peerLevels?.highest ?? 0;
  }

  /** Returns the time until the leader raises the level by itself; undefined: it does not. */
  private raisesInMs(): number | undefined {
    const { raiseLevel = 'auto', levelSettleMs = defaultLevelSettleMs } = this.context.options;
    if (raiseLevel === 'manual' || this.sinceMs === undefined) return undefined;
    return Math.max(0, Math.ceil(this.sinceMs + levelSettleMs - this.context.nowMs));
  }

  /** Returns why no entry can raise it now; undefined: one can. */
  private obstacle(): string | undefined {
    if (this.isTransferring()) return 'the leadership is being transferred';
    return this.leadership.reasonAgainstWrites() ?? this.change.reasonAgainstRaise;
  }

  private holdingBack(target: number): PeerLevels[] {
    return this.peers(target).filter(({ holds_back }) => holds_back !== '');
  }

  /** Returns for each peer that must support `target` whether it does. */
  private peers(target: number): PeerLevels[] {
    const configuration = this.state.log.configuration?.configuration;
    const members = configuration === undefined ? [] : allMembers(configuration);
    const newPeers = this.change.catchingUpPeers.filter((peerId) => !members.some(({ peer_id }) => peer_id === peerId));
    return [
      ...members.map((member) => this.ofMember(member, target)),
      ...newPeers.map((one) => this.ofPeer(one, target)),
    ];
  }

  private ofMember({ peer_id, store_id }: Member, target: number): PeerLevels {
    const { state, context } = this;
    if (peer_id === state.peerId && store_id === state.storeId) {
      const { version = '' } = context.options;
      return { peer_id, version, levels: state.peerLevels, holds_back: lacks(state.peerLevels, target) };
    }
    // During a replacement a member has two stores.
    if (this.leadership.progress(peer_id)?.store_id !== store_id) {
      return {
        peer_id,
        version: '',
        levels: null,
        holds_back: 'has not answered with the store that the configuration names',
      };
    }
    return this.ofPeer(peer_id, target);
  }

  private ofPeer(peer_id: PeerId, target: number): PeerLevels {
    const progress = this.leadership.progress(peer_id);
    const { version = '', levels = null } = progress ?? {};
    const reason = this.leadership.candidates.ineligibleReason(peer_id);
    const isHeard = reason !== 'silent' && reason !== 'unknown' && reason !== 'refused';
    return { peer_id, version, levels, holds_back: isHeard ? lacks(levels, target) : 'is silent' };
  }
}

function lacks(levels: Levels | null, target: number): string {
  if (levels === null) return 'has not reported which levels it supports';
  if (target >= levels.lowest && target <= levels.highest) return '';
  return levels.highest < levels.lowest
    ? 'has processes that support no common level'
    : `supports levels ${levels.lowest} to ${levels.highest}`;
}
