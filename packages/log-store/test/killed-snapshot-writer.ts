/**
 * A process with a log-store and, in the place of its node, something that appends, takes snapshots and installs others
 * without end. Once that is acknowledged, it says so: a line `<base> <last index> <number of the snapshot> <number of the next>`. It is
 * made to be killed.
 */
import { writeSync } from 'node:fs';
import { type ActorContext, InProcessTransport, silentLog } from '@conclave/actor';
import {
  asGroupId,
  asLogIndex,
  asPeerId,
  asTerm,
  type Body,
  encodeBatch,
  type GroupUid,
  type LogStoreMessage,
  type Message,
  type MessageName,
  SnapshotChunker,
  type SnapshotHead,
} from '@conclave/protocol';
import { DiskMonitor } from '../src/disk-monitor.js';
import { LevelLogStorage } from '../src/level-log-storage.js';
import { LogStoreActor } from '../src/log-store-actor.js';
import { WriteScheduler } from '../src/write-scheduler.js';

const groupId = asGroupId('main');
const self = asPeerId('n1');
const term = asTerm(1);
const [folder = '', run = ''] = process.argv.slice(2);

const transport = new InProcessTransport();
const received: Message[] = [];
let wake = (): void => {};
for (const actor of ['node', 'ballot-box'] as const) {
  transport.subscribe({ groupId, peerId: self, actor }, (message) => {
    received.push(message);
    wake();
  });
}

const storage = new LevelLogStorage({ folder });
await storage.open();
const fail: ActorContext['fail'] = (error) => {
  throw error;
};
const context = {
  groupId,
  peerId: self,
  actor: 'log-store',
  incarnation: run,
  transport,
  log: silentLog,
  fail,
} as const;
const disk = new DiskMonitor({ folder, reserveBytes: 0 });
const actor = new LogStoreActor(context, { storage, scheduler: new WriteScheduler(storage), disk });

async function drive(): Promise<void> {
  const { body: welcome } = await next('node.welcome', () => true);
  const { session } = welcome;
  send({
    name: 'log-store.open',
    body: { group_id: groupId, nonce: run, incarnation: run, after_session: session },
  });
  const { body: opened } = await next('node.opened', () => true);
  await new Driver(opened).run();
}

/** The next message of that name that is wanted; what came before it is forgotten. */
async function next<N extends MessageName>(name: N, isWanted: (message: Message<N>) => boolean): Promise<Message<N>> {
  for (;;) {
    const message = received.shift();
    if (message === undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    } else if (message.name === name && isWanted(message as Message<N>)) return message as Message<N>;
  }
}

function send(message: LogStoreMessage): void {
  transport.send(self, message);
}

class Driver {
  private seq = 0;
  private base: number;
  private last: number;
  private snapshot: number;
  private next: number;

  constructor(private readonly opened: Body<'node.opened'>) {
    this.base = opened.base_index;
    this.last = opened.last_index;
    this.snapshot = Number(opened.snapshot?.snapshot_id ?? 0);
    // What the run before has left behind of a snapshot is no beginning of another one.
    this.next = Math.max(this.snapshot, Number(opened.installing?.snapshot_id ?? 0)) + 1;
  }

  async run(): Promise<never> {
    for (;;) {
      const chance = Math.random();
      if (this.last === 0 || chance < 0.7) await this.append();
      else if (chance < 0.92) await this.bring('taken', this.last);
      else await this.bring('installed', this.last + 50);
      writeSync(1, `${this.base} ${this.last} ${this.snapshot} ${this.next}\n`);
    }
  }

  private frame() {
    this.seq += 1;
    const { store_id, session } = this.opened;
    return { group_id: groupId, store_id, session, link: 1, seq: this.seq };
  }

  private async append(): Promise<void> {
    const payload = new Uint8Array(Math.floor(Math.random() * 20_000)).fill(this.last % 256);
    const count = 1 + Math.floor(Math.random() * 3);
    const first = asLogIndex(this.last + 1);
    const batch = encodeBatch('commands', term, first, Array<Uint8Array>(count).fill(payload));
    this.last += count;
    const match = asLogIndex(this.last);
    send({
      name: 'log-store.append',
      body: {
        ...this.frame(),
        group_uid: 'uid-1' as GroupUid,
        leader_id: self,
        leader_term: term,
        verified_index: match,
        truncate_from: asLogIndex(0),
        commit_index: match,
        batches: [batch],
      },
    });
    await next('feed.stored', ({ body }) => body.match_index >= match);
  }

  private async bring(source: 'taken' | 'installed', lastIncluded: number): Promise<void> {
    const index = asLogIndex(lastIncluded);
    const snapshot_id = `${this.next}`;
    const cutter = new SnapshotChunker(index);
    const pieces = Array.from({ length: 30 }, () => new Uint8Array(Math.random() * 60_000).fill(index % 256));
    const chunks = [...pieces.flatMap((piece) => cutter.add(piece)), ...cutter.end()];
    for (const [number, chunk] of chunks.entries()) {
      send({ name: 'log-store.snapshot_chunk', body: { ...this.frame(), snapshot_id, source, number, chunk } });
      // Some are written together, some alone.
      if (Math.random() < 0.3) await this.acknowledged();
    }
    const peers = [{ peer_id: self, store_id: this.opened.store_id }];
    const configurations = [{ index: asLogIndex(1), configuration: { peers, old_peers: [] } }];
    const head: SnapshotHead = { index, term, configurations, ...cutter.sum };
    const compact_to = asLogIndex(source === 'installed' ? index : Math.max(this.base, index - 5));
    const group_uid = 'uid-1' as GroupUid;
    send({
      name: 'log-store.snapshot_end',
      body: { ...this.frame(), snapshot_id, source, group_uid, term, head, compact_to },
    });
    await this.acknowledged();
    this.snapshot = this.next;
    this.next += 1;
    this.base = compact_to;
    this.last = Math.max(this.last, index);
  }

  private async acknowledged(): Promise<void> {
    const { seq } = this;
    await next('node.ack', ({ body }) => body.seq >= seq);
  }
}

actor.start();
await drive();
