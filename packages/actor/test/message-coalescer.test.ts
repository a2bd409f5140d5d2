import { asGroupId, asPeerId, limits, type Message, type Recipient } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { MessageCoalescer, RunQueue } from '../src/index.js';
import { append, seqOf, stored, tick } from './messages.js';

const n2 = asPeerId('n2');

function of(groupId: string, message: Message): Message {
  return { ...message, body: { ...message.body, group_id: asGroupId(groupId) } } as Message;
}

/** What is published, in order: a message by its group and number, a bundle with all of its own. */
function gathering(): { bundles: MessageCoalescer; published: string[]; turns: RunQueue } {
  const published: string[] = [];
  const turns = new RunQueue();
  const textOf = (message: Message) => `${message.body.group_id}${seqOf(message)}`;
  const sink = {
    publish: (_peerId: unknown, message: Message) => published.push(textOf(message)),
    publishBundle: (_peerId: unknown, recipient: Recipient, messages: readonly Message[]) =>
      published.push(`${recipient}(${messages.map(textOf).join(' ')})`),
  };
  return { bundles: new MessageCoalescer(sink, turns), published, turns };
}

describe('Bundles', () => {
  it('gather what goes to one actor kind of one peer in a turn, whatever its group', () => {
    const { bundles, published } = gathering();
    bundles.send(n2, of('a', tick(1)));
    bundles.send(n2, of('b', tick(2)));
    bundles.send(n2, of('a', stored(3)));
    bundles.send(n2, of('b', stored(4)));
    bundles.send(n2, of('a', tick(5)));
    expect(published).toEqual([]);
    expect(bundles.runOnce()).toBe(false);
    expect(published).toEqual(['log-store(a1 b2 a5)', 'feed(a3 b4)']);
  });

  it('leave the messages of one group alone', () => {
    const { bundles, published } = gathering();
    bundles.send(n2, of('a', tick(1)));
    bundles.send(n2, of('a', tick(2)));
    bundles.runOnce();
    expect(published).toEqual(['a1', 'a2']);
  });

  it('publish at once what is not bundled, unless its group has something before it', () => {
    const { bundles, published } = gathering();
    bundles.send(n2, of('a', tick(1)));
    bundles.send(n2, of('b', append(2)));
    expect(published).toEqual(['b2']);
    bundles.send(n2, of('a', append(3)));
    bundles.send(n2, of('a', tick(4)));
    bundles.send(n2, of('b', tick(5)));
    bundles.runOnce();
    expect(published).toEqual(['b2', 'log-store(a1 b5)', 'a3', 'a4']);
  });

  it('keep the order of a group if an actor receives two of them', () => {
    const { bundles, published } = gathering();
    const direct = (groupId: string, seq: number): Message =>
      of(groupId, {
        name: 'replicator.tick',
        body: { ...tick(seq).body, term: 1, tick_id: 1, commit_index: 1 },
      } as never);
    bundles.send(n2, of('a', stored(1)));
    bundles.send(n2, direct('a', 2));
    bundles.send(n2, direct('b', 3));
    bundles.send(n2, direct('c', 4));
    bundles.send(n2, of('c', stored(5)));
    bundles.runOnce();
    expect(published).toEqual(['a1', 'replicator(b3 c4)', 'a2', 'c5']);
  });

  it('are bounded', () => {
    const { bundles, published } = gathering();
    for (let seq = 1; seq <= limits.bundleMessages; seq++) bundles.send(n2, of(seq % 2 === 0 ? 'a' : 'b', tick(seq)));
    expect(published).toHaveLength(1);
  });

  it('are sent by themselves, after those that were queued before', async () => {
    const { bundles, published, turns } = gathering();
    const order: string[] = [];
    const turn = (take: () => void) => ({
      runOnce: () => {
        take();
        return false;
      },
    });
    turns.enqueue(
      turn(() => {
        bundles.send(n2, of('a', tick(1)));
        order.push('first');
      }),
    );
    const second = new Promise<void>((resolve) => {
      turns.enqueue(
        turn(() => {
          bundles.send(n2, of('b', tick(2)));
          order.push(`second, ${published.length} published`);
          turns.enqueue(turn(resolve));
        }),
      );
    });
    await second;
    expect(order).toEqual(['first', 'second, 0 published']);
    expect(published).toEqual(['log-store(a1 b2)']);
  });
});
