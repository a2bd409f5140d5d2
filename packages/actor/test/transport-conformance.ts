/**
 * What every transport must do, whatever carries its messages: the numbered promises of src/transport.ts. A transport
 * is shown to hold them by running this suite on it.
 */
import { type ActorKind, asGroupId, asPeerId, limits, type Message, type PeerId } from '@conclave/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Receive, Transport } from '../src/index.js';
import { append, entries, seqOf, stored, tick } from './messages.js';

/** Two peers' processes with their transports; for a transport within a process both may be the same. */
export interface TransportPair {
  readonly n1: Transport;
  readonly n2: Transport;
  /** Settled when what was said so far, `listen` included, has been taken by whatever carries it. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const groupId = asGroupId('g');
const n1 = asPeerId('n1');
const n2 = asPeerId('n2');

/** Receives, and tells when it has received so much. */
class Ear {
  readonly heard: Message[] = [];
  private waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  readonly receive: Receive = (message) => {
    this.heard.push(message);
    for (const { resolve } of this.waiting.filter(({ count }) => this.heard.length >= count)) resolve();
    this.waiting = this.waiting.filter(({ count }) => this.heard.length < count);
  };

  get seqs(): number[] {
    return this.heard.map(seqOf);
  }

  async has(count: number): Promise<void> {
    if (this.heard.length < count) await new Promise<void>((resolve) => this.waiting.push({ count, resolve }));
  }
}

/**
 * @param open opens a fresh pair
 * @param encodes whether messages are encoded, and so bound in size
 */
export function describeTransport(name: string, open: () => Promise<TransportPair>, encodes: boolean): void {
  describe(name, () => {
    let pair: TransportPair;

    beforeEach(async () => {
      pair = await open();
    });
    afterEach(async () => {
      await pair.close();
    });

    /** Hears as an actor of a peer, in that peer's process. */
    function listen(peerId: PeerId, actor: ActorKind, ear: Ear | Receive): { close(): void } {
      const transport = peerId === n1 ? pair.n1 : pair.n2;
      return transport.subscribe({ groupId, peerId, actor }, ear instanceof Ear ? ear.receive : ear);
    }

    it('brings a feed’s message also to whoever overhears it, until that ends', async () => {
      const [own, other] = [new Ear(), new Ear()];
      listen(n1, 'log-store', own);
      const overhearing = pair.n2.subscribeToPeerFeed({ groupId, peerId: n1, name: 'feed.append' }, other.receive);
      await pair.settled();
      await overhearing.ready;
      pair.n1.send(n1, append(1));
      pair.n1.send(n1, stored(2));
      await Promise.all([own.has(1), other.has(1)]);
      overhearing.close();
      await pair.settled();
      pair.n1.send(n1, append(3));
      await own.has(2);
      await pair.settled();
      expect(own.seqs).toEqual([1, 3]);
      expect(other.heard).toEqual([append(1)]);
    });

    for (const [where, target, actor, make] of [
      ['within a peer', n1, 'log-store', tick],
      ['between peers', n2, 'node', entries],
    ] as const) {
      it(`brings messages in order, ${where}`, async () => {
        const ear = new Ear();
        listen(target, actor, ear);
        await pair.settled();
        const seqs = Array.from({ length: 2000 }, (_, index) => index + 1);
        for (const seq of seqs) pair.n1.send(target, make(seq));
        await ear.has(2000);
        expect(ear.seqs).toEqual(seqs);
        expect(ear.heard[6]).toEqual(make(7));
      });

      it(`brings a feed’s message to each actor that listens to it, ${where}`, async () => {
        const ears = { 'log-store': new Ear(), replicator: new Ear(), 'ballot-box': new Ear(), node: new Ear() };
        for (const each of ['log-store', 'replicator', 'ballot-box', 'node'] as const) {
          listen(target, each, ears[each]);
        }
        await pair.settled();
        // Entries for a log-store are on its own peer's feed alone.
        const appends = target === n1 ? [1, 3] : [];
        for (const seq of appends) pair.n1.send(target, append(seq));
        pair.n1.send(target, stored(2));
        await Promise.all([ears['log-store'].has(appends.length), ears.replicator.has(1), ears['ballot-box'].has(1)]);
        expect(ears['log-store'].seqs).toEqual(appends);
        expect(ears.replicator.heard).toEqual([stored(2)]);
        expect(ears['ballot-box'].heard).toEqual([stored(2)]);
        expect(ears.node.heard).toEqual([]);
      });

      it(`brings a message with as many bytes of batches as one may have, ${where}`, async () => {
        const ear = new Ear();
        listen(target, actor, ear);
        await pair.settled();
        const message = (target === n1 ? append : entries)(1, limits.appendBytes - 1024);
        pair.n1.send(target, message);
        await ear.has(1);
        const [heard] = ear.heard;
        expect(heard?.name).toBe(message.name);
        const batches = (heard as typeof message).body.batches.map((batch) => Buffer.from(batch));
        expect(batches.map((batch, index) => batch.equals(message.body.batches[index] as Uint8Array))).toEqual([true]);
      });

      it(`is undisturbed by a receiver that throws, ${where}`, async () => {
        const before = new Ear();
        const after = new Ear();
        listen(target, 'replicator', before);
        listen(target, 'ballot-box', () => {
          throw new Error('no, thank you');
        });
        listen(target, 'replicator', after);
        await pair.settled();
        for (let seq = 1; seq <= 3; seq++) pair.n1.send(target, stored(seq));
        await Promise.all([before.has(3), after.has(3)]);
        expect([before.seqs, after.seqs]).toEqual([
          [1, 2, 3],
          [1, 2, 3],
        ]);
        const dropped = target === n1 ? pair.n1.dropped : pair.n2.dropped;
        expect(Object.values(dropped).reduce((sum, count) => sum + count, 0)).toBe(3);
      });

      it(`delivers nothing before send returns, ${where}`, async () => {
        const ear = new Ear();
        let sending = false;
        listen(target, actor, (message, bytes) => {
          expect(sending).toBe(false);
          ear.receive(message, bytes);
        });
        await pair.settled();
        sending = true;
        pair.n1.send(target, make(1));
        sending = false;
        await ear.has(1);
      });
    }

    it('brings nothing to other groups, peers and actors', async () => {
      const right = new Ear();
      const wrong = new Ear();
      listen(n2, 'node', right);
      listen(n1, 'node', wrong);
      listen(n2, 'log-store', wrong);
      pair.n2.subscribe({ groupId: asGroupId('h'), peerId: n2, actor: 'node' }, wrong.receive);
      await pair.settled();
      pair.n1.send(n2, entries(1));
      await right.has(1);
      pair.n1.send(n2, entries(2));
      await right.has(2);
      expect(wrong.heard).toEqual([]);
    });

    it('drops what is sent to nobody, and goes on', async () => {
      const ear = new Ear();
      listen(n2, 'node', ear);
      await pair.settled();
      pair.n1.send(asPeerId('nobody'), entries(1));
      pair.n1.send(n2, stored(1));
      pair.n1.send(n2, entries(2));
      await ear.has(1);
      expect(ear.seqs).toEqual([2]);
    });

    it('brings nothing to a listening that was closed', async () => {
      const closed = new Ear();
      const open = new Ear();
      const listening = listen(n2, 'replicator', closed);
      listen(n2, 'ballot-box', open);
      await pair.settled();
      pair.n1.send(n2, stored(1));
      await Promise.all([closed.has(1), open.has(1)]);
      listening.close();
      await pair.settled();
      pair.n1.send(n2, stored(2));
      await open.has(2);
      expect(closed.seqs).toEqual([1]);
    });

    it('sends nothing after close, and counts it', async () => {
      const ear = new Ear();
      listen(n1, 'log-store', ear);
      await pair.settled();
      await pair.n1.close();
      pair.n1.send(n1, tick(1));
      pair.n1.send(n2, tick(1));
      await pair.settled();
      expect(ear.heard).toEqual([]);
      const closed = Object.entries(pair.n1.dropped).filter(([reason]) => reason.includes('closed'));
      expect(closed.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThanOrEqual(2);
    });

    if (encodes) {
      it('drops and counts what is too large for a message', async () => {
        const ear = new Ear();
        listen(n2, 'node', ear);
        await pair.settled();
        pair.n1.send(n2, entries(1, limits.messageBytes));
        pair.n1.send(n2, entries(2));
        await ear.has(1);
        expect(ear.seqs).toEqual([2]);
        expect(pair.n1.dropped).toEqual({ 'too_large:node.append_entries': 1 });
      });
    }
  });
}
