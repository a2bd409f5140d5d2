/** How a command logs in to NATS: by its options, otherwise by the environment. */
import { ConclaveError, defaultPrefix, inboxPrefixOfRole, type PeerId } from '@conclave/protocol';
import {
  isWholeLogin,
  LoginError,
  type LoginSettings,
  loginOptions,
  NatsLogin,
  settingsFromEnvironment,
} from '@conclave/protocol/login';
import { UsageError } from './exit-codes.js';

/** The options of `withLoginOptions`, as the parser names them. */
export interface LoginFlags {
  readonly nats?: readonly string[];
  readonly natsUser?: string;
  readonly natsPasswordFile?: string;
  readonly natsTokenFile?: string;
  readonly natsNkeyFile?: string;
  readonly natsCreds?: string;
  readonly natsTlsCa?: string;
  readonly natsTlsCert?: string;
  readonly natsTlsKey?: string;
  readonly natsTlsFirst?: boolean;
  readonly natsInboxPrefix?: string;
  readonly natsContext?: string;
}

/** The settings of a command for its login, and the first tokens of the subjects that it uses. */
type LoginOptions = LoginFlags & { readonly prefix?: string };

/** @throws UsageError if the settings contradict each other; ConclaveError ELOGIN if a context cannot be read */
export function loginOf(options: LoginOptions, environment: NodeJS.ProcessEnv = process.env): NatsLogin {
  return checkedLogin(options, loginLayers(options, environment));
}

/** The login of a peer's process: replies use the inbox prefix of its role, unless another one is given. */
export function loginOfPeer(options: LoginOptions & { readonly peer: PeerId }): NatsLogin {
  const ofRole = { inboxPrefix: inboxPrefixOfRole('peer', options.peer) };
  return checkedLogin(options, [...loginLayers(options), ofRole]);
}

function checkedLogin({ prefix = defaultPrefix }: LoginOptions, layers: readonly LoginSettings[]): NatsLogin {
  return orConclaveError(() => {
    const login = NatsLogin.of(...layers);
    login.checkInbox(prefix);
    return login;
  });
}

/** The login to a NATS server that the command has started itself: none. */
export function openLogin(url: string): NatsLogin {
  return NatsLogin.of({ servers: url });
}

/** Whether options or the environment name running servers. */
export function namesServers(flags: LoginFlags, environment: NodeJS.ProcessEnv = process.env): boolean {
  return loginLayers(flags, environment).some(({ servers, context }) => servers !== undefined || context !== undefined);
}

/** Returns the given settings; earlier elements have precedence. */
export function loginLayers(flags: LoginFlags, environment: NodeJS.ProcessEnv = process.env): readonly LoginSettings[] {
  const given = [settingsOf(flags), settingsFromEnvironment(environment)];
  return isWholeLogin(environment) ? given : [...given, ...configured];
}

/** The settings of the configuration file and of the context. */
let configured: readonly LoginSettings[] = [];

/** Sets the layers below the environment, by the names of the options. Called once in a process, before its command runs. */
export function setLoginLayers(layers: readonly Readonly<Record<string, unknown>>[]): void {
  configured = layers.map((values) => {
    const found = loginOptions.map(({ setting, option }) => [setting, values[option]] as const);
    const { nats } = values;
    const servers = Array.isArray(nats) ? nats.join(',') : nats;
    const set = [['servers', servers] as const, ...found].filter(([, value]) => value !== undefined);
    return Object.fromEntries(
      set.map(([setting, value]) => [setting, typeof value === 'number' ? String(value) : value]),
    );
  });
}

function settingsOf(flags: LoginFlags): LoginSettings {
  const given = loginOptions.map(({ setting }) => {
    const flag = `nats${setting.slice(0, 1).toUpperCase()}${setting.slice(1)}` as keyof LoginFlags;
    return [setting, flags[flag]] as const;
  });
  return { servers: flags.nats, ...Object.fromEntries(given) };
}

/** Converts errors of a login to errors with Conclave's codes. */
export function orConclaveError<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asConclaveError(error);
  }
}

export function asConclaveError(error: unknown): unknown {
  if (!(error instanceof LoginError)) return error;
  return error.code === 'EINVAL' ? new UsageError(error.message) : new ConclaveError(error.code, error.message);
}
