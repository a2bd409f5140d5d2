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
  | { readonly type: 'event'; readonly groupId: GroupId; readonly event: string };

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

  /** All messages between the actors of a group, for observers; its peers' requests are heard with them. */
  groupMessages(groupId: GroupId): string {
    return `${this.prefix}.${groupId}.*.*.*`;
  }

  /** What the subject says, or undefined where it is none of Conclave's. */
  parse(subject: string): ParsedSubject | undefined {
    if (!subject.startsWith(`${this.prefix}.`)) return undefined;
    const [groupId, second, third, fourth, ...more] = subject.slice(this.prefix.length + 1).split('.') as [
      GroupId,
      ...string[],
    ];
    if (second === undefined || third === undefined || more.length > 0) return undefined;
    if (fourth === undefined) {
      if (second === 'event') return { type: 'event', groupId, event: third };
      return isDoor(second) ? { type: 'request', groupId, door: second, name: third } : undefined;
    }
    const peerId = second as PeerId;
    if (isDoor(third)) return { type: 'request', groupId, peerId, door: third, name: fourth };
    if (!isRecipient(third)) return undefined;
    return { type: 'message', address: { groupId, peerId, recipient: third }, message: fourth };
  }
}

function isDoor(token: string): token is Door {
  return token === 'admin' || token === 'kv';
}

function isRecipient(token: string): token is Recipient {
  return token === 'feed' || (actorKinds as readonly string[]).includes(token);
}
