/**
 * Finds all peers that host a group, in two independent ways: their nodes reply to NATS's service discovery, and the processes of
 * their log-stores publish the groups that they host. So a peer whose node is down is found as well.
 *
 * Owns: the running sweep, which all groups of this process share, and the recently received lists of groups.
 *
 * Invariants:
 * 1. A sweep begins after it was requested, so its result is not older than the request.
 * 2. A sweep that NATS did not carry out, or that would have to ignore a reply because of a bound, has no result: it never
 *    reports wrongly that there is nobody. (The connection does not receive what it publishes itself, so this peer need not be
 *    found.)
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  discoverySubject,
  type GroupId,
  GroupList,
  ListGroupsReply,
  limits,
  NodeServiceInfo,
  type PeerId,
  type Subjects,
} from '@conclave/protocol';

import { type Msg, NoRespondersError } from 'nats';
import type { Connection } from './nats-connection.js';

/** A peer with a process that hosts a group. */
export interface FoundHost {
  readonly peer_id: PeerId;
  /** Its node replies to service discovery. */
  readonly has_node: boolean;
  /** What the process of its log-stores has of the group; null: unknown. */
  readonly store: Pick<ListGroupsReply['groups'][number], 'group_uid' | 'last_index'> | null;
}

interface FoundNode {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
}

interface Sweep {
  /** By group and peer. */
  readonly nodes: ReadonlyMap<string, FoundNode>;
  /** What each peer's log-stores have; undefined: no reply. */
  readonly stores: ReadonlyMap<PeerId, ListGroupsReply | undefined>;
  /** The groups that each peer's log-store process hosts. */
  readonly lists: ReadonlyMap<PeerId, GroupList>;
  readonly isWhole: boolean;
}

/** How long to wait for the replies of nodes, and then of log-store processes. */
const replyMs = 300;
/** A log-store process publishes its list every second; the subscription is kept this long after the last sweep. */
const listeningMs = 5000;
const listIsFreshMs = 3000;

type Ask = (subject: string, timeoutMs: number) => Promise<unknown>;

export class HostDiscovery {
  private readonly lists = new Map<PeerId, { readonly list: GroupList; readonly receivedMs: number }>();
  private hasTooManyLists = false;
  private running: Promise<Sweep> | undefined;
  private next: Promise<Sweep> | undefined;
  private closeTimer: NodeJS.Timeout | undefined;
  private stopListening: (() => void) | undefined;

  constructor(
    private readonly connection: Connection,
    private readonly subjects: Subjects,
    /** Sends an empty request; undefined: no reply in time. */
    private readonly ask: Ask,
  ) {}

  /** @returns all peers that host the group; null: that cannot be determined */
  async hostsOf(groupId: GroupId): Promise<FoundHost[] | null> {
    const sweep = await this.sweepFromNow();
    if (!sweep.isWhole) return null;
    const found = new Map<PeerId, FoundHost>();
    for (const [peerId, { groups }] of sweep.lists) {
      if (!groups.some(({ group_id }) => group_id === groupId)) continue;
      const stored = sweep.stores.get(peerId)?.groups.find(({ group_id }) => group_id === groupId);
      // Without a store_id it is being loaded, or cannot be loaded.
      const isKnown = stored !== undefined && stored.store_id !== '';
      const store = isKnown ? { group_uid: stored.group_uid, last_index: stored.last_index } : null;
      found.set(peerId, { peer_id: peerId, has_node: false, store });
    }
    for (const node of sweep.nodes.values()) {
      if (node.groupId !== groupId) continue;
      const peer_id = node.peerId;
      found.set(peer_id, { peer_id, has_node: true, store: found.get(peer_id)?.store ?? null });
    }
    return [...found.values()];
  }

  /** A sweep that begins no earlier than now: if one is running, the next one, which all waiting callers share. */
  private sweepFromNow(): Promise<Sweep> {
    this.listen();
    if (this.running === undefined) return this.begin();
    this.next ??= this.running.then(() => {
      this.next = undefined;
      return this.begin();
    });
    return this.next;
  }

  private begin(): Promise<Sweep> {
    const sweep = this.sweep().finally(() => {
      if (this.running === sweep) this.running = undefined;
    });
    this.running = sweep;
    return sweep;
  }

