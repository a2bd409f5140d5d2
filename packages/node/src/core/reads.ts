/**
 * Reads of a leader. A linearizable one waits for a round of heartbeats that began after it arrived and was echoed by a
 * quorum (Raft thesis, section 6.4, without clocks), in which the leader counts itself once its log-store has said that
 * nobody else has opened it: a second node of this peer may have voted for another leader. One by lease needs no round
 * while the lease holds, and takes one where it does not. What a follower asks for, to read itself, is such a read as well.
 *
 * Invariants:
 * 1. A read takes the commit index that is known when its round begins, never before the leader has committed an
 *    entry of its own term.
 * 2. A round serves only the reads that arrived before it began.
 * 3. One step answers a bounded number of reads, so that many do not hold up ticks and votes.
 * 4. By lease nothing is read before the leader has committed an entry of its own term, or that is not applied.
 */
import type { StateMachine } from '@conclave/actor/core';
import { asTerm, type Body, type LogIndex, limits } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import { clockOf, type NodeState } from './state.js';

type ReadIndex = Body<'node.read_index'>;

interface Read {
  readonly requestId: number;
  readonly query: unknown;
}

interface Round {
  readonly tickId: number;
  readonly readIndex: LogIndex;
  readonly reads: Read[];
  /** Of followers, until they are answered. */
  asked: readonly ReadIndex[];
  /** A quorum has echoed it. */
  confirmed: boolean;
  /** The own session was in force. */
  inForce: boolean;
}

/** Reads that one step answers: each may be of half a megabyte. */
export const readsPerStep = 64;
/** Rounds under way at once; what arrives meanwhile shares the next one. */
const roundsUnderWay = 2;

export class Reads {
  private waiting: Read[] = [];
  private asked: ReadIndex[] = [];
  private rounds: Round[] = [];
  private count = 0;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
  ) {}

  read(requestId: number, query: unknown): void {
    if (!this.hasRoom(requestId)) return;
    this.count += 1;
    this.waiting.push({ requestId, query });
  }

  /** The lease holds, and an entry of this leader's own term is committed: answers as soon as all that is, is applied. */
  readByLease(requestId: number, query: unknown): void {
    const { commitIndex, appliedIndex } = this.state;
    if (appliedIndex >= commitIndex) return this.reply(requestId, query);
    if (!this.hasRoom(requestId)) return;
    this.count += 1;
    const reads = [{ requestId, query }];
    this.rounds.unshift({ tickId: 0, readIndex: commitIndex, reads, asked: [], confirmed: true, inForce: true });
  }

  private reply(requestId: number, query: unknown): void {
    this.context.reply(requestId, this.stateMachine.query(query, clockOf(this.state, this.context.nowMs)));
  }

  private hasRoom(requestId: number): boolean {
    if (this.count < limits.pendingReads) return true;
    this.context.refuse(requestId, 'EBUSY', 'too many reads are waiting');
    return false;
  }

  /** A follower asks for a read index; it asks again where it is not answered. */
  onReadIndex(body: ReadIndex): void {
    const isSame = (other: ReadIndex): boolean => other.peer_id === body.peer_id && other.session === body.session;
    const isAsked = [this.asked, ...this.rounds.map(({ asked }) => asked)].some((asks) =>
      asks.some((other) => isSame(other) && other.request_id === body.request_id),
    );
    if (isAsked) return this.context.drop('read_index_repeated');
    if (this.count >= limits.pendingReads) return this.context.drop('read_index_too_many');
    this.count += 1;
    this.asked.push(body);
  }

  /** Tells a follower that all up to the commit index is what it is to have applied. */
  answer(body: ReadIndex, readIndex: LogIndex): void {
    const { state, context } = this;
    context.send(body.peer_id, {
      name: 'node.read_index_answer',
      body: {
        group_id: body.group_id,
        group_uid: state.groupUid,
        peer_id: state.peerId,
        term: state.term,
        session: body.session,
        request_id: body.request_id,
        read_index: readIndex,
        index_term: state.log.termAt(readIndex) ?? asTerm(0),
      },
    });
  }

  /** Whether a new round should begin now. */
  get wantsRound(): boolean {
    const waits = this.waiting.length + this.asked.length > 0;
    return waits && this.rounds.filter((round) => !isOver(round)).length < roundsUnderWay;
  }

  /** The tick has just been sent: whoever waits is served by it. */
  beginRound(tickId: number): void {
    if (this.waiting.length + this.asked.length === 0) return;
    this.rounds.push({
      tickId,
      readIndex: this.state.commitIndex,
      reads: this.waiting,
      asked: this.asked,
      confirmed: false,
      inForce: false,
    });
    this.waiting = [];
    this.asked = [];
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

  /** Answers the confirmed rounds: followers at once, the own reads where their entries are applied. */
  serve(): void {
    let most = readsPerStep;
    while (this.rounds.length > 0) {
      const round = this.rounds[0] as Round;
      if (!isOver(round)) return;
      for (const body of round.asked) this.answer(body, round.readIndex);
      this.count -= round.asked.length;
      round.asked = [];
      if (round.readIndex > this.state.appliedIndex) return;
      const reads = round.reads.splice(0, most);
      this.count -= reads.length;
      most -= reads.length;
      for (const { requestId, query } of reads) this.reply(requestId, query);
      if (round.reads.length > 0) return this.context.setTimer('reads', 0);
      this.rounds.shift();
    }
  }

  /** The leadership is over. Followers ask the next leader. */
  refuseAll(reason: string, leaderId: string): void {
    for (const { requestId } of [...this.rounds.flatMap(({ reads }) => reads), ...this.waiting]) {
      this.context.refuse(requestId, 'EPERM', reason, 'not_done', leaderId);
    }
    this.rounds = [];
    this.waiting = [];
    this.asked = [];
    this.count = 0;
  }
}

function isOver({ confirmed, inForce }: Round): boolean {
  return confirmed && inForce;
}
