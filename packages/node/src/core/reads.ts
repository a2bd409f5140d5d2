/**
 * Linearizable reads of a leader: each waits for a round of heartbeats that began after it arrived and was echoed
 * by a quorum (Raft thesis, section 6.4, without clocks), in which the leader counts itself once its log-store has said
 * that nobody else has opened it: a second node of this peer may have voted for another leader.
 *
 * Invariants:
 * 1. A read takes the commit index that is known when its round begins, never before the leader has committed an
 *    entry of its own term.
 * 2. A round serves only the reads that arrived before it began.
 */
import type { StateMachine } from '@conclave/actor/core';
import { type LogIndex, limits } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

interface Read {
  readonly requestId: number;
  readonly query: unknown;
}

interface Round {
  readonly tickId: number;
  readonly readIndex: LogIndex;
  readonly reads: readonly Read[];
  /** A quorum has echoed it. */
  confirmed: boolean;
  /** The own session was in force. */
  inForce: boolean;
}

/** Rounds under way at once; what arrives meanwhile shares the next one. */
const roundsUnderWay = 2;

export class Reads {
  private waiting: Read[] = [];
  private rounds: Round[] = [];
  private count = 0;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
  ) {}

  read(requestId: number, query: unknown): void {
    if (this.count >= limits.pendingReads) {
      return this.context.refuse(requestId, 'EBUSY', 'too many reads are waiting');
    }
    this.count += 1;
    this.waiting.push({ requestId, query });
  }

  /** Whether a new round should begin now. */
  get wantsRound(): boolean {
    return this.waiting.length > 0 && this.rounds.filter((round) => !isOver(round)).length < roundsUnderWay;
  }

  /** The tick has just been sent: whoever waits is served by it. */
  beginRound(tickId: number): void {
    if (this.waiting.length === 0) return;
    this.rounds.push({
      tickId,
      readIndex: this.state.commitIndex,
      reads: this.waiting,
      confirmed: false,
      inForce: false,
    });
    this.waiting = [];
  }

  /** A quorum has echoed this tick. */
  onConfirmed(tickId: number): void {
    for (const round of this.rounds) if (round.tickId <= tickId) round.confirmed = true;
    this.serve();
  }

  /** Whether the log-store is to be asked for the session. */
  get awaitsSession(): boolean {
    return this.rounds.some(({ inForce }) => !inForce);
  }

  /** The session was in force after this tick. */
  onInForce(tickId: number): void {
    for (const round of this.rounds) if (round.tickId <= tickId) round.inForce = true;
    this.serve();
  }

  /** Answers the confirmed rounds whose entries are applied. */
  serve(): void {
    while (this.rounds.length > 0) {
      const round = this.rounds[0] as Round;
      if (!isOver(round) || round.readIndex > this.state.appliedIndex) return;
      this.rounds.shift();
      this.count -= round.reads.length;
      for (const { requestId, query } of round.reads) {
        this.context.reply(requestId, this.stateMachine.query(query));
      }
    }
  }

  refuseAll(reason: string, leaderId: string): void {
    for (const { requestId } of [...this.rounds.flatMap(({ reads }) => reads), ...this.waiting]) {
      this.context.refuse(requestId, 'EPERM', reason, 'not_done', leaderId);
    }
    this.rounds = [];
    this.waiting = [];
    this.count = 0;
  }
}

function isOver({ confirmed, inForce }: Round): boolean {
  return confirmed && inForce;
}
