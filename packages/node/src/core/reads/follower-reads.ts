/**
 * Linearizable reads on a peer's own subject: it requests a read index from the leader, and answers once it has applied all
 * entries up to it (Raft thesis, end of section 6.4).
 * Owns: the reads that wait and the requests for a read index. Does not own the leader's side (`leader-reads.ts`).
 * Invariants:
 * 1. A request for a read index serves only the reads that arrived before it was first sent.
 * 2. Each read is answered, or refused as not done within two election timeouts and a heartbeat.
 * 3. A reply of the leader is used once, and only in the session of its request.
 * 4. A turn answers as many reads as its budget allows (`ReadBudget`).
 */
import type { StateMachine } from '@conclave/actor/core';
import { asLogIndex, type Body, type LogIndex, limits } from '@conclave/protocol';
import type { RoleControl } from '../role-control.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { Read } from './leader-reads.js';
import type { ReadBudget } from './read-budget.js';

interface IndexRequest {
  readonly requestId: number;
  readonly byLease: boolean;
  reads: readonly Read[];
  /** The read index in the leader's reply; undefined: no reply has arrived yet. */
  readIndex: LogIndex | undefined;
}

/** Requests in flight at the same time, of each kind; reads that arrive meanwhile share the next one. */
const requestsInFlight = 2;

export class FollowerReads {
  private waiting = { lease: [] as Read[], quorum: [] as Read[] };
  private requests: IndexRequest[] = [];
  private lastRequestId = 0;
  private count = 0;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
    private readonly roles: RoleControl,
    private readonly budget: ReadBudget,
  ) {}

  /** Queues a read; the leader is asked at the end of the turn. */
  read(read: Read, byLease: boolean): void {
    const { requestId } = read;
    if (this.state.stopped !== '') return this.refuseStopped(requestId);
    if (this.count >= limits.pendingReads) {
      return this.context.refuse(requestId, 'EBUSY', 'too many reads are waiting');
    }
    this.count += 1;
    this.waiting[byLease ? 'lease' : 'quorum'].push(read);
  }

  /** Requests read indexes for the reads that wait. */
  requestReadIndexes(): void {
    if (this.count === 0 || this.state.leaderId === '') return;
    for (const kind of ['lease', 'quorum'] as const) {
      const byLease = kind === 'lease';
      const inFlight = this.requests.filter((one) => one.byLease === byLease && one.readIndex === undefined).length;
      if (this.waiting[kind].length === 0 || inFlight >= requestsInFlight) continue;
      this.lastRequestId += 1;
      const request = { requestId: this.lastRequestId, byLease, reads: this.waiting[kind], readIndex: undefined };
      this.waiting[kind] = [];
      this.requests.push(request);
      this.send(request);
    }
  }

  private send({ requestId, byLease }: IndexRequest): void {
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

  onReadIndex(body: Body<'node.read_index_answer'>): void {
    const { state, context, roles } = this;
    const request = this.requests.find(({ requestId }) => requestId === body.request_id);
    const isMine = body.session === state.session && body.group_uid === state.groupUid;
    if (!isMine || request === undefined || request.readIndex !== undefined) {
      return context.drop('read_index_answer_stale');
    }
    request.readIndex = body.read_index;
    // A log with the entry of the read index has every committed entry: no need to wait for the next commit index.
    const hasEntry = body.index_term > 0 && state.log.termAt(body.read_index) === body.index_term;
    if (hasEntry && state.role === 'follower') roles.commitTo(asLogIndex(body.read_index));
    this.serve();
  }

  /** Answers the reads whose entries are applied. */
  serve(): void {
    if (this.requests.length === 0) return;
    const { appliedIndex } = this.state;
    this.requests = this.requests.filter((request) => {
      const { readIndex } = request;
      if (readIndex === undefined || readIndex > appliedIndex) return true;
      const served = this.budget.serve(request.reads, (read) => this.reply(read));
      request.reads = request.reads.slice(served);
      this.count -= served;
      return request.reads.length > 0;
    });
    if (this.state.stopped !== '') this.refuseUnreachable();
    if (this.budget.isSpent && this.requests.length > 0) this.context.setTimer('reads', 0);
  }

  private reply({ requestId, query }: Read): void {
    const result = this.stateMachine.query(query);
    this.budget.spend(this.stateMachine.rowsIn?.(result) ?? 1);
    this.context.reply(requestId, result);
  }

  /** Repeats the requests, and refuses reads that have waited for too long. */
  onTick(): void {
    if (this.count === 0) return;
    if (this.state.stopped !== '') return this.refuseUnreachable();
    const since = this.context.nowMs - 2 * this.context.options.electionTimeoutMs;
    const inTime = (reads: readonly Read[]): Read[] => reads.filter((read) => this.isInTime(read, since));
    this.waiting = { lease: inTime(this.waiting.lease), quorum: inTime(this.waiting.quorum) };
    for (const request of this.requests) request.reads = inTime(request.reads);
    this.requests = this.requests.filter(({ reads }) => reads.length > 0);
    for (const request of this.requests) if (request.readIndex === undefined) this.send(request);
    this.requestReadIndexes();
  }

  private isInTime({ requestId, sinceMs }: Read, since: number): boolean {
    if (sinceMs > since) return true;
    this.count -= 1;
    this.context.refuse(requestId, 'ETIMEDOUT', 'no leader has answered in time');
    return false;
  }

  /** This peer applies nothing more: its state does not reach the read index. */
  private refuseStopped(requestId: number): void {
    this.context.refuse(requestId, 'EUNSUPPORTED', `this peer cannot read up to date: it ${this.state.stopped}`);
  }

  /** Refuses reads that wait for entries which this peer will not apply, or for a leader that could name only such. */
  private refuseUnreachable(): void {
    const { appliedIndex } = this.state;
    const { lease, quorum } = this.waiting;
    this.waiting = { lease: [], quorum: [] };
    this.count -= lease.length + quorum.length;
    for (const { requestId } of [...lease, ...quorum]) this.refuseStopped(requestId);
    this.requests = this.requests.filter(({ readIndex, reads }) => {
      if (readIndex !== undefined && readIndex <= appliedIndex) return true;
      this.count -= reads.length;
      for (const { requestId } of reads) this.refuseStopped(requestId);
      return false;
    });
  }

  /** This node is fenced, or restarts (EFENCED); or its history has ended, and the reads were of that (EHISTORY). */
  refuseAll(reason: string, code: 'EFENCED' | 'EHISTORY' = 'EFENCED'): void {
    const reads = [...this.waiting.lease, ...this.waiting.quorum, ...this.requests.flatMap((one) => one.reads)];
    for (const { requestId } of reads) this.context.refuse(requestId, code, reason);
    this.waiting = { lease: [], quorum: [] };
    this.requests = [];
    this.count = 0;
  }
}
