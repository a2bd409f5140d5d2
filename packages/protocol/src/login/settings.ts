/**
 * How a process logs in to NATS, as it is given: in code, by options of the command, or by the environment.
 *
 * Files are named rather than their contents, so that they can be read again at each connection.
 */

/** All are optional: a server that asks for nothing is given nothing. */
export interface LoginSettings {
  /** URLs of the servers, the preferred one first. They may carry `user:password@` or `token@`. */
  readonly servers?: string | readonly string[] | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
  /** The seed of a user's nkey, `SU...`. */
  readonly nkey?: string | undefined;
  /** A file with that seed. */
  readonly nkeyFile?: string | undefined;
  /** A credentials file as `nsc` writes it: a JWT and the seed of its nkey. */
  readonly creds?: string | undefined;
  /** A file with the certificates of the authorities that the server's certificate may be signed by. */
  readonly tlsCa?: string | undefined;
  /** Files with this process's own certificate and its key, if the server verifies its clients. */
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** TLS starts before the server's first line (`handshake_first` in the server's configuration). */
  readonly tlsFirst?: boolean | undefined;
  /** The first tokens of the subjects to which replies go, instead of `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
  /** A context of the `nats` command: its name, or the path of its file. What is given beside it has precedence. */
  readonly context?: string | undefined;
}

export type LoginSetting = keyof LoginSettings;

interface OptionDoc {
  readonly setting: LoginSetting;
  /** The option, without `--`. */
  readonly option: string;
  /** The placeholder of the value in the help; undefined: the option is a flag. */
  readonly value?: string;
  readonly variable: string;
  readonly text: string;
}

/** The options of every command that connects. */
export const loginOptions: readonly OptionDoc[] = [
  option('user', 'name', 'the user to log in to NATS as'),
  option('passwordFile', 'file', 'a file with the user’s password'),
  option('tokenFile', 'file', 'a file with the token to log in with'),
  option('nkeyFile', 'file', 'a file with the seed of the nkey to log in with'),
  option('creds', 'file', 'the credentials file (JWT and nkey) to log in with'),
  option('tlsCa', 'file', 'the authorities that may have signed the server’s certificate'),
  option('tlsCert', 'file', 'the certificate that the server is shown'),
  option('tlsKey', 'file', 'the key of that certificate'),
  option('tlsFirst', undefined, 'start TLS before the server’s first line (its handshake_first)'),
  option('inboxPrefix', 'subject', 'the first tokens of the subjects to which replies go'),
  option('context', 'name', 'a context of the nats command: its name, or its file'),
];

/** Secrets themselves are taken from the environment alone: options are seen by all users of the machine. */
const secretVariables: readonly (readonly [LoginSetting, string])[] = [
  ['password', 'CONCLAVE_NATS_PASSWORD'],
  ['token', 'CONCLAVE_NATS_TOKEN'],
  ['nkey', 'CONCLAVE_NATS_NKEY'],
];

const serversVariable = 'NATS_URL';

/** Set for a child process: the environment holds all of its login, and a configuration file or a context adds nothing. */
const wholeVariable = 'CONCLAVE_NATS_LOGIN_WHOLE';

/** The settings in the environment. An empty variable counts as not set. */
export function settingsFromEnvironment(environment: Readonly<Record<string, string | undefined>>): LoginSettings {
  const variables = [
    ['servers', serversVariable] as const,
    ...secretVariables,
    ...loginOptions.map(({ setting, variable }) => [setting, variable] as const),
  ];
  const found = variables.flatMap(([setting, variable]) => {
    const text = environment[variable];
    if (text === undefined || text === '') return [];
    return [[setting, setting === 'tlsFirst' ? !['0', 'false', 'no'].includes(text.toLowerCase()) : text] as const];
  });
  return Object.fromEntries(found);
}

/**
 * The same settings for a child process, by its environment: arguments are seen by all users of the machine.
 * What is not set is set to nothing, so that it is not inherited beside what is.
 */
export function environmentOf(settings: LoginSettings): Record<string, string> {
  const { servers } = settings;
  const variables = [...secretVariables, ...loginOptions.map(({ setting, variable }) => [setting, variable] as const)];
  const rest = variables.map(([setting, variable]) => [variable, String(settings[setting] ?? '')] as const);
  const urls = servers === undefined || typeof servers === 'string' ? (servers ?? '') : servers.join(',');
  return { [serversVariable]: urls, ...Object.fromEntries(rest), [wholeVariable]: '1' };
}

/** Whether the environment holds the whole login, as `environmentOf` makes it. */
export function isWholeLogin(environment: Readonly<Record<string, string | undefined>>): boolean {
  return environment[wholeVariable] === '1';
}

/** `passwordFile`: `--nats-password-file`, `CONCLAVE_NATS_PASSWORD_FILE`. */
function option(setting: LoginSetting, value: string | undefined, text: string): OptionDoc {
  const words = `nats-${setting.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const variable = `CONCLAVE_${words.toUpperCase().replaceAll('-', '_')}`;
  return { setting, option: words, variable, text, ...(value === undefined ? {} : { value }) };
}
