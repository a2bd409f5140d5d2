/**
 * A log-store that takes and installs snapshots is killed at random points, again and again: what it had acknowledged is
 * there, the snapshot that counts is whole, and the log goes on behind it without a gap.
 */
import path from 'node:path';
import { asGroupId, asLogIndex, asPeerId, batchFrom, batchHeader, snapshotChecksum } from '@conclave/protocol';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chunkKey, garbageOf, isBatchKey, type LogState } from '../src/core/index.js';
import { checkedBatch, stateFromRows } from '../src/core/records.js';
import { LevelLogStorage } from '../src/level-log-storage.js';
import { bundled, killChildren, runAndKill } from './killed-child.js';
import { makeFolder } from './temporary-folder.js';

const rounds = 10;
const groupId = asGroupId('main');
let folder: Awaited<ReturnType<typeof makeFolder>>;
let program: string;

beforeAll(async () => {
  folder = await makeFolder();
  program = await bundled('killed-snapshot-writer', path.join(folder.path, 'program'));
}, 60_000);

afterAll(async () => {
  killChildren();
  await folder.remove();
});

interface Reported {
  base: number;
  last: number;
  snapshot: number;
  next: number;
}

async function withStorage<T>(
  data: string,
  use: (storage: LevelLogStorage, state: LogState) => Promise<T>,
): Promise<T> {
  const storage = new LevelLogStorage({ folder: data });
  await storage.open();
  try {
    return await use(storage, stateFromRows({ groupId, peerId: asPeerId('n1') }, await storage.load(groupId)));
  } finally {
    await storage.close();
  }
}

/** All entries behind the base are there and intact. */
async function checkEntries(storage: LevelLogStorage, { base, lastIndex }: LogState): Promise<void> {
  if (lastIndex === base.index) return;
  const range = { fromIndex: asLogIndex(base.index + 1), lastIndex, maxBytes: 1e9, maxBatches: 1e6 };
  const [row, ...rest] = await storage.readBatches(groupId, range);
  expect(row).toBeDefined();
  if (row === undefined) return;
  checkedBatch(groupId, row);
  let last = batchHeader(batchFrom(row.value, range.fromIndex)).last;
  for (const next of rest) {
    const header = checkedBatch(groupId, next);
    expect(header.first).toBe(last + 1);
    last = header.last;
  }
  expect(last).toBe(lastIndex);
}

/** The snapshot that counts has all its chunks. */
async function checkSnapshot(storage: LevelLogStorage, { snapshot }: LogState): Promise<void> {
  if (snapshot === undefined) return;
  const { slot, head } = snapshot;
  let [bytes, checksum] = [0, 0];
  for (let number = 0; number < head.chunks; number++) {
    const chunk = (await storage.get(chunkKey(groupId, slot, number))) ?? new Uint8Array();
    bytes += chunk.length;
    checksum = snapshotChecksum(chunk, checksum);
  }
  expect([bytes, checksum]).toEqual([head.bytes, head.checksum]);
}

it(`promise 16: keeps its log and its snapshot through ${rounds} times kill -9`, { timeout: 180_000 }, async () => {
  const data = path.join(folder.path, 'data');
  for (let round = 1; round <= rounds; round++) {
    const reported: Reported = { base: 0, last: 0, snapshot: 0, next: 0 };
    const signal = await runAndKill([program, data, `run-${round}`], 1 + Math.floor(Math.random() * 40), (line) => {
      const [base = 0, last = 0, snapshot = 0, next = 0] = line.split(' ').map(Number);
      Object.assign(reported, { base, last, snapshot, next });
    });
    expect(signal).toBe('SIGKILL');
    await withStorage(data, async (storage, state) => {
      expect(state.base.index).toBeGreaterThanOrEqual(reported.base);
      expect(state.lastIndex).toBeGreaterThanOrEqual(reported.last);
      const snapshot = Number(state.snapshot?.snapshot_id ?? 0);
      expect([reported.snapshot, reported.next], 'at most the one that was cut off').toContain(snapshot);
      await checkEntries(storage, state);
      await checkSnapshot(storage, state);
    });
    // Every other time what it has left behind is for the next run to clear away.
    if (round % 2 === 1) continue;
    await withStorage(data, async (storage, state) => {
      await storage.purge(groupId, garbageOf(state));
      const after = await storage.keysOf(groupId, 1e6);
      const batches = after.filter(isBatchKey).length;
      expect(batches).toBeGreaterThan(0);
      expect(batches).toBeLessThanOrEqual(state.lastIndex - state.base.index + 1);
      expect(after.filter((key) => key.startsWith('main/s/'))).toHaveLength(
        (state.snapshot?.head.chunks ?? 0) + (state.incoming?.stored ?? 0),
      );
      await checkEntries(storage, state);
      await checkSnapshot(storage, state);
    });
  }
});
