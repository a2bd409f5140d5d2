/** What holds for whatever keeps the logs; run on the one in memory and on LevelDB. */
import { asGroupId, asLogIndex, asSession, asTerm, type GroupId } from '@conclave/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  batchKey,
  chunkKey,
  indexedKey,
  metaKey,
  type PlainOperation,
  type RecordedGroup,
  type Row,
  snapshotKey,
} from '../src/core/index.js';
import type { LogStorage } from '../src/log-storage.js';

/** A store on the same data, which can be reopened any number of times. */
export interface Ground {
  open(): Promise<LogStorage>;
  remove(): Promise<void>;
}

const main = asGroupId('main');

function note(groupId: GroupId = main): RecordedGroup {
  return { group_id: groupId, last_index: asLogIndex(0), term: asTerm(0), voted_for: '', session: asSession(1) };
}

function put(key: string, ...bytes: number[]): PlainOperation {
  return { type: 'put', key, value: new Uint8Array(bytes) };
}

function range(from: number, last: number, maxBytes = 1_000_000, maxBatches = 1000) {
  return { fromIndex: asLogIndex(from), lastIndex: asLogIndex(last), maxBytes, maxBatches };
}

function inShort(rows: readonly Row[]): [string, number[]][] {
  return rows.map(({ key, value }) => [key.replace(/\/0+(?=\d+$)/, '/'), [...value]]);
}

