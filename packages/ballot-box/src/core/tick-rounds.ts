/**
 * The rounds of ticks by which a leader knows that it still led: a tick is confirmed once a quorum has echoed it
 * or a later one (Raft thesis, section 6.4).
 *
 * Owns what each member has echoed. Does not own the ticks.
 *
 * Invariants:
 * 1. The confirmed tick only rises.
 * 2. The leader counts for every tick, but only where the configuration has it.
 * 3. A leader that needs nobody else confirms nothing here: there is no echo that would tell when.
 */
import type { Configuration, Member, PeerId, StoreId } from '@conclave/protocol';
import { quorumValue, Tally } from './tally.js';

export class TickRounds {
  private readonly echoes = new Tally();
  private confirmed = 0;

  constructor(private readonly leader: Member) {}

  /** Takes note of an echo. */
  echoed(peerId: PeerId, storeId: StoreId, tickId: number): 'raised' | 'known' | 'full' {
    return this.echoes.note(peerId, storeId, tickId);
  }

  /** The tick that is confirmed now, where that is a later one than before; else undefined. */
  count(configuration: Configuration): number | undefined {
    const tick = quorumValue(configuration, (member) => (this.isLeader(member) ? Infinity : this.echoes.of(member)));
    if (tick === Infinity || tick <= this.confirmed) return undefined;
    this.confirmed = tick;
    return tick;
  }

  private isLeader(member: Member): boolean {
    return member.peer_id === this.leader.peer_id && member.store_id === this.leader.store_id;
  }
}
