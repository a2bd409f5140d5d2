/** How a command logs in to NATS: by its options, else by the environment. */
import { ConclaveError, defaultPrefix, inboxPrefixOfRole, type PeerId } from '@conclave/protocol';
import {
  isWholeLogin,
  LoginError,
  type LoginSettings,
  loginOptions,
  NatsLogin,
  settingsFromEnvironment,
} from '@conclave/protocol/login';

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

/** The settings of a command that say how to log in, and the first tokens of the subjects that it uses. */
type LoginOptions = LoginFlags & { readonly prefix?: string };

/** @throws ConclaveError EINVAL where the settings make no sense; ELOGIN where a context cannot be read */
export function loginOf(options: LoginOptions, environment: NodeJS.ProcessEnv = process.env): NatsLogin {
  return checkedLogin(options, loginLayers(options, environment));
}

/** The login of a peer's process: replies come below the inbox prefix of its role, unless another is given. */
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

/** The login of a NATS server of the command's own: none. */
export function openLogin(url: string): NatsLogin {
  return NatsLogin.of({ servers: url });
}

/** Whether options or environment name servers that run already. */
export function namesServers(flags: LoginFlags, environment: NodeJS.ProcessEnv = process.env): boolean {
  return loginLayers(flags, environment).some(({ servers, context }) => servers !== undefined || context !== undefined);
}

/** What is given, what counts for more first. */
export function loginLayers(flags: LoginFlags, environment: NodeJS.ProcessEnv = process.env): readonly LoginSettings[] {
  const given = [settingsOf(flags), settingsFromEnvironment(environment)];
  return isWholeLogin(environment) ? given : [...given, ...configured];
}

/** Of the configuration file and the context. */
let configured: readonly LoginSettings[] = [];

/** Sets the layers below the environment, by the names of the options: once in a process, before its command runs. */
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

/** Has errors of a login carry Conclave's codes. */
export function orConclaveError<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asConclaveError(error);
  }
}

export function asConclaveError(error: unknown): unknown {
  return error instanceof LoginError ? new ConclaveError(error.code, error.message) : error;
}
