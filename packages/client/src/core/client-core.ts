/**
 * The client of a group: joins the calls of one turn of the event loop into requests, numbers writes, resends requests until a reply
 * arrives or the deadline has passed, and reports the outcome of each call.
 *
 * Terms: to *settle* a call is to report its outcome to the application. An *attempt* is one sending of a request. An *urgent* call
 * keeps or ends a lease, releases a lock, or is a query marked as urgent (`isUrgent` in `validate-call.ts`).
 *
 * Owns: the open calls, the client session, and which requests are begun, resent and ended. `PendingRequests` sends them. Does not
 * know NATS, the clock or the `Promise` objects of the application's calls.
 *
 * Each write but the renewal of a lease has a number in the client session, and the group executes each number once. So a write can
 * be resent whenever an attempt got no reply. A renewal has no number, because it does no harm if it is executed twice. The group
 * keeps the results of at most `limits.clientResults` writes that the client has not acknowledged, so the session has no more
 * unsettled writes at a time. The writes of one turn of the event loop are sent in their order, in as few requests as possible;
 * urgent calls of the turn are sent before them. Resending can reorder requests, but not the writes within a request. A read does
 * not wait for open writes.
 *
 * Invariants:
 * 1. Each call is settled exactly once: as done, not done, or unknown.
 * 2. A call is settled as not done only if every attempt that contained it is known to have done nothing.
 * 3. At most `limits.clientRequests` requests with reads or writes are in flight. Requests with urgent calls do not count: they are
 *    sent at the end of the turn, urgent queries at once. But a call that ends a lease or releases a lock waits while there is no
 *    session, or while the session has too many unsettled writes to number another one (`WriteSession.room`).
 * 4. A request of the API `kv` names the history that the client knew when the request was made, also when it is resent. A group
 *    in a later history refuses the request.
 * 5. A write is sent in another session only if every attempt in the old session is known to have done nothing.
 */
import { DropCounter, type ErrorBody, type ErrorCode, type GroupUid, invariant, limits } from '@conclave/protocol';
import type {
  Call,
  ClientEffect,
  ClientInput,
  Instant,
  QueryCall,
  ReadCall,
  RequestTarget,
  Settlement,
} from './call.js';
import { CallQueues } from './call-queues.js';
import { type Attempt, ClientRequest, type OpenCall, type RequestKind } from './client-request.js';
import { notDone, OpenCalls } from './open-calls.js';
import { PendingRequests } from './pending-requests.js';
import { type ReplyVerdict, settlementWithoutReply, verdictOf } from './reply-verdict.js';
import { StepEffects } from './step-effects.js';
import type { WaitingCalls } from './waiting-calls.js';
import { WriteSession } from './write-session.js';

export interface ClientOptions {
  /** How long a call may take by default, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** How long to wait for the reply to the first attempt, in milliseconds. */
  readonly requestTimeoutMs?: number | undefined;
}

const defaultTimeoutMs = 10_000;
const defaultRequestTimeoutMs = 1000;

export class ClientCore {
  private readonly drops = new DropCounter();
  private readonly timeoutMs: number;
  private readonly calls: OpenCalls;
  private readonly queues = new CallQueues();
  private readonly output = new StepEffects();
  private readonly requests: PendingRequests;
  private session: WriteSession | undefined;
  /** The history in the last reply of the group's leader; undefined: unknown. */
  private groupUid: GroupUid | undefined;
  /** The request that opens a session, while there is none. */
  private opening: ClientRequest | undefined;
  private isClosed = false;

  constructor(options: ClientOptions = {}) {
    this.timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.calls = new OpenCalls(this.timeoutMs);
    this.requests = new PendingRequests(options.requestTimeoutMs ?? defaultRequestTimeoutMs, this.output);
  }

  step(input: ClientInput, at: Instant): readonly ClientEffect[] {
    this.output.begin();
    switch (input.type) {
      case 'call':
        this.onCall(input.callId, input.call, input.timeoutMs, at);
        break;
      case 'reply':
        this.onReply(input, at);
        break;
      case 'not_permitted':
        this.onNotPermitted(input, at);
        break;
      case 'timer':
        this.onTimer(at);
        break;
      case 'leader_elected':
        this.onLeaderElected(at);
        break;
      case 'idle':
        this.onIdle(at);
        break;
      case 'close':
        this.onClose();
        break;
    }
    return this.output.take(at.nowMs);
  }

