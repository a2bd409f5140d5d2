/**
 * Moves the entries of a store of an older version to their new keys: they had the keys `<group>/e/<index>`
 * (docs/decisions/0050).
 *
 * Moving is not a write of the storage, and has no number: the content is the same before and after, and opening compares it
 * with the side file only afterwards.
 */
import { asGroupId, type GroupId } from '@conclave/protocol';
import type { Level } from 'level';
import { batchKey, indexOfKey } from './core/index.js';

/** Bytes put in one write. */
const pieceBytes = 1024 * 1024;
const pieceBatches = 4096;
/** Bytes moved before LevelDB has to free the space of the old rows. */
const stageBytes = 32 * 1024 * 1024;

type Store = Level<string, Uint8Array>;
/** In Node a `Level` is a `ClassicLevel`, which has more than its type says. */
type CompactingStore = Store & { compactRange(start: string, end: string): Promise<void> };
interface Put {
  readonly type: 'put';
  readonly key: string;
  readonly value: Uint8Array;
}

/** What was put under the new keys. */
interface Stage {
  readonly batches: number;
  /** The last key of the older version. */
  readonly upTo: string;
}

/**
 * Moves the batches from the lowest index on, stage by stage: first all batches of a stage are put under their new keys, then
 * the old keys are deleted. After a crash the next opening continues, and puts some batches a second time.
 * @param onBegin called before the first one is moved
 * @returns how many batches were moved
 */
export async function moveBatches(level: Store, onBegin: () => void): Promise<number> {
  let moved = 0;
  for (const group of await groupsOf(level)) {
    const groupId = asGroupId(group);
    let behind = `${group}/e/`;
    for (;;) {
      const { batches, upTo } = await putSome(level, groupId, behind, moved === 0 ? onBegin : () => undefined);
      if (batches === 0) break;
      // Makes LevelDB write the new rows to a table, so that no table has them and the deletions that follow: it would overlap
      // all other tables.
      await compact(level, batchKey(groupId, 0), batchKey(groupId, 0));
      await level.clear({ gt: behind, lte: upTo });
      // Also writes the deletions to a table. From here on they cannot be lost, which would bring deleted rows back.
      await compact(level, behind, upTo);
      moved += batches;
      behind = upTo;
    }
  }
  return moved;
}

/** Puts the batches of a group after this key, up to the bytes of a stage. */
async function putSome(level: Store, groupId: GroupId, behind: string, onBegin: () => void): Promise<Stage> {
  let stage: Stage = { batches: 0, upTo: behind };
  let puts: Put[] = [];
  let [bytes, written] = [0, 0];
  const write = async (): Promise<void> => {
    await level.batch(puts, { sync: true });
    written += bytes;
    bytes = 0;
    puts = [];
  };
  for await (const [key, value] of level.iterator({ gt: behind, lt: `${groupId}/e/~` })) {
    if (stage.batches === 0) onBegin();
    puts.push({ type: 'put', key: batchKey(groupId, indexOfKey(key)), value });
    bytes += value.length;
    stage = { batches: stage.batches + 1, upTo: key };
    if (bytes >= pieceBytes || puts.length >= pieceBatches) await write();
    if (written >= stageBytes) break;
  }
  if (puts.length > 0) await write();
  return stage;
}

function compact(level: Store, start: string, end: string): Promise<void> {
  return (level as CompactingStore).compactRange(start, end);
}

/** The groups that have rows other than entries under the new keys. */
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
