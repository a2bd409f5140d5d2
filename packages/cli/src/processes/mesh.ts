/** A whole mesh for a command: a NATS server, peers, a group. The command's clean-up stops all of it. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { asPeerId, type BootstrapReply, ConclaveError, type GroupId, type PeerId } from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';
import { AdminClient } from '../admin-client.js';
import { bootstrap } from '../commands/bootstrap.js';
import { connectTo } from '../connection.js';
import { type LoginFlags, loginOf, openLogin } from '../login.js';
import { makeFolder } from '../make-folder.js';
import { findNatsServer } from '../nats-server/find-server.js';
import { isBusy, isTransient, isUnreachable, retryUntil } from '../retry-until.js';
import type { CleanUp } from './clean-up.js';
import { type NatsServer, startNatsServer } from './nats-server.js';
import { PeerProcesses, type Placement } from './peer-processes.js';

const bootstrapTimeoutMs = 60_000;
const servesTimeoutMs = 1_000;
/** A busy process may miss the first request. */
const servesAttempts = 3;
/** Peers whose `up` was killed have ended after this time. */
const goneWithinMs = 6_000;
/** Groups that are created side by side. */
const groupsAtOnce = 16;

export interface MeshOptions {
  readonly groupId: GroupId;
  readonly prefix: string;
  readonly placement: Placement;
  /** The folder of the peers' data, and of all logs. */
  readonly folder: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Mesh {
  /** The URL without secrets. */
  readonly natsUrl: string;
  readonly adminClient: AdminClient;
  readonly processes: PeerProcesses;
}

/** Returns the names `n1`, `n2`, ... */
export function peerNames(howMany: number): PeerId[] {
  return Array.from({ length: howMany }, (_, index) => asPeerId(`n${index + 1}`));
}

/** Starts a NATS server in `folder`, on `port` if it is free, otherwise on any other. */
export async function ownNatsServer(cleanUp: CleanUp, folder: string, port = 0): Promise<string> {
  return (await startOwn(cleanUp, folder, port)).url;
}

async function startOwn(cleanUp: CleanUp, folder: string, port = 0, more: readonly string[] = []): Promise<NatsServer> {
  const executable = await findNatsServer();
  const start = async (wanted: number): Promise<NatsServer> => {
    const server = await startNatsServer(executable, folder, wanted, more);
    cleanUp.add(() => server.stop());
    return server;
  };
  if (port === 0) return start(0);
  return start(port).catch(() => start(0));
}

type ServerFlags = LoginFlags & { readonly tls?: boolean };

/**
 * Returns the NATS servers that the options name; if they name none, starts a server in `folder`. The environment is ignored
 * here: a load must not be sent to servers that are in use.
 */
export async function namedOrOwnNats(cleanUp: CleanUp, flags: ServerFlags, folder: string): Promise<NatsLogin> {
  return (await namedOrOwnServer(cleanUp, flags, folder)).login;
}

/** The same, with the process id of a server that was started. */
export async function namedOrOwnServer(
  cleanUp: CleanUp,
  flags: ServerFlags,
  folder: string,
): Promise<{ readonly login: NatsLogin; readonly pid?: number }> {
  if (!namesServersItself(flags)) {
    if (flags.tls === true) return ownTlsServer(cleanUp, folder);
    const { url, pid } = await startOwn(cleanUp, folder);
    return { login: openLogin(url), pid };
  }
  if (flags.tls === true) throw new ConclaveError('EINVAL', '--tls is for a NATS server of the command’s own');
  return { login: loginOf(flags) };
}

/** Whether the options name running servers. */
export function namesServersItself({ nats, natsContext }: LoginFlags): boolean {
  return nats !== undefined || natsContext !== undefined;
}

/** Starts a server that accepts only TLS, with a new certificate. */
async function ownTlsServer(cleanUp: CleanUp, folder: string): Promise<{ login: NatsLogin; pid: number }> {
  makeFolder(folder);
  // Loaded only here: it is large, and few commands need it.
  const { makeAuthority, makeServerCertificate } = await import('../credentials/certificates.js');
  const authority = makeAuthority(Date.now());
  const server = makeServerCertificate(['127.0.0.1', 'localhost'], authority, Date.now());
  const file = (name: string, text: string): string => {
    const whole = path.resolve(folder, name);
    writeFileSync(whole, text, { mode: 0o600 });
    return whole;
  };
  const [ca, cert, key] = [
    file('ca.pem', authority.certificate),
    file('server.pem', server.certificate),
    file('server-key.pem', server.key),
  ];
  const { url, pid } = await startOwn(cleanUp, folder, 0, ['--tls', '--tlscert', cert, '--tlskey', key]);
  return { login: NatsLogin.of({ servers: url, tlsCa: ca }), pid };
}

/** Connects to NATS and prepares processes; starts no peer yet. */
export async function makeMesh(
  cleanUp: CleanUp,
  login: NatsLogin,
  options: MeshOptions,
  onNote: (text: string) => void,
): Promise<Mesh> {
  const { groupId, prefix, placement, folder, environment = {} } = options;
  const connection = await connectTo(login);
  cleanUp.add(() => connection.close());
  const processes = new PeerProcesses(
    {
      login,
      groupId,
      prefix,
      placement,
      environment,
      dataDir: path.join(folder, 'peers'),
      logDir: path.join(folder, 'logs'),
    },
    onNote,
  );
  cleanUp.add(() => processes.stop());
  return { natsUrl: login.servers.join(','), processes, adminClient: new AdminClient(connection, groupId, prefix) };
}

/**
 * Peers that are served already must not be started a second time, because their stores would fence each other.
 * @throws ConclaveError EBUSY if they are, and do not stop
 */
export function refuseSecondMesh(adminClient: AdminClient, peers: readonly PeerId[]): Promise<true> {
  const attempt = async (): Promise<true> => {
    const served = await Promise.all(peers.map((peerId) => isServed(adminClient, peerId)));
    const others = peers.filter((_, index) => served[index]);
    if (others.length === 0) return true;
    throw new ConclaveError(
      'EBUSY',
      `another mesh serves ${others.join(', ')} on this NATS server under the prefix ${adminClient.subjects.prefix}: ` +
        'give --prefix, or another NATS server',
    );
  };
  return retryUntil('no other process serves these peers', goneWithinMs, attempt, isBusy);
}

/**
 * Returns whether a process of the peer replies. If nobody subscribes, NATS reports that at once. A subscriber that is no peer,
 * such as `nats sub ">"`, never replies, so silence means that no process replies, as at the start of a peer (decision 0105).
 */
async function isServed(adminClient: AdminClient, peerId: PeerId): Promise<boolean> {
  for (let attempt = 0; attempt < servesAttempts; attempt++) {
    try {
      await adminClient.host('list_groups', {}, { peerId, timeoutMs: servesTimeoutMs });
      return true;
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      if (isUnreachable(error)) return false;
      if (error.code !== 'ETIMEDOUT') return true;
    }
  }
  return false;
}

/** Founds the group of these running peers, unless it exists. */
export function foundGroup(mesh: Mesh, peers: readonly PeerId[]): Promise<BootstrapReply> {
  return bootstrap(mesh.adminClient, peers, bootstrapTimeoutMs);
}

/**
 * Creates more groups at these running peers; the peers take turns as the founder of a group.
 * @throws ConclaveError the last refusal
 */
export async function createGroups(mesh: Mesh, groupIds: readonly GroupId[], peers: readonly PeerId[]): Promise<void> {
  const { connection, subjects } = mesh.adminClient;
  const createOne = async (groupId: GroupId, number: number): Promise<void> => {
    const timeoutMs = bootstrapTimeoutMs;
    for (const peerId of peers) {
      const create = () => mesh.adminClient.host('create_group', { group_id: groupId }, { peerId, timeoutMs });
      await retryUntil('the peer hosts the group', timeoutMs, create, isTransient);
    }
    const first = number % peers.length;
    const inTurn = [...peers.slice(first), ...peers.slice(0, first)];
    await bootstrap(new AdminClient(connection, groupId, subjects.prefix), inTurn, timeoutMs);
  };
  for (let from = 0; from < groupIds.length; from += groupsAtOnce) {
    await Promise.all(groupIds.slice(from, from + groupsAtOnce).map((groupId, at) => createOne(groupId, from + at)));
  }
}
