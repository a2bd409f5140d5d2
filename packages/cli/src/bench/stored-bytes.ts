/** How fast what a joiner has got is read from its LevelDB: nothing else of the mesh is at work then. */
import { chunkKey, LevelLogStorage, stateFromRows } from '@conclave/log-store';
import { asLogIndex, batchHeader, type GroupId, limits, type PeerId } from '@conclave/protocol';

export interface StoredBytes {
  readonly bytes: number;
  readonly seconds: number;
}

/** Reads the snapshot, if there is one, and the entries behind it up to `last`, in pieces as large as a replicator's. */
export async function readStored(folder: string, groupId: GroupId, peerId: PeerId, last: number): Promise<StoredBytes> {
  const storage = new LevelLogStorage({ folder });
  await storage.open();
  try {
    const { base, snapshot } = stateFromRows({ groupId, peerId }, await storage.load(groupId));
    const began = performance.now();
    let bytes = 0;
    if (snapshot !== undefined) {
      for (let number = 0; number < snapshot.head.chunks; number++) {
        const chunk = await storage.get(chunkKey(groupId, snapshot.slot, number));
        if (chunk === undefined) throw new Error(`chunk ${number} is not there`);
        bytes += chunk.length;
      }
    }
    bytes += await readEntries(storage, groupId, base.index + 1, last);
    return { bytes, seconds: (performance.now() - began) / 1000 };
  } finally {
    await storage.close();
  }
}

async function readEntries(storage: LevelLogStorage, groupId: GroupId, from: number, last: number): Promise<number> {
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
  return bytes;
}
