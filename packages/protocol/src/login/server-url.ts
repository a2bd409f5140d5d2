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
  /** The URL demands TLS. */
  readonly isTls: boolean;
}

const defaultPort = 4222;

/** @throws LoginError EINVAL, without the URL: it may hold a secret */
export function parseServerUrl(text: string, place: number): ServerUrl {
  const [, scheme = 'nats', rest = ''] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(text) ?? [];
  const wrong = (why: string): LoginError => new LoginError('EINVAL', `NATS server ${place} of the list ${why}`);
  if (!['nats', 'tls'].includes(scheme.toLowerCase())) throw wrong(`has the scheme ${scheme}: use nats:// or tls://`);
  let url: URL;
  try {
    // With a scheme that has a port of its own, URL leaves that port out; this one has none.
    url = new URL(`nats://${rest}`);
  } catch {
    throw wrong('is no URL (user names and passwords need their special characters as %XX)');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (host === '') throw wrong('names no host');
  // A secret whose `/`, `?` or `#` is not written as %XX would end up here, and its first part as the host.
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    throw wrong('has something behind its host (in a password / ? # are %2F %3F %23)');
  }
  return {
    shown: `${scheme.toLowerCase()}://${url.hostname}:${url.port === '' ? defaultPort : url.port}`,
    host,
    isTls: scheme.toLowerCase() === 'tls',
    ...credentialsOf(url, wrong),
  };
}

/** A name alone is a token, as with other NATS clients. */
function credentialsOf(
  { username, password }: URL,
  wrong: (why: string) => LoginError,
): Pick<ServerUrl, 'user' | 'password' | 'token'> {
  if (username === '' && password === '') return {};
  try {
    const name = decodeURIComponent(username);
    return password === '' ? { token: name } : { user: name, password: decodeURIComponent(password) };
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
