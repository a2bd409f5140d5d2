/**
 * Every way to log in is rotated on a running server: the server changes first, so that the old credentials are rejected for a
 * while, then the files. A peer's processes, a client, an observer and commands that go on do so without a restart.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ConclaveClient } from '@conclave/client';
import { observe } from '@conclave/observer';
import { connectWith, type LoginSettings, NatsLogin } from '@conclave/protocol/login';
import { createUser } from '@nats-io/nkeys';
import { afterEach, expect, it } from 'vitest';
import { Stops, until } from '../mesh/fault-mesh.js';
import { Authority } from '../support/certificates.js';
import { type CommandRun, startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Operator } from '../support/nats-jwt.js';
import { startPeer } from '../support/peers.js';

type Which = 'old' | 'new';

/** A way to log in, with two credentials of which the server takes one. */
interface Kind {
  readonly settings: LoginSettings;
  readonly configuration: (which: Which) => string;
  /** Writes the credentials into the files that the settings name. */
  readonly write: (which: Which, url: string) => void;
  /** The server goes by the new configuration only once it is started again. */
  readonly restarts?: true;
  /** How the server comes to reject the old credentials, if not by its new configuration. */
  readonly endOld?: (server: NatsServer, isLogged: (what: RegExp) => Promise<unknown>) => Promise<void>;
}

/** Longer than all connections take to be established again. */
const shortLifeSeconds = 15;

const kinds: Readonly<Record<string, (folder: string) => Kind>> = {
  'user and password file': (folder) => {
    const passwordFile = path.join(folder, 'password');
    return {
      settings: { user: 'ann', passwordFile },
      configuration: (which) => `authorization { timeout: 60, user: ann, password: "${which}-password" }`,
      write: (which) => writeFileSync(passwordFile, `${which}-password\n`),
    };
  },
  'token file': (folder) => {
    const tokenFile = path.join(folder, 'token');
    return {
      settings: { tokenFile },
      configuration: (which) => `authorization { timeout: 60, token: "${which}-token" }`,
      write: (which) => writeFileSync(tokenFile, `${which}-token\n`),
    };
  },
  'nkey file': (folder) => {
    const nkeyFile = path.join(folder, 'seed');
    const keys = { old: createUser(), new: createUser() };
    return {
      settings: { nkeyFile },
      configuration: (which) => `authorization { timeout: 60, users: [{ nkey: ${keys[which].getPublicKey()} }] }`,
      write: (which) => writeFileSync(nkeyFile, new TextDecoder().decode(keys[which].getSeed())),
    };
  },
  'credentials file': (folder) => {
    const creds = path.join(folder, 'user.creds');
    const operator = new Operator();
    const now = Math.floor(Date.now() / 1000);
    return {
      settings: { creds },
      configuration: (which) => (which === 'old' ? operator.configuration : operator.configurationRevoking(now - 60)),
      write: (which) => operator.writeUser(creds, undefined, {}, which === 'old' ? now - 120 : now),
      restarts: true,
    };
  },
  'credentials file whose JWT expires': (folder) => {
    const creds = path.join(folder, 'user.creds');
    const operator = new Operator();
    return {
      settings: { creds },
      configuration: () => operator.configuration,
      write: () => operator.writeUser(creds),
      endOld: async (server, isLogged) => {
        // All connections are made again with a JWT that expires soon, and end with it.
        operator.writeUser(creds, Math.floor(Date.now() / 1000) + shortLifeSeconds);
        const expired = isLogged(/User Authentication Expired/i);
        await server.restart();
        await expired;
      },
    };
  },
  'TLS certificate and key': (folder) => {
    const authorities = { old: new Authority(folder, 'old'), new: new Authority(folder, 'new') };
    const pairs = (['old', 'new'] as const).flatMap((which) =>
      ['server', 'client'].map((who) => {
        const names = ['IP:127.0.0.1', 'DNS:localhost'];
        return [`${which} ${who}`, authorities[which].sign(`${which}-${who}`, names)] as const;
      }),
    );
    const pair = (which: Which, who: string) => new Map(pairs).get(`${which} ${who}`) ?? { certificate: '', key: '' };
    const [tlsCa, tlsCert, tlsKey] = ['ca', 'cert', 'key'].map((name) => path.join(folder, `${name}.pem`)) as [
      string,
      string,
      string,
    ];
    const copy = (from: string, to: string) => writeFileSync(to, readFileSync(from));
    return {
      settings: { tlsCa, tlsCert, tlsKey },
      configuration: (which) => {
        const { certificate, key } = pair(which, 'server');
        const files = `cert_file: "${certificate}", key_file: "${key}", ca_file: "${authorities[which].certificate}"`;
        return `tls { ${files}, verify: true, timeout: 60 }`;
      },
      // For a moment the key does not belong to the certificate.
      write: (which) => {
        copy(authorities[which].certificate, tlsCa);
        copy(pair(which, 'client').certificate, tlsCert);
        copy(pair(which, 'client').key, tlsKey);
      },
      restarts: true,
    };
  },
  'context of the nats command': (folder) => {
    const context = path.join(folder, 'own.json');
    return {
      settings: { context },
      configuration: (which) => `authorization { timeout: 60, user: ann, password: "${which}-password" }`,
      write: (which, url) =>
        writeFileSync(context, JSON.stringify({ url, user: 'ann', password: `${which}-password` })),
    };
  },
};

