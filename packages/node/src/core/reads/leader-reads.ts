/**
 * Reads that a leader answers, and the read indexes that it sends to followers.
 * A linearizable read waits for a round. A round begins with a tick that is sent after the read arrived, and is complete when a
 * quorum has echoed the tick (Raft thesis, section 6.4, without clocks) and the log-store has confirmed, after the read arrived,
 * that this node's session is still the current one: otherwise a second node of this peer may have voted for another leader. A
 * read by lease needs no round while the lease holds; without the lease it waits for a round, too. A follower's request for a read
 * index also waits for a round.
 * Owns: the reads and requests that wait, and the rounds. Does not own ticks, echoes and the lease.
 * Invariants:
 * 1. A read uses the commit index that is known when its round begins. No round begins before the leader knows every entry that
 *    earlier leaders committed (`LeaderState.knowsCommitted`).
 * 2. A round serves only the reads that arrived before it began.
 * 3. In one turn the node answers only as many reads as `ReadBudget` allows, so that they do not delay ticks and votes.
 * 4. A read by lease is answered only if the leader knows every entry that earlier leaders committed, and only after it has applied
 *    all entries that it knew to be committed when the read arrived.
 * 5. While a quorum confirms this leader, a read is answered, or refused as not done, within two election timeouts and a tick.
 */
