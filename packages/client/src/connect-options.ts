/** How a client connects: its options, and the login and the connection to NATS that they describe. */
import { ConclaveError, defaultPrefix, GroupId, Subjects, WatchId } from '@conclave/protocol';
import { connectWith, LoginError, type LoginSettings, NatsLogin } from '@conclave/protocol/login';
import type { NatsConnection, NodeConnectionOptions } from 'nats';
import type { ClientOptions } from './core/index.js';

export interface ConnectOptions extends ClientOptions {
  readonly groupId: string;
  /** The first tokens of all subjects; `conclave` by default. */
  readonly prefix?: string | undefined;
  /**
   * Names this client in the subjects of its watches, `<group>.watch.<owner>.<id>`, for NATS permissions: 1 to 64 letters, digits,
   * `_` and `-`. Random by default.
   */
  readonly owner?: string | undefined;
  /** The NATS servers to choose from. A URL may contain `user:password@` or `token@`. */
  readonly servers?: string | readonly string[] | undefined;
  /** The login at these servers. Files that it names are read again at each connection, so that their content may change. */
  readonly login?: Omit<LoginSettings, 'servers'> | undefined;
  /** Further settings of the connection, of the package `nats`. */
  readonly nats?: NodeConnectionOptions | undefined;
  /** An existing connection; `close` leaves it open. */
  readonly connection?: NatsConnection | undefined;
}

/** @throws ConclaveError EINVAL: a name is not valid */
export function checkNames({ groupId, prefix, owner }: ConnectOptions): void {
  if (owner !== undefined && !WatchId.safeParse(`${owner}.id`).success) {
    throw new ConclaveError('EINVAL', `${owner} is not a valid name of an owner`);
  }
  if (!GroupId.safeParse(groupId).success)
    throw new ConclaveError('EINVAL', `${groupId} is not a valid name of a group`);
  new Subjects(prefix ?? defaultPrefix);
}

/** @throws ConclaveError EINVAL, ELOGIN */
export function loginOf({ servers, login, nats, prefix = defaultPrefix }: ConnectOptions): NatsLogin {
  try {
    const found = NatsLogin.of({ ...login, servers: servers ?? nats?.servers });
    found.checkInbox(prefix);
    return found;
  } catch (error) {
    throw asConclaveError(error);
  }
}

/** @throws ConclaveError ELOGIN, EUNREACHABLE */
export async function connectTo(login: NatsLogin, { nats }: ConnectOptions): Promise<NatsConnection> {
  try {
    const { servers: _, ...rest } = nats ?? {};
    return await connectWith(login, {
      name: 'conclave-client',
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      reconnectJitter: 100,
      pingInterval: 5_000,
      ...rest,
    });
  } catch (error) {
    throw asConclaveError(error);
  }
}

function asConclaveError(error: unknown): unknown {
  return error instanceof LoginError ? new ConclaveError(error.code, error.message) : error;
}
