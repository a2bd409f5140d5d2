/** Connects to NATS with a login; the error of a failed attempt contains the reason. */
import { connect as connectSocket } from 'node:net';
import {
  AuthorizationError,
  connect,
  createInbox,
  type NatsConnection,
  type NodeConnectionOptions,
  TimeoutError,
  UserAuthenticationExpiredError,
} from 'nats';
import type { NatsLogin } from './login.js';
import { LoginError } from './login-error.js';
import { parseServerUrl } from './server-url.js';

/**
 * Connects to the first server that accepts the login.
 * @throws LoginError ELOGIN if a server rejects the login, or a file of the login cannot be used; EUNREACHABLE if no server can be
 * reached, or none accepts another connection
 */
export async function connectWith(login: NatsLogin, options: NodeConnectionOptions = {}): Promise<NatsConnection> {
  const { reconnect = true, waitOnFirstConnect = false } = options;
  try {
    const base = { noRandomize: true, ...login.connectOptions(), ignoreAuthErrorAbort: true };
    // Without `reconnect`, the package `nats` reports a server that ends the connection during the login, instead of trying again.
    const connection = await connectForReason({ ...base, ...options, reconnect: reconnect && waitOnFirstConnect });
    optionsOf(connection).reconnect = reconnect;
    return connection;
  } catch (error) {
    // The package throws the error of the last server; that of another one may be more specific.
    if (login.servers.length > 1) await findServer(login, options.timeout);
    throw explain(login, error, login.servers);
  }
}

/**
 * Tries each server in turn, with a connection of its own.
 * @returns the place in the list of the first that accepts the login
 * @throws LoginError as `connectWith`. If a server rejects the login, the error is about that server; otherwise it names each server
 */
export async function findServer(login: NatsLogin, timeout?: number): Promise<number> {
  const failures: LoginError[] = [];
  for (const [at, server] of login.servers.entries()) {
    try {
      const options = { ...login.connectOptions(at, true), ...(timeout === undefined ? {} : { timeout }) };
      const nats = await connectForReason({ ...options, name: 'conclave login', reconnect: false });
      await nats.close();
      return at;
    } catch (error) {
      failures.push(explain(login, error, [server]));
    }
  }
  const rejected = failures.find(({ code }) => code !== 'EUNREACHABLE');
  throw rejected ?? new LoginError('EUNREACHABLE', failures.map(({ message }) => message).join('; '));
}

/** After a server has closed this many connections during the login, the attempt fails. */
const closedAttempts = 3;
/** A server that has not closed a connection after this time, or sends more than this many bytes, is assumed to accept it. */
const errorTimeoutMs = 2_000;
const errorBytes = 65_536;
const closedCodes = ['ECONNRESET', 'EPIPE'];

/** As `connect`, with the server's reason if it rejects the client's certificate, and another attempt if it closes the connection. */
async function connectForReason(options: NodeConnectionOptions): Promise<NatsConnection> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await connect(options);
    } catch (error) {
      if (!closedCodes.includes(codeOf(error))) throw error;
      const rejection = await certificateRejection(options);
      if (rejection !== undefined) throw rejection;
      if (attempt === closedAttempts) throw (await errorOnConnecting(options)) ?? error;
    }
  }
}

/**
 * Why a server that closed the connection rejects the client's certificate. In TLS 1.3 the client has finished its part, and sends more,
 * before the server has verified the certificate: the reason may be lost when the server closes. In TLS 1.2 the client waits for it.
 * @returns undefined: that is not why
 */
async function certificateRejection(options: NodeConnectionOptions): Promise<unknown> {
  if (options.tls === null) return undefined;
  const tls = { ...options.tls, maxVersion: 'TLSv1.2' };
  try {
    const connection = await connect({ ...options, tls, reconnect: false, waitOnFirstConnect: false });
    await connection.close();
    return undefined;
  } catch (error) {
    return certificateAlert.test(codeOf(error)) ? error : undefined;
  }
}

/**
 * The error that a server sends as soon as a client has connected, because it is full, for instance. This client sends nothing: what a
 * server sends before it closes the connection is lost if it has not read all that the client has sent.
 * @returns undefined: the server sends none, or there are several servers
 */
async function errorOnConnecting({ servers }: NodeConnectionOptions): Promise<Error | undefined> {
  const [server, ...others] = [servers ?? []].flat();
  if (server === undefined || others.length > 0) return undefined;
  const { host, port } = parseServerUrl(server, 1);
  let text = '';
  await new Promise<void>((resolve) => {
    const socket = connectSocket({ host, port, signal: AbortSignal.timeout(errorTimeoutMs) });
    socket.on('data', (bytes) => {
      text += bytes;
      if (text.length > errorBytes) socket.destroy();
    });
    // `close` follows.
    socket.on('error', () => {});
    socket.on('close', () => resolve());
  });
  const [, error] = /-ERR '([^']*)'/.exec(text) ?? [];
  // That this connection has not logged in in time is not why the server closed the other ones.
  return error === undefined || /authentication timeout/i.test(error) ? undefined : new Error(error);
}

