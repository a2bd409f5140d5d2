/**
 * Linearizable reads on a peer's own subject: it asks the leader for a read index, and answers once it has applied all up
 * to there (Raft thesis, section 6.4, at its end).
 *
 * Owns the reads that wait and what the leader was asked for them. Does not own the leader's side of it (`reads.ts`).
 *
 * Invariants:
 * 1. A question serves only the reads that arrived before it was first sent.
 * 2. Each read is answered, or refused as not done within two election timeouts, and a heartbeat.
 * 3. An answer counts once, and only in the session in which it was asked for.
 * 4. One step answers a bounded number of reads.
 */
import type { StateMachine } from '@conclave/actor/core';
import { asLogIndex, type Body, type LogIndex, limits } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeHub } from './hub.js';
import { readsPerStep } from './reads.js';
import type { NodeState } from './state.js';

interface Read {
  readonly requestId: number;
  readonly query: unknown;
  readonly sinceMs: number;
}

interface Question {
  readonly requestId: number;
  readonly byLease: boolean;
  reads: readonly Read[];
  /** What the leader has answered. */
  readIndex: LogIndex | undefined;
}

/** Questions under way at once, of each kind; what arrives meanwhile shares the next one. */
const questionsUnderWay = 2;

export class FollowerReads {
  private waiting = { lease: [] as Read[], quorum: [] as Read[] };
  private questions: Question[] = [];
  private lastRequestId = 0;
  private count = 0;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
    private readonly hub: NodeHub,
  ) {}

  /** Takes a read; the leader is asked when the mailbox has run dry. */
  read(requestId: number, query: unknown, byLease: boolean): void {
    if (this.state.stopped !== '') return this.refuseStopped(requestId);
    if (this.count >= limits.pendingReads) {
      return this.context.refuse(requestId, 'EBUSY', 'too many reads are waiting');
    }
    this.count += 1;
    this.waiting[byLease ? 'lease' : 'quorum'].push({ requestId, query, sinceMs: this.context.nowMs });
  }

  /** Asks the leader for what waits. */
  flush(): void {
    if (this.count === 0 || this.state.leaderId === '') return;
    for (const kind of ['lease', 'quorum'] as const) {
      const byLease = kind === 'lease';
      const underWay = this.questions.filter((one) => one.byLease === byLease && one.readIndex === undefined).length;
      if (this.waiting[kind].length === 0 || underWay >= questionsUnderWay) continue;
      this.lastRequestId += 1;
      const question = { requestId: this.lastRequestId, byLease, reads: this.waiting[kind], readIndex: undefined };
      this.waiting[kind] = [];
      this.questions.push(question);
      this.ask(question);
    }
  }

  private ask({ requestId, byLease }: Question): void {
    const { state, context } = this;
    if (state.leaderId === '') return;
    context.send(state.leaderId, {
      name: 'node.read_index',
      body: {
        group_id: context.options.groupId,
        group_uid: state.groupUid,
        peer_id: state.peerId,
        session: state.session,
        request_id: requestId,
        by_lease: byLease,
      },
    });
  }

  onAnswer(body: Body<'node.read_index_answer'>): void {
    const { state, context, hub } = this;
    const question = this.questions.find(({ requestId }) => requestId === body.request_id);
    const isMine = body.session === state.session && body.group_uid === state.groupUid;
    if (!isMine || question === undefined || question.readIndex !== undefined) {
      return context.drop('read_index_answer_stale');
    }
    question.readIndex = body.read_index;
    // With its last entry it has all that is committed: no need to wait for a leader's word of that.
    const isHere = body.index_term > 0 && state.log.termAt(body.read_index) === body.index_term;
    if (isHere && state.role === 'follower') hub.commitTo(asLogIndex(body.read_index));
    this.serve();
  }

  /** Answers what is applied. */
  serve(): void {
    if (this.questions.length === 0) return;
    const { appliedIndex } = this.state;
    let most = readsPerStep;
    this.questions = this.questions.filter((question) => {
      const { readIndex } = question;
      if (readIndex === undefined || readIndex > appliedIndex) return true;
      const reads = question.reads.slice(0, most);
      question.reads = question.reads.slice(most);
      this.count -= reads.length;
      most -= reads.length;
      for (const { requestId, query } of reads) this.context.reply(requestId, this.stateMachine.query(query));
      return question.reads.length > 0;
    });
    if (this.state.stopped !== '') this.refuseUnreachable();
    if (most === 0 && this.questions.length > 0) this.context.setTimer('reads', 0);
  }

  /** Asks again, and gives up what has waited for too long. */
  onTick(): void {
    if (this.count === 0) return;
    if (this.state.stopped !== '') return this.refuseUnreachable();
    const since = this.context.nowMs - 2 * this.context.options.electionTimeoutMs;
    const inTime = (reads: readonly Read[]): Read[] => reads.filter((read) => this.isInTime(read, since));
    this.waiting = { lease: inTime(this.waiting.lease), quorum: inTime(this.waiting.quorum) };
    for (const question of this.questions) question.reads = inTime(question.reads);
    this.questions = this.questions.filter(({ reads }) => reads.length > 0);
    for (const question of this.questions) if (question.readIndex === undefined) this.ask(question);
    this.flush();
  }

  private isInTime({ requestId, sinceMs }: Read, since: number): boolean {
    if (sinceMs > since) return true;
    this.count -= 1;
    this.context.refuse(requestId, 'ETIMEDOUT', 'no leader has said in time what is committed');
    return false;
  }

  /** This peer applies nothing more: its state does not get to where a read of now would be. */
  private refuseStopped(requestId: number): void {
    this.context.refuse(requestId, 'EUNSUPPORTED', `this peer cannot read up to date: it ${this.state.stopped}`);
  }

  /** Reads that wait for entries which this peer will not apply, or for a leader that could name only such. */
  private refuseUnreachable(): void {
    const { appliedIndex } = this.state;
    const { lease, quorum } = this.waiting;
    this.waiting = { lease: [], quorum: [] };
    this.count -= lease.length + quorum.length;
    for (const { requestId } of [...lease, ...quorum]) this.refuseStopped(requestId);
    this.questions = this.questions.filter(({ readIndex, reads }) => {
      if (readIndex !== undefined && readIndex <= appliedIndex) return true;
      this.count -= reads.length;
      for (const { requestId } of reads) this.refuseStopped(requestId);
      return false;
    });
  }

  /** This node is fenced, or starts over (EFENCED); or its history has ended, and what was asked was meant for that (EHISTORY). */
  refuseAll(reason: string, code: 'EFENCED' | 'EHISTORY' = 'EFENCED'): void {
    const reads = [...this.waiting.lease, ...this.waiting.quorum, ...this.questions.flatMap((one) => one.reads)];
    for (const { requestId } of reads) this.context.refuse(requestId, code, reason);
    this.waiting = { lease: [], quorum: [] };
    this.questions = [];
    this.count = 0;
  }
}