const stops = new Stops();
afterEach(() => stops.run());

interface Started {
  readonly folder: string;
  readonly kind: Kind;
  readonly server: NatsServer;
  readonly login: NatsLogin;
  readonly run: (...args: readonly string[]) => CommandRun;
}

async function start(name: string): Promise<Started> {
  const folder = makeFolder('rotation');
  stops.add(async () => removeFolder(folder));
  const kind = (kinds[name] as (folder: string) => Kind)(folder);
  const server = await startNats({ configuration: kind.configuration('old') });
  stops.add(() => server.stop());
  kind.write('old', server.url);
  const login = NatsLogin.of({ ...kind.settings, servers: server.url });
  return { folder, kind, server, login, run: (...args) => startCommand(server.url, args, login.environment) };
}

/** A command that goes on; `shows` is settled when it has printed that. */
function goingOn(command: CommandRun): {
  readonly shows: (wanted: RegExp) => Promise<void>;
  /** The same for standard error. */
  readonly notes: (wanted: RegExp) => Promise<void>;
  readonly hasShown: (wanted: RegExp) => boolean;
  readonly hasNoted: (wanted: RegExp) => boolean;
} {
  let [shown, noted] = ['', ''];
  command.child.stdout?.on('data', (data: Buffer) => {
    shown += data.toString();
  });
  command.child.stderr?.on('data', (data: Buffer) => {
    noted += data.toString();
  });
  stops.add(async () => {
    command.child.kill('SIGINT');
    await command.ended;
  });
  return {
    hasShown: (wanted) => wanted.test(shown),
    hasNoted: (wanted) => wanted.test(noted),
    shows: async (wanted) => {
      while (!wanted.test(shown)) await printedBy(command, 'stdout');
    },
    notes: async (wanted) => {
      while (!wanted.test(noted)) await printedBy(command, 'stderr');
    },
  };
}

/** Resolves when the command has printed more. @throws Error with its output if it has ended */
async function printedBy({ child, ended }: CommandRun, stream: 'stdout' | 'stderr'): Promise<void> {
  const end = ended.then((output) => {
    throw new Error(`a command ended: ${JSON.stringify(output)}`);
  });
  await Promise.race([once(child[stream] as NodeJS.ReadableStream, 'data'), end]);
}

