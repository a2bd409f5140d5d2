/** Contexts of the `nats` command: JSON files in its configuration folder, which it writes with `nats context add`. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { LoginError } from './login-error.js';
import { mayBeContent, readLoginFile, shownName } from './login-file.js';
import type { LoginSettings } from './settings.js';

/** The fields of a context's file that define how to log in. */
interface ContextFile {
  readonly url?: string;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** Files. */
  readonly nkey?: string;
  readonly creds?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly tls_first?: boolean;
  readonly inbox_prefix?: string;
}

/** Fields that other ways to log in have, which Conclave does not take. */
const unsupported = ['nsc', 'user_jwt', 'user_seed', 'socks_proxy', 'windows_cert_store'];

/** @throws LoginError ELOGIN if the file cannot be read; EINVAL if it is no context, or one that is not supported */
export function readNatsContext(name: string, environment: NodeJS.ProcessEnv = process.env): LoginSettings {
  const file = contextFile(name, environment);
  if (mayBeContent(name) && !existsSync(file)) {
    const text =
      'the context for NATS cannot be read: the setting has the content of the file; it must name the context';
    throw new LoginError('ELOGIN', text);
  }
  const read = parse(readLoginFile(`context ${shownName(name)}`, file), file);
  for (const field of unsupported) {
    if (isSet((read as Record<string, unknown>)[field])) {
      throw new LoginError(
        'EINVAL',
        `the NATS context ${name} has ${field}, which is not supported: give creds instead`,
      );
    }
  }
  const fileOf = (text: string | undefined): string | undefined =>
    isSet(text) ? atHome(text, environment) : undefined;
  const textOf = (text: string | undefined): string | undefined => (isSet(text) ? text : undefined);
  return {
    servers: textOf(read.url),
    user: textOf(read.user),
    password: textOf(read.password),
    token: textOf(read.token),
    nkeyFile: fileOf(read.nkey),
    creds: fileOf(read.creds),
    tlsCert: fileOf(read.cert),
    tlsKey: fileOf(read.key),
    tlsCa: fileOf(read.ca),
    tlsFirst: read.tls_first === true ? true : undefined,
    inboxPrefix: textOf(read.inbox_prefix),
  };
}

/** The path of a context: a name for it that does not depend on the environment. */
export function contextFile(name: string, environment: NodeJS.ProcessEnv = process.env): string {
  if (name.includes('/') || name.endsWith('.json')) return path.resolve(atHome(name, environment));
  const folder = environment.XDG_CONFIG_HOME || path.join(environment.HOME || homedir(), '.config');
  return path.join(folder, 'nats', 'context', `${name}.json`);
}

/** The parser's own message would quote what it read, secrets too. */
function parse(text: string, file: string): ContextFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null)
    throw new LoginError('EINVAL', `${file} is no context: no JSON object`);
  for (const [field, one] of Object.entries(value)) {
    const wanted = field === 'tls_first' ? 'boolean' : 'string';
    if (fields.includes(field) && typeof one !== wanted) {
      throw new LoginError('EINVAL', `${file}: ${field} is no ${wanted}`);
    }
  }
  return value;
}

const fields = 'url user password token nkey creds cert key ca tls_first inbox_prefix'.split(' ');

function isSet<T>(value: T | undefined | ''): value is T {
  return value !== undefined && value !== '' && value !== false;
}

function atHome(file: string, environment: NodeJS.ProcessEnv): string {
  return file.startsWith('~/') ? path.join(environment.HOME || homedir(), file.slice(2)) : file;
}
