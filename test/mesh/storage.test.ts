/** What becomes of a peer whose data folder is taken away, or cannot be used for a while. */
import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SideFile } from '../../packages/log-store/src/side-file.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { startNats } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let mesh: Mesh;
/** Of n2, on a file system of its own where this user may mount one. */
let folder: string;
const isRoot = process.getuid?.() === 0;
/** Whether that file system can be frozen: it is on a loop device. */
let isFrozenOnDemand = false;

function mountOwn(target: string): void {
  const image = `${target}.img`;
  try {
    execFileSync('truncate', ['-s', '700M', image]);
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image], { stdio: 'pipe' });
    execFileSync('mount', ['-o', 'loop', image, target], { stdio: 'pipe' });
    isFrozenOnDemand = true;
  } catch {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=600m', 'tmpfs', target]);
  }
  stops.add(async () => void execFileSync('umount', ['-l', target]));
}

beforeAll(async () => {
  folder = makeFolder('storage');
  stops.add(async () => removeFolder(folder));
  for (const name of names) mkdirSync(path.join(folder, name));
  if (isRoot) mountOwn(path.join(folder, 'n2'));
  const server = await startNats();
  stops.add(() => server.stop());
  const dataDir = (peer: string) => path.join(folder, peer, 'data');
  // n2's disk is filled until a write fails: it counts on all of it. n3, of which a bit is flipped, looks through all it has
  // again and again.
  const environments: Record<string, Record<string, string>> = {
    n2: { CONCLAVE_DISK_RESERVE_MB: '0' },
    n3: { CONCLAVE_SCRUB_INTERVAL_MS: '500' },
  };
  const envOf = (peer: string) => environments[peer] ?? {};
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four', dataDir, envOf }, stops);
  await mesh.healthy(...names);
});

afterAll(() => stops.run());

/** Waits until the log-store of a peer reports that it is unhealthy, for this reason. */
async function unwell(peer: string, reason: RegExp): Promise<void> {
  await until(`the log-store of ${peer} says: ${reason}`, async () => {
    const { body } = await mesh.plain.ask(`${peer}.log-store.health`, {}, 1000);
    if (body.healthy === true) throw new Error('healthy');
    expect(body.reason).toMatch(reason);
    return true;
  });
}

async function put(key: string, value = key): Promise<void> {
  await mesh.plain.insist('kv.put', { key, value });
}

function folder2(): string {
  return path.join(folder, 'n2');
}

