/** A process that writes is killed at random points, again and again: what it had reported as synced is there. */
import path from 'node:path';
import { asGroupId, asLogIndex, batchIsIntact } from '@conclave/protocol';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LevelLogStorage } from '../src/level-log-storage.js';
import { bundled, killChildren, runAndKill } from './killed-child.js';
import { makeFolder } from './temporary-folder.js';

const groups = ['one', 'two', 'three'];
const rounds = 8;
let folder: Awaited<ReturnType<typeof makeFolder>>;
let writer: string;

beforeAll(async () => {
  folder = await makeFolder();
  writer = await bundled('killed-writer', path.join(folder.path, 'program'));
}, 60_000);

afterAll(async () => {
  killChildren();
  await folder.remove();
});

/** Waits until the writer has reported this many writes, kills it, and returns the last one of each group that it had reported. */
async function writeAndKill(data: string, reports: number): Promise<Map<string, number>> {
  const reported = new Map<string, number>();
  const signal = await runAndKill([writer, data, ...groups], reports, (line) => {
    const [group = '', index = ''] = line.split(' ');
    reported.set(group, Number(index));
  });
  expect(signal).toBe('SIGKILL');
  return reported;
}

it(`keeps what it reported through ${rounds} times kill -9`, { timeout: 120_000 }, async () => {
  const data = path.join(folder.path, 'data');
  for (let round = 1; round <= rounds; round++) {
    const reported = await writeAndKill(data, 1 + Math.floor(Math.random() * 150));
    const storage = new LevelLogStorage({ folder: data });
    await storage.open();
    try {
      for (const [group, last] of reported) {
        const keys = await storage.batchKeysFrom(asGroupId(group), asLogIndex(1));
        expect(keys.length, `${group} in round ${round}`).toBeGreaterThanOrEqual(last);
        expect(keys.length, 'at most the write that was cut off is there as well').toBeLessThanOrEqual(last + 1);
        const bounds = { maxBytes: 1e9, maxBatches: 1e6 };
        const range = { fromIndex: asLogIndex(1), lastIndex: asLogIndex(last), ...bounds };
        const rows = await storage.readBatches(asGroupId(group), range);
        expect(rows.filter(({ value }) => batchIsIntact(value))).toHaveLength(last);
      }
    } finally {
      await storage.close();
    }
  }
});
