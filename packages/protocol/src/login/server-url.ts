/** URLs of NATS servers, taken apart: secrets that they carry are kept out of all that is shown. */
import { LoginError } from './login-error.js';

export interface ServerUrl {
  /** Without user, password or token. */
  readonly shown: string;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** Host name or address, as a certificate names it. */
  readonly host: string;
  readonly port: number;
  /** The URL demands TLS. */
  readonly isTls: boolean;
}

const defaultPort = 4222;

/** @throws LoginError EINVAL, without the URL: it may hold a secret */
export function parseServerUrl(text: string, place: number): ServerUrl {
  const [, scheme = 'nats', rest = ''] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(text) ?? [];
  const wrong = (why: string): LoginError => new LoginError('EINVAL', `NATS server ${place} of the list ${why}`);
  if (['ws', 'wss'].includes(scheme.toLowerCase())) {
    throw wrong('is a WebSocket, which Conclave does not connect to by itself: use nats:// or tls://');
  }
  if (!['nats', 'tls'].includes(scheme.toLowerCase())) throw wrong(`has the scheme ${scheme}: use nats:// or tls://`);
  let url: URL;
  try {
    // With a scheme that has a port of its own, URL leaves that port out; this one has none.
    url = new URL(`nats://${rest}`);
  } catch {
    if (/:\d+\/?$/.test(rest) && URL.canParse(`nats://${rest.replace(/:\d+\/?$/, '')}`)) {
      throw wrong('has a port that is not from 1 to 65535');
    }
    throw wrong('is no URL (special characters of a user or password are written as %XX, an IPv6 address as [::1])');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (host === '') throw wrong('names no host');
  // A secret whose `/`, `?` or `#` is not written as %XX would end up here, and its first part as the host.
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    throw wrong('has something after its host (in a password / ? # are %2F %3F %23)');
  }
  const port = url.port === '' ? defaultPort : Number(url.port);
  return {
    shown: `${scheme.toLowerCase()}://${url.hostname}:${port}`,
    host,
    port,
    isTls: scheme.toLowerCase() === 'tls',
    ...credentialsOf(url, hasPassword(rest), wrong),
  };
}

/** Whether the part before the host has a colon: then a password follows, perhaps an empty one, which `URL` leaves out. */
function hasPassword(rest: string): boolean {
  return /^[^/?#]*:[^/?#]*@/.test(rest);
}

/** A name alone is a token, as with other NATS clients. */
function credentialsOf(
  { username, password }: URL,
  isUser: boolean,
  wrong: (why: string) => LoginError,
): Pick<ServerUrl, 'user' | 'password' | 'token'> {
  if (username === '' && !isUser) return {};
  if (username === '') throw wrong('has a password without a user');
  try {
    const name = decodeURIComponent(username);
    return isUser ? { user: name, password: decodeURIComponent(password) } : { token: name };
  } catch {
    throw wrong('has a user or password whose %XX make no sense');
  }
}

/** A list as options and the environment have it, separated by commas. */
export function splitServers(servers: string | readonly string[]): string[] {
  return (typeof servers === 'string' ? servers.split(',') : [...servers])
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
