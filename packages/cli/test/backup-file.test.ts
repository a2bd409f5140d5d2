import { execFileSync } from 'node:child_process';
import { appendFile, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  asGroupId,
  asLogIndex,
  asPeerId,
  asTerm,
  type BackupHead,
  type GroupUid,
  SnapshotChunker,
  type StoreId,
} from '@conclave/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BackupReader, BackupWriter } from '../src/backup/backup-file.js';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'conclave-backup-'));
  file = path.join(folder, 'a.backup');
  await writeBackup();
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function writeBackup(): Promise<void> {
  const cutter = new SnapshotChunker(asLogIndex(7));
  const chunks = [...cutter.add(new Uint8Array(400_000).fill(1)), ...cutter.end()];
  const head: BackupHead = {
    group_id: asGroupId('g'),
    group_uid: 'uid' as GroupUid,
    peer_id: asPeerId('n1'),
    time: '2026-11-29T00:00:00.000Z',
    snapshot_id: 's',
    head: {
      index: asLogIndex(7),
      term: asTerm(1),
      configurations: [
        {
          index: asLogIndex(1),
          configuration: { peers: [{ peer_id: asPeerId('n1'), store_id: 's1' as StoreId }], old_peers: [] },
        },
      ],
      ...cutter.sum,
    },
  };
  const writer = await BackupWriter.create(file, head);
  for (const chunk of chunks) await writer.add(chunk);
  await writer.end();
}

async function check(): Promise<string> {
  const reader = await BackupReader.open(file);
  try {
    return await reader.check();
  } finally {
    await reader.close();
  }
}

describe('a backup file', () => {
  it.each(['pipe', 'folder', 'link to a pipe'])('does not replace a %s, and writes nothing', async (what) => {
    file = path.join(folder, 'other');
    const target = what === 'link to a pipe' ? path.join(folder, 'target') : file;
    if (what === 'folder') await mkdir(target);
    else execFileSync('mkfifo', [target]);
    if (target !== file) await symlink(target, file);
    const before = await lstat(file);
    await expect(writeBackup()).rejects.toThrow(`${file} is not a regular file: name another one`);
    const after = await lstat(file);
    expect([after.ino, after.mode]).toEqual([before.ino, before.mode]);
    expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('may be the same for several backups at once, and a file of the user beside it is kept', async () => {
    await writeFile(`${file}.part`, 'mine');
    await Promise.all([writeBackup(), writeBackup(), writeBackup()]);
    expect(await check()).not.toBe('');
    expect(await readFile(`${file}.part`, 'utf8')).toBe('mine');
    expect((await readdir(folder)).toSorted()).toEqual(['a.backup', 'a.backup.part']);
  });

  it('replaces the file that a link names, and keeps the link', async () => {
    const target = file;
    file = path.join(folder, 'latest.backup');
    await symlink(target, file);
    await writeFile(target, 'an earlier one');
    await writeBackup();
    expect((await lstat(file)).isSymbolicLink()).toBe(true);
    expect((await readFile(target)).toString('latin1')).toMatch(/^conclave backup 1\n/);
  });

  it('can be read by its owner alone, because it contains all values', async () => {
    await writeBackup();
    expect((await lstat(file)).mode & 0o777).toBe(0o600);
  });

  it('that is whole is accepted', async () => {
    expect(await check()).toMatch(/./);
  });

  it.each([1, 4, 100_000])('with %i bytes after its last chunk is refused', async (count) => {
    await appendFile(file, new Uint8Array(count));
    await expect(check()).rejects.toMatchObject({
      code: 'ECORRUPT',
      message: `the backup continues for ${count} bytes after its last chunk`,
    });
  });

  it('with a second backup after it is refused', async () => {
    await appendFile(file, await readFile(file));
    await expect(check()).rejects.toMatchObject({ code: 'ECORRUPT' });
  });

  it('that is cut anywhere is refused', async () => {
    const bytes = await readFile(file);
    for (const length of [0, 10, 17, 19, 100, 300_000, bytes.length - 1]) {
      await writeFile(file, bytes.subarray(0, length));
      await expect(check(), `${length} bytes`).rejects.toMatchObject({ code: 'ECORRUPT' });
    }
  });
});
