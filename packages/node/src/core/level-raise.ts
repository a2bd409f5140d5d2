/**
 * When a leader raises the group's feature level (DESIGN, section 9): which peers keep it from that, and for how long none has.
 *
 * Owns since when all speak a level. Does not own the entry that raises it (`configuration-change.ts`).
 *
 * Invariants:
 * 1. The level is raised only in a step in which each member, and each peer that is to become one, is known to speak it and has
 *    been heard within an election timeout.
 * 2. By itself a leader raises it only after it has been so at each tick for `levelSettleMs`: until then an operator can go
 *    back to the older build. What another leader has seen does not count.
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
import type { ConfigurationChange } from './configuration-change.js';
import type { NodeContext } from './context.js';
import type { Leadership } from './leadership.js';
import type { NodeState } from './state.js';

export class LevelRaise {
  /** Since when all speak `target`; undefined: they do not. */
  private sinceMs: number | undefined;
  private target = 0;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly leadership: Leadership,
    private readonly change: ConfigurationChange,
    private readonly isHandingOver: () => boolean,
  ) {}

  /** A leadership begins. */
  begin(): void {
    this.sinceMs = undefined;
  }

  /** Looks, once a tick of a leader, whether all speak a higher level, and raises it when that has been so for long enough. */
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
    context.log('info', 'raises the feature level, as all speak it', { level: target });
    this.change.raise(target, undefined, () => undefined);
  }

  /** `upgrade`: says what there is, and raises the level where that is asked for. */
  onUpgrade(requestId: number, { raise = false }: AdminRequest<'upgrade'>): void {
    const { context, state } = this;
    const target = this.highest();
    if (raise && this.change.isRaising) return context.refuse(requestId, 'EBUSY', 'the feature level is being raised');
    if (!raise || target <= state.level) return context.reply(requestId, this.report(false));
    const holding = this.holdingBack(target);
    if (holding.length > 0) {
      const who = holding.map(({ peer_id, holds_back }) => `${peer_id} ${holds_back}`).join('; ');
      return context.refuse(requestId, 'EUNSUPPORTED', `not all speak feature level ${target}: ${who}`);
    }
    const against = this.leadership.reasonAgainstWrites();
    if (against !== undefined) return context.refuse(requestId, 'EREADONLY', against);
    const obstacle = this.obstacle();
    if (obstacle !== undefined) return context.refuse(requestId, 'EBUSY', obstacle);
    context.log('info', 'raises the feature level, as an operator wants', { level: target });
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

  /** The highest level that this peer speaks, with all of its processes. */
  private highest(): number {
    return this.state.peerLevels?.highest ?? 0;
  }

  /** Until the leader raises the level by itself; undefined: it does not. */
  private raisesInMs(): number | undefined {
    const { raiseLevel = 'auto', levelSettleMs = defaultLevelSettleMs } = this.context.options;
    if (raiseLevel === 'manual' || this.sinceMs === undefined) return undefined;
    return Math.max(0, Math.ceil(this.sinceMs + levelSettleMs - this.context.nowMs));
  }

  /** Why no entry can raise it now, or undefined. */
  private obstacle(): string | undefined {
    if (this.isHandingOver()) return 'the leadership is handed over';
    return this.leadership.reasonAgainstWrites() ?? this.change.reasonAgainstRaise;
  }

  private holdingBack(target: number): PeerLevels[] {
    return this.peers(target).filter(({ holds_back }) => holds_back !== '');
  }

  /** Of all that must speak `target`, what they do. */
  private peers(target: number): PeerLevels[] {
    const configuration = this.state.log.configuration?.configuration;
    const members = configuration === undefined ? [] : allMembers(configuration);
    const joiners = this.change.joiners.filter((peerId) => !members.some(({ peer_id }) => peer_id === peerId));
    return [
      ...members.map((member) => this.ofMember(member, target)),
      ...joiners.map((one) => this.ofPeer(one, target)),
    ];
  }

  private ofMember({ peer_id, store_id }: Member, target: number): PeerLevels {
    const { state, context } = this;
    if (peer_id === state.peerId && store_id === state.storeId) {
      const { version = '' } = context.options;
      return { peer_id, version, levels: state.peerLevels, holds_back: lacks(state.peerLevels, target) };
    }
    // While a store is replaced its member has two.
    if (this.leadership.progress(peer_id)?.store_id !== store_id) {
      return {
        peer_id,
        version: '',
        levels: null,
        holds_back: 'has not been heard with the store that it is bound to',
      };
    }
    return this.ofPeer(peer_id, target);
  }

  private ofPeer(peer_id: PeerId, target: number): PeerLevels {
    const progress = this.leadership.progress(peer_id);
    const { version = '', levels = null } = progress ?? {};
    const unfitness = this.leadership.unfitness(peer_id);
    const isHeard = unfitness !== 'silent' && unfitness !== 'unknown' && unfitness !== 'refused';
    return { peer_id, version, levels, holds_back: isHeard ? lacks(levels, target) : 'is silent' };
  }
}

function lacks(levels: Levels | null, target: number): string {
  if (levels === null) return 'has not said which levels it speaks';
  if (target >= levels.lowest && target <= levels.highest) return '';
  return levels.highest < levels.lowest
    ? 'has processes that speak no level in common'
    : `speaks levels ${levels.lowest} to ${levels.highest}`;
}
