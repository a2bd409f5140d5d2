/** Routes messages from actor to actor: it knows the recipients, not what messages mean. */
import {
  decode,
  encode,
  feedListeners,
  type Message,
  messages,
  type PeerId,
  peerFeedMessages,
} from '@conclave/protocol';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import type { Actor, ProcessKind } from './actor.js';
import type { ActorHost } from './actor-host.js';
import type { LeaderAnnouncement, MeshWatcher } from './mesh-watcher.js';

/** What travels between peers: a message to an actor, or a leader's announcement for other leaders of the group's name. */
export type Passing = Message | LeaderAnnouncement;

/** Returns whether an arriving message is delivered now; if not, `deliver` may do it later. */
export type MessageGate = (from: Actor, to: Actor, message: Passing, deliver: () => void) => boolean;

/** What the router needs of the mesh. */
export interface RouterHost extends ActorHost {
  /** Undefined: every message is delivered when it arrives. */
  readonly gate: MessageGate | undefined;
  readonly watcher: MeshWatcher | undefined;
  /** Whether an actor of that name was ever started. */
  isKnown(name: string): boolean;
  named(name: string): Actor | undefined;
}

export class MessageRouter {
  /** By node: the other peer whose feed it is subscribed to. */
  private readonly feedSubscribers = new Map<string, PeerId>();
  /** By peer and message: the names of the recipients. */
  private readonly names = new Map<PeerId, Map<string, readonly string[]>>();

  /** @param wire whether messages are encoded, decoded and parsed, as between processes; otherwise the objects are passed on */
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
      const arrivesMs = mesh.network.send<Actor>(from, name, arrive, message.name);
      mesh.watcher?.onMessage(from, name, sent, arrivesMs);
    }
  }

  /** Subscribes a node to this peer's feed; empty: to none. The node is informed a little later, as by its shell. */
  subscribeToPeerFeed(actor: Actor, peerId: PeerId | ''): void {
    const { mesh, feedSubscribers } = this;
    feedSubscribers.delete(actor.name);
    if (peerId === '') return;
    feedSubscribers.set(actor.name, peerId);
    const { generation } = actor;
    mesh.after(mesh.random.next() * mesh.network.conditions.delay, () => {
      mesh.runOrDefer(actor, () => {
        if (actor.generation !== generation || feedSubscribers.get(actor.name) !== peerId) return;
        mesh.coverage.count('a follower subscribed to its leader’s feed');
        mesh.step(actor, { type: 'feed_subscribed', peerId }, 'shell');
      });
    });
  }

  private namesOf(peerId: PeerId, message: Message): readonly string[] {
    const names = this.listeners(peerId, message);
    if (!(message.name in peerFeedMessages)) return names;
    let all = names;
    for (const [name, subscribedTo] of this.feedSubscribers) if (subscribedTo === peerId) all = [...all, name];
    return all;
  }

  /** The recipients of a message at the peer itself. */
  private listeners(peerId: PeerId, message: Message): readonly string[] {
    let known = this.names.get(peerId);
    if (known === undefined) {
      known = new Map();
      this.names.set(peerId, known);
    }
    let names = known.get(message.name);
    if (names === undefined) {
      names = recipientsOf(message).map((processKind) => `${peerId}.${processKind}`);
      known.set(message.name, names);
    }
    return names;
  }

  /** Delivers to the process that has the name now. */
  private deliver(from: Actor, to: Actor, message: Message): void {
    const { mesh } = this;
    const actor = mesh.named(to.name);
    if (actor?.isUp !== true) return;
    mesh.watcher?.onDelivered(from, actor, message);
    mesh.runOrDefer(actor, () => {
      if (actor.isUp) mesh.step(actor, { type: 'message', message }, from.name);
    });
  }
}

/** Returns the message as it arrives over NATS. */
function carried(from: Actor, { name, body }: Message): Message {
  const parsed = messages[name].schema.safeParse(decode(encode(body)));
  if (parsed.success) return { name, body: parsed.data } as Message;
  throw new InvariantViolation('messages-fit-their-schemas', `${name} of ${from.name}: ${parsed.error.message}`);
}

const processKinds = new Map<string, readonly ProcessKind[]>();

/** Returns the processes of a peer that receive a message. A duplicate node receives what the node does. */
function recipientsOf({ name }: Message): readonly ProcessKind[] {
  const known = processKinds.get(name);
  if (known !== undefined) return known;
  const recipient = name.slice(0, name.indexOf('.')) as ProcessKind | 'feed';
  const kinds = recipient === 'feed' ? feedListeners[name as keyof typeof feedListeners] : [recipient];
  const recipients: ProcessKind[] = (kinds as readonly ProcessKind[]).includes('node')
    ? [...kinds, 'duplicate-node']
    : [...kinds];
  processKinds.set(name, recipients);
  return recipients;
}