import type { StateMachine } from '@conclave/actor/core';
import { asTerm, type Body, type LogIndex, limits } from '@conclave/protocol';
import { clockOf, type NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { ReadBudget } from './read-budget.js';

type ReadIndex = Body<'node.read_index'>;

/** A read of the state machine that waits. */
export interface Read {
  readonly requestId: number;
  readonly query: unknown;
  /** When it arrived. */
  readonly sinceMs: number;
}

interface Round {
  readonly tickId: number;
  readonly readIndex: LogIndex;
  reads: Read[];
  /** The followers' requests for a read index that are not answered yet. */
  indexRequests: readonly ReadIndex[];
  /** Whether a quorum has echoed the round's tick or a later one. */
  isEchoed: boolean;
  /** Whether the log-store has confirmed, after the tick was sent, that this node's session is the current one. */
  isSessionConfirmed: boolean;
}

/** How many rounds may be incomplete at the same time; reads that arrive meanwhile share the next round. */
const roundsInFlight = 2;

export class LeaderReads {
  /** The reads that wait for the next round. */
  private waiting: Read[] = [];
  /** The followers' requests that wait for the next round. */
  private indexRequests: ReadIndex[] = [];
  private rounds: Round[] = [];
  /** How many reads and requests of followers wait, with or without a round. */
  private count = 0;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
    private readonly budget: ReadBudget,
  ) {}

  /** A linearizable read: it waits for the next round. */
  read(read: Read): void {
    if (!this.hasRoom(read.requestId)) return;
    this.count += 1;
    this.waiting.push(read);
  }

  /**
   * Answers a read by lease as soon as all committed entries are applied. The caller has checked that the lease holds. A read that
   * must wait for entries to be applied waits in a round of its own, which is complete from its beginning.
   */
  readByLease(read: Read): void {
    const { commitIndex, appliedIndex } = this.state;
    if (appliedIndex >= commitIndex) return this.reply(read);
    if (!this.hasRoom(read.requestId)) return;
    this.count += 1;
    const round = {
      tickId: 0,
      readIndex: commitIndex,
      reads: [read],
      indexRequests: [],
      isEchoed: true,
      isSessionConfirmed: true,
    };
    this.rounds.unshift(round);
  }

  private reply({ requestId, query }: Read): void {
    const result = this.stateMachine.query(query, clockOf(this.state, this.context.nowMs));
    this.budget.spend(this.stateMachine.rowsIn?.(result) ?? 1);
    this.context.reply(requestId, result);
  }

  private hasRoom(requestId: number): boolean {
    if (this.count < limits.pendingReads) return true;
    this.context.refuse(requestId, 'EBUSY', 'too many reads are waiting');
    return false;
  }

  /** A follower requests a read index. It repeats the request until it receives a reply; repetitions are dropped. */
  onReadIndex(body: ReadIndex): void {
    const isSame = (other: ReadIndex): boolean => other.peer_id === body.peer_id && other.session === body.session;
    const isRepeated = [this.indexRequests, ...this.rounds.map(({ indexRequests }) => indexRequests)].some((requests) =>
      requests.some((other) => isSame(other) && other.request_id === body.request_id),
    );
    if (isRepeated) return this.context.drop('read_index_repeated');
    if (this.count >= limits.pendingReads) return this.context.drop('read_index_too_many');
    this.count += 1;
    this.indexRequests.push(body);
  }

  /** Sends a read index to a follower: the follower may read once it has applied all entries up to it. */
  sendReadIndex(body: ReadIndex, readIndex: LogIndex): void {
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

  /** Whether reads or requests wait and another round may begin. */
  get wantsRound(): boolean {
    const waits = this.waiting.length + this.indexRequests.length > 0;
    return waits && this.rounds.filter((round) => !isComplete(round)).length < roundsInFlight;
  }

  /** This tick has just been sent: begins a round with it, for all reads and requests that wait. */
  beginRound(tickId: number): void {
    if (this.waiting.length + this.indexRequests.length === 0) return;
    this.rounds.push({
      tickId,
      readIndex: this.state.commitIndex,
      reads: this.waiting,
      indexRequests: this.indexRequests,
      isEchoed: false,
      isSessionConfirmed: false,
    });
    this.waiting = [];
    this.indexRequests = [];
  }

  /** A quorum has echoed this tick. */
  onConfirmed(tickId: number): void {
    for (const round of this.rounds) if (round.tickId <= tickId) round.isEchoed = true;
    this.serve();
  }

  /** Whether a round waits for the log-store to confirm the session. */
  get awaitsSession(): boolean {
    return this.rounds.some(({ isSessionConfirmed }) => !isSessionConfirmed);
  }

  /** The log-store has confirmed that the session was still the current one after this tick was sent. */
  onInForce(tickId: number): void {
    for (const round of this.rounds) if (round.tickId <= tickId) round.isSessionConfirmed = true;
    this.serve();
  }

  /**
   * Answers the complete rounds in their order. Of a round, it first sends the followers their read index, and then answers the reads
   * once the entries up to the read index are applied.
   */
  serve(): void {
    while (this.rounds.length > 0) {
      const round = this.rounds[0] as Round;
      if (!isComplete(round)) return;
      for (const body of round.indexRequests) this.sendReadIndex(body, round.readIndex);
      this.count -= round.indexRequests.length;
      round.indexRequests = [];
      if (round.readIndex > this.state.appliedIndex) return;
      const served = this.budget.serve(round.reads, (read) => this.reply(read));
      round.reads.splice(0, served);
      this.count -= served;
      if (round.reads.length > 0) return this.context.setTimer('reads', 0);
      this.rounds.shift();
    }
  }

  /** Refuses reads that have waited for two election timeouts, because this peer cannot execute all of them in time. */
  refuseLate(): void {
    if (this.count === 0) return;
    const { nowMs, options } = this.context;
    const isInTime = ({ requestId, sinceMs }: Read): boolean => {
      if (nowMs - sinceMs < 2 * options.electionTimeoutMs) return true;
      this.count -= 1;
      this.context.refuse(requestId, 'EBUSY', 'the read has waited for too long');
      return false;
    };
    this.waiting = this.waiting.filter(isInTime);
    for (const round of this.rounds) round.reads = round.reads.filter(isInTime);
  }

  /** The leadership has ended: refuses the reads. Followers send their requests to the next leader. */
  refuseAll(reason: string, leaderId: string): void {
    for (const { requestId } of [...this.rounds.flatMap(({ reads }) => reads), ...this.waiting]) {
      this.context.refuse(requestId, 'EPERM', reason, 'not_done', leaderId);
    }
    this.rounds = [];
    this.waiting = [];
    this.indexRequests = [];
    this.count = 0;
  }
}

function isComplete({ isEchoed, isSessionConfirmed }: Round): boolean {
  return isEchoed && isSessionConfirmed;
}
