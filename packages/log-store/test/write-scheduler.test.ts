import { asGroupId, asLogIndex, asSession, asTerm, batchUpTo, type GroupId } from '@conclave/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { batchKey, metaKey, type RecordedGroup, type StorageOperation } from '../src/core/index.js';
import { LevelLogStorage } from '../src/level-log-storage.js';
import { MemoryLogStorage } from '../src/memory-log-storage.js';
import { WriteScheduler } from '../src/write-scheduler.js';
import { batch } from './store-harness.js';
import { makeFolder } from './temporary-folder.js';

function note(groupId: GroupId): RecordedGroup {
  return { group_id: groupId, last_index: asLogIndex(0), term: asTerm(0), voted_for: '', session: asSession(1) };
}

function put(key: string, value: Uint8Array): StorageOperation {
  return { type: 'put', key, value };
}

const main = asGroupId('main');

describe('group commit', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>;
  let storage: LevelLogStorage;

  beforeEach(async () => {
    folder = await makeFolder();
    storage = new LevelLogStorage({ folder: folder.path });
    await storage.open();
  });

  afterEach(async () => {
    await storage.close();
    await folder.remove();
  });

  it('lets many groups share a sync', async () => {
    const scheduler = new WriteScheduler(storage);
    const groups = Array.from({ length: 32 }, (_, at) => asGroupId(`group-${at}`));
    const rounds = 10;
    await Promise.all(
      groups.map(async (group) => {
        for (let round = 1; round <= rounds; round++) {
          await scheduler.submit([put(metaKey(group), new Uint8Array([round]))], note(group));
        }
      }),
    );
    expect(scheduler.counts.submitted).toBe(groups.length * rounds);
    expect(scheduler.counts.synced).toBeLessThan(2 * rounds);
    expect(storage.writes).toBe(scheduler.counts.synced);
    for (const group of groups) expect([...((await storage.load(group)).meta ?? [])]).toEqual([rounds]);
  });

  it('works a truncation out from what is stored, and writes it with what is put', async () => {
    const scheduler = new WriteScheduler(storage);
    const first = [1, 6, 11].map((index) => put(batchKey(main, index), batch(index, 5, 1)));
    const fresh = batch(9, 1, 2);
    await scheduler.submit(first, note(main));
    await scheduler.submit(
      [{ type: 'truncate', groupId: main, from: asLogIndex(9) }, put(batchKey(main, 9), fresh)],
      note(main),
    );
    const range = { fromIndex: asLogIndex(1), lastIndex: asLogIndex(99), maxBytes: 1e6, maxBatches: 9 };
    const rows = await storage.readBatches(main, range);
    expect(rows.map(({ key }) => key)).toEqual([1, 6, 9].map((index) => batchKey(main, index)));
    expect(Buffer.from(rows[1]?.value ?? []).equals(batchUpTo(batch(6, 5, 1), asLogIndex(8)))).toBe(true);
    expect(scheduler.counts.synced).toBe(2);
    await scheduler.submit([{ type: 'truncate', groupId: main, from: asLogIndex(1) }], note(main));
    expect(await storage.readBatches(main, range)).toEqual([]);
  });

  it('refuses a truncation that finds damage, and serves the other groups', async () => {
    const scheduler = new WriteScheduler(storage);
    const damaged = batch(1, 5, 1);
    damaged[40] = 99;
    const other = asGroupId('other');
    await scheduler.submit([put(batchKey(main, 1), damaged)], note(main));
    const truncation = scheduler.submit([{ type: 'truncate', groupId: main, from: asLogIndex(3) }], note(main));
    const beside = scheduler.submit([put(metaKey(other), new Uint8Array([1]))], note(other));
    await expect(truncation).rejects.toMatchObject({ code: 'ECORRUPT' });
    await beside;
    expect([...((await storage.load(other)).meta ?? [])]).toEqual([1]);
  });
});

it('reports the failure to each caller whose write was in the batch', async () => {
  const storage = new MemoryLogStorage({ holdSyncs: true });
  const scheduler = new WriteScheduler(storage);
  const writes = ['a', 'b'].map((group) => scheduler.submit([], note(asGroupId(group))));
  const outcomes = Promise.allSettled(writes);
  await Promise.resolve();
  await Promise.resolve();
  storage.crash();
  expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