  /** How many replies and timers were dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.drops.byReason;
  }

  /** The number of open calls, and of the requests that are sent or wait to be sent again. */
  status(): { readonly openCalls: number; readonly requests: number } {
    return { openCalls: this.calls.size, requests: this.requests.size };
  }

  /** Why an open request to the leader has no reply yet, as a text for users; undefined: no attempt has failed. */
  get problem(): string | undefined {
    for (const { problem, target } of this.requests.all())
      if (target.peerId === undefined && problem !== '') return problem;
    return undefined;
  }

  private onCall(callId: number, call: Call, timeout: number | undefined, at: Instant): void {
    if (this.isClosed) return this.rejectCall(callId, notDone('ESHUTDOWN', 'the client is closed'));
    const open = this.calls.open(callId, call, timeout, at.nowMs);
    if ('error' in open) return this.rejectCall(callId, open.error);
    this.output.wakeAt(open.deadlineMs);
    if (call.operation === 'admin') {
      this.begin('admin', { api: 'admin', name: call.command, peerId: call.peerId }, [open], at);
    } else if (call.operation === 'query' && open.isUrgent) {
      this.begin('query', { api: 'kv', name: call.name, peerId: call.peerId }, [open], at);
    } else {
      this.queues.queueOf(open).add(open);
    }
  }

  private rejectCall(callId: number, error: ErrorBody): void {
    this.output.emit({ type: 'settle', callId, settlement: { outcome: 'not_done', error } });
  }

  private onIdle(at: Instant): void {
    this.sendUrgent(at);
    while (this.requests.hasRoom) {
      const session = this.queues.writes.first === undefined ? undefined : this.sessionWithRoom(false, at);
      const write = session === undefined ? undefined : this.queues.writes.first;
      const read = this.queues.reads.first;
      if (session !== undefined && write !== undefined && (read === undefined || write.callId < read.callId)) {
        this.sendWrites(this.queues.writes, session, at);
      } else if (read !== undefined) {
        this.sendReads(read, at);
      } else {
        return;
      }
    }
  }

  private sendUrgent(at: Instant): void {
    while (this.queues.keepalives.first !== undefined) {
      // Without a session, so that the call need not wait until the session has room: keeping a lease twice does no harm.
      this.begin('write', { api: 'kv', name: 'batch' }, this.queues.keepalives.take(limits.requestCommands), at);
    }
    while (this.queues.releases.first !== undefined) {
      const session = this.sessionWithRoom(true, at);
      if (session === undefined) return;
      this.sendWrites(this.queues.releases, session, at);
    }
  }

  /** Returns the session if it can number another write. If there is no session, requests one. */
  private sessionWithRoom(isUrgent: boolean, at: Instant): WriteSession | undefined {
    if (this.session !== undefined) return this.session.room(isUrgent) > 0 ? this.session : undefined;
    if (this.opening === undefined) {
      this.opening = this.begin('session', { api: 'kv', name: 'open_session' }, [], at);
    }
    return undefined;
  }

  private sendWrites(waiting: WaitingCalls, session: WriteSession, at: Instant): void {
    const isUrgent = waiting === this.queues.releases;
    const calls = waiting.take(Math.min(session.room(isUrgent), limits.requestCommands));
    for (const call of calls) call.sequence = session.nextNumber();
    this.begin('write', { api: 'kv', name: 'batch' }, calls, at, session);
  }

  private sendReads(first: OpenCall, at: Instant): void {
    const { call } = first as { readonly call: ReadCall | QueryCall };
    if (call.operation === 'query') {
      this.begin('query', { api: 'kv', name: call.name, peerId: call.peerId }, this.queues.reads.take(1), at);
      return;
    }
    const { consistency, peerId } = call;
    const calls = this.queues.reads.take(limits.requestCommands, ({ call: read }) => {
      return read.operation === 'get' && read.consistency === consistency && read.peerId === peerId;
    });
    this.begin('read', { api: 'kv', name: 'batch_get', peerId }, calls, at);
  }

