/** The exit codes of all commands. */
import { ConclaveError } from '@conclave/protocol';
import { CommanderError } from 'commander';

export const exitCodes = {
  done: 0,
  /** The answer is negative: no such key, not swapped, unhealthy, members differ. */
  negative: 1,
  /** The command was used incorrectly; no request was sent. */
  usage: 2,
  /** The group or a peer rejected the request: not done. */
  refused: 3,
  /** NATS, the group or the peer does not answer: not done. */
  unreachable: 4,
  /** The outcome is unknown: check it before you try again. */
  unknown: 5,
  /** Something on this machine failed: a file, a port, a process. */
  failed: 6,
  /** NATS rejects the login, or what the login needs cannot be read or verified: not done. */
  login: 7,
  /** A process of actors has stopped because of an internal error (`EX_SOFTWARE`). */
  broken: 70,
  /** Ctrl-C, with the code that shells use. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The command was used incorrectly. */
export class UsageError extends ConclaveError {
  constructor(message: string) {
    super('EINVAL', message);
  }
}

/** Ends a command with a code when everything is printed. */
export class Failed extends Error {
  override readonly name = 'Failed';

  constructor(readonly exitCode: ExitCode = exitCodes.negative) {
    super('the command has failed');
  }
}

/** A signal has requested the command to stop. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  /** @param isUnknown whether a request was sent that may have been done */
  constructor(readonly isUnknown = false) {
    super(isUnknown ? 'interrupted (whether it was done is unknown)' : 'interrupted');
  }
}

/** Returns the exit code of a command that failed with this error. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Failed) return error.exitCode;
  if (error instanceof Interrupted) return exitCodes.interrupted;
  if (error instanceof UsageError) return exitCodes.usage;
  // Help and version are requested; all other errors of the parser mean that the command was used incorrectly.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (!(error instanceof ConclaveError)) return exitCodes.failed;
  if (error.outcome === 'unknown') return exitCodes.unknown;
  if (error.code === 'ELOGIN') return exitCodes.login;
  return error.code === 'EUNREACHABLE' || error.code === 'ETIMEDOUT' ? exitCodes.unreachable : exitCodes.refused;
}

/** Returns the code of the failure that matters most for what to do next: unknown, then rejected, then unreachable. */
export function exitCodeOfAll(errors: readonly unknown[]): ExitCode {
  const codes = new Set(errors.map(exitCodeOf));
  const order = [exitCodes.unknown, exitCodes.refused, exitCodes.unreachable] as const;
  return order.find((code) => codes.has(code)) ?? [...codes][0] ?? exitCodes.done;
}
