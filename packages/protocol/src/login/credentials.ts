/** The credentials that a NATS server receives: read from their files at each connection, so that they may change. */
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from 'nats';
import { LoginError } from './login-error.js';
import { readLoginFile, readSecretFile, shownName } from './login-file.js';
import type { ServerUrl } from './server-url.js';
import type { LoginSettings } from './settings.js';
import { signingAuthenticator } from './signing.js';

/** One way to log in. `read` reads it again at each call, from its file if it has one. @throws LoginError ELOGIN */
export interface Credentials {
  /** For people; no secret. */
  readonly kind: string;
  readonly read: () => Authenticator;
  /** What is wrong with them as far as can be seen from here; undefined: nothing. */
  readonly fault?: () => string | undefined;
  /** Why a server may close the connection without an error; undefined: not because of the credentials. */
  readonly closeReason?: () => string | undefined;
}

/** The settings that define how to log in. */
export type CredentialSettings = Pick<
  LoginSettings,
  'user' | 'password' | 'passwordFile' | 'token' | 'tokenFile' | 'nkey' | 'nkeyFile' | 'creds'
>;

/** Those of a layer; undefined: it has none. What is given itself counts for more than what its URLs carry. */
export function credentialSettings(layer: LoginSettings, urls: readonly ServerUrl[]): CredentialSettings | undefined {
  const { user, password, passwordFile, token, tokenFile, nkey, nkeyFile, creds } = layer;
  const own = { user, password, passwordFile, token, tokenFile, nkey, nkeyFile, creds };
  return Object.values(own).some((one) => one !== undefined) ? own : ofUrls(urls);
}

/** @throws LoginError EINVAL if there are several ways to log in, or half of one */
export function credentialsOf(settings: CredentialSettings): Credentials | undefined {
  const found = [userOf(settings), tokenOf(settings), nkeyOf(settings), credsOf(settings)].filter(
    (one) => one !== undefined,
  );
  if (found.length > 1) {
    const kinds = found.map(({ kind }) => kind).join(' and ');
    throw new LoginError('EINVAL', `there are several ways to log in to NATS (${kinds}): give one`);
  }
  return found[0];
}

function userOf({ user, password, passwordFile }: CredentialSettings): Credentials | undefined {
  if (user === undefined && password === undefined && passwordFile === undefined) return undefined;
  if (user === undefined) throw new LoginError('EINVAL', 'a password for NATS needs a user');
  if (user === '') throw new LoginError('EINVAL', 'the user for NATS is empty');
  const secret = one('password', password, passwordFile);
  const kind = `the user ${user}`;
  return { kind, read: () => usernamePasswordAuthenticator(user, secret?.() ?? '') };
}

function tokenOf({ token, tokenFile }: CredentialSettings): Credentials | undefined {
  if (token === '') throw new LoginError('EINVAL', 'the token for NATS is empty');
  const secret = one('token', token, tokenFile);
  return secret === undefined ? undefined : { kind: 'a token', read: () => tokenAuthenticator(secret()) };
}

function nkeyOf({ nkey, nkeyFile }: CredentialSettings): Credentials | undefined {
  const secret = one('nkey', nkey, nkeyFile);
  if (secret === undefined) return undefined;
  return {
    kind: 'an nkey',
    read: () => {
      const text = secret();
      // Seeds are alone in their file, or among lines of dashes as `nsc` writes them.
      const seed = seedIn(text);
      if (seed === undefined)
        throw new LoginError('ELOGIN', `${nkeyFile ?? 'CONCLAVE_NATS_NKEY'} holds no seed of a user`);
      const ofLibrary = () => nkeyAuthenticator(new TextEncoder().encode(seed));
      return checked(seed, seed, ofLibrary, nkeyFile ?? 'the nkey');
    },
  };
}

function credsOf({ creds }: CredentialSettings): Credentials | undefined {
  if (creds === undefined) return undefined;
  return {
    kind: `the credentials file ${shownName(creds)}`,
    read: () => {
      const text = readLoginFile('credentials', creds);
      // The library demands line feeds alone, and one at the end.
      const lines = new TextEncoder().encode(`${text.replaceAll('\r\n', '\n').trimEnd()}\n`);
      return checked(text, seedIn(text) ?? '', () => credsAuthenticator(lines), creds);
    },
    fault: () => expiryOf(readLoginFile('credentials', creds)),
    closeReason: () => sizeFaultOf(readLoginFile('credentials', creds)),
  };
}

function ofUrls(urls: readonly ServerUrl[]): CredentialSettings | undefined {
  const [first, ...others] = urls.filter(({ user, token }) => user !== undefined || token !== undefined);
  if (first === undefined) return undefined;
  const { user, password, token } = first;
  if (others.some((other) => other.user !== user || other.password !== password || other.token !== token)) {
    throw new LoginError('EINVAL', 'the URLs of the NATS servers carry different logins: give one for all of them');
  }
  return { user, password, token };
}

/** How a secret is read: from the file, if both are given. */
function one(what: string, text: string | undefined, file: string | undefined): (() => string) | undefined {
  if (file !== undefined) return () => readSecret(what, file);
  return text === undefined ? undefined : () => text;
}

/** Without line breaks at the end. A file that is being replaced is empty for a moment: then the last secret is used. */
function readSecret(what: string, file: string): string {
  const text = readSecretFile(what, file).replace(/[\r\n]+$/, '');
  if (text === '') throw new LoginError('ELOGIN', `the ${what} for NATS cannot be read: ${file} is empty`);
  return text;
}

/** What does not sign cannot be used; the library would end the connection for good. */
function checked(secret: string, seed: string, ofLibrary: () => Authenticator, file: string): Authenticator {
  try {
    return signingAuthenticator(secret, seed, ofLibrary);
  } catch {
    throw new LoginError('ELOGIN', `${file} holds no credentials for NATS, or damaged ones`);
  }
}

function seedIn(text: string): string | undefined {
  return /\bSU[A-Z2-7]{56}\b/.exec(text)?.[0];
}

/** A server closes the connection of a login that is longer than a line of its protocol may be. */
const defaultControlLineBytes = 4096;
/** What a login has besides the JWT. */
const otherLoginBytes = 400;

function sizeFaultOf(creds: string): string | undefined {
  const bytes = /^ey[\w-]+\.[\w-]+\.[\w-]+/m.exec(creds)?.[0].length ?? 0;
  if (bytes + otherLoginBytes < defaultControlLineBytes) return undefined;
  return `its JWT has ${bytes} bytes: set max_control_line in the server's configuration (4096 by default) to twice that`;
}

/** A JWT that has expired is refused by the server without saying so. */
function expiryOf(creds: string): string | undefined {
  const payload = /^ey[\w-]+\.([\w-]+)\.[\w-]+\s*$/m.exec(creds)?.[1];
  if (payload === undefined) return undefined;
  try {
    const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { exp?: unknown };
    if (typeof exp !== 'number' || exp * 1000 > Date.now()) return undefined;
    return `its JWT expired at ${new Date(exp * 1000).toISOString()}`;
  } catch {
    return undefined;
  }
}