  private begin(
    kind: RequestKind,
    target: RequestTarget,
    calls: readonly OpenCall[],
    at: Instant,
    session?: WriteSession,
  ): ClientRequest {
    const groupUid = target.api === 'kv' ? this.groupUid : undefined;
    const request = new ClientRequest(kind, target, calls, session, groupUid);
    this.requests.begin(request, at);
    return request;
  }

  private onReply({ requestId, reply }: Extract<ClientInput, { type: 'reply' }>, at: Instant): void {
    const attempt = this.requests.attempt(requestId);
    if (attempt === undefined) {
      this.drops.count('late_reply');
      return;
    }
    this.carryOut(attempt, verdictOf(attempt, reply, { nowMs: at.nowMs, timeoutMs: this.timeoutMs }), at);
    if (attempt.request.open === 0 && attempt.request !== this.opening) this.requests.end(attempt.request);
  }

  private carryOut(attempt: Attempt, verdict: ReplyVerdict, at: Instant): void {
    const { request } = attempt;
    const { history, endedHistory, session, callsOfLostSession, resend } = verdict;
    if (verdict.isMalformed === true) this.drops.count('malformed_reply');
    if (history !== undefined) this.onHistory(history);
    if (endedHistory !== undefined) this.onHistoryEnded(endedHistory);
    attempt.outcome = verdict.outcome;
    for (const [call, settlement] of verdict.settlements) this.settle(call, settlement);
    if (session !== undefined) this.onSession(session);
    if (callsOfLostSession !== undefined) this.onSessionLost(request.session, callsOfLostSession);
    if (verdict.isUndelivered !== undefined) request.isUndelivered = verdict.isUndelivered;
    const isNeeded = request.open > 0 || request === this.opening;
    if (resend === undefined || !isNeeded || !request.isAwaiting(attempt)) return;
    if (resend === 'at_once') this.requests.send(request, at);
    else this.requests.pause(request, resend.problem, at, resend.refusal);
  }

  /**
   * NATS does not permit a subject. It reports the subject, but not the request that it rejected. Earlier requests on this subject may
   * have been delivered before the permission was withdrawn, so only the latest one is settled. If `target` is undefined, NATS has
   * rejected the subscription to replies: the outcomes of all requests are unknown.
   */
  private onNotPermitted(input: Extract<ClientInput, { type: 'not_permitted' }>, at: Instant): void {
    const { target, message } = input;
    const pending = this.requests.pendingAttempts(target);
    const outcome = target === undefined ? 'unknown' : 'not_done';
    for (const { requestId } of target === undefined ? pending : pending.slice(-1)) {
      this.onReply({ type: 'reply', requestId, reply: { type: 'not_permitted', message, outcome } }, at);
    }
  }

  private onTimer(at: Instant): void {
    this.output.onTimer();
    const overdue = this.calls.overdue(at.nowMs);
    for (const call of overdue) this.onDeadline(call);
    let sent = 0;
    for (const request of this.requests.all()) {
      if (request.dueMs > at.nowMs) continue;
      if (request.phase === 'sent') {
        request.timeouts += 1;
        request.problem = 'an attempt got no reply';
        request.refusal = undefined;
      }
      sent += 1;
      // If the calls that needed the session were settled meanwhile, no session is opened.
      if (request === this.opening && !this.queues.needsSession) this.endOpening();
      else this.requests.send(request, at);
    }
    if (overdue.length + sent === 0) this.drops.count('timer_without_need');
    this.output.wakeAt(this.calls.nextDeadlineMs);
    for (const { dueMs } of this.requests.all()) this.output.wakeAt(dueMs);
  }

  /**
   * Resends at once to the new leader the requests that wait to be resent, and those that have no reply yet: the old leader may be
   * dead, or reject them late. Requests that must not be repeated, or that name a peer, are not resent.
   */
  private onLeaderElected(at: Instant): void {
    for (const request of this.requests.all()) {
      if (!Number.isFinite(request.dueMs) || request.target.peerId !== undefined) continue;
      request.failures = 0;
      request.timeouts = 0;
      if (request === this.opening && !this.queues.needsSession) this.endOpening();
      else this.requests.send(request, at);
    }
  }

