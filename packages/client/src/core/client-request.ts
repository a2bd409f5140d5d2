/**
 * One request of the client, sent until it is answered: its calls, and what is known of each time it was sent.
 *
 * Invariants:
 * 1. `open` counts the calls that are neither settled nor taken back.
 * 2. `mayHaveRun()` is false only if every attempt is known to have done nothing.
 */
import type { ErrorBody, GroupUid } from '@conclave/protocol';
import type { Call, RequestTarget } from './call.js';
import type { WriteSession } from './write-session.js';

/** `read`: several keys; `query`: another question, alone in its request. */
export type RequestKind = 'write' | 'read' | 'query' | 'session' | 'admin';

/** A call that is not yet settled. */
export interface OpenCall {
  readonly callId: number;
  readonly call: Call;
  /** Waits for no other call (`isUrgent`). */
  readonly urgent: boolean;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  /** About what it takes in a request. */
  readonly bytes: number;
  /** Of a write that is in a request: its number in the session. */
  sequence: number;
  /** The request that it is in; none: it waits. */
  request: ClientRequest | undefined;
  settled: boolean;
  /** See `Deadlines`. */
  earlier: OpenCall | undefined;
  later: OpenCall | undefined;
}

/** `pending`: no answer. `not_done`: it did nothing. `unknown`: it may have done, or may do yet, what it asked. */
export type AttemptOutcome = 'pending' | 'not_done' | 'unknown';

/** One time that the request was sent, with the calls that it held then: the answer goes by their order. */
export interface Attempt {
  readonly requestId: number;
  readonly request: ClientRequest;
  calls: readonly OpenCall[];
  outcome: AttemptOutcome;
}

/** Attempts whose answers are still taken. */
const rememberedAttempts = 16;

export class ClientRequest {
  private attempts: Attempt[] = [];
  /** An attempt that is no longer remembered may have done what it asked. */
  private forgottenMayHaveRun = false;
  open: number;
  /** Its calls are: urgent ones share no request with others. */
  private readonly isUrgent: boolean;
  phase: 'sent' | 'backing_off' = 'sent';
  /** When the attempt times out, or the pause ends. */
  dueMs: number = Number.POSITIVE_INFINITY;
  /** Attempts in a row that were answered without success, and those that were not answered. */
  failures = 0;
  timeouts = 0;
  /** What went wrong last, for people. */
  problem = '';
  /** The error that the last attempt was refused with, if it was. */
  refusal: ErrorBody | undefined;
  /** The last attempt reached no one. */
  undelivered = false;

  constructor(
    readonly kind: RequestKind,
    readonly target: RequestTarget,
    private calls: readonly OpenCall[],
    /** Of writes; none: they may happen more than once, as a lease may be kept twice. */
    readonly session?: WriteSession,
    /** The history that it is for: it names that each time it is sent. None: the client knew none. */
    readonly groupUid?: GroupUid,
  ) {
    this.open = calls.length;
    this.isUrgent = calls[0]?.urgent === true;
    for (const call of calls) call.request = this;
  }

  /** Whether it is among those of which `limits.clientRequests` are under way at once. */
  get countsInLimit(): boolean {
    return !this.isUrgent && (this.kind === 'write' || this.kind === 'read' || this.kind === 'query');
  }

  openCalls(): OpenCall[] {
    return this.calls.filter((call) => call.request === this && !call.settled);
  }

  /** Notes that it is sent once more. Answers the ids whose answers are no longer wanted. */
  sent(attempt: Attempt): number[] {
    const before = this.attempts;
    // What is known to have done nothing needs no remembering, nor does what is long ago.
    this.attempts = before.filter(({ outcome }) => outcome !== 'not_done').slice(1 - rememberedAttempts);
    const forgotten = before.filter((one) => !this.attempts.includes(one));
    if (forgotten.some(({ outcome }) => outcome !== 'not_done')) this.forgottenMayHaveRun = true;
    this.attempts.push(attempt);
    this.phase = 'sent';
    return forgotten.map(({ requestId }) => requestId);
  }

  /** Whether an attempt, other than this one, may have done what it asked. */
  mayHaveRun(besides?: Attempt): boolean {
    return (
      this.forgottenMayHaveRun || this.attempts.some((attempt) => attempt !== besides && attempt.outcome !== 'not_done')
    );
  }

  /** Whether this is the attempt whose answer is awaited. */
  isAwaiting(attempt: Attempt): boolean {
    return this.phase === 'sent' && this.attempts.at(-1) === attempt;
  }

  requestIds(): number[] {
    return this.attempts.map(({ requestId }) => requestId);
  }

  /** It is over: lets its calls go, as what is left of it may be collected much later than they could be. */
  end(): void {
    this.calls = [];
    for (const attempt of this.attempts) attempt.calls = [];
  }
}
