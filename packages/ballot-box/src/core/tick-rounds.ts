/**
 * Confirms a leader's ticks. A tick is confirmed once a quorum has echoed it or a later one: this proves that the peer was still the
 * leader when it sent the tick (Raft thesis, section 6.4). A tick is confirmed as a *session tick* once a quorum has reported that
 * the session of its log-store was unchanged after this tick, or a later one, had arrived. The leader's lease is based on session
 * ticks.
 *
 * Owns: the last echoed tick and the last session tick of each member. Does not own the ticks.
 *
 * Invariants:
 * 1. The confirmed tick never decreases, nor does the confirmed session tick.
 * 2. The leader itself counts for every tick, but only if it is in the configuration.
 * 3. If the leader alone is a quorum, no tick is confirmed here, because no echo arrives.
 */
import type { Configuration, Member, PeerId, StoreId } from '@conclave/protocol';
import { MemberValues, quorumValue } from './member-values.js';

export interface ConfirmedTicks {
  readonly tick: number;
  readonly sessionTick: number;
}

export class TickRounds {
  private readonly echoes = new MemberValues();
  private readonly sessions = new MemberValues();
  private confirmed: ConfirmedTicks = { tick: 0, sessionTick: 0 };

  constructor(private readonly leader: Member) {}

  /** Records an echo. */
  echoed(peerId: PeerId, storeId: StoreId, tickId: number, sessionTickId: number): 'raised' | 'known' | 'full' {
    this.sessions.record(peerId, storeId, sessionTickId);
    return this.echoes.record(peerId, storeId, tickId);
  }

  /** @returns the confirmed ticks; undefined: neither is later than before */
  count(configuration: Configuration): ConfirmedTicks | undefined {
    const { confirmed } = this;
    const tick = this.quorumOf(configuration, this.echoes);
    if (tick === Infinity) return undefined;
    const sessionTick = this.quorumOf(configuration, this.sessions);
    if (tick <= confirmed.tick && sessionTick <= confirmed.sessionTick) return undefined;
    this.confirmed = {
      tick: Math.max(tick, confirmed.tick),
      sessionTick: Math.max(sessionTick, confirmed.sessionTick),
    };
    return this.confirmed;
  }

  private quorumOf(configuration: Configuration, values: MemberValues): number {
    return quorumValue(configuration, (member) => (this.isLeader(member) ? Infinity : values.of(member)));
  }

  private isLeader(member: Member): boolean {
    return member.peer_id === this.leader.peer_id && member.store_id === this.leader.store_id;
  }
}
