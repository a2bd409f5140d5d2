/**
 * Messages within a process: the objects themselves are handed over. Nobody changes a message that was sent.
 */
import type { Message, PeerId } from '@conclave/protocol';
import { Mailbox } from './mailbox.js';
import {
  type ActorAddress,
  type Listening,
  listenersOf,
  type OverheardFeed,
  type Overhearing,
  type Receive,
  sizeOf,
  Tally,
  type Transport,
} from './transport.js';
import { processTurns, type Turns, type TurnTaker } from './turns.js';

interface Letter {
  readonly peerId: PeerId;
  readonly message: Message;
  readonly bytes: number;
}

export class InProcessTransport implements Transport, TurnTaker {
  private readonly receivers = new Map<string, Set<Receive>>();
  private readonly letters: Mailbox<Letter>;
  private readonly tally = new Tally();
  private closed = false;

  constructor(
    private readonly turns: Turns = processTurns,
    most?: { readonly messages: number; readonly bytes: number },
  ) {
    this.letters = new Mailbox(most);
  }

  get dropped(): Readonly<Record<string, number>> {
    return this.tally.counts;
  }

  send(peerId: PeerId, message: Message): void {
    const bytes = sizeOf(message);
    if (this.closed) this.tally.add('closed');
    else if (!this.letters.offer({ peerId, message, bytes }, bytes)) this.tally.add('outbound_full');
    else this.turns.ask(this);
  }

  listen(address: ActorAddress, receive: Receive): Listening {
    return this.hear(keyOf(address.groupId, address.peerId, address.actor), receive);
  }

  overhear({ groupId, peerId, name }: OverheardFeed, receive: Receive): Overhearing {
    return { ...this.hear(keyOf(groupId, peerId, name), receive), ready: Promise.resolve() };
  }

  takeTurn(): boolean {
    // What is sent from now on waits for the next turn.
    for (let left = this.letters.length; left > 0; left--) {
      const letter = this.letters.shift();
      if (letter !== undefined) this.deliver(letter);
    }
    return this.letters.length > 0;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.letters.clear();
    this.receivers.clear();
  }

  private hear(key: string, receive: Receive): Listening {
    const receivers = this.receivers.get(key) ?? new Set();
    receivers.add(receive);
    this.receivers.set(key, receivers);
    return {
      close: () => {
        receivers.delete(receive);
        if (receivers.size === 0 && this.receivers.get(key) === receivers) this.receivers.delete(key);
      },
    };
  }

  private deliver({ peerId, message, bytes }: Letter): void {
    for (const actor of listenersOf(message.name)) {
      const receivers = this.receivers.get(keyOf(message.body.group_id, peerId, actor));
      if (receivers === undefined) this.tally.add('no_receiver');
      else this.hand(message, bytes, receivers);
    }
    this.hand(message, bytes, this.receivers.get(keyOf(message.body.group_id, peerId, message.name)) ?? []);
  }

  private hand(message: Message, bytes: number, receivers: Iterable<Receive>): void {
    for (const receive of receivers) {
      try {
        receive(message, bytes);
      } catch {
        this.tally.add('receiver_threw');
      }
    }
  }
}

function keyOf(groupId: string, peerId: string, actor: string): string {
  return `${groupId}.${peerId}.${actor}`;
}