it.each(Object.keys(kinds))('%s: rotated under a peer, a client, an observer and commands', async (name) => {
  const { folder, kind, server, login, run } = await start(name);
  const args = ['--http', '127.0.0.1:0'];
  const peer = await startPeer({ peer: 'n1', nats: [server.url], placement: 'two', env: login.environment, args });
  stops.add(() => peer.stop());
  expect(await run('bootstrap', 'n1').ended).toMatchObject({ code: 0 });
  const client = await ConclaveClient.connect({ groupId: 'main', servers: server.url, login: kind.settings });
  stops.add(() => client.close());
  const events = observe({ connection: client.connection, groupId: 'main' });
  await events.ready;
  const watched = client.watch('k');
  const receive = async (value: string): Promise<void> => {
    for (;;) {
      const change = await watched.next();
      expect(change.done).not.toBe(true);
      if (change.value?.type === 'put' && change.value.value === value) return;
    }
  };
  const watching = [goingOn(run('watch')), goingOn(run('kv', 'watch'))];
  const released = path.join(folder, 'released');
  const lock = run(
    'lock',
    'one',
    '--',
    'sh',
    '-c',
    `echo held; until [ -e ${released} ]; do sleep 0.1; done; echo kept`,
  );
  await goingOn(lock).shows(/held/);
  // One that connects only after the rotation would end, as its login is rejected.
  await watching[0]?.notes(/^watching /);
  // The command watches from when it has started on.
  await until('conclave kv watch shows a write', async () => {
    await client.kv.put('k', 'before');
    return watching[1]?.hasShown(/before/) ? true : undefined;
  });
  await receive('before');

  const rejected = peer.processes.map((each) =>
    each.line(
      ({ msg, reason }) => /not connected to NATS/.test(msg) && /rejects the login|no TLS/.test(String(reason)),
      false,
    ),
  );
  const isLogged = (what: RegExp) =>
    Promise.all(peer.processes.map((each) => each.line(({ err }) => what.test(String(err)), false)));
  if (kind.endOld !== undefined) await kind.endOld(server, isLogged);
  else if (kind.restarts) await server.restart(kind.configuration('new'));
  else await server.reload(kind.configuration('new'));
  await Promise.all(rejected);
  const again = peer.processes.map((each) => each.line(({ msg }) => msg === 'connected to NATS again', false));
  // A server may accept an expired login once more, for a moment: a JWT is valid until the end of a second.
  await until('NATS rejects the old login', async () => {
    const accepted = await connectWith(NatsLogin.of({ ...kind.settings, servers: server.url })).catch((error) => {
      expect(error).toMatchObject({ code: 'ELOGIN' });
      return undefined;
    });
    await accepted?.close();
    return accepted === undefined ? true : undefined;
  });
  for (const each of peer.processes) {
    const { url } = await each.line(({ msg }) => msg === 'serves metrics and health');
    // Then the process has to find out the reason again.
    await until('the page shows why NATS rejects the process', async () => {
      const page = await (await fetch(`${url}/readyz`)).text();
      if (!/nats: .*(rejects the login|no TLS)/.test(page)) throw new Error(page);
      return true;
    });
  }
  // TLS is before the login: what fails there is no rejected login.
  if (kind.settings.tlsCa === undefined) {
    await Promise.all(watching.map((one) => one.notes(/ELOGIN: NATS rejects the login/)));
    await until('a call of the client fails because of the login', async () => {
      const error = await client.kv.put('k', 'rejected', { timeoutMs: 500 }).catch((failure: unknown) => failure);
      expect(error).toMatchObject({ code: 'ELOGIN', outcome: 'not_done' });
      return true;
    });
  }
  kind.write('new', server.url);
  await Promise.all(again);

  await until('the client writes again', async () => {
    await client.kv.put('k', 'after', { timeoutMs: 60_000 });
    return true;
  });
  await receive('after');
  await watching[1]?.shows(/after/);
  // It notes the rejected login once.
  expect(watching[1]?.hasNoted(/ELOGIN.*still watching/)).toBe(false);
  // An event is published once; what is not connected again yet misses it.
  await until('conclave watch shows a command', async () => {
    expect(await run('snapshot', '--peer', 'n1').ended).toMatchObject({ code: 0 });
    return watching[0]?.hasShown(/snapshot/) ? true : undefined;
  });
  for await (const event of events) if (event.name === 'snapshot_taken') break;
  events.close();
  writeFileSync(released, '');
  expect(await lock.ended).toMatchObject({ code: 0, out: expect.stringContaining('kept') });
  expect(peer.processes.filter(({ isRunning }) => !isRunning)).toEqual([]);
});
