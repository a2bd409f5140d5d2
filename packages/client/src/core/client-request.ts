/**
 * One request of the client, sent until there is a reply: its calls, and what is known of each attempt.
 *
 * Invariants:
 * 1. `open` counts the calls that are neither settled nor taken back.
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
  /** Waits for no other call (`isUrgent`). */
  readonly urgent: boolean;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  /** About its size in a request. */
  readonly bytes: number;
  /** Of a write in a request: its number in the session. */
  sequence: number;
  /** The request that it is in; undefined: it waits. */
  request: ClientRequest | undefined;
  settled: boolean;
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
  /** The last attempt reached nobody. */
  undelivered = false;

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
    this.isUrgent = calls[0]?.urgent === true;
    for (const call of calls) call.request = this;
  }

  /** Whether it counts towards `limits.clientRequests`. */
  get countsInLimit(): boolean {
    return !this.isUrgent && (this.kind === 'write' || this.kind === 'read' || this.kind === 'query');
  }

  openCalls(): OpenCall[] {
    return this.calls.filter((call) => call.request === this && !call.settled);
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
  mayHaveRun(besides?: Attempt): boolean {
    return (
      this.forgottenMayHaveRun || this.attempts.some((attempt) => attempt !== besides && attempt.outcome !== 'not_done')
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
