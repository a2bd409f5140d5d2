/** etcd, three members, with the client `etcd3`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConclaveError } from '@conclave/protocol';
import type { CleanUp } from '../../processes/clean-up.js';
import { findProgram } from '../../processes/find-program.js';
import { type Member, startCluster } from './cluster.js';
import { type InstalledSystem, loadClient, NotInstalled, type RunningSystem, type SystemOptions } from './system.js';

const startTimeoutMs = 30_000;
const lookEveryMs = 100;

/** @throws NotInstalled if there is no server or no client */
export async function findEtcd(environment: NodeJS.ProcessEnv = process.env): Promise<InstalledSystem> {
  const options = { title: 'an etcd', variable: 'CONCLAVE_ETCD', prints: 'etcd Version', environment };
  const found = await findProgram('etcd', options);
  if (found === undefined) {
    throw new NotInstalled(
      'there is no server: install etcd (sudo apt-get install etcd-server), or name it in CONCLAVE_ETCD',
    );
  }
  await loadClient('etcd3', () => import('etcd3'));
  const version = /etcd Version: (\S+)/.exec(found.version)?.[1] ?? '';
  return { version, start: (cleanUp, options) => start(found.file, cleanUp, options) };
}

async function start(
  executable: string,
  cleanUp: CleanUp,
  { folder, value, keys }: SystemOptions,
): Promise<RunningSystem> {
  const { Etcd3 } = await import('etcd3');
  const leader = await startCluster(cleanUp, { executable, folder, argumentsOf, untilReady: leaderOf });
  // The shortest way: a member that does not lead forwards each write.
  const client = new Etcd3({ hosts: leader });
  cleanUp.add(async () => client.close());
  const bytes = Buffer.from(value);
  return {
    put: (number) =>
      client
        .put(`key-${number % keys}`)
        .value(bytes)
        .exec(),
  };
}

function argumentsOf({ name, clientPort, peerPort, folder }: Member, all: readonly Member[]): string[] {
  return [
    ...['--name', name, '--data-dir', `${folder}/data`, '--log-level', 'warn'],
    ...['--listen-client-urls', urlOf(clientPort), '--advertise-client-urls', urlOf(clientPort)],
    ...['--listen-peer-urls', urlOf(peerPort), '--initial-advertise-peer-urls', urlOf(peerPort)],
    ...['--initial-cluster', all.map((member) => `${member.name}=${urlOf(member.peerPort)}`).join(',')],
    ...['--initial-cluster-token', 'conclave-bench', '--initial-cluster-state', 'new'],
  ];
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}

/** Asks each member until one of them replies that it leads. Returns its URL. */
async function leaderOf(members: readonly Member[], isOver: () => boolean): Promise<string> {
  const { Etcd3 } = await import('etcd3');
  const deadline = performance.now() + startTimeoutMs;
  while (!isOver() && performance.now() < deadline) {
    for (const { clientPort } of members) {
      const client = new Etcd3({
        hosts: urlOf(clientPort),
        defaultCallOptions: () => ({ deadline: Date.now() + 1_000 }),
      });
      try {
        const { leader, header } = await client.maintenance.status();
        if (leader !== '0' && leader === header.member_id) return urlOf(clientPort);
      } catch {
        // It does not serve yet.
      } finally {
        client.close();
      }
    }
    await sleep(lookEveryMs);
  }
  throw new ConclaveError('ETIMEDOUT', `no member leads within ${startTimeoutMs} ms`);
}
