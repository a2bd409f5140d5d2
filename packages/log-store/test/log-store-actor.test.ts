import { type ActorContext, InProcessTransport, silentLog } from '@conclave/actor';
import type { Message, MessageName } from '@conclave/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { batchKey } from '../src/core/index.js';
import { DiskWatch } from '../src/disk-watch.js';
import { LevelLogStorage } from '../src/level-log-storage.js';
import type { LogStorage } from '../src/log-storage.js';
import { LogStoreActor } from '../src/log-store-actor.js';
import { MemoryLogStorage } from '../src/memory-log-storage.js';
import { WriteScheduler } from '../src/write-scheduler.js';
import { makeFolder } from './folder.js';
import { append, batch, brief, groupId, leader, open, read, self, tick } from './store-on-a-bench.js';

/** Hears what one actor is sent, and waits for what it wants. */
class Ear {
  readonly heard: Message[] = [];
  private waiting: { readonly name: MessageName; readonly resolve: (message: Message) => void } | undefined;

  readonly receive = (message: Message): void => {
    this.heard.push(message);
    if (this.waiting?.name === message.name) this.waiting.resolve(message);
  };

  async next(name: MessageName): Promise<string> {
    const message = await new Promise<Message>((resolve) => {
      this.waiting = { name, resolve };
    });
    return brief([message]).join();
  }
}

describe('the log-store as an actor', () => {
  let transport: InProcessTransport;
  let node: Ear;
  let ballotBox: Ear;
  let failures: unknown[];
  let ends: (() => Promise<unknown>)[];

  beforeEach(() => {
    transport = new InProcessTransport();
    node = new Ear();
    ballotBox = new Ear();
    failures = [];
    ends = [() => transport.close()];
    transport.listen({ groupId, peerId: self, actor: 'node' }, node.receive);
    transport.listen({ groupId, peerId: leader, actor: 'ballot-box' }, ballotBox.receive);
  });

  afterEach(async () => {
    for (const end of ends.reverse()) await end();
  });

  async function startActor(storage: LogStorage): Promise<LogStoreActor> {
    await storage.open();
    ends.push(() => storage.close());
    const fail: ActorContext['fail'] = (error) => failures.push(error);
    const context = {
      groupId,
      peerId: self,
      actor: 'log-store',
      incarnation: 'run-1',
      transport,
      log: silentLog,
      fail,
    } as const;
    const disk = new DiskWatch({ folder: import.meta.dirname, reserveBytes: 0 });
    const actor = new LogStoreActor(context, { storage, scheduler: new WriteScheduler(storage), disk });
    ends.push(() => actor.stop());
    actor.start();
    expect(await node.next('node.welcome')).toBe('welcome run-1 session 0');
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

  it('stops for its group alone where what is stored is damaged, and says so when asked for its health', async () => {
    const storage = new MemoryLogStorage();
    const actor = await startActor(storage);
    await openSession();
    const stored = ballotBox.next('feed.stored');
    transport.send(self, append({ seq: 1, verified: 3, batches: [batch(1, 3, 1)] }));
    await stored;
    storage.rows.get(batchKey(groupId, 1))?.fill(0, 30);
    const heard = node.heard.length;
    transport.send(self, read({ reader: 'node', term: 0 }));
    await until(() => !actor.health().healthy);
    transport.send(self, tick(1));
    await until(() => actor.dropped.failed !== undefined);
    expect(actor.health().reason).toMatch(/ECORRUPT: group main, key main\/e\/0000000000000001, index 1/);
    expect(node.heard.length, 'nothing more is said').toBe(heard);
    expect(failures, 'the process goes on').toEqual([]);
  });

  it('ends the process where the storage cannot write', async () => {
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

/** Gives the actor its turns until this holds; the test's own time limit ends it. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
