/**
 * A login to NATS: the servers, and what they are shown.
 *
 * Owns: which settings count. Invariants: 1. nothing that it shows holds a secret. 2. Credentials are read from their files at each
 * connection; where they cannot be read then, the last ones are used, as the library would give the connection up.
 */
import type { NodeConnectionOptions } from 'nats';
import { type CredentialSettings, type Credentials, credentialSettings, credentialsOf } from './credentials.js';
import { contextFile, readNatsContext } from './nats-context.js';
import { parseServerUrl, type ServerUrl, splitServers } from './server-url.js';
import { environmentOf, type LoginSetting, type LoginSettings } from './settings.js';
import { checkTlsFiles, tlsOf } from './tls.js';

export const defaultNatsUrl = 'nats://127.0.0.1:4222';

export class NatsLogin {
  private credentials: Credentials | undefined;

  private constructor(
    private readonly urls: readonly ServerUrl[],
    /** What counts, of all layers; with secrets. */
    private readonly settings: Omit<LoginSettings, 'servers' | 'context'>,
    /** As they were given. */
    private readonly layers: readonly LoginSettings[],
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
    const all = withContexts(layers);
    const first = (...names: LoginSetting[]): LoginSettings =>
      all.find((layer: LoginSettings) => names.some((name) => layer[name] !== undefined)) ?? {};
    const urls = splitServers(first('servers').servers ?? defaultNatsUrl).map((url, at) => parseServerUrl(url, at + 1));
    const { tlsCert, tlsKey } = first('tlsCert', 'tlsKey');
    const settings = {
      ...firstCredentials(all),
      ...{ tlsCert, tlsKey },
      tlsCa: first('tlsCa').tlsCa,
      tlsFirst: first('tlsFirst').tlsFirst,
      inboxPrefix: first('inboxPrefix').inboxPrefix,
    };
    return new NatsLogin(urls, settings, layers);
  }

  /** The same login for a child process: the environment that says so. A context is named, so that the child reads it again too. */
  get environment(): Record<string, string> {
    const { tlsCa, tlsCert, tlsKey, tlsFirst, inboxPrefix } = this.settings;
    const rest = { servers: this.servers, tlsCa, tlsCert, tlsKey, tlsFirst, inboxPrefix };
    const context = this.contextOfCredentials;
    if (context === undefined) return environmentOf({ ...this.settings, ...rest });
    const own = firstCredentials(this.layers.map((layer) => ({ ...layer, context: undefined })));
    return environmentOf({ ...own, ...rest, context: contextFile(context) });
  }

  /** The context from which the credentials are, or a part of them; undefined: they are from elsewhere. */
  private get contextOfCredentials(): string | undefined {
    const contexts = this.layers.map(({ context }) => context).filter((context) => context !== undefined);
    const withAll = JSON.stringify(firstCredentials(withContexts(this.layers)));
    const isNeeded = (left: string): boolean => {
      const others = this.layers.map((layer) => (layer.context === left ? { ...layer, context: undefined } : layer));
      return JSON.stringify(firstCredentials(withContexts(others))) !== withAll;
    };
    return contexts.find(isNeeded);
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

  /** Why a server may close the connection without an error, as far as it is about the credentials. @throws LoginError */
  get closeReason(): string | undefined {
    return this.credentials?.closeReason?.();
  }

  /** @throws LoginError ELOGIN where a file cannot be read, or holds something else */
  check(): void {
    this.readContexts();
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
    if (this.credentials === undefined && !this.hasContext) return {};
    let last = this.credentials?.read();
    return {
      authenticator: (nonce) => {
        try {
          this.readContexts();
          last = this.credentials?.read();
        } catch {
          // The process that watches the connection finds out why it is not taken, if it is not.
        }
        return last?.(nonce);
      },
    };
  }

  private get hasContext(): boolean {
    return this.layers.some(({ context }) => context !== undefined);
  }

  /** A context holds secrets itself, so it is read again as files with secrets are. @throws LoginError */
  private readContexts(): void {
    if (this.hasContext) this.credentials = credentialsOf(firstCredentials(withContexts(this.layers)) ?? {});
  }
}

/** The layers, each context as a layer of its own below the one that names it. @throws LoginError */
function withContexts(layers: readonly LoginSettings[]): LoginSettings[] {
  return layers.flatMap(({ context, ...own }) => (context === undefined ? [own] : [own, readNatsContext(context)]));
}

/** Those of the first layer that has any. */
function firstCredentials(layers: readonly LoginSettings[]): CredentialSettings | undefined {
  for (const [at, layer] of layers.entries()) {
    const found = credentialSettings(withPassword(layer, layers.slice(at + 1)), urlsOf(layer));
    if (found !== undefined) return found;
  }
  return undefined;
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
