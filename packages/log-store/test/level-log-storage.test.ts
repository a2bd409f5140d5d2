import { execFileSync } from 'node:child_process';
import {
  chmod,
  cp,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import {
  addChecksum,
  asGroupId,
  asLogIndex,
  asPeerId,
  asSession,
  asTerm,
  batchIsIntact,
  ConclaveError,
  removeChecksum,
  type StoreId,
} from '@conclave/protocol';
import { Level } from 'level';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  batchKey,
  chunkKey,
  damageAmong,
  emptyLog,
  indexedKey,
  type LogState,
  metaKey,
  type PlainOperation,
  type RecordedGroup,
  type Row,
  recordKeys,
  type StoredDamage,
  snapshotKey,
} from '../src/core/index.js';
import { putMeta, recordChanges } from '../src/core/records.js';
import { damageIn, headerBytes, recordLength } from '../src/level-log-check.js';
import { LevelLogStorage } from '../src/level-log-storage.js';
import { LevelManifest } from '../src/level-manifest.js';
import { Scrubber } from '../src/scrubber.js';
import { snapshotOf } from './snapshots.js';
import { batch, configurationBatch, configurationOf } from './store-harness.js';
import { makeFolder } from './temporary-folder.js';

const main = asGroupId('main');

function groupOf(lastIndex: number): RecordedGroup {
  const voted_for = asPeerId('n3');
  return { group_id: main, last_index: asLogIndex(lastIndex), term: asTerm(7), voted_for, session: asSession(2) };
}

function putBatch(index: number, bytes = 64): PlainOperation {
  return { type: 'put', key: batchKey(main, index), value: batch(index, 1, 7, bytes) };
}

function putRow(index: number): Row {
  return { key: batchKey(main, index), value: batch(index, 1, 7, 64) };
}

