/** Takes messages from actor to actor: who hears them, and what of them arrives. It does not know what they mean. */
import {
  decode,
  encode,
  feedListeners,
  type LedHistory,
  type Message,
  messages,
  overheard,
  type PeerId,
} from '@conclave/protocol';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import type { Actor, ActorWord } from './actor.js';
import type { ActorHost } from './actor-host.js';

/** What passes from one peer to another: a message to an actor, or what a leader publishes for the other leaders of that name. */
export type Passing = Message | { readonly name: 'led_history'; readonly body: LedHistory };

/** What the router needs of the mesh. */
export interface RouterHost extends ActorHost {
  /** Whether a message that arrives is to be delivered now; undefined: every message is. */
  readonly gate: ((from: Actor, to: Actor, message: Passing, deliver: () => void) => boolean) | undefined;
  /** Whether an actor of that name was ever started. */
  isKnown(name: string): boolean;
  named(name: string): Actor | undefined;
}

export class MessageRouter {
  /** Which node hears which other peer's feed. */
  private readonly hearing = new Map<string, PeerId>();
  /** By peer and message. */
  private readonly names = new Map<PeerId, Map<string, readonly string[]>>();

  /** @param wire whether messages are encoded, decoded and parsed, as between processes; else they are handed over */
  constructor(
    private readonly mesh: RouterHost,
    private readonly wire: boolean,
  ) {}

  send(from: Actor, peerId: PeerId, sent: Message): void {
    const { mesh } = this;
    mesh.observer.onSent?.(from, peerId, sent);
    const message = this.wire ? carried(from, sent) : sent;
    for (const name of this.namesOf(peerId, message)) {
      if (!mesh.isKnown(name)) continue;
      const arrive = (actor: Actor): void => {
        const deliver = (): void => this.deliver(from, actor, message);
        if (mesh.gate?.(from, actor, message, deliver) !== false) deliver();
      };
      mesh.network.send<Actor>(from, name, arrive, message.name);
    }
  }

  /** A node hears from now on what this peer says on its feed; empty: nobody's. Its shell tells it a little later. */
  hearFeed(actor: Actor, peerId: PeerId | ''): void {
    const { mesh, hearing } = this;
    hearing.delete(actor.name);
    if (peerId === '') return;
    hearing.set(actor.name, peerId);
    const { life } = actor;
    mesh.after(mesh.random.next() * mesh.network.conditions.delay, () => {
      mesh.hand(actor, () => {
        if (actor.life !== life || hearing.get(actor.name) !== peerId) return;
        mesh.coverage.count('a follower hears its leader’s appends');
        mesh.step(actor, { type: 'hearing_feed', peerId }, 'shell');
      });
    });
  }

  private namesOf(peerId: PeerId, message: Message): readonly string[] {
    const names = this.listeners(peerId, message);
    if (!(message.name in overheard)) return names;
    const others = [...this.hearing].filter(([, heard]) => heard === peerId).map(([name]) => name);
    return others.length === 0 ? names : [...names, ...others];
  }

  /** The processes of the peer itself that hear a message. */
  private listeners(peerId: PeerId, message: Message): readonly string[] {
    let known = this.names.get(peerId);
    if (known === undefined) {
      known = new Map();
      this.names.set(peerId, known);
    }
    let names = known.get(message.name);
    if (names === undefined) {
      names = listenersTo(message).map((word) => `${peerId}.${word}`);
      known.set(message.name, names);
    }
    return names;
  }

  /** To whoever has the name by now. */
  private deliver(from: Actor, to: Actor, message: Message): void {
    const { mesh } = this;
    const actor = mesh.named(to.name);
    if (actor?.isUp !== true) return;
    mesh.hand(actor, () => {
      if (actor.isUp) mesh.step(actor, { type: 'message', message }, from.name);
    });
  }
}

/** As it is after it went over NATS. */
function carried(from: Actor, { name, body }: Message): Message {
  const parsed = messages[name].schema.safeParse(decode(encode(body)));
  if (parsed.success) return { name, body: parsed.data } as Message;
  throw new InvariantViolation('messages-fit-their-schemas', `${name} of ${from.name}: ${parsed.error.message}`);
}

const words = new Map<string, readonly ActorWord[]>();

/** Who of a peer hears a message. A rival hears what the node does. */
function listenersTo({ name }: Message): readonly ActorWord[] {
  const known = words.get(name);
  if (known !== undefined) return known;
  const recipient = name.slice(0, name.indexOf('.')) as ActorWord | 'feed';
  const kinds = recipient === 'feed' ? feedListeners[name as keyof typeof feedListeners] : [recipient];
  const heardBy: ActorWord[] = (kinds as readonly ActorWord[]).includes('node') ? [...kinds, 'rival'] : [...kinds];
  words.set(name, heardBy);
  return heardBy;
}
