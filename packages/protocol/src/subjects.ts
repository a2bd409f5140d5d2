/**
 * Subjects are built and taken apart here and nowhere else.
 *
 *     <prefix>.<group>.<peer>.<actor>.<message>.<from>   to that actor
 *     <prefix>.<group>.<peer>.feed.<message>.<from>      to several actors of that peer
 *     <prefix>.<group>.<peer>.<actor>.health             request, answered by that actor
 *     <prefix>.<group>.<peer>.<actor>.metrics            request, answered by that actor
 *     <prefix>.<group>.<peer>.admin.<command>            request, answered by that peer's node
 *     <prefix>.<group>.<peer>.kv.<operation>             request, answered by that peer's node (reads)
 *     <prefix>.<group>.admin.<command>                   request, answered by the leader
 *     <prefix>.<group>.kv.<operation>                    request, answered by the leader
 *     <prefix>.<group>.event.<event>.<from>              for observers
 *     <prefix>.<group>.watch.<owner>.<id>                what changes, for the client that asked (older ones: one token)
 *     <prefix>.<group>.history.<from>                    which history that peer leads, for the other leaders of that name
 *     <prefix>.admin.<peer>.<command>                    request, answered by the process of that peer's log-stores
 *     <prefix>.admin.<peer>.groups.<from>                the groups that peer hosts, for its other processes and for observers
 *     <prefix>.admin.<peer>.<actor>.<command>            request, answered by the process of that actor of the peer
 *     <prefix>.admin.<peer>.<recipient>.bundle.<from>    small messages of several groups to that actor, or feed, of the peer
 *
 * `admin` is reserved, so the last four are of no group. `<from>` is the peer that publishes: NATS permissions bind a peer's
 * credential to it, and receivers compare it with the body. Peers of the first version leave it out (`ofFirstVersion`).
 */

import { ConclaveError } from './errors.js';
import { healthToken } from './health.js';
import { groupListToken } from './host.js';
import { metricsToken } from './metrics.js';
import { type ActorKind, actorKinds, type GroupId, type PeerId, tokenPattern } from './types.js';

export const defaultPrefix = 'conclave';

/** An actor of a peer, or the feed of the peer, to which several actors subscribe. */
export type Recipient = ActorKind | 'feed';

/** The destination of a message between actors. */
export interface Address {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly recipient: Recipient;
}

/** The actor that answers a request: the leader of the group, or one peer's node. */
export type Api = 'admin' | 'kv';

export type ParsedSubject =
  | { readonly type: 'message'; readonly address: Address; readonly message: string; readonly from?: PeerId }
  | { readonly type: 'health'; readonly address: Address }
  | { readonly type: 'metrics'; readonly address: Address }
  | {
      readonly type: 'request';
      readonly groupId: GroupId;
      readonly peerId?: PeerId;
      readonly api: Api;
      readonly name: string;
    }
  | { readonly type: 'event'; readonly groupId: GroupId; readonly event: string; readonly from?: PeerId }
  | { readonly type: 'watch'; readonly groupId: GroupId; readonly watchId: string }
  | { readonly type: 'led_history'; readonly groupId: GroupId; readonly peerId: PeerId }
  | { readonly type: 'host'; readonly peerId: PeerId; readonly name: string }
  | { readonly type: 'process'; readonly peerId: PeerId; readonly actor: ActorKind; readonly name: string }
  | { readonly type: 'group_list'; readonly peerId: PeerId; readonly from: PeerId }
  | { readonly type: 'bundle'; readonly peerId: PeerId; readonly recipient: Recipient; readonly from?: PeerId };

/** The name under which nodes answer NATS's service discovery (ADR-32), and the requests of that protocol. */
export const serviceName = 'conclave';
export const serviceVerbs = ['PING', 'INFO', 'STATS'] as const;

/** The subject of requests to the services of this name, and to the one with this id; `*`: any id. */
export function serviceSubjects(verb: (typeof serviceVerbs)[number], id: string): string[] {
  return [`$SRV.${verb}`, `$SRV.${verb}.${serviceName}`, `$SRV.${verb}.${serviceName}.${id}`];
}

/** The subject on which all nodes are asked for their group and peer. */
export const discoverySubject = `$SRV.INFO.${serviceName}`;

/** Replaces the group's name in subjects that belong to no group. */
const hostToken = 'admin';
/** Names the subject of a bundle. */
const bundleToken = 'bundle';

/** Builds and parses the subjects under one prefix. */
export class Subjects {
  /** @throws ConclaveError EINVAL if the prefix is not one or more tokens joined by dots. */
  constructor(readonly prefix: string = defaultPrefix) {
    if (!prefix.split('.').every((token) => tokenPattern.test(token))) {
      throw new ConclaveError('EINVAL', `the prefix ${JSON.stringify(prefix)} is not a subject`);
    }
  }

  message(address: Address, message: string, from: PeerId | '*'): string {
    return `${this.prefix}.${address.groupId}.${address.peerId}.${address.recipient}.${message}.${from}`;
  }

  /** All messages to an actor (or feed) of a peer. */
  messages(address: Address): string {
    return this.message(address, '*', '*');
  }

  /** The subject of requests for the health of an actor. */
  health({ groupId, peerId, recipient }: Address): string {
    return `${this.prefix}.${groupId}.${peerId}.${recipient}.${healthToken}`;
  }

  /** The subject of requests for the metrics of an actor. */
  metrics({ groupId, peerId, recipient }: Address): string {
    return `${this.prefix}.${groupId}.${peerId}.${recipient}.${metricsToken}`;
  }

  groupRequest(groupId: GroupId, api: Api, name: string): string {
    return `${this.prefix}.${groupId}.${api}.${name}`;
  }

