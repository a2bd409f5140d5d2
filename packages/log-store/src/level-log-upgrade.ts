/**
 * Moves the entries of a store from before to where they stand now: they had the keys `<group>/e/<index>`
 * (docs/decisions/0050).
 *
 * Moving is no write in the sense of the storage, and has no number: all that is there before is there after, and opening
 * compares with what was noted only then.
 */
import { asGroupId, type GroupId } from '@conclave/protocol';
import type { Level } from 'level';
import { batchKey, indexOfKey } from './core/index.js';

/** What is put in one write. */
const pieceBytes = 1024 * 1024;
const pieceBatches = 4096;
/** What is moved before LevelDB has to give the room of it back. */
const stageBytes = 32 * 1024 * 1024;

type Store = Level<string, Uint8Array>;
/** In Node a `Level` is a `ClassicLevel`, which has more than its type says. */
type CompactingStore = Store & { compactRange(start: string, end: string): Promise<void> };
interface Put {
  readonly type: 'put';
  readonly key: string;
  readonly value: Uint8Array;
}

/** What was put where it stands now. */
interface Stage {
  readonly batches: number;
  /** The last key from before. */
  readonly upTo: string;
}

/**
 * Moves them from the lowest index on, stage by stage: first all batches of a stage are put where they stand now, then
 * they are deleted where they stood. A crash leaves the rest to the next opening, which puts some a second time.
 * @param onBegin told before the first one is moved
 * @returns how many batches it has moved
 */
export async function moveBatches(level: Store, onBegin: () => void): Promise<number> {
  let moved = 0;
  for (const group of await groupsOf(level)) {
    const groupId = asGroupId(group);
    let behind = `${group}/e/`;
    for (;;) {
      const { batches, upTo } = await putSome(level, groupId, behind, moved === 0 ? onBegin : () => undefined);
      if (batches === 0) break;
      // Has LevelDB write down what was put, so that no table has it and the deletions that follow: that one would reach
      // across all that is there.
      await compact(level, batchKey(groupId, 0), batchKey(groupId, 0));
      await level.clear({ gt: behind, lte: upTo });
      // Also writes the deletions down. From here on they cannot be lost, and bring back what is of no more use.
      await compact(level, behind, upTo);
      moved += batches;
      behind = upTo;
    }
  }
  return moved;
}

/** Puts the batches of a group that stand behind this key, up to the bytes of a stage. */
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

/** The groups that have anything here but entries where they stand now. */
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
