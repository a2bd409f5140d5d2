/**
 * A login to NATS: the servers, and what they are shown.
 *
 * Owns: which settings count. Invariants: 1. nothing that it shows holds a secret. 2. Credentials are read from their files at each
 * connection; if they cannot be read then, the last ones are used, because the library would give the connection up.
 */
import type { NodeConnectionOptions } from 'nats';
import { type CredentialSettings, type Credentials, credentialSettings, credentialsOf } from './credentials.js';
import { inboxFault } from './inbox.js';
import { LoginError } from './login-error.js';
import { contextFile, readNatsContext } from './nats-context.js';
import { parseServerUrl, type ServerUrl, splitServers } from './server-url.js';
import { environmentOf, type LoginSetting, type LoginSettings } from './settings.js';
import { checkTlsFiles, tlsOf } from './tls.js';

export const defaultNatsUrl = 'nats://127.0.0.1:4222';
/** That of the NATS client. */
const defaultInboxPrefix = '_INBOX';

export class NatsLogin {
  private credentials: Credentials | undefined;

  private constructor(
    private readonly urls: readonly ServerUrl[],
    /** What counts, of all layers; with secrets. */
    private readonly settings: Omit<LoginSettings, 'servers' | 'context'>,
    /** As they were given. */
    private readonly layers: readonly LoginSettings[],
    /** Of the layers: what the credentials are from. */
    private readonly sources: readonly LoginSettings[],
  ) {
    this.credentials = credentialsOf(settings);
    // Settings that make no sense together are refused before anything is done.
    tlsOf(settings, urls);
  }

  /**
   * The first layer that defines how to log in is used, and for each other setting the first layer that has it: options before
   * the environment. Within a layer what is given itself counts, then the URLs' login, then the context.
   * @throws LoginError EINVAL if they make no sense; ELOGIN if a context cannot be read
   */
  static of(...layers: readonly LoginSettings[]): NatsLogin {
    const all = withContexts(layers);
    const first = (...names: LoginSetting[]): LoginSettings =>
      all.find((layer: LoginSettings) => names.some((name) => layer[name] !== undefined)) ?? {};
    const urls = urlsOf({ servers: first('servers').servers ?? defaultNatsUrl });
    if (urls.length === 0) throw new LoginError('EINVAL', 'the list of NATS servers is empty');
    const { tlsCert, tlsKey } = first('tlsCert', 'tlsKey');
    const sources = sourcesOf(all);
    const settings = {
      ...mergedCredentials(sources),
      ...{ tlsCert, tlsKey },
      tlsCa: first('tlsCa').tlsCa,
      tlsFirst: first('tlsFirst').tlsFirst,
      inboxPrefix: first('inboxPrefix').inboxPrefix,
    };
    return new NatsLogin(urls, settings, layers, sources);
  }

  /** The same login for a child process, as environment variables. A context is named, so that the child reads it again, too. */
  get environment(): Record<string, string> {
    const { tlsCa, tlsCert, tlsKey, tlsFirst, inboxPrefix } = this.settings;
    const named = this.sources.find(({ context }) => context !== undefined);
    return environmentOf({
      ...mergedCredentials(this.sources.filter((source) => source !== named)),
      ...{ servers: this.servers, tlsCa, tlsCert, tlsKey, tlsFirst, inboxPrefix },
      context: named?.context === undefined ? undefined : contextFile(named.context),
    });
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

  /** Why a server may close the connection without an error, as far as it is about the login. @throws LoginError */
  get closeReason(): string | undefined {
    const reason = this.credentials?.closeReason?.() ?? '';
    if (reason !== '' || this.settings.tlsCert === undefined) return reason;
    // The system of this machine may discard the reason that the server sends before it closes the connection.
    return 'perhaps the server does not accept the client certificate: --nats-tls-cert, --nats-tls-key';
  }

  /** @throws LoginError EINVAL if its replies would go to subjects of Conclave or of NATS. @param prefix of Conclave's subjects */
  checkInbox(prefix: string): void {
    const fault = inboxFault(this.settings.inboxPrefix ?? defaultInboxPrefix, prefix);
    if (fault !== undefined) throw new LoginError('EINVAL', fault);
  }

  /** @throws LoginError ELOGIN if a file cannot be read, or holds something else */
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
    if (this.hasContext) this.credentials = credentialsOf(mergedCredentials(sourcesOf(withContexts(this.layers))));
  }
}

/** The layers, each context as a layer of its own, which names it, below the layer that names it. @throws LoginError */
function withContexts(layers: readonly LoginSettings[]): LoginSettings[] {
  return layers.flatMap(({ context, ...own }) =>
    context === undefined ? [own] : [own, { ...readNatsContext(context), context }],
  );
}

/** What the credentials are from: the first layer that has any, and what completes it of a later one; none: there are none. */
function sourcesOf(layers: readonly LoginSettings[]): readonly LoginSettings[] {
  const at = layers.findIndex((layer) => credentialSettings(layer, urlsOf(layer)) !== undefined);
  const first = layers[at];
  if (first === undefined) return [];
  const completion = completionOf(first, layers.slice(at + 1));
  return completion === undefined ? [first] : [first, completion];
}

/** A user and a password may be given in two places: for example, the user as an option and the password in the environment. */
function completionOf(layer: LoginSettings, later: readonly LoginSettings[]): LoginSettings | undefined {
  const hasPassword = ({ password, passwordFile }: LoginSettings): boolean => (password ?? passwordFile) !== undefined;
  if (layer.user !== undefined && !hasPassword(layer)) {
    const found = later.find((one) => hasPassword(one) && (one.user ?? layer.user) === layer.user);
    return found && { password: found.password, passwordFile: found.passwordFile, context: found.context };
  }
  if (layer.user === undefined && hasPassword(layer)) {
    const found = later.find(({ user }) => user !== undefined);
    return found && { user: found.user, context: found.context };
  }
  return undefined;
}

/** The credentials of all of these together. */
function mergedCredentials(sources: readonly LoginSettings[]): CredentialSettings {
  const found = sources.map((source) => Object.entries(credentialSettings(source, urlsOf(source)) ?? {}));
  return Object.fromEntries(found.flat().filter(([, value]) => value !== undefined));
}

function urlsOf({ servers }: LoginSettings): ServerUrl[] {
  return servers === undefined ? [] : splitServers(servers).map((url, at) => parseServerUrl(url, at + 1));
}
