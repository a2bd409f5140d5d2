/**
 * Why a process is not connected to NATS. It is separate from `ConclaveError`, which loads all schemas: a health check does
 * without.
 */

/** `ELOGIN`: the login is rejected, or lacks something. `EINVAL`: the settings make no sense. `EUNREACHABLE`: no server answers. */
export type LoginErrorCode = 'ELOGIN' | 'EINVAL' | 'EUNREACHABLE';

export class LoginError extends Error {
  override readonly name = 'LoginError';

  constructor(
    readonly code: LoginErrorCode,
    message: string,
  ) {
    super(message);
  }
}
