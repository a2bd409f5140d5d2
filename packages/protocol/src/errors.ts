/**
 * Errors as they are sent: one of braft's codes, a sentence, and the outcome, which is always true.
 */
import { z } from 'zod';

/** Each code with its number in `Nats-Service-Error-Code`, and its meaning. */
export const errorCodes = {
  EPERM: {
    status: 421,
    meaning: 'this peer is not the leader; `leader_id` is the hint. Or NATS does not permit the login that subject',
  },
  EBUSY: { status: 429, meaning: 'a change or transfer is in progress, a queue is full, or the leader is too new' },
  EINVAL: { status: 400, meaning: 'the request is malformed, out of bounds or makes no sense' },
  ENOENT: { status: 404, meaning: 'there is no such command, operation, group, change or lease' },
  ECATCHUP: { status: 504, meaning: 'a new peer did not catch up; the group is as before' },
  ECANCELED: { status: 409, meaning: 'the change was cancelled; the old configuration is in effect again' },
  ETIMEDOUT: { status: 408, meaning: 'no reply by the deadline; the request may still be executed' },
  ENOTEMPTY: { status: 412, meaning: 'the peer holds another history' },
  EUNREACHABLE: { status: 503, meaning: 'a peer that is needed cannot be reached' },
  EFENCED: { status: 410, meaning: 'another node has opened this log-store' },
  EHISTORY: {
    status: 409,
    meaning:
      'the request names another history (`group_uid`) of this group, or what it refers to belongs to one; or two histories of that name have leaders, so that neither serves',
  },
  EUNSUPPORTED: {
    status: 501,
    meaning: 'the request needs a higher feature level than the group or the peer has',
  },
  ESESSION: {
    status: 440,
    meaning: 'the client session is unknown or has expired; the outcome of its retries is unknown',
  },
  ESTATEMACHINE: { status: 500, meaning: 'the state machine failed' },
  EREADONLY: {
    status: 507,
    meaning:
      'a majority of the peers, the leader or the named peer is read-only: its disk is full, or an operator made it read-only',
  },
  ECOMPACTED: {
    status: 411,
    meaning: 'the changes since that revision are no longer known; read the state again, and continue from there',
  },
  ECORRUPT: { status: 507, meaning: 'what is stored is damaged' },
  ESHUTDOWN: { status: 503, meaning: 'the process is stopping' },
  ELOGIN: {
    status: 401,
    meaning:
      'NATS rejects the login, or its files cannot be read or verified. Reported by programs that connect; no peer replies with it',
  },
} as const;

export type ErrorCode = keyof typeof errorCodes;
export const ErrorCode = z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]]);

/** `not_done`: it was not executed and will not be. `unknown`: it may have been executed, or may still be. */
export const Outcome = z.enum(['not_done', 'unknown']);
export type Outcome = z.infer<typeof Outcome>;

export const ErrorBody = z.object({
  code: ErrorCode,
  message: z.string(),
  outcome: Outcome,
  leader_id: z.string().optional(),
});
export type ErrorBody = z.infer<typeof ErrorBody>;

/** The body of an error reply. */
export const ErrorReply = z.object({ error: ErrorBody });
export type ErrorReply = z.infer<typeof ErrorReply>;

/** An error as it is sent. Unlike a `ConclaveError` it has no stack trace, whose creation costs more than the rest of a refusal. */
export function errorBody(
  code: ErrorCode,
  message: string,
  outcome: Outcome = 'not_done',
  leaderId: string | undefined = undefined,
): ErrorBody {
  return leaderId === undefined ? { code, message, outcome } : { code, message, outcome, leader_id: leaderId };
}

/** An error with a code, for the sender of a request. Thrown for bad input; never for a failed invariant. */
export class ConclaveError extends Error {
  override readonly name = 'ConclaveError';
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly outcome: Outcome = 'not_done',
    readonly leaderId?: string,
  ) {
    super(message);
  }

  /**
   * True of instances of any copy of this module: the command contains one copy, and a custom state machine uses the one that is
   * installed beside it.
   */
  static override [Symbol.hasInstance](value: unknown): value is ConclaveError {
    // Subclasses are distinguished as usual.
    // biome-ignore lint/complexity/noThisInStatic: what stands to the right of `instanceof`, which inherits this method.
    if (this !== ConclaveError) return Object[Symbol.hasInstance].call(this, value);
    return value instanceof Error && value.name === 'ConclaveError' && 'code' in value && 'outcome' in value;
  }

  /** The error as it is sent. */
  toBody(): ErrorBody {
    return errorBody(this.code, this.message, this.outcome, this.leaderId);
  }
}

/** A failed invariant. It stops the actor: a faulty process must not vote. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** @throws InvariantError unless `condition` holds */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
