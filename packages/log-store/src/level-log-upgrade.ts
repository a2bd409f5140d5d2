/**
 * Moves the entries of a store from before to where they stand now: they had the keys `<group>/e/<index>`
 * (docs/decisions/0050).
 *
 * Moving is no write in the sense of the storage, and has no number: nothing is there before that is not there after, and
 * opening compares with what was noted only then.
 */
import { asGroupId } from '@conclave/protocol';
import type { Level } from 'level';
import { batchKey, indexOfKey } from './core/index.js';

/** What is moved in one piece. */
const pieceBytes = 1024 * 1024;
const pieceBatches = 4096;

type Move =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string };

/**
 * Moves them from the lowest index on, piece by piece, so that a crash leaves the rest to the next opening.
 * @param onBegin told before the first one is moved
 * @returns how many batches it has moved
 */
export async function moveBatches(level: Level<string, Uint8Array>, onBegin: () => void): Promise<number> {
  let moved = 0;
  for (const group of await groupsOf(level)) {
    const groupId = asGroupId(group);
    let moves: Move[] = [];
    let bytes = 0;
    // One iterator for all: one that began anew would pass over all that was deleted before, each time.
    for await (const [key, value] of level.iterator({ gte: `${group}/e/`, lt: `${group}/e/~` })) {
      if (moved === 0) onBegin();
      moves.push({ type: 'put', key: batchKey(groupId, indexOfKey(key)), value }, { type: 'del', key });
      moved += 1;
      bytes += value.length;
      if (bytes < pieceBytes && moves.length < 2 * pieceBatches) continue;
      await level.batch(moves, { sync: true });
      moves = [];
      bytes = 0;
    }
    if (moves.length > 0) await level.batch(moves, { sync: true });
  }
  return moved;
}

/** The groups that have anything here but entries where they stand now. */
async function groupsOf(level: Level<string, Uint8Array>): Promise<string[]> {
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
