/**
 * One request of the client, which is sent again until there is a reply: its calls, and what is known about each attempt to send it.
 *
 * Invariants:
 * 1. `open` counts the calls that are neither settled nor put back into a queue.
 * 2. `mayHaveRun()` is false only if every attempt is known to have done nothing.
 */
import type { ErrorBody, GroupUid } from '@conclave/protocol';
import type { Call, RequestTarget } from './call.js';
import type { WriteSession } from './write-session.js';

/** `read`: several keys; `query`: another read, alone in its request. */
export type RequestKind = 'write' | 'read' | 'query' | 'session' | 'admin';

/** A call that is not yet settled. */
export interface OpenCall {
  readonly callId: number;
  readonly call: Call;
  /** Whether it waits for no other call (`isUrgent` in `validate-call.ts`). */
  readonly isUrgent: boolean;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  /** Its approximate size in a request. */
  readonly bytes: number;
  /** The number in the session, if it is a write in a request; otherwise 0. */
  sequence: number;
  /** The request that contains it; undefined: it waits in a queue. */
  request: ClientRequest | undefined;
  isSettled: boolean;
  /** See `Deadlines`. */
  earlier: OpenCall | undefined;
  later: OpenCall | undefined;
}

/** `pending`: no reply. `not_done`: it did nothing. `unknown`: it may have done, or may still do, what was requested. */
export type AttemptOutcome = 'pending' | 'not_done' | 'unknown';

/** One sending of the request, with the calls that it held then: results are in their order. */
export interface Attempt {
  readonly requestId: number;
  readonly request: ClientRequest;
  calls: readonly OpenCall[];
  outcome: AttemptOutcome;
}

/** Attempts whose replies are still accepted. */
const rememberedAttempts = 16;

export class ClientRequest {
  private attempts: Attempt[] = [];
  /** An attempt that is no longer remembered may have run. */
  private forgottenMayHaveRun = false;
  open: number;
  /** Whether its calls are urgent: they share no request with others. */
  private readonly isUrgent: boolean;
  phase: 'sent' | 'backing_off' = 'sent';
  /** When the attempt times out, or the pause ends. */
  dueMs: number = Number.POSITIVE_INFINITY;
  /** Consecutive attempts with an unsuccessful reply, and those without a reply. */
  failures = 0;
  timeouts = 0;
  /** The last problem, for people. */
  problem = '';
  /** The error that refused the last attempt. */
  refusal: ErrorBody | undefined;
  /** Whether the last attempt reached no peer. */
  isUndelivered = false;

  constructor(
    readonly kind: RequestKind,
    readonly target: RequestTarget,
    private calls: readonly OpenCall[],
    /** Of writes; undefined: they may be executed more than once, as a lease may be kept twice. */
    readonly session?: WriteSession,
    /** The history that each attempt names; undefined: the client knew none. */
    readonly groupUid?: GroupUid,
  ) {
    this.open = calls.length;
    this.isUrgent = calls[0]?.isUrgent === true;
    for (const call of calls) call.request = this;
  }

  /** Whether it counts towards `limits.clientRequests`. */
  get countsInLimit(): boolean {
    return !this.isUrgent && (this.kind === 'write' || this.kind === 'read' || this.kind === 'query');
  }

  openCalls(): OpenCall[] {
    return this.calls.filter((call) => call.request === this && !call.isSettled);
  }

  /** Records another attempt. @returns the ids of attempts whose replies are no longer accepted */
  sent(attempt: Attempt): number[] {
    const before = this.attempts;
    // Attempts that are known to have done nothing need not be remembered, nor do old ones.
    this.attempts = before.filter(({ outcome }) => outcome !== 'not_done').slice(1 - rememberedAttempts);
    const forgotten = before.filter((one) => !this.attempts.includes(one));
    if (forgotten.some(({ outcome }) => outcome !== 'not_done')) this.forgottenMayHaveRun = true;
    this.attempts.push(attempt);
    this.phase = 'sent';
    return forgotten.map(({ requestId }) => requestId);
  }

  /** Whether an attempt other than this one may have run. */
  mayHaveRun(except?: Attempt): boolean {
    return (
      this.forgottenMayHaveRun || this.attempts.some((attempt) => attempt !== except && attempt.outcome !== 'not_done')
    );
  }

  /** Whether the request waits for the reply to this attempt. */
  isAwaiting(attempt: Attempt): boolean {
    return this.phase === 'sent' && this.attempts.at(-1) === attempt;
  }

  requestIds(): number[] {
    return this.attempts.map(({ requestId }) => requestId);
  }

  /** Drops the calls, so that they can be collected before the request is. */
  end(): void {
    this.calls = [];
    for (const attempt of this.attempts) attempt.calls = [];
  }
}
