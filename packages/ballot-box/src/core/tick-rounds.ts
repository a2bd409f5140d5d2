/**
 * The rounds of ticks by which a leader knows that it still led: a tick is confirmed once a quorum has echoed it
 * or a later one (Raft thesis, section 6.4). And the ticks by which it knows how long it will: a session tick counts once
 * a quorum has said of it, or of a later one, that it was heard while the follower's log-store was in its session.
 *
 * Owns what each member has echoed. Does not own the ticks.
 *
 * Invariants:
 * 1. The confirmed tick only rises, and so does the session tick.
 * 2. The leader counts for every tick, but only where the configuration has it.
 * 3. A leader that needs nobody else confirms nothing here: there is no echo that would tell when.
 */
import type { Configuration, Member, PeerId, StoreId } from '@conclave/protocol';
import { quorumValue, Tally } from './tally.js';

export interface ConfirmedTicks {
  readonly tick: number;
  readonly sessionTick: number;
}

export class TickRounds {
  private readonly echoes = new Tally();
  private readonly sessions = new Tally();
  private confirmed: ConfirmedTicks = { tick: 0, sessionTick: 0 };

  constructor(private readonly leader: Member) {}

  /** Takes note of an echo. */
  echoed(peerId: PeerId, storeId: StoreId, tickId: number, sessionTickId: number): 'raised' | 'known' | 'full' {
    this.sessions.note(peerId, storeId, sessionTickId);
    return this.echoes.note(peerId, storeId, tickId);
  }

  /** The ticks that count now, where one of them is later than before; else undefined. */
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

  private quorumOf(configuration: Configuration, tally: Tally): number {
    return quorumValue(configuration, (member) => (this.isLeader(member) ? Infinity : tally.of(member)));
  }

  private isLeader(member: Member): boolean {
    return member.peer_id === this.leader.peer_id && member.store_id === this.leader.store_id;
  }
}
