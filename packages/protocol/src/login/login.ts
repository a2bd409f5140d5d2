/**
 * A login to NATS: the servers, and what they are shown.
 *
 * Owns: which settings count. Invariants: 1. nothing that it shows holds a secret. 2. Credentials are read from their files at each
 * connection; where they cannot be read then, the last ones are used, as the library would give the connection up.
 */
import type { NodeConnectionOptions } from 'nats';
import { type CredentialSettings, type Credentials, credentialSettings, credentialsOf } from './credentials.js';
import { readNatsContext } from './nats-context.js';
import { parseServerUrl, type ServerUrl, splitServers } from './server-url.js';
import { environmentOf, type LoginSetting, type LoginSettings } from './settings.js';
import { checkTlsFiles, tlsOf } from './tls.js';

export const defaultNatsUrl = 'nats://127.0.0.1:4222';

export class NatsLogin {
  private readonly credentials: Credentials | undefined;

  private constructor(
    private readonly urls: readonly ServerUrl[],
    /** What counts, of all layers; with secrets. */
    private readonly settings: Omit<LoginSettings, 'servers' | 'context'>,
  ) {
    this.credentials = credentialsOf(settings);
    // Settings that make no sense together are refused before anything is done.
    tlsOf(settings, urls);
  }

  /**
   * The first of the layers that says how to log in counts, and so does for each other setting the first that has it: options before
   * the environment. Within a layer what is given itself counts, then the URLs' login, then the context.
   * @throws LoginError EINVAL where they make no sense; ELOGIN where a context cannot be read
   */
  static of(...layers: readonly LoginSettings[]): NatsLogin {
    const all = layers.flatMap(({ context, ...own }) =>
      context === undefined ? [own] : [own, readNatsContext(context)],
    );
    const first = (...names: LoginSetting[]): LoginSettings =>
      all.find((layer: LoginSettings) => names.some((name) => layer[name] !== undefined)) ?? {};
    const urls = splitServers(first('servers').servers ?? defaultNatsUrl).map((url, at) => parseServerUrl(url, at + 1));
    let credentials: CredentialSettings | undefined;
    for (const [at, layer] of all.entries()) {
      credentials ??= credentialSettings(withPassword(layer, all.slice(at + 1)), urlsOf(layer));
    }
    const { tlsCert, tlsKey } = first('tlsCert', 'tlsKey');
    return new NatsLogin(urls, {
      ...credentials,
      ...{ tlsCert, tlsKey },
      tlsCa: first('tlsCa').tlsCa,
      tlsFirst: first('tlsFirst').tlsFirst,
      inboxPrefix: first('inboxPrefix').inboxPrefix,
    });
  }

  /** The same login for a child process: the environment that says so. */
  get environment(): Record<string, string> {
    return environmentOf({ ...this.settings, servers: this.servers });
  }

  /** The servers' URLs, without secrets. */
  get servers(): readonly string[] {
    return this.urls.map(({ shown }) => shown);
  }

  /** How it logs in, for people. */
  get kind(): string {
    return this.credentials?.kind ?? 'no login';
  }

  /** What can be seen to be wrong with the credentials; undefined: nothing. @throws LoginError */
  get fault(): string | undefined {
    return this.credentials?.fault?.();
  }

  /** @throws LoginError ELOGIN where a file cannot be read, or holds something else */
  check(): void {
    this.credentials?.read();
    checkTlsFiles(this.settings);
  }

  /**
   * For `connect`: all servers, tried from `from` on, or that one alone.
   * @throws LoginError ELOGIN as `check`
   */
  connectOptions(from = 0, alone = false): NodeConnectionOptions {
    this.check();
    const { inboxPrefix } = this.settings;
    const { servers } = this;
    const tls = tlsOf(this.settings, this.urls);
    return {
      servers: alone ? servers.slice(from, from + 1) : [...servers.slice(from), ...servers.slice(0, from)],
      ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
      ...(tls === undefined ? {} : { tls }),
      ...this.authenticator(),
    };
  }

  private authenticator(): Pick<NodeConnectionOptions, 'authenticator'> {
    const { credentials } = this;
    if (credentials === undefined) return {};
    let last = credentials.read();
    return {
      authenticator: (nonce) => {
        try {
          last = credentials.read();
        } catch {
          // Who watches the connection finds out why it is not taken, if it is not.
        }
        return last(nonce);
      },
    };
  }
}

/** A user and a password may be given in two places: the user as an option, say, and the password in the environment. */
function withPassword(layer: LoginSettings, later: readonly LoginSettings[]): LoginSettings {
  const hasPassword = ({ password, passwordFile }: LoginSettings): boolean => (password ?? passwordFile) !== undefined;
  if (layer.user !== undefined && !hasPassword(layer)) {
    const found = later.find((one) => hasPassword(one) && (one.user ?? layer.user) === layer.user);
    return { ...layer, password: found?.password, passwordFile: found?.passwordFile };
  }
  if (layer.user === undefined && hasPassword(layer)) {
    return { ...layer, user: later.find(({ user }) => user !== undefined)?.user };
  }
  return layer;
}

function urlsOf({ servers }: LoginSettings): ServerUrl[] {
  return servers === undefined ? [] : splitServers(servers).map((url, at) => parseServerUrl(url, at + 1));
}