  peerRequest(groupId: GroupId, peerId: PeerId, api: Api, name: string): string {
    return `${this.prefix}.${groupId}.${peerId}.${api}.${name}`;
  }

  event(groupId: GroupId, event: string, from: PeerId | '*'): string {
    return `${this.prefix}.${groupId}.event.${event}.${from}`;
  }

  /** All events of a group. */
  events(groupId: GroupId): string {
    return this.event(groupId, '*', '*');
  }

  /** What is published for a watch; `watchId` is one token or `<owner>.<id>`. */
  watch(groupId: GroupId, watchId: string): string {
    return `${this.prefix}.${groupId}.watch.${watchId}`;
  }

  /** The subject on which a leader publishes which history it leads; `*`: the subjects of all leaders. */
  historyAnnouncement(groupId: GroupId, peerId: PeerId | '*'): string {
    return `${this.prefix}.${groupId}.history.${peerId}`;
  }

  /** All messages between the actors of a group, for observers. */
  groupMessages(groupId: GroupId): string {
    return `${this.prefix}.${groupId}.*.*.*.*`;
  }

  /** A request to the process of a peer's log-stores; `*`: any. */
  host(peerId: PeerId, name: string): string {
    return `${this.prefix}.${hostToken}.${peerId}.${name}`;
  }

  /** A request to the process that hosts an actor of a peer; `*`: any. */
  process(peerId: PeerId, actor: ActorKind, name: string): string {
    return `${this.prefix}.${hostToken}.${peerId}.${actor}.${name}`;
  }

  /** The groups that a peer hosts, as it publishes them. */
  groupList(peerId: PeerId): string {
    return `${this.prefix}.${hostToken}.${peerId}.${groupListToken}.${peerId}`;
  }

  /** The lists of all peers. */
  groupLists(): string {
    return `${this.prefix}.${hostToken}.*.${groupListToken}.*`;
  }

  /** Messages of several groups to one actor of a peer, or to its feed. */
  bundle(peerId: PeerId, recipient: Recipient, from: PeerId | '*'): string {
    return `${this.prefix}.${hostToken}.${peerId}.${recipient}.${bundleToken}.${from}`;
  }

  /** All bundles, for observers. */
  bundles(): string {
    return `${this.prefix}.${hostToken}.*.*.${bundleToken}.*`;
  }

  /** All that is published to a peer in a group. */
  toPeer(groupId: GroupId, peerId: PeerId): string {
    return `${this.prefix}.${groupId}.${peerId}.>`;
  }

  /** All that is published to a peer in no group: requests to its host, bundles, and its own list. */
  toHost(peerId: PeerId): string {
    return `${this.prefix}.${hostToken}.${peerId}.>`;
  }

  /** The subject on which the first version publishes the same, or listens for it: without `<from>`. */
  ofFirstVersion(subject: string): string {
    return subject.slice(0, subject.lastIndexOf('.'));
  }

  /** Parses the subject; undefined: it is none of Conclave's. */
  parse(subject: string): ParsedSubject | undefined {
    if (!subject.startsWith(`${this.prefix}.`)) return undefined;
    const [groupId, ...tokens] = subject.slice(this.prefix.length + 1).split('.') as [GroupId, ...string[]];
    if (tokens.length < 2 || tokens.length > 4) return undefined;
    return (groupId as string) === hostToken ? parseHostSubject(tokens) : parseGroupSubject(groupId, tokens);
  }
}

function parseGroupSubject(groupId: GroupId, tokens: readonly string[]): ParsedSubject | undefined {
  const [first, second = '', third, fourth] = tokens;
  if (first === 'watch') {
    if (fourth !== undefined) return undefined;
    return { type: 'watch', groupId, watchId: third === undefined ? second : `${second}.${third}` };
  }
  if (first === 'event') {
    if (fourth !== undefined) return undefined;
    return { type: 'event', groupId, event: second, ...(third === undefined ? {} : { from: third as PeerId }) };
  }
  if (third === undefined) {
    if (first === 'history') return { type: 'led_history', groupId, peerId: second as PeerId };
    return isApi(first) ? { type: 'request', groupId, api: first, name: second } : undefined;
  }
  const peerId = first as PeerId;
  if (isApi(second)) {
    return fourth === undefined ? { type: 'request', groupId, peerId, api: second, name: third } : undefined;
  }
  if (!isRecipient(second)) return undefined;
  const address = { groupId, peerId, recipient: second };
  if (fourth !== undefined) return { type: 'message', address, message: third, from: fourth as PeerId };
  if (third === healthToken) return { type: 'health', address };
  return third === metricsToken ? { type: 'metrics', address } : { type: 'message', address, message: third };
}

function parseHostSubject(tokens: readonly string[]): ParsedSubject | undefined {
  const [first, second = '', third, fourth] = tokens;
  const peerId = first as PeerId;
  if (third === undefined) return { type: 'host', peerId, name: second };
  if (second === groupListToken && fourth === undefined) return { type: 'group_list', peerId, from: third as PeerId };
  if (!isRecipient(second)) return undefined;
  if (third !== bundleToken) {
    return second === 'feed' || fourth !== undefined
      ? undefined
      : { type: 'process', peerId, actor: second, name: third };
  }
  return { type: 'bundle', peerId, recipient: second, ...(fourth === undefined ? {} : { from: fourth as PeerId }) };
}

function isApi(token: string | undefined): token is Api {
  return token === 'admin' || token === 'kv';
}

function isRecipient(token: string): token is Recipient {
  return token === 'feed' || (actorKinds as readonly string[]).includes(token);
}
