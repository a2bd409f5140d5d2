import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type ActorContext, InProcessTransport, silentLog } from '@conclave/actor';
import { asLogIndex, type Message, type MessageName } from '@conclave/protocol';
import { Level } from 'level';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { batchKey } from '../src/core/index.js';
import { DiskMonitor } from '../src/disk-monitor.js';
import { LevelLogStorage } from '../src/level-log-storage.js';
import type { LogStorage } from '../src/log-storage.js';
import { LogStoreActor } from '../src/log-store-actor.js';
import { MemoryLogStorage } from '../src/memory-log-storage.js';
import { WriteScheduler } from '../src/write-scheduler.js';
import { bringing, readSnapshot, snapshotOf, type TestSnapshot } from './snapshots.js';
import { append, batch, brief, groupId, leader, open, read, self, tick } from './store-harness.js';
import { makeFolder } from './temporary-folder.js';

/** Hears what one actor is sent, and waits for what it wants. */
class Receiver {
  readonly received: Message[] = [];
  private waiting: { readonly name: MessageName; readonly resolve: (message: Message) => void } | undefined;

  readonly receive = (message: Message): void => {
    this.received.push(message);
    if (this.waiting?.name === message.name) this.waiting.resolve(message);
  };

  /** All that was received but the free space of the disk, which is measured independently of the messages. */
  answers(): string[] {
    return brief(this.received.filter(({ name }) => name !== 'node.disk'));
  }

  async next(name: MessageName): Promise<string> {
    const message = await new Promise<Message>((resolve) => {
      this.waiting = { name, resolve };
    });
    return brief([message]).join();
  }
}