  private async sweep(): Promise<Sweep> {
    const nodes = new Map<string, FoundNode>();
    let replies = 0;
    const isCarriedOut = await this.collect(discoverySubject, (message) => {
      replies += 1;
      if (replies > limits.discoveryReplies) return;
      const node = this.nodeOf(message);
      if (node !== undefined) nodes.set(`${node.groupId}.${node.peerId}`, node);
    });
    const lists = this.freshLists();
    const lookups = [...lists.keys()].map(async (peerId) => {
      const parsed = ListGroupsReply.safeParse(await this.ask(this.subjects.host(peerId, 'list_groups'), replyMs));
      return [peerId, parsed.success ? parsed.data : undefined] as const;
    });
    const stores = new Map(await Promise.all(lookups));
    const isWhole = isCarriedOut && replies <= limits.discoveryReplies && !this.hasTooManyLists;
    return { nodes, stores, lists, isWhole };
  }

  /**
   * Publishes a request and collects all replies that come in time.
   * @returns whether NATS carried it out: there was a reply, NATS reported that there are no subscribers, or those that there are
   *   stayed silent, as a program does that subscribes to everything, while the connection was never lost
   */
  private async collect(subject: string, onReply: (message: Msg) => void): Promise<boolean> {
    let hasReply = false;
    try {
      const { nats } = this.connection;
      const before = this.connection.id;
      const replies = await nats.requestMany(subject, '', { strategy: 'timer', maxWait: replyMs });
      for await (const reply of replies) {
        hasReply = true;
        onReply(reply);
      }
      if (hasReply) return true;
      // The server replies to this after it has received the request, if that is the same connection.
      const isReceived = nats.flush().then(() => this.connection.id === before);
      return await Promise.race([isReceived, sleep(replyMs, false, { ref: false })]);
    } catch (error) {
      return hasReply || error instanceof NoRespondersError || (error as Error).name === 'NoResponders';
    }
  }

  /** The group and peer of a node under this prefix; undefined: it belongs to another system, or is not a node. */
  private nodeOf(message: Msg): FoundNode | undefined {
    try {
      const { metadata, endpoints } = NodeServiceInfo.parse(message.json());
      const { group_id: groupId, peer_id: peerId } = metadata;
      const subject = this.subjects.peerRequest(groupId, peerId, 'admin', '*');
      return endpoints.some((endpoint) => endpoint.subject === subject) ? { groupId, peerId } : undefined;
    } catch {
      return undefined;
    }
  }

  private freshLists(): Map<PeerId, GroupList> {
    const oldest = performance.now() - listIsFreshMs;
    for (const [peerId, { receivedMs }] of this.lists) if (receivedMs < oldest) this.lists.delete(peerId);
    return new Map([...this.lists].map(([peerId, { list }]) => [peerId, list]));
  }

  private listen(): void {
    clearTimeout(this.closeTimer);
    this.closeTimer = setTimeout(() => this.close(), listeningMs).unref();
    if (this.stopListening !== undefined) return;
    const lists = this.subjects.groupLists();
    // A peer of the first version may host the group too.
    const subscriptions = [lists, this.subjects.ofFirstVersion(lists)].map((subject) =>
      this.connection.subscribe(subject, (message) => this.onList(message)),
    );
    this.stopListening = () => {
      if (this.connection.nats.isClosed()) return;
      for (const subscription of subscriptions) subscription.unsubscribe();
    };
  }

  private onList(message: Msg): void {
    try {
      const list = GroupList.parse(message.json());
      const subject = this.subjects.groupList(list.peer_id);
      if (message.subject !== subject && message.subject !== this.subjects.ofFirstVersion(subject)) {
        return this.connection.count('other_sender:groups');
      }
      const isNew = !this.lists.has(list.peer_id);
      if (isNew && this.lists.size >= limits.discoveryPeers) this.hasTooManyLists = true;
      else this.lists.set(list.peer_id, { list, receivedMs: performance.now() });
    } catch {
      // Not a message of Conclave.
    }
  }

  private close(): void {
    clearTimeout(this.closeTimer);
    this.stopListening?.();
    this.stopListening = undefined;
    this.lists.clear();
    this.hasTooManyLists = false;
  }
}
