/**
 * Confirms a leader's ticks. A tick is confirmed once a quorum has echoed it or a later one: the leader still led when it sent it
 * (Raft thesis, section 6.4). A session tick is confirmed once a quorum has reported that it, or a later one, was received while
 * the follower's log-store was in its session: the lease follows from it.
 *
 * Owns: the echoes of each member. Does not own the ticks.
 *
 * Invariants:
 * 1. The confirmed tick only rises, and so does the session tick.
 * 2. The leader counts for every tick, but only if the configuration includes it.
 * 3. A leader that is a quorum by itself confirms nothing here: there is no echo that would show the time.
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

  /** @returns the confirmed ticks, if one of them is later than before; else undefined */
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
