/**
 * Moves the entries of a store of an older version to their new keys: they had the keys `<group>/e/<index>`
 * (docs/decisions/0050).
 *
 * Moving is not a numbered write of the storage: the entries are the same before and after, and `open` compares LevelDB with the side
 * file only afterwards.
 */
import { asGroupId, type GroupId } from '@conclave/protocol';
import type { Level } from 'level';
import { batchKey, indexOfKey } from './core/index.js';

/** The limits of one write to LevelDB: bytes and batches. */
const writeBytes = 1024 * 1024;
const writeBatches = 4096;
/** The bytes of a stage. After each stage the old rows are deleted, and LevelDB frees their disk space. */
const stageBytes = 32 * 1024 * 1024;

type Store = Level<string, Uint8Array>;
/** In Node.js a `Level` is a `ClassicLevel`, which has methods that the type `Level` lacks. */
type CompactingStore = Store & { compactRange(start: string, end: string): Promise<void> };
interface Put {
  readonly type: 'put';
  readonly key: string;
  readonly value: Uint8Array;
}

/** The result of a stage: how many batches were put under their new keys. */
interface Stage {
  readonly batches: number;
  /** The old key of the last one. */
  readonly upTo: string;
}

/**
 * Moves the batches in the order of their indexes, stage by stage: all batches of a stage are put under their new keys, then their old
 * keys are deleted. After a crash the next `open` continues, and puts some batches a second time.
 * @param onBegin called before the first batch is moved; not called if there is none
 * @returns how many batches were moved
 */
export async function moveBatches(level: Store, onBegin: () => void): Promise<number> {
  let moved = 0;
  for (const group of await groupsOf(level)) {
    const groupId = asGroupId(group);
    let afterKey = `${group}/e/`;
    for (;;) {
      const { batches, upTo } = await putSome(level, groupId, afterKey, moved === 0 ? onBegin : () => undefined);
      if (batches === 0) break;
      // Makes LevelDB write the new rows to a table of their own. A table with both the new rows and the deletions that follow would
      // overlap all other tables.
      await compact(level, batchKey(groupId, 0), batchKey(groupId, 0));
      await level.clear({ gt: afterKey, lte: upTo });
      // Writes the deletions to a table, too: `clear` does not sync them, and after a crash the deleted rows would exist again.
      await compact(level, afterKey, upTo);
      moved += batches;
      afterKey = upTo;
    }
  }
  return moved;
}

/** Stores the batches of a group after the old key `afterKey` under their new keys, until a stage is full. */
async function putSome(level: Store, groupId: GroupId, afterKey: string, onBegin: () => void): Promise<Stage> {
  let stage: Stage = { batches: 0, upTo: afterKey };
  let puts: Put[] = [];
  let [bytes, written] = [0, 0];
  const write = async (): Promise<void> => {
    await level.batch(puts, { sync: true });
    written += bytes;
    bytes = 0;
    puts = [];
  };
  for await (const [key, value] of level.iterator({ gt: afterKey, lt: `${groupId}/e/~` })) {
    if (stage.batches === 0) onBegin();
    puts.push({ type: 'put', key: batchKey(groupId, indexOfKey(key)), value });
    bytes += value.length;
    stage = { batches: stage.batches + 1, upTo: key };
    if (bytes >= writeBytes || puts.length >= writeBatches) await write();
    if (written >= stageBytes) break;
  }
  if (puts.length > 0) await write();
  return stage;
}

function compact(level: Store, start: string, end: string): Promise<void> {
  return (level as CompactingStore).compactRange(start, end);
}

/** Returns the groups of the store: each has rows that are no entries under new keys. */
async function groupsOf(level: Store): Promise<string[]> {
  const groups: string[] = [];
  const keys = level.keys({ gte: '!/~', lt: '~' });
  try {
    for (let key = await keys.next(); key !== undefined; key = await keys.next()) {
      const group = key.slice(0, key.indexOf('/'));
      groups.push(group);
      keys.seek(`${group}/~`);
    }
  } finally {
    await keys.close();
  }
  return groups;
}
