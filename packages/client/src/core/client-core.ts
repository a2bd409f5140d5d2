/**
 * The client of a group: joins the calls of one turn of the event loop (a tick) into requests, numbers writes, resends requests until
 * a reply or the deadline, and reports the outcome of each call.
 *
 * Owns: the open calls, the requests in flight and the session. Does not know NATS, the clock or promises.
 *
 * Each write has a number in the client's session, and the group executes each number once. So a write can be resent whenever an
 * attempt got no reply. Writes of one tick are sent in their order, in as few requests as possible. Resending can reorder requests,
 * but not the writes within a request. A read does not wait for open writes.
 *
 * Invariants:
 * 1. Each call is settled exactly once: done, not done, or unknown.
 * 2. A call is settled as not done only if every attempt that held it is known to have done nothing.
 * 3. At most `limits.clientCalls` calls are open, and `limits.clientRequests` requests of reads and writes in flight. Urgent calls,
 *    which keep or end leases and locks, are counted separately: at most `limits.clientUrgentCalls` of them are open. They are sent at
 *    the end of the tick; those that end leases or locks wait until the session has a free number.
 * 4. A request names the history that the client knew when the request was made, also when it is resent. A group in a later history
 *    refuses the request.
 * 5. A write is sent in another session only if every attempt in the old one is known to have done nothing.
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
import { type Attempt, ClientRequest, type OpenCall, type RequestKind } from './client-request.js';
import { Deadlines } from './deadlines.js';
import { type ReplyVerdict, settlementWithoutReply, verdictOf } from './reply-verdict.js';
import { bodyOf } from './request-body.js';
import { attemptMs, pauseMs } from './retry.js';
import { isReadOnlyCall, isUrgent, sizeOrError, timeoutOf } from './validate-call.js';
import { WaitingCalls } from './waiting-calls.js';
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
  private readonly requestTimeoutMs: number;
  private readonly deadlines = new Deadlines<OpenCall>();
  private readonly waitingWrites = new WaitingCalls();
  private readonly waitingReads = new WaitingCalls();
  /** Urgent calls: those that keep leases, then those that end leases or release locks. */
  private readonly waitingKeepalives = new WaitingCalls();
  private readonly waitingReleases = new WaitingCalls();
  private readonly requests = new Set<ClientRequest>();
  private readonly attempts = new Map<number, Attempt>();
  private session: WriteSession | undefined;
  /** The history in the last reply of the group's leader; undefined: unknown. */
  private groupUid: GroupUid | undefined;
  private opening: ClientRequest | undefined;
  private openCalls = 0;
  private urgentCalls = 0;
  private inFlight = 0;
  private lastRequestId = 0;
  private closed = false;
  /** When the timer fires. */
  private timerMs = Number.POSITIVE_INFINITY;
  /** When the running step needs the timer. The effects of the step follow. */
  private earliestMs = Number.POSITIVE_INFINITY;
  private effects: ClientEffect[] = [];

  constructor(options: ClientOptions = {}) {
    this.timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.requestTimeoutMs = options.requestTimeoutMs ?? defaultRequestTimeoutMs;
  }

  step(input: ClientInput, at: Instant): readonly ClientEffect[] {
    this.effects = [];
    this.earliestMs = Number.POSITIVE_INFINITY;
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
    if (this.earliestMs < this.timerMs) {
      this.timerMs = this.earliestMs;
      this.effects.push({ type: 'set_timer', timer: 'due', afterMs: Math.max(0, this.timerMs - at.nowMs) });
    }
    return this.effects;
  }

  /** What was dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.drops.byReason;
  }

  /** Open calls, and the requests that hold some of them. */
  status(): { readonly openCalls: number; readonly requests: number } {
    return { openCalls: this.openCalls + this.urgentCalls, requests: this.requests.size };
  }

  private onCall(callId: number, call: Call, timeout: number | undefined, at: Instant): void {
    if (this.closed) return this.rejectCall(callId, notDone('ESHUTDOWN', 'the client is closed'));
    const urgent = isUrgent(call);
    const open = urgent ? this.urgentCalls : this.openCalls;
    if (open >= (urgent ? limits.clientUrgentCalls : limits.clientCalls)) {
      return this.rejectCall(callId, notDone('EBUSY', `${open} calls are open`));
    }
    const bytes = sizeOrError(call);
    if (typeof bytes !== 'number') return this.rejectCall(callId, bytes);
    const timeoutMs = timeout ?? timeoutOf(call, this.timeoutMs);
    if (!(timeoutMs > 0)) return this.rejectCall(callId, notDone('EINVAL', 'a time-out is above 0'));
    const deadlineMs = at.nowMs + timeoutMs;
    this.take(
      {
        callId,
        call,
        urgent,
        timeoutMs,
        deadlineMs,
        bytes,
        sequence: 0,
        request: undefined,
        settled: false,
        earlier: undefined,
        later: undefined,
      },
      at,
    );
  }

  private take(open: OpenCall, at: Instant): void {
    const { call, urgent } = open;
    if (urgent) this.urgentCalls += 1;
    else this.openCalls += 1;
    this.deadlines.add(open);
    this.wakeAt(open.deadlineMs);
    if (call.operation === 'admin') {
      this.begin('admin', { api: 'admin', name: call.command, peerId: call.peerId }, [open], at);
    } else if (call.operation === 'query' && urgent) {
      this.begin('query', { api: 'kv', name: call.name, peerId: call.peerId }, [open], at);
    } else {
      this.waitingListOf(open).add(open);
    }
  }

  /** The list in which the call waits until it is in a request. */
  private waitingListOf(open: OpenCall): WaitingCalls {
    if (isRead(open)) return this.waitingReads;
    if (!open.urgent) return this.waitingWrites;
    return open.call.operation === 'lease_keep' ? this.waitingKeepalives : this.waitingReleases;
  }

  private rejectCall(callId: number, error: ErrorBody): void {
    this.effects.push({ type: 'settle', callId, settlement: { outcome: 'not_done', error } });
  }

  private onIdle(at: Instant): void {
    this.sendUrgent(at);
    while (this.inFlight < limits.clientRequests) {
      const session = this.waitingWrites.first === undefined ? undefined : this.sessionWithRoom(false, at);
      const write = session === undefined ? undefined : this.waitingWrites.first;
      const read = this.waitingReads.first;
      if (session !== undefined && write !== undefined && (read === undefined || write.callId < read.callId)) {
        this.sendWrites(this.waitingWrites, session, at);
      } else if (read !== undefined) {
        this.sendReads(read, at);
      } else {
        return;
      }
    }
  }

  private sendUrgent(at: Instant): void {
    while (this.waitingKeepalives.first !== undefined) {
      // Without a session: keeping a lease twice does no harm, and this call must not wait for a free number.
      this.begin('write', { api: 'kv', name: 'batch' }, this.waitingKeepalives.take(limits.requestCommands), at);
    }
    while (this.waitingReleases.first !== undefined) {
      const session = this.sessionWithRoom(true, at);
      if (session === undefined) return;
      this.sendWrites(this.waitingReleases, session, at);
    }
  }

  private sessionWithRoom(urgent: boolean, at: Instant): WriteSession | undefined {
    if (this.session !== undefined) return this.session.room(urgent) > 0 ? this.session : undefined;
    if (this.opening === undefined) {
      this.opening = this.begin('session', { api: 'kv', name: 'open_session' }, [], at);
    }
    return undefined;
  }

  private sendWrites(waiting: WaitingCalls, session: WriteSession, at: Instant): void {
    const urgent = waiting === this.waitingReleases;
    const calls = waiting.take(Math.min(session.room(urgent), limits.requestCommands));
    for (const call of calls) call.sequence = session.nextNumber();
    this.begin('write', { api: 'kv', name: 'batch' }, calls, at, session);
  }

  private sendReads(first: OpenCall, at: Instant): void {
    const { call } = first as { readonly call: ReadCall | QueryCall };
    if (call.operation === 'query') {
      this.begin('query', { api: 'kv', name: call.name, peerId: call.peerId }, this.waitingReads.take(1), at);
      return;
    }
    const { consistency, peerId } = call;
    const calls = this.waitingReads.take(limits.requestCommands, ({ call: read }) => {
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
    this.requests.add(request);
    if (request.countsInLimit) this.inFlight += 1;
    this.send(request, at);
    return request;
  }

  /** Sends a request, for the first time or again, with those of its calls that are still open. */
  private send(request: ClientRequest, at: Instant): void {
    const calls = request.openCalls();
    this.lastRequestId += 1;
    const requestId = this.lastRequestId;
    const attempt: Attempt = { requestId, request, calls, outcome: 'pending' };
    for (const forgotten of request.sent(attempt)) this.attempts.delete(forgotten);
    this.attempts.set(requestId, attempt);
    this.effects.push({ type: 'request', requestId, target: request.target, body: bodyOf(request, calls) });
    const [only] = calls;
    request.undelivered = false;
    // A request that must not be repeated waits for its reply until the deadline of its call.
    const once = request.kind === 'admin' && only !== undefined && !isReadOnlyCall(only.call);
    request.dueMs = once ? Number.POSITIVE_INFINITY : at.nowMs + attemptMs(this.requestTimeoutMs, request.timeouts);
    this.wakeAt(request.dueMs);
  }

  /** Resends a request after a pause. */
  private pause(request: ClientRequest, problem: string, at: Instant, refusal?: ErrorBody): void {
    request.problem = problem;
    request.refusal = refusal;
    request.failures += 1;
    request.phase = 'backing_off';
    request.dueMs = at.nowMs + pauseMs(request.failures, at.random);
    this.wakeAt(request.dueMs);
  }

  private onReply({ requestId, reply }: Extract<ClientInput, { type: 'reply' }>, at: Instant): void {
    const attempt = this.attempts.get(requestId);
    if (attempt === undefined) {
      this.drops.count('late_reply');
      return;
    }
    this.carryOut(attempt, verdictOf(attempt, reply, { nowMs: at.nowMs, timeoutMs: this.timeoutMs }), at);
    if (attempt.request.open === 0 && attempt.request !== this.opening) this.end(attempt.request);
  }

  private carryOut(attempt: Attempt, verdict: ReplyVerdict, at: Instant): void {
    const { request } = attempt;
    const { history, endedHistory, session, lostSession, resend } = verdict;
    if (verdict.isMalformed === true) this.drops.count('malformed_reply');
    if (history !== undefined) this.onHistory(history);
    if (endedHistory !== undefined) this.onHistoryEnded(endedHistory);
    attempt.outcome = verdict.outcome;
    for (const [call, settlement] of verdict.settled) this.settle(call, settlement);
    if (session !== undefined) this.onSession(session);
    if (lostSession !== undefined) this.onSessionLost(request.session, lostSession);
    if (verdict.undelivered !== undefined) request.undelivered = verdict.undelivered;
    const isNeeded = request.open > 0 || request === this.opening;
    if (resend === undefined || !isNeeded || !request.isAwaiting(attempt)) return;
    if (resend === 'at_once') this.send(request, at);
    else this.pause(request, resend.problem, at, resend.refusal);
  }

  /**
   * NATS reports the subject of the request that it refused, not the request. Earlier requests on this subject may have been delivered
   * before the permission was withdrawn. So the latest one is settled. Without a target, NATS refuses the replies of all requests,
   * whose outcomes are then unknown.
   */
  private onNotPermitted(input: Extract<ClientInput, { type: 'not_permitted' }>, at: Instant): void {
    const { target, message } = input;
    const pending = [...this.attempts.values()].filter(
      ({ outcome, request }) => outcome === 'pending' && (target === undefined || isSameTarget(target, request.target)),
    );
    const outcome = target === undefined ? 'unknown' : 'not_done';
    for (const { requestId } of target === undefined ? pending : pending.slice(-1)) {
      this.onReply({ type: 'reply', requestId, reply: { type: 'not_permitted', message, outcome } }, at);
    }
  }

  private onTimer(at: Instant): void {
    this.timerMs = Number.POSITIVE_INFINITY;
    const overdue = this.deadlines.due(at.nowMs);
    for (const call of overdue) this.onDeadline(call);
    let sent = 0;
    for (const request of [...this.requests]) {
      if (request.dueMs > at.nowMs) continue;
      if (request.phase === 'sent') {
        request.timeouts += 1;
        request.problem = 'an attempt got no reply';
        request.refusal = undefined;
      }
      sent += 1;
      // Perhaps no call needs the session any more.
      if (request === this.opening && !this.needsSession()) this.endOpening();
      else this.send(request, at);
    }
    if (overdue.length + sent === 0) this.drops.count('timer_without_need');
    this.wakeAt(this.deadlines.earliestMs());
    for (const { dueMs } of this.requests) this.wakeAt(dueMs);
  }

  /**
   * Resends at once to the new leader the requests that wait to be resent, and those that have no reply yet: the old leader may be
   * dead, or reject them late. Requests that must not be repeated, or that name a peer, are not resent.
   */
  private onLeaderElected(at: Instant): void {
    for (const request of [...this.requests]) {
      if (!Number.isFinite(request.dueMs) || request.target.peerId !== undefined) continue;
      request.failures = 0;
      request.timeouts = 0;
      if (request === this.opening && !this.needsSession()) this.endOpening();
      else this.send(request, at);
    }
  }

  private onDeadline(call: OpenCall): void {
    const problem = call.request?.problem ?? this.opening?.problem ?? '';
    const code = call.request?.kind === 'admin' && call.request.undelivered ? 'EUNREACHABLE' : 'ETIMEDOUT';
    const refusal = call.request?.refusal;
    if (refusal !== undefined && isWatch(call)) {
      // The last reply was the refusal of a leader.
      this.settle(call, { outcome: 'not_done', error: { ...refusal, outcome: 'not_done' } });
    } else {
      this.settleWithoutReply(call, code, `no reply within ${call.timeoutMs} ms${problem && `: ${problem}`}`);
    }
    if (call.request?.open === 0) this.end(call.request);
  }

  private onClose(): void {
    this.closed = true;
    for (const call of this.deadlines.all()) this.settleWithoutReply(call, 'ESHUTDOWN', 'the client was closed');
    this.requests.clear();
    this.attempts.clear();
    this.opening = undefined;
    this.inFlight = 0;
    if (this.timerMs === Number.POSITIVE_INFINITY) return;
    this.timerMs = Number.POSITIVE_INFINITY;
    this.effects.push({ type: 'cancel_timer', timer: 'due' });
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
   * The group is in another history. The session is lost; calls that were not sent yet were meant for the old history, and are settled
   * as not done. Requests that were sent get their own replies, as an attempt may have been executed.
   */
  private onHistoryEnded(groupUid: GroupUid): void {
    if (this.groupUid !== groupUid) return;
    this.groupUid = undefined;
    this.session = undefined;
    const error = notDone('EHISTORY', `the group is no longer in history ${groupUid}`);
    const waiting = [this.waitingKeepalives, this.waitingReleases, this.waitingWrites, this.waitingReads];
    for (const call of waiting.flatMap((calls) => calls.open())) this.settle(call, { outcome: 'not_done', error });
    this.endOpening();
    this.effects.push({ type: 'history_ended', groupUid });
  }

  /** The group has opened a session, or has refused to. In the second case the writes that wait for a session are not done. */
  private onSession(session: NonNullable<ReplyVerdict['session']>): void {
    if ('clientId' in session) {
      this.session = new WriteSession(session.clientId);
    } else {
      const { error } = session;
      const waiting = [...this.waitingReleases.open(), ...this.waitingWrites.open()];
      for (const call of waiting) this.settle(call, { outcome: 'not_done', error });
    }
    this.endOpening();
  }

  /** The group does not know the session any more. The writes in `undone` were not done, and are sent in another session. */
  private onSessionLost(session: WriteSession | undefined, undone: readonly OpenCall[]): void {
    if (this.session === session) this.session = undefined;
    const [first] = undone;
    if (first === undefined) return;
    for (const call of undone) {
      invariant(call.request !== undefined, 'a write that comes back was in a request');
      call.request.open -= 1;
      call.request = undefined;
      call.sequence = 0;
    }
    this.waitingListOf(first).putBack(undone);
  }

  private settleWithoutReply(call: OpenCall, code: ErrorCode, message: string): void {
    this.settle(call, settlementWithoutReply(call.call, code, message, call.request?.mayHaveRun() === true));
  }

  private settle(call: OpenCall, settlement: Settlement): void {
    invariant(!call.settled, 'a call is settled once');
    call.settled = true;
    if (call.urgent) this.urgentCalls -= 1;
    else this.openCalls -= 1;
    this.deadlines.delete(call);
    if (call.request === undefined) {
      this.waitingListOf(call).onSettled();
    } else {
      call.request.open -= 1;
      if (call.sequence > 0) call.request.session?.settled(call.sequence);
    }
    this.effects.push({ type: 'settle', callId: call.callId, settlement });
  }

  private needsSession(): boolean {
    return this.waitingWrites.first !== undefined || this.waitingReleases.first !== undefined;
  }

  private endOpening(): void {
    if (this.opening !== undefined) this.end(this.opening);
    this.opening = undefined;
  }

  private end(request: ClientRequest): void {
    if (!this.requests.delete(request)) return;
    if (request.countsInLimit) this.inFlight -= 1;
    for (const requestId of request.requestIds()) this.attempts.delete(requestId);
    request.end();
  }

  private wakeAt(dueMs: number): void {
    this.earliestMs = Math.min(this.earliestMs, dueMs);
  }
}

/** Whether the call waits in `waitingReads`. */
function isRead({ call }: OpenCall): boolean {
  return call.operation === 'get' || call.operation === 'query';
}

function notDone(code: ErrorCode, message: string): ErrorBody {
  return { code, message, outcome: 'not_done' };
}

function isWatch({ call }: OpenCall): boolean {
  return call.operation === 'query' && call.name === 'watch';
}

function isSameTarget(one: RequestTarget, other: RequestTarget): boolean {
  return one.api === other.api && one.name === other.name && one.peerId === other.peerId;
}
