/** How fast what a joiner has got is read from its LevelDB: nothing else of the mesh is at work then. */
import { LevelLogStorage } from '@conclave/log-store';
import { asLogIndex, batchHeader, type GroupId, limits } from '@conclave/protocol';

export interface StoredBytes {
  readonly bytes: number;
  readonly seconds: number;
}

/** Reads the entries `from..last`, in pieces as large as a replicator's. */
export async function readLog(folder: string, groupId: GroupId, from: number, last: number): Promise<StoredBytes> {
  const storage = new LevelLogStorage({ folder });
  await storage.open();
  try {
    const began = performance.now();
    let bytes = 0;
    for (let next = from; next <= last; ) {
      const rows = await storage.readBatches(groupId, {
        fromIndex: asLogIndex(next),
        lastIndex: asLogIndex(last),
        maxBytes: limits.readBytes,
        maxBatches: limits.appendBatches,
      });
      const latest = rows.at(-1);
      if (latest === undefined) throw new Error(`entry ${next} is not there`);
      for (const { value } of rows) bytes += value.length;
      next = batchHeader(latest.value).last + 1;
    }
    return { bytes, seconds: (performance.now() - began) / 1000 };
  } finally {
    await storage.close();
  }
}
