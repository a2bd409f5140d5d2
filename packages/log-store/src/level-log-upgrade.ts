/**
 * Moves the entries of a store from before to where they stand now: they had the keys `<group>/e/<index>`
 * (docs/decisions/0050).
 */
import { asGroupId } from '@conclave/protocol';
import type { Level } from 'level';
import { batchKey, indexOfKey } from './core/index.js';

/** Batches that are moved at once. */
const most = 16;

/**
 * Moves them from the lowest index on, some in each write, so that a crash leaves the rest to the next opening.
 * @returns how many batches it moved
 */
export async function moveBatches(level: Level<string, Uint8Array>): Promise<number> {
  let moved = 0;
  for (const group of await groupsOf(level)) {
    for (;;) {
      const rows = await level.iterator({ gte: `${group}/e/`, lt: `${group}/e/~`, limit: most }).all();
      if (rows.length === 0) break;
      const moves = rows.flatMap(([key, value]) => [
        { type: 'put', key: batchKey(asGroupId(group), indexOfKey(key)), value } as const,
        { type: 'del', key } as const,
      ]);
      await level.batch(moves, { sync: true });
      moved += rows.length;
    }
  }
  return moved;
}

/** The groups that have records here. */
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
