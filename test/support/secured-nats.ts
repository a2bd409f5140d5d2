/** A NATS server whose users have the roles of Conclave, with the permissions that `conclave permissions` prints. */
import type { ConnectionOptions } from 'nats';
import { startCommand } from './command.js';
import { type NatsServer, startNats } from './nats.js';

export interface SecuredUser {
  readonly name: string;
  /** The options of `conclave permissions`; none: it may do everything. */
  readonly permissions?: readonly string[];
  readonly inboxPrefix: string;
}

/** The role of a peer, as its processes need it. */
export function peerUser(name: string): SecuredUser {
  return { name, permissions: ['--role', 'peer', '--peer', name], inboxPrefix: `_INBOX.peer.${name}` };
}

/** Another role, with its own name for the user. */
export function roleUser(role: string, ...options: readonly string[]): SecuredUser {
  return { name: role, permissions: ['--role', role, ...options], inboxPrefix: `_INBOX.${role}` };
}

/** A user with all permissions: the test itself. */
export const testUser: SecuredUser = { name: 'test', inboxPrefix: '_INBOX.test' };

export class SecuredNats {
  private constructor(
    readonly server: NatsServer,
    private readonly users: readonly SecuredUser[],
    private readonly log: readonly string[],
  ) {}

  /** @param more lines of its configuration */
  static async start(users: readonly SecuredUser[], more = ''): Promise<SecuredNats> {
    const entries = await Promise.all(users.map(userEntry));
    const log: string[] = [];
    const configuration = `authorization {\n timeout: 60\n users: [\n${entries.join('\n')}\n ]\n}\n${more}`;
    const server = await startNats({ configuration, onLine: (line) => void log.push(line) });
    return new SecuredNats(server, users, log);
  }

  /** The server's log lines of permission violations, as `<user> <subject>`. */
  get violations(): string[] {
    return this.log.flatMap((line) => {
      if (!/Violation/.test(line)) return [];
      // Up to 2.11 the user is after the message, later before it, with its account.
      const [, user] = /- User "([^"]*)"/.exec(line) ?? /\/user:([^"]*)"/.exec(line) ?? [];
      const [, subject] = /(?:Subject|Reply) "([^"]*)"/.exec(line) ?? [];
      return [user === undefined || subject === undefined ? line : `${user} ${subject}`];
    });
  }

  /** How a connection of the tests logs in. */
  login(name: string): ConnectionOptions {
    const { inboxPrefix } = this.find(name);
    return { servers: this.server.url, user: name, pass: passwordOf(name), inboxPrefix };
  }

  /** How a process of Conclave's logs in. */
  environment(name: string): Record<string, string> {
    const { inboxPrefix } = this.find(name);
    return {
      CONCLAVE_NATS_USER: name,
      CONCLAVE_NATS_PASSWORD: passwordOf(name),
      CONCLAVE_NATS_INBOX_PREFIX: inboxPrefix,
    };
  }

  private find(name: string): SecuredUser {
    const user = this.users.find((one) => one.name === name);
    if (user === undefined) throw new Error(`there is no user ${name}`);
    return user;
  }
}

function passwordOf(name: string): string {
  return `password-of-${name}`;
}

async function userEntry({ name, permissions }: SecuredUser): Promise<string> {
  const head = `user: "${name}", password: "${passwordOf(name)}"`;
  if (permissions === undefined) return `{ ${head} }`;
  const { code, out, error } = await startCommand('', ['permissions', ...permissions]).ended;
  if (code !== 0) throw new Error(`conclave permissions: ${error}`);
  return `{ ${head}\n${out} }`;
}