/** A subject for replies, as the connection's own requests have it: below its inbox prefix. */
export function inboxOf(connection: NatsConnection): string {
  return createInbox(optionsOf(connection).inboxPrefix);
}

/**
 * Returns why NATS rejects the login of a connection that was established before: a text for users, without secrets. Undefined: the
 * error is about something else.
 * @param error an error that the connection reports. @param login undefined: the application has connected
 */
export function rejectionOf(error: Error, login: NatsLogin | undefined): string | undefined {
  // By name: a connection may come from another copy of the package `nats`.
  if (!['AuthorizationError', 'UserAuthenticationExpiredError'].includes(error.name)) return undefined;
  return `NATS rejects the login${login === undefined ? '' : ` with ${login.kind}`}: ${rejectionText(error, login)}`;
}

function rejectionText(error: Error, login: NatsLogin | undefined): string {
  return [error.message, textOf(() => login?.fault)].filter((text) => text !== '').join('; ');
}

/** Returns the options of a connection, which the package does not declare. */
function optionsOf(connection: NatsConnection): NodeConnectionOptions {
  return (connection as { readonly options?: NodeConnectionOptions }).options ?? {};
}

/** Returns an error as a `LoginError` that names the servers, without secrets. A login that is rejected is ELOGIN. */
function explain(login: NatsLogin, error: unknown, servers: readonly string[]): LoginError {
  if (error instanceof LoginError && error.code !== 'EUNREACHABLE') return error;
  const where = servers.join(', ');
  if (error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError) {
    const why = rejectionText(error, login);
    return new LoginError('ELOGIN', `NATS at ${where} rejects the login with ${login.kind}: ${why}`);
  }
  const tls = tlsFaultOf(error);
  if (tls !== undefined) return new LoginError('ELOGIN', `no TLS connection to NATS at ${where}: ${tls}`);
  const tooLong = isClosed(error) ? textOf(() => login.closeReason) : '';
  if (tooLong !== '') {
    return new LoginError('ELOGIN', `NATS at ${where} closes the connection of ${login.kind}: ${tooLong}`);
  }
  const hint =
    error instanceof TimeoutError
      ? ' (a server that starts with TLS sends nothing before the client does: --nats-tls-first)'
      : '';
  const fault = isFull(error) ? `NATS at ${where} accepts no more connections` : `no NATS server at ${where}`;
  const why = error instanceof LoginError ? error.message : `${fault}: ${messageOf(error)}${hint}`;
  return new LoginError('EUNREACHABLE', why);
}

/** Whether the server closed the connection, with or without the reason. */
function isClosed(error: unknown): boolean {
  return closedCodes.includes(codeOf(error)) || /control line/i.test(messageOf(error));
}

/** Whether the server, or the login's account, has as many connections as it may have. */
function isFull(error: unknown): boolean {
  return /maximum .*connections exceeded/i.test(messageOf(error));
}

function textOf(text: () => string | undefined): string {
  try {
    return text() ?? '';
  } catch (error) {
    return messageOf(error);
  }
}

const untrusted = [
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
];

const certificateAlert = /ALERT_(CERTIFICATE_\w+|HANDSHAKE_FAILURE|BAD_CERTIFICATE|UNKNOWN_CA)/;

/** Undefined: it is not about TLS. */
function tlsFaultOf(error: unknown): string | undefined {
  const code = codeOf(error);
  const message = messageOf(error);
  if (untrusted.includes(code)) {
    return `the server's certificate is not signed by an authority that is known here (${message}): --nats-tls-ca`;
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `the server's certificate is for another name: ${message}`;
  if (certificateAlert.test(code)) {
    return `the server does not accept the client certificate (${code}): --nats-tls-cert, --nats-tls-key`;
  }
  if (message.includes("does not support 'tls'")) return 'the server has none, and this login demands it';
  if (/^(ERR_SSL|ERR_OSSL|ERR_TLS|CERT_)/.test(code)) return `${message} (${code})`;
  return undefined;
}

function codeOf(error: unknown): string {
  const { code, cause } = (error ?? {}) as { readonly code?: unknown; readonly cause?: unknown };
  if (typeof code === 'string') return code;
  return cause === undefined ? '' : codeOf(cause);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'the connection was closed';
}
