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

/** Receives messages; `has` resolves once it has received this many. */
class Receiver {
  readonly received: Message[] = [];
  private waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  readonly receive: Receive = (message) => {
    this.received.push(message);
    for (const { resolve } of this.waiting.filter(({ count }) => this.received.length >= count)) resolve();
    this.waiting = this.waiting.filter(({ count }) => this.received.length < count);
  };

  get seqs(): number[] {
    return this.received.map(seqOf);
  }

  async has(count: number): Promise<void> {
    if (this.received.length < count) await new Promise<void>((resolve) => this.waiting.push({ count, resolve }));
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
    function listen(peerId: PeerId, actor: ActorKind, receiver: Receiver | Receive): { close(): void } {
      const transport = peerId === n1 ? pair.n1 : pair.n2;
      return transport.subscribe(
        { groupId, peerId, actor },
        receiver instanceof Receiver ? receiver.receive : receiver,
      );
    }

    it('delivers a feed’s message also to subscribers of the feed in other peers, until they unsubscribe', async () => {
      const [own, other] = [new Receiver(), new Receiver()];
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
      expect(other.received).toEqual([append(1)]);
    });

    for (const [where, target, actor, make] of [
      ['within a peer', n1, 'log-store', tick],
      ['between peers', n2, 'node', entries],
    ] as const) {
      it(`delivers messages in order, ${where}`, async () => {
        const receiver = new Receiver();
        listen(target, actor, receiver);
        await pair.settled();
        const seqs = Array.from({ length: 2000 }, (_, index) => index + 1);
        for (const seq of seqs) pair.n1.send(target, make(seq));
        await receiver.has(2000);
        expect(receiver.seqs).toEqual(seqs);
        expect(receiver.received[6]).toEqual(make(7));
      });

      it(`delivers a feed’s message to each actor that subscribes to it, ${where}`, async () => {
        const receivers = {
          'log-store': new Receiver(),
          replicator: new Receiver(),
          'ballot-box': new Receiver(),
          node: new Receiver(),
        };
        for (const each of ['log-store', 'replicator', 'ballot-box', 'node'] as const) {
          listen(target, each, receivers[each]);
        }
        await pair.settled();
        // Entries for a log-store are on its own peer's feed alone.
        const appends = target === n1 ? [1, 3] : [];
        for (const seq of appends) pair.n1.send(target, append(seq));
        pair.n1.send(target, stored(2));
        await Promise.all([
          receivers['log-store'].has(appends.length),
          receivers.replicator.has(1),
          receivers['ballot-box'].has(1),
        ]);
        expect(receivers['log-store'].seqs).toEqual(appends);
        expect(receivers.replicator.received).toEqual([stored(2)]);
        expect(receivers['ballot-box'].received).toEqual([stored(2)]);
        expect(receivers.node.received).toEqual([]);
      });

      it(`delivers a message with as many bytes of batches as one may have, ${where}`, async () => {
        const receiver = new Receiver();
        listen(target, actor, receiver);
        await pair.settled();
        const message = (target === n1 ? append : entries)(1, limits.appendBytes - 1024);
        pair.n1.send(target, message);
        await receiver.has(1);
        const [received] = receiver.received;
        expect(received?.name).toBe(message.name);
        const batches = (received as typeof message).body.batches.map((batch) => Buffer.from(batch));
        expect(batches.map((batch, index) => batch.equals(message.body.batches[index] as Uint8Array))).toEqual([true]);
      });

      it(`is undisturbed by a receiver that throws, ${where}`, async () => {
        const before = new Receiver();
        const after = new Receiver();
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
        const receiver = new Receiver();
        let sending = false;
        listen(target, actor, (message, bytes) => {
          expect(sending).toBe(false);
          receiver.receive(message, bytes);
        });
        await pair.settled();
        sending = true;
        pair.n1.send(target, make(1));
        sending = false;
        await receiver.has(1);
      });
    }

    it('delivers nothing to other groups, peers and actors', async () => {
      const right = new Receiver();
      const wrong = new Receiver();
      listen(n2, 'node', right);
      listen(n1, 'node', wrong);
      listen(n2, 'log-store', wrong);
      pair.n2.subscribe({ groupId: asGroupId('h'), peerId: n2, actor: 'node' }, wrong.receive);
      await pair.settled();
      pair.n1.send(n2, entries(1));
      await right.has(1);
      pair.n1.send(n2, entries(2));
      await right.has(2);
      expect(wrong.received).toEqual([]);
    });

    it('drops messages without a receiver, and continues', async () => {
      const receiver = new Receiver();
      listen(n2, 'node', receiver);
      await pair.settled();
      pair.n1.send(asPeerId('nobody'), entries(1));
      pair.n1.send(n2, stored(1));
      pair.n1.send(n2, entries(2));
      await receiver.has(1);
      expect(receiver.seqs).toEqual([2]);
    });

    it('delivers nothing to a subscription that was closed', async () => {
      const closed = new Receiver();
      const open = new Receiver();
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
      const receiver = new Receiver();
      listen(n1, 'log-store', receiver);
      await pair.settled();
      await pair.n1.close();
      pair.n1.send(n1, tick(1));
      pair.n1.send(n2, tick(1));
      await pair.settled();
      expect(receiver.received).toEqual([]);
      const closed = Object.entries(pair.n1.dropped).filter(([reason]) => reason.includes('closed'));
      expect(closed.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThanOrEqual(2);
    });

    if (encodes) {
      it('drops and counts what is too large for a message', async () => {
        const receiver = new Receiver();
        listen(n2, 'node', receiver);
        await pair.settled();
        pair.n1.send(n2, entries(1, limits.messageBytes));
        pair.n1.send(n2, entries(2));
        await receiver.has(1);
        expect(receiver.seqs).toEqual([2]);
        expect(pair.n1.dropped).toEqual({ 'too_large:node.append_entries': 1 });
      });
    }
  });
}