describe('a log-store', () => {
  it('reports that it has no free file descriptors, and is healthy when it has some again', async () => {
    const processId = String(mesh.peer('n3').process('log-store').processId);
    const limit = (soft: string) => execFileSync('prlimit', ['--pid', processId, `--nofile=${soft}:`]);
    const [, before = ''] =
      execFileSync('prlimit', ['--pid', processId, '--nofile', '--noheadings', '-o', 'SOFT,HARD'])
        .toString()
        .match(/(\d+)/) ?? [];
    limit('3');
    await unwell('n3', /^EMFILE: this process has no free file descriptors/);
    await put('a');
    // Its node does, too, so that `status` does not call it healthy.
    await until('the node of n3 reports it', async () => {
      const { health } = await mesh.statusOnce('n3');
      return /^log-store: EMFILE: this process has no free/.test(health.reason) && !health.healthy ? true : undefined;
    });
    limit(before);
    await mesh.healthy('n3');
  });

  it.runIf(isRoot)('reports that its disk is read-only, and is healthy when it can be written again', async () => {
    const remount = (how: string) => execFileSync('mount', ['-o', `remount,${how}`, folder2()]);
    // A file system with files that are open for writing is not remounted on command.
    await mesh.peer('n2').process('log-store').kill();
    remount('ro');
    const started = mesh.start('n2');
    await unwell('n2', /^EROFS: the file system of the data folder is read-only/);
    await put('b');
    remount('rw');
    await started;
    await mesh.healthy('n2');
    await mesh.caughtUp('n2');
  });

  it.runIf(isRoot)('whose writes fail reports why, and continues by itself when they succeed again', async () => {
    const filler = path.join(folder, 'n2', 'filler');
    const { bavail, bsize } = statfsSync(folder2());
    let isOver = false;
    const writing = Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        while (!isOver) await put(`full ${writer}`, 'x'.repeat(20_000));
      }),
    );
    try {
      execFileSync('fallocate', ['-l', String(bavail * bsize - 8 * 1024 * 1024), filler]);
      expect(() => execFileSync('sh', ['-c', `cat /dev/zero > ${filler}-rest`], { stdio: 'pipe' })).toThrow('No space');
      await unwell('n2', /^(ENOSPC|EIO|.*No space)/i);
      // Enough for the file that checks the disk, but not for LevelDB.
      await until('LevelDB has too little space to open', async () => {
        const { body } = await mesh.plain.ask('n2.log-store.health', {}, 1000);
        if (/^ENOSPC: no space left on device: .*\/level\//.test(String(body.reason))) return true;
        execFileSync('truncate', ['-s', '-4K', `${filler}-rest`]);
        throw new Error(JSON.stringify(body));
      });
    } finally {
      isOver = true;
      await writing;
      for (const file of [filler, `${filler}-rest`]) rmSync(file, { force: true });
    }
    await mesh.healthy('n2');
    await mesh.caughtUp('n2');
  });

  it.runIf(isRoot)(
    'promise 27: reports that its disk hangs, and does not count as available when others are to be restarted',
    async (context) => {
      context.skip(!isFrozenOnDemand, 'no loop device can be mounted here');
      let isOver = false;
      // It hangs at any step of a write.
      const writing = Promise.all(
        Array.from({ length: 8 }, async (_, writer) => {
          while (!isOver) await put(`hanging ${writer}`);
        }),
      );
      await put('before it hangs');
      execFileSync('fsfreeze', ['-f', folder2()]);
      const thaw = () => execFileSync('fsfreeze', ['-u', folder2()]);
      try {
        await unwell('n2', /^the disk of the data folder hangs/);
        await until('n1 and n3 must not be restarted', async () => {
          const { restart } = await mesh.leaderStatus();
          const may = restart.filter((each) => each.may).map(({ peer_id }) => peer_id);
          return may.join() === 'n2' ? true : undefined;
        });
        await put('while it hangs');
      } finally {
        thaw();
        isOver = true;
        await writing;
      }
      await mesh.healthy('n2');
      await mesh.caughtUp('n2');
      await until('all may be restarted', async () =>
        (await mesh.leaderStatus()).restart.every(({ may }) => may) ? true : undefined,
      );
    },
  );

  it.runIf(isRoot)('promise 27: whose disk hangs after a sync still responds', async (context) => {
    context.skip(!isFrozenOnDemand, 'no loop device can be mounted here');
    const sideFile = await SideFile.open(path.join(folder2(), 'side-file'), () => undefined);
    const thawing = path.join(folder, 'thawing');
    execFileSync('fsfreeze', ['-f', folder2()]);
    // In case that the record waits for the disk, and this process with it.
    const rescue = spawn('sh', ['-c', `sleep 20; touch ${thawing}; fsfreeze -u ${folder2()}`], { detached: true });
    try {
      sideFile.record({ write: 1, entries_alone: true, groups: [] });
      sideFile.record({ write: 2, entries_alone: true, groups: [] });
      sideFile.record({ write: 3, entries_alone: true, groups: [] });
      expect(existsSync(thawing)).toBe(false);
    } finally {
      process.kill(-(rescue.pid as number), 'SIGKILL');
      if (!existsSync(thawing)) execFileSync('fsfreeze', ['-u', folder2()]);
    }
    await sideFile.close();
    const again = await SideFile.open(path.join(folder2(), 'side-file'), () => undefined);
    expect(again.found).toMatchObject({ write: 3 });
    await again.close();
  });

  it.each(['.', 'last-write'])(
    'promise 38: stops when %s of its data folder was deleted, and is replaced',
    async (what) => {
      await put('c');
      const { dataDir } = mesh.peer('n3');
      rmSync(path.join(dataDir, what), { recursive: true });
      await unwell('n3', /ECORRUPT: .* is not there any more.*To repair it: stop this peer, delete its data folder/);
      await put('d');
      await mesh.kill('n3');
      rmSync(dataDir, { recursive: true, force: true });
      await mesh.start('n3');
      await mesh.replaced('n3');
      expect(await mesh.missing('n3', new Map([['d', 'd']]))).toEqual([]);
    },
  );

  it('promise 38: that was started without its side file reports it, and is verified by its leader', async () => {
    const { dataDir } = mesh.peer('n3');
    await mesh.kill('n3');
    rmSync(path.join(dataDir, 'last-write'));
    await mesh.start('n3');
    await mesh.healthy('n3');
    for (const actor of ['node', 'log-store']) {
      const { body } = await mesh.plain.ask(`n3.${actor}.health`);
      expect(body).toMatchObject({ healthy: true, reason: expect.stringMatching(/^the side file .*verified since$/) });
    }
    expect((await mesh.statusOnce('n3')).health).toMatchObject({ reason: expect.stringMatching(/^the side file/) });
  });

  it('finds a flipped bit in data that is never read, and stops with a message how to repair it', async () => {
    // More than LevelDB keeps in memory, so that some of it is in a table.
    for (let number = 0; number < 80; number++) await put(`large ${number}`, 'x'.repeat(250_000));
    await mesh.caughtUp('n3');
    const level = path.join(mesh.peer('n3').dataDir, 'level');
    const table = readdirSync(level).find((name) => name.endsWith('.ldb')) as string;
    const file = openSync(path.join(level, table), 'r+');
    try {
      // In the middle of a value.
      writeSync(file, 'y', Math.floor(statSync(path.join(level, table)).size / 2));
    } finally {
      closeSync(file);
    }
    await unwell(
      'n3',
      // The scrub reads the tables and the rows: either may be the first to find it.
      /^ECORRUPT: .* damaged .*\(bad checksum\).*To repair it: stop this peer, delete its data folder/,
    );
    await put('after the scrub');
    await mesh.kill('n3');
    rmSync(mesh.peer('n3').dataDir, { recursive: true });
    await mesh.start('n3');
    await mesh.replaced('n3');
  });

  it.each(['the same leader', 'another leader'])(
    'promise 38: that is an older copy is rejected by %s, and replaced',
    async (who) => {
      const { dataDir } = mesh.peer('n3');
      const { peer_id: leader } = await mesh.leaderStatus();
      if (leader === 'n3') await mesh.plain.insist('admin.transfer_leader', { peer_id: 'n1' });
      await put('e');
      await mesh.caughtUp(...names);
      await mesh.peer('n3').process('log-store').stop();
      cpSync(dataDir, `${dataDir}-older`, { recursive: true });
      await mesh.start('n3');
      await mesh.healthy('n3');
      for (let number = 0; number < 20; number++) await put(`f${number}`);
      await mesh.caughtUp(...names);
      await mesh.kill('n3');
      rmSync(dataDir, { recursive: true });
      renameSync(`${dataDir}-older`, dataDir);
      if (who === 'another leader') {
        const { peer_id } = await mesh.leaderStatus();
        await mesh.plain.insist('admin.transfer_leader', { peer_id: peer_id === 'n1' ? 'n2' : 'n1' });
      }
      await mesh.start('n3');
      await until('the node of n3 reports that its store went back', async () => {
        const { body } = await mesh.plain.ask('n3.node.health', {}, 1000);
        return /ECORRUPT: this store ends at entry/.test(String(body.reason)) ? true : undefined;
      });
      await until('the leader refuses it', async () => {
        const { progress } = await mesh.leaderStatus();
        return progress.some(({ peer_id, refusal }) => peer_id === 'n3' && refusal === 'ESTORE') ? true : undefined;
      });
      await put('g');
      await mesh.kill('n3');
      rmSync(dataDir, { recursive: true });
      await mesh.start('n3');
      await mesh.replaced('n3');
      expect(await mesh.missing('n3', new Map([['f19', 'f19']]))).toEqual([]);
    },
  );
});
