/** A snapshot on its way to a follower that stores chunks in order, crashes now and then, and does not receive everything. */
import type { Body, Message, ReplicatorMessage } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { commands, head, LedGroup, rejected, snapshotStored, stored } from './replicator-harness.js';

const chunks = 40;
const snapshot = head(900, chunks);

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function draws(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Transfer {
  readonly group = new LedGroup();
  /** Chunks that the follower has synced. */
  private synced = 0;
  private isInstalled = false;
  sent = 0;
  private readonly onTheWay: Message[] = [];

  constructor(
    private readonly draw: () => number,
    private readonly loss: number,
  ) {
    this.receive(this.group.lead('n2', 1000));
  }

  /** Ticks until it has caught up, at most so often. Answers how many it took. */
  run(maxTicks: number): number {
    for (let tick = 0; ; tick++) {
      this.carryAll();
      if (this.group.progress()[0]?.match_index === 1000) return tick;
      expect(tick, 'it has caught up by now').toBeLessThan(maxTicks);
      this.receive(this.group.tickMessage());
    }
  }

  private receive(message: ReplicatorMessage): void {
    for (const effect of this.group.step(message)) if (effect.type === 'send') this.onTheWay.push(effect.message);
  }

  private carryAll(): void {
    for (let next = this.onTheWay.shift(); next !== undefined; next = this.onTheWay.shift()) {
      if (this.draw() >= this.loss) this.carry(next);
    }
  }

  private carry(message: Message): void {
    switch (message.name) {
      case 'log-store.read':
        return this.answer(this.read(message.body));
      case 'log-store.read_snapshot':
        return this.answer(this.group.chunk(message.body.request_id, message.body.number, 'z1', snapshot));
      case 'node.append_entries':
        return this.onAppendEntries(message.body);
      case 'node.install_snapshot':
        return this.onInstallSnapshot(message.body);
      default:
    }
  }

  /** The log begins behind the snapshot. */
  private read({ request_id, from_index }: Body<'log-store.read'>): ReplicatorMessage {
    if (from_index <= 900) return this.group.entries(request_id, from_index, 0, [], { refusal: 'compacted' });
    return this.group.entries(request_id, from_index, 4, [commands(901, 1000)]);
  }

  private onAppendEntries({ prev_index, request_id, batches }: Body<'node.append_entries'>): void {
    const lastIndex = this.isInstalled ? 900 : 0;
    if (prev_index > lastIndex) return this.answer(rejected('n2', request_id, lastIndex));
    this.answer(stored('n2', batches.length > 0 ? 1000 : prev_index));
  }

  private onInstallSnapshot({ chunk, number, request_id }: Body<'node.install_snapshot'>): void {
    if (chunk.length > 0) {
      this.sent += 1;
      if (number === this.synced) this.synced += 1;
    }
    // A follower that crashes keeps what is synced; what was on its way to it is gone.
    if (this.loss > 0 && this.draw() < 0.02) this.onTheWay.length = 0;
    if (this.synced === chunks && (this.loss === 0 || this.draw() < 0.3)) this.isInstalled = true;
    this.answer(snapshotStored('n2', request_id, 'z1', this.isInstalled ? 'installed' : this.synced));
  }

  private answer(message: ReplicatorMessage): void {
    if (this.draw() >= this.loss) this.receive(message);
  }
}

describe('a snapshot', () => {
  it('is sent without a tick, each chunk once, if nothing is lost', () => {
    const transfer = new Transfer(draws(1), 0);
    expect(transfer.run(0)).toBe(0);
    expect(transfer.sent).toBe(chunks);
  });

  it('promise 19: arrives although messages are lost, and continues after the last chunk that was stored', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const draw = draws(seed);
      const transfer = new Transfer(draw, draw() / 3);
      transfer.run(2000);
      expect(transfer.sent, `seed ${seed}`).toBeLessThan(chunks * 12);
    }
  });
});
