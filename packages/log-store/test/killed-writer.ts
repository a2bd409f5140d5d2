/**
 * A process that writes batches without end, in several groups through one scheduler, and says of each what is synced:
 * a line `<group> <last index>`. It is made to be killed.
 */
import { writeSync } from 'node:fs';
import { asGroupId, asLogIndex, asSession, asTerm, encodeBatch, type GroupId } from '@conclave/protocol';
import { batchKey } from '../src/core/index.js';
import { LevelLogStorage } from '../src/level-log-storage.js';
import { WriteScheduler } from '../src/write-scheduler.js';

const [folder = '', ...groups] = process.argv.slice(2);
const storage = new LevelLogStorage({ folder });
await storage.open();
const scheduler = new WriteScheduler(storage);
await Promise.all(groups.map((group) => writeOn(asGroupId(group))));

async function writeOn(groupId: GroupId): Promise<void> {
  const { lastBatch } = await storage.load(groupId);
  let index = lastBatch === undefined ? 1 : Number(lastBatch.key.slice(-16)) + 1;
  for (;;) {
    // Sizes of all kinds, some larger than a block of LevelDB's log.
    const payload = new Uint8Array((index * 7919) % 60_000).fill(index % 256);
    const value = encodeBatch('commands', asTerm(1), asLogIndex(index), [payload]);
    const note = { group_id: groupId, last_index: asLogIndex(index), term: asTerm(1), session: asSession(1) };
    await scheduler.submit([{ type: 'put', key: batchKey(groupId, index), value }], { ...note, voted_for: '' });
    writeSync(1, `${groupId} ${index}\n`);
    index += 1;
  }
}
