/** What NATS does not permit. */
import type { PermissionViolationError } from 'nats';

export interface Violation {
  readonly operation: 'publish' | 'subscription';
  readonly subject: string;
  /** For people. */
  readonly message: string;
}

/** The violation that an error is of, or that caused it; undefined: it is another error. */
export function violationOf(error: unknown): Violation | undefined {
  // By name: a connection may come from another copy of the client.
  if (error instanceof Error && error.name === 'PermissionViolationError') {
    const { operation, subject } = error as PermissionViolationError;
    const what = operation === 'publish' ? 'publish to' : 'subscribe to';
    return { operation, subject, message: `NATS does not permit this login to ${what} ${subject}` };
  }
  return error instanceof Error && error.cause !== undefined ? violationOf(error.cause) : undefined;
}
