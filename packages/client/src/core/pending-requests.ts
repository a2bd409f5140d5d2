/**
 * The requests that are sent, or wait to be sent again: sends them, and finds the attempt that a reply belongs to.
 *
 * Owns: the requests, the ids of their attempts, and when each request is due. Does not own what a reply means, nor the outcomes of
 * calls.
 *
 * Invariants:
 * 1. An attempt's id is used once.
 * 2. A reply is accepted only if its attempt is of an open request that still remembers it.
 */
import { type ErrorBody, limits } from '@conclave/protocol';
import type { Instant, RequestTarget } from './call.js';
import type { Attempt, ClientRequest } from './client-request.js';
import { bodyOf } from './request-body.js';
import { attemptMs, pauseMs } from './retry.js';
import type { StepEffects } from './step-effects.js';
import { isReadOnlyCall } from './validate-call.js';

export class PendingRequests {
  private readonly requests = new Set<ClientRequest>();
  /** By request id, which is the last token of the reply's subject: the attempts whose replies are still accepted. */
  private readonly attempts = new Map<number, Attempt>();
  /** How many of `requests` count towards `limits.clientRequests`. */
  private inFlight = 0;
  private lastRequestId = 0;

  /** @param requestTimeoutMs how long to wait for the reply to the first attempt */
  constructor(
    private readonly requestTimeoutMs: number,
    private readonly output: StepEffects,
  ) {}

  get size(): number {
    return this.requests.size;
  }

  /** Whether another request that counts towards `limits.clientRequests` may begin. */
  get hasRoom(): boolean {
    return this.inFlight < limits.clientRequests;
  }

  all(): ClientRequest[] {
    return [...this.requests];
  }

  /** @returns the attempt with this id; undefined: its replies are no longer accepted */
  attempt(requestId: number): Attempt | undefined {
    return this.attempts.get(requestId);
  }

  /** @returns the attempts without a reply, oldest first. @param target only those to this target; undefined: all */
  pendingAttempts(target: RequestTarget | undefined): Attempt[] {
    return [...this.attempts.values()].filter(
      ({ outcome, request }) => outcome === 'pending' && (target === undefined || isSameTarget(target, request.target)),
    );
  }

  begin(request: ClientRequest, at: Instant): void {
    this.requests.add(request);
    if (request.countsInLimit) this.inFlight += 1;
    this.send(request, at);
  }

  /** Sends a request, for the first time or again, with its calls that are still open. */
  send(request: ClientRequest, at: Instant): void {
    const calls = request.openCalls();
    this.lastRequestId += 1;
    const requestId = this.lastRequestId;
    const attempt: Attempt = { requestId, request, calls, outcome: 'pending' };
    for (const forgotten of request.sent(attempt)) this.attempts.delete(forgotten);
    this.attempts.set(requestId, attempt);
    this.output.emit({ type: 'request', requestId, target: request.target, body: bodyOf(request, calls) });
    const [only] = calls;
    request.isUndelivered = false;
    // A request that must not be repeated waits for its reply until the deadline of its call.
    const isSentOnce = request.kind === 'admin' && only !== undefined && !isReadOnlyCall(only.call);
    request.dueMs = isSentOnce
      ? Number.POSITIVE_INFINITY
      : at.nowMs + attemptMs(this.requestTimeoutMs, request.timeouts);
    this.output.wakeAt(request.dueMs);
  }

  /** Resends a request after a pause. */
  pause(request: ClientRequest, problem: string, at: Instant, refusal?: ErrorBody): void {
    request.problem = problem;
    request.refusal = refusal;
    request.failures += 1;
    request.phase = 'backing_off';
    request.dueMs = at.nowMs + pauseMs(request.failures, at.random);
    this.output.wakeAt(request.dueMs);
  }

  /** A request is no longer needed: replies to it are dropped. */
  end(request: ClientRequest): void {
    if (!this.requests.delete(request)) return;
    if (request.countsInLimit) this.inFlight -= 1;
    for (const requestId of request.requestIds()) this.attempts.delete(requestId);
    request.end();
  }

  /** Drops all requests. */
  clear(): void {
    this.requests.clear();
    this.attempts.clear();
    this.inFlight = 0;
  }
}

function isSameTarget(one: RequestTarget, other: RequestTarget): boolean {
  return one.api === other.api && one.name === other.name && one.peerId === other.peerId;
}
