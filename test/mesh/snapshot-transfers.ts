/** What tests of snapshots on real processes share: a state of some size, and what travels of a snapshot. */
import { decode } from '@conclave/protocol';
import { type Mesh, until } from './fault-mesh.js';

/** Puts this many values of this size, each under a key of its own: `<prefix>/<number>`. Returns them. */
export async function fill(mesh: Mesh, prefix: string, count: number, bytes: number): Promise<Map<string, string>> {
  const put = new Map<string, string>();
  const numbers = Array.from({ length: count }, (_, number) => number);
  const writer = async () => {
    for (let number = numbers.pop(); number !== undefined; number = numbers.pop()) {
      const key = `${prefix}/${number}`;
      const value = `${key} `.padEnd(bytes, 'x');
      await mesh.plain.insist('kv.put', { key, value });
      put.set(key, value);
    }
  };
  await Promise.all(Array.from({ length: 8 }, writer));
  return put;
}

/** A chunk that was sent to a new peer. */
export interface SentChunk {
  readonly snapshotId: string;
  readonly number: number;
}

/** Notes each chunk that is sent to this peer from now on. */
export async function noteChunks(mesh: Mesh, peer: string): Promise<readonly SentChunk[]> {
  const sent: SentChunk[] = [];
  mesh.plain.nats.subscribe(`conclave.main.${peer}.node.install_snapshot.*`, {
    callback: (error, message) => {
      if (error !== null) return;
      const { snapshot_id, number, chunk } = decode(message.data) as {
        snapshot_id: string;
        number: number;
        chunk: Uint8Array;
      };
      if (chunk.length > 0) sent.push({ snapshotId: snapshot_id, number });
    },
  });
  await mesh.plain.nats.flush();
  return sent;
}

/** How many times each chunk of the snapshot that was begun last was sent, in order of their numbers. */
export function timesSent(sent: readonly SentChunk[]): number[] {
  const snapshotId = sent.at(-1)?.snapshotId;
  const times: number[] = [];
  for (const { number } of sent.filter((chunk) => chunk.snapshotId === snapshotId)) {
    times[number] = (times[number] ?? 0) + 1;
  }
  return Array.from(times, (count) => count ?? 0);
}

/** Resolves when the leader reports that this peer has stored a part of a snapshot, but not all of it. */
export function installing(mesh: Mesh, peer: string, minChunks: number): Promise<number> {
  return until(`${peer} has stored ${minChunks} chunks`, async () => {
    const { progress } = await mesh.leaderStatus();
    const install = progress.find(({ peer_id }) => peer_id === peer)?.install;
    if (install === null || install === undefined || install.stored < minChunks) return undefined;
    if (install.stored === install.chunks) throw new Error('all of it is stored: the state is too small for the test');
    return install.stored;
  });
}