describe('a LevelDB that is not what it was', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let storage: LevelLogStorage | undefined;

  beforeEach(async () => {
    ({ path: folder, remove } = await makeFolder());
  });

  afterEach(async () => {
    await storage?.close();
    storage = undefined;
    await remove();
  });

  const level = () => path.join(folder, 'level');

  async function reopen(warnings: string[] = []): Promise<LevelLogStorage> {
    await storage?.close();
    storage = undefined;
    const next = new LevelLogStorage({ folder, warn: (text) => warnings.push(text) });
    await next.open();
    storage = next;
    return next;
  }

  /** Writes of one batch each, from `from` on. */
  async function write(from: number, count: number, bytes?: number): Promise<void> {
    const open = storage ?? (await reopen());
    for (let index = from; index < from + count; index++) await open.write([putBatch(index, bytes)], [groupOf(index)]);
  }

  async function close(): Promise<void> {
    await storage?.close();
    storage = undefined;
  }

  /** The one file of LevelDB with that ending. */
  async function fileOf(ending: string): Promise<string> {
    const [name, ...more] = (await readdir(level())).filter((each) => each.endsWith(ending));
    if (name === undefined || more.length > 0) throw new Error(`not one file *${ending}`);
    return path.join(level(), name);
  }

  async function flip(file: string, at: number): Promise<void> {
    const bytes = await readFile(file);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    await writeFile(file, bytes);
  }

  /** The same while LevelDB has mapped the file, which must not become shorter. */
  async function writeInPlace(name: string, at: number, bytes: Uint8Array): Promise<void> {
    const file = await open(name, 'r+');
    await file.write(bytes, 0, bytes.length, at);
    await file.close();
  }

  async function flipInPlace(name: string, at: number): Promise<void> {
    const file = await open(name, 'r+');
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
    await file.write(Buffer.of(buffer.readUInt8(0) ^ 1), 0, 1, at);
    await file.close();
  }

  it('is refused if an older one is put beside a newer side file, and the error reports what is missing', async () => {
    await write(1, 3);
    await close();
    const older = path.join(folder, 'older');
    await cp(level(), older, { recursive: true });
    await write(4, 2);
    await close();
    await rm(level(), { recursive: true });
    await cp(older, level(), { recursive: true });
    const opening = reopen();
    await expect(opening).rejects.toMatchObject({ code: 'ECORRUPT' });
    await expect(opening).rejects.toThrow(
      /has only main ending at 3, but write 5 was synced, .*main \(last index 5, term 7, vote n3, session 2\).*delete its data folder/,
    );
    await expect(reopen(), 'and again at each attempt').rejects.toMatchObject({ code: 'ECORRUPT' });
  });

  it('is refused if a write that did more than add entries is missing', async () => {
    await write(1, 3);
    await close();
    const older = path.join(folder, 'older');
    await cp(level(), older, { recursive: true });
    await reopen();
    await storage?.write([{ type: 'put', key: metaKey(main), value: new Uint8Array([1]) }], [groupOf(3)]);
    await close();
    await rm(level(), { recursive: true });
    await cp(older, level(), { recursive: true });
    await expect(reopen()).rejects.toThrow('has only write 0, but write 4 was synced');
  });

  it('is refused if it is missing altogether, or lost its beginning', async () => {
    await write(1, 3);
    await close();
    await rm(path.join(level(), 'CURRENT'));
    await expect(reopen()).rejects.toMatchObject({ code: 'ECORRUPT' });
    await rm(level(), { recursive: true });
    await expect(reopen()).rejects.toThrow('has only main ending at 0, but write 3 was synced');
  });

  it('serves a newer one than was recorded, as the record is not synced', async () => {
    await write(1, 3);
    await close();
    const older = await readFile(path.join(folder, 'last-write'));
    await write(4, 3);
    await close();
    await writeFile(path.join(folder, 'last-write'), older);
    await reopen();
    expect(await storage?.batchKeysFrom(main, asLogIndex(1))).toHaveLength(6);
  });

  it('is served with one slot of the side file damaged, and with both, which is then reported', async () => {
    await write(1, 3);
    await storage?.write([{ type: 'put', key: metaKey(main), value: new Uint8Array([1]) }], [groupOf(3)]);
    await close();
    const file = path.join(folder, 'last-write');
    await flip(file, 20);
    const warnings: string[] = [];
    await reopen(warnings);
    expect(warnings).toEqual([]);
    await close();
    await writeFile(file, '');
    await reopen(warnings);
    expect(warnings).toEqual(['there is no record of the last write: a loss of data cannot be detected']);
  });

  it('is refused if a bit of its log has flipped, and the error reports where', async () => {
    await write(1, 50);
    await close();
    const log = await fileOf('.log');
    const { size } = await stat(log);
    for (const at of [2, Math.floor(size / 2), Math.floor(size / 3)]) {
      const whole = await readFile(log);
      await flip(log, at);
      const opening = reopen();
      await expect(opening, `byte ${at} of ${size}`).rejects.toMatchObject({ code: 'ECORRUPT' });
      await expect(opening).rejects.toThrow(/\.log is damaged at byte \d+/);
      await writeFile(log, whole);
    }
    await reopen();
    expect(await storage?.batchKeysFrom(main, asLogIndex(1)), 'repaired, it is whole again').toHaveLength(50);
  });

  it('is refused if the end of its log is missing, because that end was recorded', async () => {
    await write(1, 50);
    await close();
    const log = await fileOf('.log');
    const file = await open(log, 'r+');
    await file.truncate((await file.stat()).size - 10);
    await file.close();
    await expect(reopen()).rejects.toThrow('has only main ending at 49, but write 50 was synced');
  });

  it.each(['a write', 'a purge'])(
    'changes nothing after %s that failed, as it would be lost at the next start',
    async (what) => {
      // Without a handler the signal ends the process.
      const onTooLarge = () => undefined;
      process.on('SIGXFSZ', onTooLarge);
      await write(1, 2, 100_000);
      const log = await fileOf('.log');
      const limitFiles = (bytes: string) =>
        execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:`]);
      const fail = () =>
        what === 'a write'
          ? write(3, 1, 100_000)
          : (storage as LevelLogStorage).purge(main, { upTo: asLogIndex(1), lastSlot: 1, keptSlots: [] });
      try {
        limitFiles(String((await stat(log)).size + 10));
        await expect(fail()).rejects.toThrow('File too large');
      } finally {
        limitFiles('unlimited');
        process.off('SIGXFSZ', onTooLarge);
      }
      await expect(write(3, 1)).rejects.toThrow('File too large');
      await reopen();
      await write(3, 1);
      await reopen();
      expect(await (storage as LevelLogStorage).batchKeysFrom(main, asLogIndex(1))).toHaveLength(3);
    },
  );

  it('is served if a write that was not acknowledged is torn', async () => {
    await write(1, 50);
    await close();
    const log = await fileOf('.log');
    const bytes = await readFile(log);
    // Half of a record, as a crash leaves it: its header announces more than there is.
    await writeFile(log, Buffer.concat([bytes, bytes.subarray(0, 40)]));
    await reopen();
    expect(await storage?.batchKeysFrom(main, asLogIndex(1))).toHaveLength(50);
  });

  it('hands a batch with a flipped bit in a table on as it is: its checksum does not hold', async () => {
    await write(1, 20);
    await close();
    const raw = new Level(level(), { compression: false });
    await raw.open();
    await raw.close();
    // Opening moved the log into a table.
    const table = await fileOf('.ldb');
    await flip(table, (await readFile(table)).indexOf(batch(5, 1, 7, 64).subarray(8)) + 30);
    await reopen();
    const range = { fromIndex: asLogIndex(1), lastIndex: asLogIndex(99), maxBytes: 1e6, maxBatches: 99 };
    const rows = (await storage?.readBatches(main, range)) ?? [];
    expect(rows.map(({ value }) => batchIsIntact(value)).indexOf(false)).toBe(4);
  });

  it('is refused if its records about itself are damaged', async () => {
    await write(1, 3);
    await close();
    await writeFile(path.join(level(), 'CURRENT'), 'MANIFEST-999999\n');
    await expect(reopen()).rejects.toMatchObject({ code: 'ECORRUPT' });
  });

  it.each(['MANIFEST', 'CURRENT', 'LOG or LOCK'])(
    'without its %s is refused with the way to repair it, or not at all',
    async (name) => {
      await write(1, 3);
      await close();
      const names = (await readdir(level())).filter((each) =>
        name.split(' or ').some((start) => each.startsWith(start)),
      );
      for (const each of names) await rm(path.join(level(), each));
      if (name === 'LOG or LOCK') return void (await reopen());
      await expect(reopen()).rejects.toMatchObject({
        code: 'ECORRUPT',
        message: expect.stringContaining('To repair it: stop'),
      });
    },
  );

  it.each(['all', 'level', 'level/CURRENT', 'last-write'])(
    'promise 38: that has lost %s while it is open says so',
    async (what) => {
      const open = await reopen();
      await write(1, 3);
      expect(await open.fault()).toBeUndefined();
      await rm(what === 'all' ? folder : path.join(folder, what), { recursive: true });
      expect(await open.fault()).toEqual({ type: 'gone', message: expect.stringContaining('To repair it: stop') });
    },
  );

  /** Writes entries, and returns a table with some of them, which LevelDB has no reason to replace after a start. */
  async function tableOf(): Promise<string> {
    await write(1, 80, 250_000);
    await close();
    await reopen();
    const [name = ''] = (await readdir(level())).filter((each) => each.endsWith('.ldb'));
    return path.join(level(), name);
  }

  it.each(['deleted', 'cut'])(
    'promise 38: of which a table was %s says so, open and at its next start',
    async (how) => {
      const table = await tableOf();
      expect(await storage?.fault()).toBeUndefined();
      if (how === 'deleted') await rm(table);
      else await truncate(table, 1000);
      const why = how === 'deleted' ? 'is not there any more' : 'was cut: it has 1000 of';
      const message = expect.stringMatching(`${path.basename(table)} ${why}.*To repair it: stop`);
      await vi.waitFor(async () => expect(await storage?.fault()).toEqual({ type: 'gone', message }), 5000);
      await close();
      await expect(reopen()).rejects.toMatchObject({ code: 'ECORRUPT', message });
    },
  );

  it('is without a fault while LevelDB replaces its tables, and after a start', async () => {
    const open = await reopen();
    for (let round = 0; round < 3; round++) {
      let isOver = false;
      const writing = write(1 + round * 50, 50, 400_000).finally(() => {
        isOver = true;
      });
      while (!isOver) expect(await open.fault()).toBeUndefined();
      await writing;
      await open.purge(main, { upTo: asLogIndex(round * 50 + 40), lastSlot: 0, keptSlots: [] });
    }
    await reopen();
    expect(await storage?.fault()).toBeUndefined();
  });

  it('is refused if the end of its manifest is missing, wherever it was cut: LevelDB would start without the newest tables', async () => {
    await write(1, 40, 1024 * 1024);
    // LevelDB has moved all logs but the last one into tables.
    await vi.waitFor(() => fileOf('.log'), 5000);
    // As a crash leaves it: a start would move the last log into a table, too.
    await cp(folder, `${folder}-crashed`, { recursive: true });
    await close();
    const crashed = path.join(`${folder}-crashed`, 'level');
    const manifest = path.join(crashed, (await readFile(path.join(crashed, 'CURRENT'), 'utf8')).trim());
    const bytes = await readFile(manifest);
    const ends: number[] = [];
    for (let at = 0; at + headerBytes <= bytes.length; ) {
      at += headerBytes + (recordLength(bytes, at, bytes.length) ?? bytes.length);
      ends.push(at);
    }
    // The first record, one for the open log, and one for each time that the log was moved into a table.
    expect(ends.length).toBeGreaterThanOrEqual(4);
    for (const end of ends.slice(0, -1)) {
      await rm(folder, { recursive: true });
      await cp(`${folder}-crashed`, folder, { recursive: true });
      await truncate(path.join(level(), path.basename(manifest)), end);
      const message = expect.stringContaining('To repair it: stop');
      await expect(reopen(), `cut at ${end}`).rejects.toMatchObject({ code: 'ECORRUPT', message });
    }
    await rm(folder, { recursive: true });
    await rename(`${folder}-crashed`, folder);
    await reopen();
    expect(await storage?.batchKeysFrom(main, asLogIndex(1))).toHaveLength(40);
  });

  it.each(['MANIFEST', '.log'])('promise 38: whose %s was cut while it is open says so', async (part) => {
    const open = await reopen();
    await write(1, 3);
    expect(await open.fault()).toBeUndefined();
    const name = (await readdir(level())).find((each) => each.includes(part)) ?? '';
    await truncate(path.join(level(), name), 1);
    const message = expect.stringMatching(`${name} was cut.*To repair it: stop`);
    expect(await open.fault()).toEqual({ type: 'gone', message });
  });

  it('reports a table that it cannot read now, and never rows without those of that table', async () => {
    // Without records in the side file: comparing them at the start would open the tables, and LevelDB would keep them open.
    const first = await reopen();
    for (let index = 1; index <= 200; index++) await first.write([putBatch(index, 250_000)], []);
    const open = await reopen();
    const tables = (await readdir(level())).filter((each) => each.endsWith('.ldb')).sort();
    expect(tables.length).toBeGreaterThan(2);
    // As without permission or free file descriptors, which root cannot test.
    for (const name of tables.slice(1)) {
      await rm(path.join(level(), name));
      await mkdir(path.join(level(), name));
    }
    const range = (from: number) => ({
      fromIndex: asLogIndex(from),
      lastIndex: asLogIndex(200),
      maxBytes: 4e6,
      maxBatches: 10,
    });
    const skipped = { code: 'LEVEL_IO_ERROR' };
    expect(await open.readBatches(main, range(1))).toHaveLength(10);
    const read = await Promise.all(
      [20, 40, 60, 80, 100, 120, 140, 160, 180].map((from) =>
        open.readBatches(main, range(from)).then(
          (rows) => rows[0]?.key === batchKey(main, from),
          (error: { code: string }) => error.code,
        ),
      ),
    );
    expect(new Set(read)).toEqual(new Set([true, skipped.code]));
    await expect(open.scrubbedRows('', 30e6)).rejects.toMatchObject(skipped);
    await expect(open.batchKeysFrom(main, asLogIndex(1))).rejects.toMatchObject(skipped);
    const outcome = await open.load(main).then(
      ({ lastBatch }) => lastBatch?.key,
      (error: { code: string }) => error.code,
    );
    expect([batchKey(main, 200), skipped.code]).toContain(outcome);
  });

  it('promise 38: whose LOCK was replaced while it is open says so', async () => {
    const open = await reopen();
    await writeFile(path.join(level(), 'LOCK.new'), '');
    await rename(path.join(level(), 'LOCK.new'), path.join(level(), 'LOCK'));
    expect(await open.fault()).toEqual({ type: 'gone', message: expect.stringContaining('LOCK is another one') });
  });

  it('considers no table lost that is newer than the list of its files', async () => {
    await write(1, 3);
    const manifest = new LevelManifest(level());
    const before = await readdir(level());
    await write(4, 80, 250_000);
    await close();
    await reopen();
    expect((await readdir(level())).filter((each) => each.endsWith('.ldb'))).not.toEqual([]);
    expect(await manifest.lostFile(before, false)).toBeUndefined();
    expect(await manifest.lostFile(before, true)).toBeUndefined();
  });

  it.each(['CURRENT', 'MANIFEST', '.log'])(
    'is refused with the way to repair it if its %s is a folder',
    async (part) => {
      await write(1, 3);
      await close();
      for (const name of (await readdir(level())).filter((each) => each.includes(part))) {
        await rm(path.join(level(), name));
        await mkdir(path.join(level(), name));
      }
      const message = expect.stringMatching(
        new RegExp(`level/[^ ]*${part.replace('.', '[.]')}.*To repair it: stop`, 's'),
      );
      await expect(reopen()).rejects.toMatchObject({ code: 'ECORRUPT', message });
    },
  );

  const obstacles: Record<string, (file: string) => unknown> = {
    'a folder': (file) => mkdir(file),
    'a link to nothing': (file) => symlink(`${file}-nothing`, file),
    'a pipe': (file) => void execFileSync('mkfifo', [file]),
  };
  it.each(
    ['last-write', 'unverified', 'level/CURRENT', 'level/LOCK'].flatMap((name) =>
      Object.keys(obstacles).map((what) => [name, what] as const),
    ),
  )('is refused with the way to repair it if its %s is %s', async (name, what) => {
    await write(1, 3);
    await close();
    const file = path.join(folder, name);
    await rm(file, { force: true });
    await obstacles[what]?.(file);
    const message = expect.stringMatching(`${name} is not a regular file.*To repair it: stop`);
    await expect(reopen()).rejects.toMatchObject({ code: 'ECORRUPT', message });
  });

  it.each(['last-write', 'level', 'level/LOCK', 'level/CURRENT', 'level/MANIFEST', 'level/.log', 'level/.ldb'])(
    'is not damaged if this process may not use its %s: it cannot be opened now',
    async (name) => {
      const isRoot = process.getuid?.() === 0;
      await tableOf();
      await close();
      const names = await readdir(level());
      const [, part = ''] = name.split('/');
      const files =
        part === ''
          ? [path.join(folder, name)]
          : names.filter((each) => each.includes(part)).map((each) => path.join(level(), each));
      expect(files).not.toEqual([]);
      // Root may use all files, so it becomes another user.
      if (isRoot) execFileSync('chown', ['-R', '65534', folder]);
      for (const file of files) await chmod(file, 0);
      if (isRoot) process.seteuid?.(65534);
      try {
        const message = expect.stringMatching(
          /^EACCES: this process may not use .*; correct its owner or permissions$/,
        );
        await expect(reopen()).rejects.toMatchObject({ name: 'StorageUnavailable', message });
        for (const file of files) await chmod(file, 0o755);
        expect(await (await reopen()).batchKeysFrom(main, asLogIndex(1))).toHaveLength(80);
      } finally {
        if (isRoot) process.seteuid?.(0);
      }
    },
  );

  it('reports that its CURRENT is damaged if that names no manifest', async () => {
    await write(1, 3);
    await close();
    await writeFile(path.join(level(), 'CURRENT'), '');
    await expect(reopen()).rejects.toMatchObject({
      code: 'ECORRUPT',
      message: expect.stringContaining('names no manifest'),
    });
  });

  it('promise 38: whose side file was missing has to be verified, also after a crash, until that is kept', async () => {
    await write(1, 1);
    const number = { type: 'put', key: metaKey(main), value: new Uint8Array(1) } as const;
    await storage?.write([number], [groupOf(1)]);
    expect(storage?.isUnverified(main)).toBe(false);
    await close();
    await rm(path.join(folder, 'last-write'));
    expect((await reopen()).isUnverified(main)).toBe(true);
    await write(2, 1);
    expect((await reopen()).isUnverified(main)).toBe(true);
    await storage?.onVerified(main);
    expect((await reopen()).isUnverified(main)).toBe(false);
    await close();
    await writeFile(path.join(folder, 'last-write'), 'no record at all');
    expect((await reopen()).isUnverified(main)).toBe(true);
  });

  it('promise 38: that was replaced by another one reports that', async () => {
    const open = await reopen();
    await cp(folder, `${folder}-copy`, { recursive: true });
    await rename(folder, `${folder}-moved`);
    await rename(`${folder}-copy`, folder);
    expect(await open.fault()).toMatchObject({ type: 'gone' });
    await close();
    await rm(`${folder}-moved`, { recursive: true });
  });

  it('is read through by a scrub, which finds what is damaged, and of which group', async () => {
    const open = await reopen();
    await write(1, 60, 40_000);
    const bad = Uint8Array.from(batch(61, 1, 7, 64));
    bad[20] = (bad[20] ?? 0) ^ 1;
    await open.write([{ type: 'put', key: batchKey(main, 61), value: bad }], [groupOf(61)]);
    const found: unknown[] = [];
    const rows = await new Promise((resolve) => {
      const options = { intervalMs: 60_000, firstAfterMs: 0, bytesPerSecond: 1e9, retryMs: 1 };
      let reads = 0;
      const scrubber = new Scrubber(options, {
        read: async (key, maxBytes) => {
          reads += 1;
          if (reads === 2) throw new Error('a table cannot be opened');
          return open.scrubbedRows(key, maxBytes);
        },
        damagedTables: async () => [],
        onDamage: (...damage) => found.push(damage),
        onFailure: (message) => found.push(message),
        onPass: (count) => {
          scrubber.stop();
          resolve(count);
        },
      });
      scrubber.start();
    });
    expect(rows).toBe(61);
    const damage = [main, expect.stringMatching(/index 61: .*bad checksum.*To repair it: stop/)];
    expect(found).toEqual(['a table cannot be opened', damage]);
  });

  it('ends a pass of the scrub at rows that cannot be read because they are damaged, and does not report it as whole', async () => {
    // The second pass begins with the first row again, and is whole.
    expect(await passesOf([])).toEqual([[undefined, 'a damaged block'], 0]);
  });

  it('charges an error of LevelDB to the groups that the tables name, not to the group of the row read last', async () => {
    const inTable = { groupId: asGroupId('other'), message: 'a table is damaged' };
    expect(await passesOf([inTable])).toEqual([['other', 'a table is damaged'], 0]);
  });

  /** What two passes of a scrub report. In the first one, LevelDB reports damage after a row of `main`, and the tables are damaged so. */
  async function passesOf(inTables: readonly StoredDamage[]): Promise<unknown[]> {
    const reported: unknown[] = [];
    await new Promise<void>((resolve) => {
      const options = { intervalMs: 1, firstAfterMs: 0, bytesPerSecond: 1e9, retryMs: 60_000 };
      let reads = 0;
      const scrubber = new Scrubber(options, {
        read: async (key) => {
          reads += 1;
          if (reads === 1) return { before: 'start', rows: [putRow(1)], groups: new Map() };
          if (key !== '') throw new ConclaveError('ECORRUPT', 'a damaged block');
          return { before: 'start', rows: [], groups: new Map() };
        },
        damagedTables: async () => (reads === 2 ? inTables : []),
        onDamage: (...damage) => reported.push(damage),
        onFailure: (message) => reported.push(message),
        onPass: (rows) => {
          scrubber.stop();
          reported.push(rows);
          resolve();
        },
      });
      scrubber.start();
    });
    return reported;
  }

  /** Three entries and a snapshot of the first two, in three chunks. */
  async function wholeStore(more: Partial<LogState> = {}): Promise<LevelLogStorage> {
    const open = await reopen();
    const snapshot = snapshotOf('s', 2, 7, 3);
    const configuration = configurationOf('n1');
    const second = { type: 'put', key: batchKey(main, 2), value: configurationBatch(2, 6, configuration) } as const;
    const first = { type: 'put', key: batchKey(main, 1), value: batch(1, 1, 5, 64) } as const;
    const state: LogState = {
      ...emptyLog,
      peerId: asPeerId('n1'),
      storeId: 'store' as StoreId,
      term: asTerm(7),
      lastIndex: asLogIndex(3),
      termRuns: [5, 6, 7].map((term, at) => ({ first: asLogIndex(at + 1), term: asTerm(term) })),
      configurations: [{ index: asLogIndex(2), configuration }],
      snapshot: { slot: 1, snapshot_id: 's', head: snapshot.head },
      lastSlot: 1,
      ...more,
    };
    const records = [putMeta(main, state), ...recordChanges(main, emptyLog, state)] as PlainOperation[];
    const chunks = snapshot.chunks.map((value, at) => ({ type: 'put', key: chunkKey(main, 1, at), value }) as const);
    await open.write([...records, ...chunks, first, second, putBatch(3)], [groupOf(3)]);
    return open;
  }

  /** What a scrub reports that reads about so many bytes at once. */
  async function scrubbed(open: LevelLogStorage, maxBytes: number): Promise<string[]> {
    const found = new Set<string>();
    for (let key = ''; ; ) {
      const read = await open.scrubbedRows(key, maxBytes);
      for (const { groupId, message } of damageAmong(read)) found.add(`${groupId}: ${message}`);
      const last = read.rows.at(-1);
      if (last === undefined) return [...found];
      key = last.key;
    }
  }

  it.each([
    ['nothing', '', undefined],
    ['the first chunk of its snapshot', chunkKey(main, 1, 0), 'index 2: the chunk of a snapshot is missing'],
    ['a chunk of its snapshot', chunkKey(main, 1, 1), 'index 2: the chunk of a snapshot is missing'],
    ['the last chunk of its snapshot', chunkKey(main, 1, 2), 'index 2: the chunk of a snapshot is missing'],
    ['the first entry', batchKey(main, 1), 'index 1: the entry is missing'],
    ['an entry', batchKey(main, 2), 'index 2: the entry is missing'],
    ['the last entry', batchKey(main, 3), 'index 3: the log ends at 2, but 3 was the last entry'],
    ['the record of its last term', indexedKey(main, 't', 3), 'the last entry has term 7, but 6 was recorded'],
    ['the record of an earlier term', indexedKey(main, 't', 2), 'there are 2 records of terms, but 3 were recorded'],
    [
      'the record of a configuration',
      indexedKey(main, 'c', 2),
      'there are 0 records of configurations, but 1 were recorded',
    ],
    ['the record of its snapshot', snapshotKey(main), 'index 3: the record of the snapshot is missing'],
  ])('is found by a scrub to lack %s', async (_what, key, message) => {
    const open = await wholeStore();
    if (message !== undefined) await open.write([{ type: 'delete', key }], [groupOf(3)]);
    const expected = message === undefined ? [] : [expect.stringMatching(`^main: .*${message}.*To repair it: stop`)];
    for (const maxBytes of [1, 300, 1e6]) expect(await scrubbed(open, maxBytes), `${maxBytes} bytes`).toEqual(expected);
  });

  it('is found by a scrub to have a damaged chunk, with the error of a read', async () => {
    const open = await wholeStore();
    const chunk = Uint8Array.from((await open.get(chunkKey(main, 1, 1))) as Uint8Array);
    chunk[10] = (chunk[10] ?? 0) ^ 1;
    await open.write([{ type: 'put', key: chunkKey(main, 1, 1), value: chunk }], [groupOf(3)]);
    const message = 'index 2: the stored chunk of a snapshot is damaged (bad checksum). To repair it: stop';
    expect(await scrubbed(open, 1)).toEqual([expect.stringContaining(message)]);
  });

  it('is found by a scrub to have rows under keys of others', async () => {
    const open = await wholeStore();
    const chunk = (await open.get(chunkKey(main, 1, 1))) as Uint8Array;
    await open.write([{ type: 'put', key: chunkKey(main, 1, 2), value: chunk }], [groupOf(3)]);
    const misplaced = { type: 'put', key: batchKey(main, 2), value: batch(1, 1, 7, 64) } as const;
    expect(await scrubbed(open, 1)).toEqual([expect.stringContaining('it is chunk 1 of snapshot 2')]);
    await open.write([misplaced], [groupOf(3)]);
    expect(await scrubbed(open, 1)).toContainEqual(expect.stringContaining('the batch is under another key'));
  });

  it('a scrub accepts an entry with a configuration that has no record, as a build stores one that it cannot read', async () => {
    const open = await wholeStore({ configurations: [] });
    expect(await scrubbed(open, 1)).toEqual([]);
  });

  it('a scrub expects no numbers of records in the record of an older build', async () => {
    const open = await wholeStore();
    const { records, ...older } = removeChecksum((await open.get(metaKey(main))) as Uint8Array) as Record<
      string,
      unknown
    >;
    expect(records).toEqual({ term_runs: 3, configurations: 1, snapshot_slot: 1 });
    await open.write([{ type: 'put', key: metaKey(main), value: addChecksum(older) }], [groupOf(3)]);
    await open.write([{ type: 'delete', key: indexedKey(main, 'c', 2) }], [groupOf(3)]);
    expect(await scrubbed(open, 1)).toEqual([]);
  });

  it('a scrub finds nothing in a group of which a deletion has deleted the records first', async () => {
    const open = await wholeStore();
    const { gte, lt } = recordKeys(main);
    const keys = (await open.keysOf(main, 99)).filter((key) => key >= gte && key < lt);
    await open.write(
      keys.map((key) => ({ type: 'delete', key }) as const),
      [groupOf(3)],
    );
    await open.write([{ type: 'delete', key: batchKey(main, 2) }], [groupOf(3)]);
    expect(await scrubbed(open, 1)).toEqual([]);
  });

  it('is found by a scrub to be damaged at any byte of a table, also in a key', async () => {
    await write(1, 300, 60_000);
    await close();
    await reopen();
    const [name = ''] = (await readdir(level())).filter((each) => each.endsWith('.ldb'));
    const table = path.join(level(), name);
    const open = storage as LevelLogStorage;
    const toEnd = async () => true;
    expect(await open.damagedTables(toEnd)).toEqual([]);
    const { size } = await stat(table);
    const inKey = (await readFile(table)).indexOf(batchKey(main, 100).slice(-6));
    // The last bytes before the magic number are padding.
    const places = [
      inKey,
      0,
      size - 1,
      size - 48,
      ...Array.from({ length: 12 }, (_, at) => Math.floor((at * size) / 12)),
    ];
    for (const at of places) {
      await flipInPlace(table, at);
      const message = expect.stringMatching(`${name} is damaged at byte \\d+ \\(bad checksum\\).*To repair it: stop`);
      expect(await open.damagedTables(toEnd), `byte ${at}`).toContainEqual(expect.objectContaining({ message }));
      await flipInPlace(table, at);
    }
    expect(await open.damagedTables(async () => false)).toEqual([]);
    // A footer that names places beyond the file: 4 GiB, and a number without an end.
    for (const bytes of [Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.alloc(40, 0xff)]) {
      const footer = (await readFile(table)).subarray(-48);
      await writeInPlace(table, size - 48, bytes);
      const message = expect.stringContaining(`is damaged at byte ${size - 48} (bad checksum)`);
      expect(await open.damagedTables(toEnd)).toEqual([expect.objectContaining({ message })]);
      await writeInPlace(table, size - 48, footer);
    }
  });

  it('is not damaged for a scrub if another program has written compressed tables into it', async () => {
    await write(1, 100, 1000);
    await close();
    // The default of the library, as a script of an operator would have it.
    const script = new Level<string, Uint8Array>(level(), { valueEncoding: 'view' });
    for (let index = 1; index <= 100; index++) {
      const key = batchKey(main, index);
      await script.put(key, (await script.get(key)) as Uint8Array);
    }
    // A method of the library on Node.js.
    await (script as unknown as { compactRange(from: string, to: string): Promise<void> }).compactRange('!', '~~');
    await script.close();
    const open = await reopen();
    expect((await readdir(level())).some((name) => name.endsWith('.ldb'))).toBe(true);
    expect(await open.damagedTables(async () => true)).toEqual([]);
  });

  it('is upgraded from an earlier version with other keys of entries, also if moving them was interrupted', async () => {
    const other = asGroupId('main-');
    const place = (group: string, index: number) => `${group}/e/${String(index).padStart(16, '0')}`;
    const count = 40;
    await write(1, count);
    const puts = Array.from({ length: count }, (_, at) => ({ ...putBatch(at + 1), key: batchKey(other, at + 1) }));
    await storage?.write(puts, [{ ...groupOf(count), group_id: other }]);
    await close();
    const before = new Level<string, Uint8Array>(level(), { valueEncoding: 'view' });
    for (const group of [main, other]) {
      for (let index = 1; index <= count; index++) {
        // Of one group some were moved, and some were written again and are not yet deleted.
        const [isMoved, isPut] = [group === main && index <= 7, group === main && index <= 12];
        if (isMoved) continue;
        await before.put(place(group, index), (await before.get(batchKey(group, index))) as Uint8Array);
        if (!isPut) await before.del(batchKey(group, index));
      }
    }
    await before.close();
    const warnings: string[] = [];
    const opened = await reopen(warnings);
    expect(warnings).toEqual([expect.stringContaining('moving the entries'), expect.stringContaining('were moved')]);
    const range = { fromIndex: asLogIndex(1), lastIndex: asLogIndex(99), maxBytes: 1e6, maxBatches: 99 };
    for (const group of [main, other]) {
      const expected = Array.from({ length: count }, (_, at) => ({ key: batchKey(group, at + 1) }));
      const found = await opened.readBatches(group, range);
      expect(found).toMatchObject(expected);
      expect(found.every(({ value }) => batchIsIntact(value))).toBe(true);
      expect(await opened.keysOf(group, 999)).toEqual(expected.map(({ key }) => key));
    }
    await reopen(warnings);
    expect(warnings).toHaveLength(2);
  });

  it('moves its tables of entries down unchanged, also after a snapshot', async () => {
    const MiB = 1024 * 1024;
    await write(1, 20, MiB);
    const chunks = Array.from({ length: 8 }, (_, at) => chunkKey(main, 1, at));
    await storage?.write(
      [metaKey(main), ...chunks].map((key) => ({ type: 'put', key, value: new Uint8Array(MiB / 4) })),
      [],
    );
    await write(21, 40, MiB);
    // The table with the chunks meets the one before, which also shows that LevelDB reports so.
    await vi.waitUntil(async () => (await mergedBytes()) > 0, { timeout: 100_000 });
    const merged = await mergedBytes();
    await write(61, 100, MiB);
    // It may meet another one or two.
    expect((await mergedBytes()) - merged).toBeLessThan(50 * MiB);
  });

  /** What LevelDB has written by merging tables. */
  async function mergedBytes(): Promise<number> {
    const log = await readFile(path.join(level(), 'LOG'), 'utf8');
    return [...log.matchAll(/Compacted .* => (\d+) bytes/g)].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
  }

  it('is not opened twice', async () => {
    await write(1, 1);
    const second = new LevelLogStorage({ folder });
    await expect(second.open()).rejects.toMatchObject({ code: 'EBUSY' });
    await second.close();
  });

  it('survives writes larger than a block of its log', async () => {
    await write(1, 8, 100_000);
    await close();
    const log = await readFile(await fileOf('.log'));
    expect(damageIn(log)).toBeUndefined();
    const half = log.subarray(0, Math.floor(log.length / 2));
    expect(damageIn(half), 'a torn end is no damage').toBeUndefined();
    const damaged = Buffer.from(log);
    damaged.writeUInt8(damaged.readUInt8(70_000) ^ 1, 70_000);
    expect(damageIn(damaged)).toBeLessThanOrEqual(70_000);
    await reopen();
    expect(await storage?.batchKeysFrom(main, asLogIndex(1))).toHaveLength(8);
  });
});