export function describeLogStorage(name: string, makeGround: () => Promise<Ground>): void {
  describe(`the log storage ${name}`, () => {
    let ground: Ground;
    let storage: LogStorage;

    beforeEach(async () => {
      ground = await makeGround();
      storage = await ground.open();
    });

    afterEach(async () => {
      await storage.close();
      await ground.remove();
    });

    async function reopen(): Promise<void> {
      await storage.close();
      storage = await ground.open();
    }

    it('has nothing of a group that it has never seen', async () => {
      expect(await storage.load(main)).toEqual({
        meta: undefined,
        termRuns: [],
        configurations: [],
        lastBatch: undefined,
        snapshot: undefined,
      });
      expect(await storage.readBatches(main, range(1, 10))).toEqual([]);
      expect(await storage.batchKeysFrom(main, asLogIndex(0))).toEqual([]);
    });

    it('returns what was written, also after it was reopened', async () => {
      await storage.write(
        [
          put(metaKey(main), 1, 2, 3),
          put(indexedKey(main, 't', 9), 9),
          put(indexedKey(main, 't', 10), 10),
          put(indexedKey(main, 'c', 4), 4),
          put(batchKey(main, 7), 7),
          put(batchKey(main, 30), 30),
        ],
        [note()],
      );
      for (const time of ['at once', 'after it was reopened']) {
        const { meta, termRuns, configurations, lastBatch } = await storage.load(main);
        expect([...(meta ?? [])], time).toEqual([1, 2, 3]);
        expect(inShort(termRuns)).toEqual([
          ['main/t/9', [9]],
          ['main/t/10', [10]],
        ]);
        expect(inShort(configurations)).toEqual([['main/c/4', [4]]]);
        expect(inShort(lastBatch === undefined ? [] : [lastBatch])).toEqual([['~/main/30', [30]]]);
        await reopen();
      }
    });

    it('keeps groups apart, whatever their names have in common', async () => {
      const groups = ['main', 'main2', 'mai', 'main-', 'm', 'e'].map(asGroupId);
      for (const [at, group] of groups.entries()) {
        await storage.write([put(metaKey(group), at), put(batchKey(group, 1), at)], [note(group)]);
      }
      for (const [at, group] of groups.entries()) {
        expect([...((await storage.load(group)).meta ?? [])]).toEqual([at]);
        expect((await storage.readBatches(group, range(1, 99))).map(({ value }) => [...value])).toEqual([[at]]);
        expect(await storage.batchKeysFrom(group, asLogIndex(0))).toEqual([batchKey(group, 1)]);
      }
    });

    it('writes deletes and puts in their order, all in one', async () => {
      await storage.write([put(batchKey(main, 1), 1), put(batchKey(main, 5), 5)], [note()]);
      await storage.write(
        [{ type: 'delete', key: batchKey(main, 5) }, put(batchKey(main, 5), 6), put(batchKey(main, 8), 8)],
        [note()],
      );
      await storage.write([put(batchKey(main, 9), 9), { type: 'delete', key: batchKey(main, 8) }], [note()]);
      expect(inShort(await storage.readBatches(main, range(1, 99)))).toEqual([
        ['~/main/1', [1]],
        ['~/main/5', [6]],
        ['~/main/9', [9]],
      ]);
    });

    it('keeps the order of writes that were asked for without waiting', async () => {
      const writes = Array.from({ length: 50 }, (_, at) => storage.write([put(metaKey(main), at)], [note()]));
      await Promise.all(writes);
      expect([...((await storage.load(main)).meta ?? [])]).toEqual([49]);
    });

    it('reads from the batch that holds an index', async () => {
      await storage.write(
        [10, 20, 30].map((first) => put(batchKey(main, first), first)),
        [note()],
      );
      const cases: [number, number[]][] = [
        [9, [10, 20, 30]],
        [10, [10, 20, 30]],
        [19, [10, 20, 30]],
        [20, [20, 30]],
        [29, [20, 30]],
        [99, [30]],
      ];
      for (const [from, expected] of cases) {
        const rows = await storage.readBatches(main, range(from, 100));
        expect(
          rows.map(({ value }) => value[0]),
          `from ${from}`,
        ).toEqual(expected);
      }
      expect((await storage.readBatches(main, range(12, 20))).map(({ value }) => value[0])).toEqual([10, 20]);
      expect((await storage.readBatches(main, range(25, 25))).map(({ value }) => value[0])).toEqual([20]);
    });

    it('reads within its bounds, and one batch at least', async () => {
      const sizes = [100, 200, 300];
      await storage.write(
        sizes.map(
          (size, at): PlainOperation => ({ type: 'put', key: batchKey(main, at + 1), value: new Uint8Array(size) }),
        ),
        [note()],
      );
      const cases: [number, number, number][] = [
        [0, 10, 1],
        [299, 10, 1],
        [300, 10, 2],
        [600, 10, 3],
        [600, 2, 2],
        [600, 1, 1],
      ];
      for (const [maxBytes, maxBatches, expected] of cases) {
        const rows = await storage.readBatches(main, range(1, 3, maxBytes, maxBatches));
        expect(rows.length, `${maxBytes} bytes, ${maxBatches} batches`).toBe(expected);
      }
    });

    it('lists the batches from an index on', async () => {
      await storage.write(
        [1, 9, 10, 11].map((first) => put(batchKey(main, first), first)),
        [note()],
      );
      expect(await storage.batchKeysFrom(main, asLogIndex(9))).toEqual(
        [9, 10, 11].map((first) => batchKey(main, first)),
      );
      expect(await storage.batchKeysFrom(main, asLogIndex(12))).toEqual([]);
    });

    it('lists all keys of a group, and none of another whose name begins like its', async () => {
      const keys = [metaKey(main), batchKey(main, 3), indexedKey(main, 't', 1)];
      await storage.write(
        [...keys, metaKey(asGroupId('main2')), '!/g'].map((key) => put(key, 1)),
        [note()],
      );
      expect(await storage.keysOf(main, 10)).toEqual(keys.toSorted());
      expect(await storage.keysOf(main, 2)).toEqual(keys.toSorted().slice(0, 2));
      expect(await storage.keysOf(asGroupId('mai'), 10)).toEqual([]);
    });

    it('has single rows', async () => {
      await storage.write([put('!/g', 7)], []);
      await reopen();
      expect([...((await storage.get('!/g')) ?? [])]).toEqual([7]);
      expect(await storage.get('!/h')).toBeUndefined();
    });

    it('loads the record of the snapshot, and returns a chunk', async () => {
      await storage.write(
        [put(snapshotKey(main), 8), put(chunkKey(main, 3, 0), 30), put(chunkKey(main, 3, 11), 31)],
        [note()],
      );
      for (const time of ['at once', 'after it was reopened']) {
        expect([...((await storage.load(main)).snapshot ?? [])], time).toEqual([8]);
        expect([...((await storage.get(chunkKey(main, 3, 11))) ?? [])]).toEqual([31]);
        expect(await storage.get(chunkKey(main, 3, 1))).toBeUndefined();
        await reopen();
      }
    });

    it('clears the batches below a base, except the one that may extend beyond it', async () => {
      const other = asGroupId('main2');
      const all = [1, 5, 9, 13];
      const cases: [number, number[]][] = [
        [0, [1, 5, 9, 13]],
        [3, [1, 5, 9, 13]],
        [4, [5, 9, 13]],
        [8, [9, 13]],
        [11, [9, 13]],
        [12, [13]],
        [20, [13]],
      ];
      for (const [upTo, left] of cases) {
        const puts = all.flatMap((first) => [put(batchKey(main, first), first), put(batchKey(other, first), first)]);
        await storage.write(puts, [note()]);
        await storage.purge(main, { upTo: asLogIndex(upTo), lastSlot: 0, keptSlots: [] });
        await reopen();
        expect(await storage.batchKeysFrom(main, asLogIndex(0)), `up to ${upTo}`).toEqual(
          left.map((first) => batchKey(main, first)),
        );
        expect(await storage.batchKeysFrom(other, asLogIndex(0)), 'of another group').toHaveLength(all.length);
      }
    });

    it('clears the slots that are not kept, and no later one', async () => {
      const cases: [number[], number[]][] = [
        [[], [5, 6]],
        [[2], [2, 5, 6]],
        [
          [3, 1],
          [1, 3, 5, 6],
        ],
        [[4], [4, 5, 6]],
        [[0], [0, 5, 6]],
      ];
      for (const [keptSlots, left] of cases) {
        const slots = [0, 1, 2, 3, 4, 5, 6];
        await storage.write(
          slots.flatMap((slot) => [put(chunkKey(main, slot, 0), slot), put(chunkKey(main, slot, 7), slot)]),
          [note()],
        );
        await storage.purge(main, { upTo: asLogIndex(0), lastSlot: 4, keptSlots });
        await reopen();
        const found: number[] = [];
        for (const slot of slots) {
          const chunks = [await storage.get(chunkKey(main, slot, 0)), await storage.get(chunkKey(main, slot, 7))];
          expect(new Set(chunks.map((chunk) => chunk === undefined)).size, 'all of a slot or none').toBe(1);
          if (chunks[0] !== undefined) found.push(slot);
        }
        expect(found, `${keptSlots.join()} kept`).toEqual(left);
      }
    });

    it('purges nothing that is written meanwhile', async () => {
      const firsts = Array.from({ length: 200 }, (_, at) => at + 1);
      await storage.write(
        firsts.map((first) => put(batchKey(main, first), 1)),
        [note()],
      );
      const clearing = storage.purge(main, { upTo: asLogIndex(150), lastSlot: 1, keptSlots: [] });
      const later = [201, 202, 203].map((first) =>
        storage.write([put(batchKey(main, first), 1), put(chunkKey(main, 2, first), 1)], [note()]),
      );
      await Promise.all([clearing, ...later]);
      const keys = await storage.batchKeysFrom(main, asLogIndex(0));
      expect(keys).toEqual(Array.from({ length: 53 }, (_, at) => batchKey(main, at + 151)));
      for (const first of [201, 202, 203]) expect(await storage.get(chunkKey(main, 2, first))).toBeDefined();
    });

    it('keeps large values whole', async () => {
      const value = new Uint8Array(512 * 1024).map((_, at) => at * 31);
      await storage.write([{ type: 'put', key: batchKey(main, 1), value }], [note()]);
      await reopen();
      const [row] = await storage.readBatches(main, range(1, 1));
      expect(Buffer.from(row?.value ?? []).equals(value)).toBe(true);
    });

    it('does not mind what becomes of the bytes after they were synced', async () => {
      const value = new Uint8Array([1, 2, 3]);
      await storage.write([{ type: 'put', key: batchKey(main, 1), value }], [note()]);
      value.fill(0);
      const [row] = await storage.readBatches(main, range(1, 1));
      expect([...(row?.value ?? [])]).toEqual([1, 2, 3]);
    });
  });
}