  private onDeadline(call: OpenCall): void {
    const { problem = '', refusal } = call.request ?? this.opening ?? {};
    // The last attempt reached no peer, for example because nobody subscribes to its subject.
    const code = call.request?.kind === 'admin' && call.request.isUndelivered ? 'EUNREACHABLE' : 'ETIMEDOUT';
    if (refusal !== undefined && isWatch(call)) {
      // A leader has rejected the watch, or NATS rejects the login.
      this.settle(call, { outcome: 'not_done', error: { ...refusal, outcome: 'not_done' } });
    } else if (refusal?.code === 'ELOGIN' && call.request?.mayHaveRun() !== true) {
      // NATS has rejected the login since the call was made.
      this.settle(call, { outcome: 'not_done', error: refusal });
    } else {
      this.settleWithoutReply(
        call,
        code,
        `no reply within ${Math.round(call.timeoutMs)} ms${problem && `: ${problem}`}`,
      );
    }
    if (call.request?.open === 0) this.requests.end(call.request);
  }

  private onClose(): void {
    this.isClosed = true;
    for (const call of this.calls.all()) this.settleWithoutReply(call, 'ESHUTDOWN', 'the client was closed');
    this.requests.clear();
    this.opening = undefined;
    this.output.cancelTimer();
  }

  /** The history of the group that the client knows; undefined: none. Groups of level 0 report none. */
  get history(): GroupUid | undefined {
    return this.groupUid;
  }

  /** The group's leader has replied from this history. */
  private onHistory(groupUid: GroupUid): void {
    if (this.groupUid === groupUid) return;
    if (this.groupUid !== undefined) this.onHistoryEnded(this.groupUid);
    this.groupUid = groupUid;
  }

  /**
   * The group is in another history. The session has ended. Calls that were not sent yet were meant for the old history, and are
   * settled as not done. Requests that were sent wait for their own replies, because an attempt may have been executed.
   */
  private onHistoryEnded(groupUid: GroupUid): void {
    if (this.groupUid !== groupUid) return;
    this.groupUid = undefined;
    this.session = undefined;
    const error = notDone('EHISTORY', `the group is no longer in history ${groupUid}`);
    for (const call of this.queues.open()) this.settle(call, { outcome: 'not_done', error });
    this.endOpening();
    this.output.emit({ type: 'history_ended', groupUid });
  }

  /** The group has opened a session, or has refused to. In the second case the writes that wait for a session are not done. */
  private onSession(session: NonNullable<ReplyVerdict['session']>): void {
    if ('clientId' in session) {
      this.session = new WriteSession(session.clientId);
    } else {
      const { error } = session;
      for (const call of this.queues.openWithSession()) this.settle(call, { outcome: 'not_done', error });
    }
    this.endOpening();
  }

  /** The group no longer knows the session. The writes `calls` were not done, and are sent in another session. */
  private onSessionLost(session: WriteSession | undefined, calls: readonly OpenCall[]): void {
    if (this.session === session) this.session = undefined;
    const [first] = calls;
    if (first === undefined) return;
    for (const call of calls) {
      invariant(call.request !== undefined, 'a write that is put back was in a request');
      call.request.open -= 1;
      call.request = undefined;
      call.sequence = 0;
    }
    this.queues.queueOf(first).putBack(calls);
  }

  /** Settles a call that got no reply: as unknown if it changes something and may have been executed, otherwise as not done. */
  private settleWithoutReply(call: OpenCall, code: ErrorCode, message: string): void {
    this.settle(call, settlementWithoutReply(call.call, code, message, call.request?.mayHaveRun() === true));
  }

  private settle(call: OpenCall, settlement: Settlement): void {
    invariant(!call.isSettled, 'a call is settled once');
    call.isSettled = true;
    this.calls.delete(call);
    if (call.request === undefined) {
      this.queues.queueOf(call).onSettled();
    } else {
      call.request.open -= 1;
      if (call.sequence > 0) call.request.session?.onSettled(call.sequence);
    }
    this.output.emit({ type: 'settle', callId: call.callId, settlement });
  }

  private endOpening(): void {
    if (this.opening !== undefined) this.requests.end(this.opening);
    this.opening = undefined;
  }
}

function isWatch({ call }: OpenCall): boolean {
  return call.operation === 'query' && call.name === 'watch';
}
