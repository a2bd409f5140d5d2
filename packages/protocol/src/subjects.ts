/**
 * Subjects are built and taken apart here and nowhere else.
 *
 *     <prefix>.<group>.<peer>.<actor>.<message>      to that actor
 *     <prefix>.<group>.<peer>.feed.<message>         to several actors of that peer
 *     <prefix>.<group>.<peer>.admin.<command>        request, answered by that peer's node
 *     <prefix>.<group>.<peer>.kv.<operation>         request, answered by that peer's node (stale reads)
 *     <prefix>.<group>.admin.<command>               request, answered by the leader
 *     <prefix>.<group>.kv.<operation>                request, answered by the leader
 *     <prefix>.<group>.event.<event>                 for observers
 *     <prefix>.<group>.watch.<owner>.<id>            what changes, for the client that asked (older ones: one token)
 *     <prefix>.<group>.history.<peer>                which history that peer leads, for the other leaders of that name
 *     <prefix>.admin.<peer>.<command>                request, answered by the process of that peer's log-stores
 *     <prefix>.admin.<peer>.groups                   the groups that peer hosts, for its other processes and for observers
 *     <prefix>.admin.<peer>.<recipient>.bundle       small messages of several groups to that actor, or feed, of the peer
 *
 * `admin` is reserved, so the last three are of no group.
 */

import { ConclaveError } from './errors.js';
import { type ActorKind, actorKinds, type GroupId, type PeerId, tokenPattern } from './words.js';

export const defaultPrefix = 'conclave';

/** An actor of a peer, or the feed that several of them hear. */
export type Recipient = ActorKind | 'feed';

/** Where a message between actors goes. */
export interface Address {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly recipient: Recipient;
}

/** Who answers a request: the leader of the group, or one peer's node. */
export type Door = 'admin' | 'kv';

export type ParsedSubject =
  | { readonly type: 'message'; readonly address: Address; readonly message: string }
  | {
      readonly type: 'request';
      readonly groupId: GroupId;
      readonly peerId?: PeerId;
      readonly door: Door;
      readonly name: string;
    }
  | { readonly type: 'event'; readonly groupId: GroupId; readonly event: string }
  | { readonly type: 'watch'; readonly groupId: GroupId; readonly watchId: string }
  | { readonly type: 'led_history'; readonly groupId: GroupId; readonly peerId: PeerId }
  | { readonly type: 'host'; readonly peerId: PeerId; readonly name: string }
  | { readonly type: 'bundle'; readonly peerId: PeerId; readonly recipient: Recipient };

/** Stands where a group's name would, in subjects that are of none. */
const ofNoGroup = 'admin';
/** The last token of a bundle's subject. */
const bundleWord = 'bundle';

/** Builds and parses the subjects under one prefix. */
export class Subjects {
  /** @throws ConclaveError EINVAL where the prefix is not one or more tokens joined by dots. */
  constructor(readonly prefix: string = defaultPrefix) {
    if (!prefix.split('.').every((token) => tokenPattern.test(token))) {
      throw new ConclaveError('EINVAL', `the prefix ${JSON.stringify(prefix)} is not a subject`);
    }
  }

  message(address: Address, message: string): string {
    return `${this.prefix}.${address.groupId}.${address.peerId}.${address.recipient}.${message}`;
  }

  /** All messages to an actor (or feed) of a peer. */
  messages(address: Address): string {
    return this.message(address, '*');
  }

  groupRequest(groupId: GroupId, door: Door, name: string): string {
    return `${this.prefix}.${groupId}.${door}.${name}`;
  }

  peerRequest(groupId: GroupId, peerId: PeerId, door: Door, name: string): string {
    return `${this.prefix}.${groupId}.${peerId}.${door}.${name}`;
  }

  event(groupId: GroupId, event: string): string {
    return `${this.prefix}.${groupId}.event.${event}`;
  }

  /** All events of a group. */
  events(groupId: GroupId): string {
    return this.event(groupId, '*');
  }

  /** What is published for a watch; `watchId` is one token or `<owner>.<id>`. */
  watch(groupId: GroupId, watchId: string): string {
    return `${this.prefix}.${groupId}.watch.${watchId}`;
  }

  /** Where a leader publishes which history it leads; `*`: where all do. */
  ledHistory(groupId: GroupId, peerId: PeerId | '*'): string {
    return `${this.prefix}.${groupId}.history.${peerId}`;
  }

  /** All messages between the actors of a group, for observers; its peers' requests are heard with them. */
  groupMessages(groupId: GroupId): string {
    return `${this.prefix}.${groupId}.*.*.*`;
  }

  /** A request to the process of a peer's log-stores, or the list that it publishes. */
  host(peerId: PeerId, name: string): string {
    return `${this.prefix}.${ofNoGroup}.${peerId}.${name}`;
  }

  /** What all peers' hosts publish or are asked by that name. */
  hosts(name: string): string {
    return `${this.prefix}.${ofNoGroup}.*.${name}`;
  }

  /** Messages of several groups to one actor of a peer, or to its feed. */
  bundle(peerId: PeerId, recipient: Recipient): string {
    return `${this.prefix}.${ofNoGroup}.${peerId}.${recipient}.${bundleWord}`;
  }

  /** All bundles, for observers. */
  bundles(): string {
    return `${this.prefix}.${ofNoGroup}.*.*.${bundleWord}`;
  }

  /** What the subject says, or undefined where it is none of Conclave's. */
  parse(subject: string): ParsedSubject | undefined {
    if (!subject.startsWith(`${this.prefix}.`)) return undefined;
    const [groupId, second, third, fourth, ...more] = subject.slice(this.prefix.length + 1).split('.') as [
      GroupId,
      ...string[],
    ];
    if (second === undefined || third === undefined || more.length > 0) return undefined;
    if ((groupId as string) === ofNoGroup) return parseOfNoGroup(second as PeerId, third, fourth);
    if (second === 'watch') {
      return { type: 'watch', groupId, watchId: fourth === undefined ? third : `${third}.${fourth}` };
    }
    if (fourth === undefined) {
      if (second === 'event') return { type: 'event', groupId, event: third };
      if (second === 'history') return { type: 'led_history', groupId, peerId: third as PeerId };
      return isDoor(second) ? { type: 'request', groupId, door: second, name: third } : undefined;
    }
    const peerId = second as PeerId;
    if (isDoor(third)) return { type: 'request', groupId, peerId, door: third, name: fourth };
    if (!isRecipient(third)) return undefined;
    return { type: 'message', address: { groupId, peerId, recipient: third }, message: fourth };
  }
}

function parseOfNoGroup(peerId: PeerId, third: string, fourth: string | undefined): ParsedSubject | undefined {
  if (fourth === undefined) return { type: 'host', peerId, name: third };
  return fourth === bundleWord && isRecipient(third) ? { type: 'bundle', peerId, recipient: third } : undefined;
}

function isDoor(token: string): token is Door {
  return token === 'admin' || token === 'kv';
}

function isRecipient(token: string): token is Recipient {
  return token === 'feed' || (actorKinds as readonly string[]).includes(token);
}
