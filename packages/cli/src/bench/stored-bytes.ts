/** Measures how fast the data of a new peer is read from its LevelDB, and copied to another, while no peer runs. */
import { chunkKey, LevelLogStorage, type Row, stateFromRows } from '@conclave/log-store';
import { asLogIndex, batchHeader, type GroupId, limits, type PeerId } from '@conclave/protocol';

export interface StoredBytes {
  readonly bytes: number;
  /** The time to read them. */
  readonly seconds: number;
  /** The time to read them and to write them to another LevelDB, synced. */
  readonly copySeconds: number;
}

/** What is stored of a group: the snapshot, if there is one, and the entries after it up to `last`. */
interface Stored {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly last: number;
}

/** Reads the store in `folder` in pieces as large as a replicator's, then copies it to a new store in `copyFolder`. */
export async function readStored(folder: string, copyFolder: string, stored: Stored): Promise<StoredBytes> {
  const storage = new LevelLogStorage({ folder });
  const copy = new LevelLogStorage({ folder: copyFolder });
  await storage.open();
  await copy.open();
  try {
    const began = performance.now();
    let bytes = 0;
    for await (const rows of pieces(storage, stored)) bytes += bytesOf(rows);
    const seconds = (performance.now() - began) / 1000;
    return { bytes, seconds, copySeconds: await copySeconds(storage, copy, stored) };
  } finally {
    await storage.close();
    await copy.close();
  }
}

/** Writes as much at once as a replicator has in flight, synced, and continues reading meanwhile. */
async function copySeconds(storage: LevelLogStorage, copy: LevelLogStorage, stored: Stored): Promise<number> {
  const began = performance.now();
  let running: Promise<void> = Promise.resolve();
  let waiting: Row[] = [];
  const write = async (): Promise<void> => {
    const operations = waiting.map(({ key, value }) => ({ type: 'put' as const, key, value }));
    waiting = [];
    await running;
    running = copy.write(operations, []);
    // The caller that awaits it receives the error.
    running.catch(() => undefined);
  };
  for await (const rows of pieces(storage, stored)) {
    waiting.push(...rows);
    if (bytesOf(waiting) >= limits.replicatorWindowBytes) await write();
  }
  await write();
  await running;
  return (performance.now() - began) / 1000;
}

async function* pieces(storage: LevelLogStorage, { groupId, peerId, last }: Stored): AsyncGenerator<readonly Row[]> {
  const { base, snapshot } = stateFromRows({ groupId, peerId }, await storage.load(groupId));
  for (let number = 0; number < (snapshot?.head.chunks ?? 0); number++) {
    const key = chunkKey(groupId, snapshot?.slot ?? 0, number);
    const value = await storage.get(key);
    if (value === undefined) throw new Error(`chunk ${number} is not there`);
    yield [{ key, value }];
  }
  for (let next = base.index + 1; next <= last; ) {
    const rows = await storage.readBatches(groupId, {
      fromIndex: asLogIndex(next),
      lastIndex: asLogIndex(last),
      maxBytes: limits.readBytes,
      maxBatches: limits.appendBatches,
    });
    const latest = rows.at(-1);
    if (latest === undefined) throw new Error(`entry ${next} is not there`);
    yield rows;
    next = batchHeader(latest.value).last + 1;
  }
}

function bytesOf(rows: readonly Row[]): number {
  return rows.reduce((bytes, { value }) => bytes + value.length, 0);
}