describe('the log-store as an actor', () => {
  let transport: InProcessTransport;
  let node: Receiver;
  let ballotBox: Receiver;
  let failures: unknown[];
  let ends: (() => Promise<unknown>)[];

  beforeEach(() => {
    transport = new InProcessTransport();
    node = new Receiver();
    ballotBox = new Receiver();
    failures = [];
    ends = [() => transport.close()];
    transport.subscribe({ groupId, peerId: self, actor: 'node' }, node.receive);
    transport.subscribe({ groupId, peerId: leader, actor: 'ballot-box' }, ballotBox.receive);
  });

  afterEach(async () => {
    for (const end of ends.reverse()) await end();
  });

  async function startActor(storage: LogStorage, incarnation = 'run-1', session = 0): Promise<LogStoreActor> {
    await storage.open();
    ends.push(() => storage.close());
    const fail: ActorContext['fail'] = (error) => failures.push(error);
    const context = {
      groupId,
      peerId: self,
      actor: 'log-store',
      incarnation,
      transport,
      log: silentLog,
      fail,
    } as const;
    const disk = new DiskMonitor({ folder: import.meta.dirname, reserveBytes: 0 });
    const actor = new LogStoreActor(context, { storage, scheduler: new WriteScheduler(storage), disk });
    ends.push(() => actor.stop());
    actor.start();
    expect(await node.next('node.welcome')).toBe(`welcome ${incarnation} session ${session}`);
    return actor;
  }

  async function openSession(): Promise<void> {
    transport.send(self, open('nonce-1', 'run-1', 0));
    expect(await node.next('node.opened')).toBe('opened 1 term 0 last 0 commit 0');
  }

  it('opens, stores, acknowledges to node and leader, and reads', async () => {
    const folder = await makeFolder();
    ends.push(folder.remove);
    const actor = await startActor(new LevelLogStorage({ folder: folder.path }));
    await openSession();
    const batches = [batch(1, 3, 1), batch(4, 3, 1)];
    const stored = ballotBox.next('feed.stored');
    transport.send(self, append({ seq: 1, verified: 6, batches }));
    expect(await stored).toBe('stored 6 for n2 term 1 seq 1');
    transport.send(self, append({ seq: 2, term: 2, truncateFrom: 5, verified: 5, batches: [batch(5, 1, 2)] }));
    expect(await ballotBox.next('feed.stored')).toBe('stored 5 for n2 term 2 seq 2');
    transport.send(self, read({ reader: 'node', term: 0, from: 5 }));
    expect(await node.next('node.entries')).toBe('node.entries 1 after term 1');
    expect(actor.health()).toEqual({ healthy: true, reason: '' });
    expect(actor.dropped).toEqual({});
    expect(failures).toEqual([]);
  });

  it('stops for its group alone if its data are damaged, and its health reports that', async () => {
    const storage = new MemoryLogStorage();
    const actor = await startActor(storage);
    await openSession();
    const stored = ballotBox.next('feed.stored');
    transport.send(self, append({ seq: 1, verified: 3, batches: [batch(1, 3, 1)] }));
    await stored;
    storage.rows.get(batchKey(groupId, 1))?.fill(0, 30);
    const answers = node.answers();
    transport.send(self, read({ reader: 'node', term: 0 }));
    await until(() => !actor.health().healthy);
    transport.send(self, tick(1));
    await until(() => actor.dropped.failed !== undefined);
    expect(actor.health().reason).toMatch(/ECORRUPT: group main, key ~\/main\/0000000000000001, index 1/);
    expect(node.answers(), 'nothing more is said').toEqual(answers);
    expect(failures, 'the process goes on').toEqual([]);
  });

  it('keeps a snapshot, purges the entries that it covers, and reads it back', async () => {
    const folder = await makeFolder();
    ends.push(folder.remove);
    const storage = new LevelLogStorage({ folder: folder.path });
    const actor = await startActor(storage);
    await openSession();
    const snapshot = await takeSnapshot();
    transport.send(self, readSnapshot({ number: 1, reader: 'node' }));
    expect(await node.next('node.snapshot_chunk')).toBe('node.snapshot_chunk 1 of s1');
    const answer = node.received.at(-1) as Message<'node.snapshot_chunk'>;
    expect(Buffer.compare(answer.body.chunk, snapshot.chunks[1] ?? new Uint8Array())).toBe(0);
    transport.send(self, read({ reader: 'node', term: 0, from: 3 }));
    expect(await node.next('node.entries')).toBe('node.entries compacted');
    await actor.stop();
    expect(await storage.batchKeysFrom(groupId, asLogIndex(0)), 'cleared when it has stopped').toEqual([
      batchKey(groupId, 4),
    ]);
  });

  it('promise 17: stops for its group if a bit of a chunk has flipped in LevelDB, and reports where', async () => {
    const folder = await makeFolder();
    ends.push(folder.remove);
    const first = new LevelLogStorage({ folder: folder.path });
    const before = await startActor(first);
    await openSession();
    const snapshot = await takeSnapshot();
    await before.stop();
    await first.close();
    await flipInTable(path.join(folder.path, 'level'), snapshot.chunks[2] ?? new Uint8Array());
    const actor = await startActor(new LevelLogStorage({ folder: folder.path }), 'run-2', 1);
    transport.send(self, open('nonce-2', 'run-2', 1));
    await node.next('node.opened');
    for (const number of [0, 1]) {
      transport.send(self, readSnapshot({ number, session: 2, reader: 'node' }));
      await node.next('node.snapshot_chunk');
    }
    transport.send(self, readSnapshot({ number: 2, session: 2, reader: 'node' }));
    await until(() => !actor.health().healthy);
    expect(actor.health().reason).toMatch(/ECORRUPT: group main, key main\/s\/0{15}1\/0{15}2, index 5: .* damaged/);
    expect(failures, 'the process goes on').toEqual([]);
  });

  /** Entries 1 to 6 in two batches, and a snapshot at 5, the log going back to 4. */
  async function takeSnapshot(): Promise<TestSnapshot> {
    const snapshot = snapshotOf('s1', 5, 1);
    transport.send(self, append({ seq: 1, verified: 6, commit: 6, batches: [batch(1, 3, 1), batch(4, 3, 1)] }));
    for (const message of bringing(snapshot, { seq: 2, compactTo: 3 })) transport.send(self, message);
    while ((await node.next('node.ack')) !== 'ack 1:1:5');
    return snapshot;
  }

  it('ends the process if the storage cannot write', async () => {
    const storage = new MemoryLogStorage({ holdSyncs: true });
    const actor = await startActor(storage);
    transport.send(self, open('nonce-1', 'run-1', 0));
    await until(() => {
      storage.crash();
      return failures.length > 0;
    });
    expect(String(failures[0])).toContain('the storage has crashed');
    expect(actor.health().healthy).toBe(false);
  });
});

/** Flips a bit in the middle of what was stored. */
async function flipInTable(level: string, stored: Uint8Array): Promise<void> {
  // Opening moves the log into a table.
  const raw = new Level(level, { compression: false });
  await raw.open();
  await raw.close();
  for (const name of (await readdir(level)).filter((each) => each.endsWith('.ldb'))) {
    const bytes = await readFile(path.join(level, name));
    const at = bytes.indexOf(stored);
    if (at === -1) continue;
    const damaged = at + (stored.length >> 1);
    bytes.writeUInt8(bytes.readUInt8(damaged) ^ 1, damaged);
    await writeFile(path.join(level, name), bytes);
    return;
  }
  throw new Error('it is in no table');
}

/** Runs turns of the actor until this holds; the test's own time limit ends it. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
