/** The exit codes of all commands. */
import { ConclaveError } from '@conclave/protocol';
import { CommanderError } from 'commander';
import { Interrupted } from './processes/clean-up.js';

export const exitCodes = {
  done: 0,
  /** It was answered, and the answer is no: no such key, not swapped, unhealthy, members differ. */
  negative: 1,
  /** The command was called wrongly; nothing was asked. */
  usage: 2,
  /** The group or a peer refused: not done. */
  refused: 3,
  /** NATS, the group or the peer does not answer: not done. */
  unreachable: 4,
  /** Whether it was done is not known: ask before trying again. */
  unknown: 5,
  /** Something on this machine failed: a file, a port, a process. */
  failed: 6,
  /** NATS rejects the login, or what the login needs cannot be read or verified: not done. */
  login: 7,
  /** A process of actors that found itself wrong (`EX_SOFTWARE`). */
  broken: 70,
  /** Ctrl-C, as shells have it. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The command was called wrongly. */
export class UsageError extends ConclaveError {
  constructor(message: string) {
    super('EINVAL', message);
  }
}

/** Ends a command with a code when all that was to be said has been said. */
export class Failed extends Error {
  override readonly name = 'Failed';

  constructor(readonly exitCode: ExitCode = exitCodes.negative) {
    super('the command has failed');
  }
}

/** The code that a command ends with that failed so. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Failed) return error.exitCode;
  if (error instanceof Interrupted) return exitCodes.interrupted;
  if (error instanceof UsageError) return exitCodes.usage;
  // Help and version are asked for; all else of the parser's is about how the command was called.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (!(error instanceof ConclaveError)) return exitCodes.failed;
  if (error.outcome === 'unknown') return exitCodes.unknown;
  if (error.code === 'ELOGIN') return exitCodes.login;
  return error.code === 'EUNREACHABLE' || error.code === 'ETIMEDOUT' ? exitCodes.unreachable : exitCodes.refused;
}

/** Of several failures, the one that says most of what an operator has to do next: unknown, then refused, then unreachable. */
export function exitCodeOfAll(errors: readonly unknown[]): ExitCode {
  const codes = new Set(errors.map(exitCodeOf));
  const order = [exitCodes.unknown, exitCodes.refused, exitCodes.unreachable] as const;
  return order.find((code) => codes.has(code)) ?? [...codes][0] ?? exitCodes.done;
}
