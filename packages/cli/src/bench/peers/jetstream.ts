/** JetStream: a stream with three replicas on three NATS servers, with the clients of NATS. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConclaveError } from '@conclave/protocol';
import { findNatsServer } from '../../nats-server/find-server.js';
import { runTool } from '../../nats-server/run-tool.js';
import type { CleanUp } from '../../processes/clean-up.js';
import { type Member, servers, startCluster } from './cluster.js';
import { type InstalledSystem, loadClient, NotInstalled, type RunningSystem, type SystemOptions } from './system.js';

const startTimeoutMs = 30_000;
const requestTimeoutMs = 10_000;
const lookEveryMs = 100;
const stream = 'bench';

/** @throws NotInstalled if there is no server or no client */
export async function findJetStream(environment: NodeJS.ProcessEnv = process.env): Promise<InstalledSystem> {
  const executable = await findNatsServer({ environment });
  const { output } = await runTool(executable, ['--version']);
  const [version = '', major = 0, minor = 0] = /v(\d+)\.(\d+)\S*/.exec(output) ?? [];
  if (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 10)) {
    throw new NotInstalled(`it needs nats-server 2.10 (here: ${version}): name a newer one in CONCLAVE_NATS_SERVER`);
  }
  await loadClients();
  return { version, start: (cleanUp, options) => start(executable, cleanUp, options) };
}

async function loadClients() {
  const { connect } = await loadClient('@nats-io/transport-node', () => import('@nats-io/transport-node'));
  const { jetstream, jetstreamManager } = await loadClient('@nats-io/jetstream', () => import('@nats-io/jetstream'));
  return { connect, jetstream, jetstreamManager };
}

async function start(
  executable: string,
  cleanUp: CleanUp,
  { folder, value, keys }: SystemOptions,
): Promise<RunningSystem> {
  const { connect, jetstream } = await loadClients();
  const leader = await startCluster(cleanUp, { executable, folder, argumentsOf, untilReady: makeStream });
  // The shortest way: another server forwards each message.
  const connection = await connect({ servers: leader });
  cleanUp.add(() => connection.close());
  const client = jetstream(connection);
  return { put: (number) => client.publish(`${stream}.${number % keys}`, value, { timeout: requestTimeoutMs }) };
}

function argumentsOf(member: Member, all: readonly Member[]): string[] {
  const routes = all.filter(({ name }) => name !== member.name).map(({ peerPort }) => `nats://127.0.0.1:${peerPort}`);
  const file = path.join(member.folder, 'nats.conf');
  writeFileSync(
    file,
    [
      `server_name: "${member.name}"`,
      `listen: "127.0.0.1:${member.clientPort}"`,
      `jetstream { store_dir: ${JSON.stringify(path.join(member.folder, 'data'))}, sync_interval: always }`,
      `cluster { name: "bench", listen: "127.0.0.1:${member.peerPort}", routes: ${JSON.stringify(routes)} }`,
    ].join('\n'),
  );
  return ['-c', file];
}

/**
 * Creates the stream, which keeps the last message of each subject, as NATS's key-value store does.
 * @returns the address of the server that leads the stream
 */
async function makeStream(members: readonly Member[], isOver: () => boolean): Promise<string> {
  const { connect, jetstreamManager } = await loadClients();
  const deadline = performance.now() + startTimeoutMs;
  let last: unknown;
  while (!isOver() && performance.now() < deadline) {
    try {
      const connection = await connect({ servers: members.map(urlOf), timeout: requestTimeoutMs, reconnect: false });
      try {
        const manager = await jetstreamManager(connection, { checkAPI: false, timeout: requestTimeoutMs });
        const options = { name: stream, subjects: [`${stream}.*`], num_replicas: servers, max_msgs_per_subject: 1 };
        const { cluster } = await manager.streams.add(options);
        const leader = members.find(({ name }) => name === cluster?.leader);
        if (leader !== undefined) return urlOf(leader);
      } finally {
        await connection.close();
      }
    } catch (error) {
      // The servers have no leader yet.
      last = error;
    }
    await sleep(lookEveryMs);
  }
  throw new ConclaveError('ETIMEDOUT', `no stream within ${startTimeoutMs} ms: ${last}`);
}

function urlOf({ clientPort }: Member): string {
  return `nats://127.0.0.1:${clientPort}`;
}
