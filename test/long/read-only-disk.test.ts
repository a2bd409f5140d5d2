/**
 * A disk that becomes read-only under a running log-store, as the kernel makes it after an error of the disk
 * (`errors=remount-ro`): the files stay open, and nothing is written to them any more. Such a file system is unmounted,
 * repaired and mounted again.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { startNats } from '../support/nats.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let mesh: Mesh;
let folder: string;

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: 'pipe' });
}

function imageOf(peer: string): string {
  return path.join(folder, `${peer}.img`);
}

function mount(peer: string): void {
  run('mount', '-o', 'loop,errors=remount-ro', imageOf(peer), path.join(folder, peer));
}

beforeAll(async () => {
  folder = makeFolder('read-only-disk');
  stops.add(async () => removeFolder(folder));
  for (const peer of names) {
    mkdirSync(path.join(folder, peer));
    run('truncate', '-s', '400M', imageOf(peer));
    run('mkfs.ext4', '-q', '-F', '-m', '0', imageOf(peer));
    mount(peer);
    stops.add(async () => run('umount', '-l', path.join(folder, peer)));
  }
  const server = await startNats();
  stops.add(() => server.stop());
  const dataDir = (peer: string) => path.join(folder, peer, 'data');
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four', dataDir }, stops);
  await mesh.healthy(...names);
});

afterAll(() => stops.run());

async function reason(peer: string): Promise<string> {
  const { body } = await mesh.plain.ask(`${peer}.log-store.health`, {}, 1000);
  return body.healthy === true ? '' : String(body.reason);
}

async function isUnwell(peer: string, expected: RegExp): Promise<void> {
  await until(`the log-store of ${peer} reports ${expected}`, async () => {
    const said = await reason(peer);
    if (!expected.test(said)) throw new Error(said);
    return true;
  });
}

async function mayRestart(): Promise<string[]> {
  const { restart } = await mesh.leaderStatus();
  return restart.filter(({ may }) => may).map(({ peer_id }) => peer_id);
}

describe('a disk that becomes read-only while its log-store runs', () => {
  it.each(['follower', 'leader'])(
    'promise 27: of a %s: health reports it, the peer is not spare, and it recovers once the disk is repaired',
    async (role) => {
      const { peer_id: leader } = await mesh.leaderStatus();
      const broken = role === 'leader' ? leader : (names.find((name) => name !== leader) as string);
      const before = mesh.peer(broken).process('log-store').processId;
      await mesh.plain.insist('kv.put', { key: `${role} before`, value: 'v' });
      await until('all may be restarted', async () => ((await mayRestart()).length === 3 ? true : undefined));

      run('mount', '-o', 'remount,abort', path.join(folder, broken));
      await isUnwell(broken, /^EROFS: the file system of the data folder is read-only/);
      // The others continue, possibly under another leader, which knows that no other peer may be restarted.
      await mesh.plain.insist('kv.put', { key: `${role} meanwhile`, value: 'v' }, 20_000);
      await until(`nobody but ${broken} may be restarted`, async () => {
        const may = await mayRestart();
        if (may.join() !== broken) throw new Error(may.join());
        return true;
      });

      // The store is closed by then, as a write has failed: its file system can be unmounted.
      await until('the file system is unmounted', async () => {
        run('umount', path.join(folder, broken));
        return true;
      });
      await isUnwell(broken, /does not hold the store of this peer any more: is its file system mounted\?/);
      expect(existsSync(path.join(folder, broken, 'data', 'level'))).toBe(false);
      // 1: damage was found and repaired.
      run('sh', '-c', `e2fsck -fp ${imageOf(broken)} || test $? -eq 1`);
      mount(broken);
      await mesh.healthy(...names);
      // With the store of before, in the process of before.
      expect(mesh.peer(broken).process('log-store').processId).toBe(before);
      const written = new Map([`${role} before`, `${role} meanwhile`].map((key) => [key, 'v']));
      expect(await mesh.missing(broken, written)).toEqual([]);
      const { changes } = await mesh.leaderStatus();
      expect(changes.filter(({ kind }) => kind === 'heal')).toEqual([]);
      await until('all may be restarted', async () => ((await mayRestart()).length === 3 ? true : undefined));
    },
  );
});
