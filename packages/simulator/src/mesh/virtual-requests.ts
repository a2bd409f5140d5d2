/**
 * Requests over the virtual network: which nodes receive them, and how their replies return. Each node handles its requests by
 * the `RequestHandler` of production, and bodies are encoded and decoded as there.
 *
 * Owns: the handlers of the nodes that run. Does not own the clients (`virtual-client.ts`).
 */

import type { Instant } from '@conclave/actor/core';
import type { Reply, RequestTarget } from '@conclave/client';
import { KvService } from '@conclave/kv';
import {
  type Addressee,
  type GroupHost,
  type NodeCore,
  type NodeEffect,
  type NodeInput,
  RequestHandler,
} from '@conclave/node';
import { decode, decodeRequest, type ErrorBody, encode, type PeerId, StatusReply } from '@conclave/protocol';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import { summaryOf } from '../invariants/record/nodes.js';
import type { Actor } from './actor.js';
import { countEvent } from './coverage.js';
import { type DiscoveryHost, discoverHosts } from './discover-hosts.js';
import type { MeshWatcher } from './mesh-watcher.js';
import type { NodeReply } from './run-observer.js';
import type { Endpoint } from './virtual-network.js';

type Request = Parameters<RequestHandler['receive']>[2];

/** What the requests need of the mesh. */
export interface RequestHost extends DiscoveryHost {
  /** The nodes that serve the group's subjects. */
  readonly servers: Actor[];
  nodesOf(peerId: PeerId): Actor[];
  timeOf(actor: Actor): Instant;
  readonly watcher: MeshWatcher | undefined;
  onWatchServed(actor: Actor, operation: 'watch' | 'unwatch', watchId: string): void;
}

interface Delivered {
  /** The same at each node that receives the message. */
  readonly attempt: object;
  readonly bytes: Uint8Array;
}

/** How long the group's leader may take to reply with its name. */
const askTimeoutMs = 1000;

export class VirtualRequests {
  /**
   * When NATS reports that nobody serves the group's subjects: as the connections and routes are; or it may also do so of a leader
   * behind a cut, as a cut may separate the servers of NATS as well; or never.
   */
  reports: 'connections' | 'connections_and_cuts' | 'never' = 'connections';
  private readonly service = new KvService();
  private readonly handlers = new Map<Actor, RequestHandler>();
  private lastRequestId = 0;
  private lastId = 0;

  constructor(private readonly mesh: RequestHost) {}

  /** Sends a request; calls `onReply` with each reply that arrives; there may be several. */
  ask(from: Endpoint, target: RequestTarget, body: unknown, onReply: (reply: Reply) => void): void {
    const { connection } = from;
    if (connection.server === undefined) {
      // The client library keeps what is published until it has a server again.
      connection.onConnected.push(() => this.ask(from, target, body, onReply));
      return;
    }
    const { network, coverage } = this.mesh;
    const listeners = this.listeners(target).filter((actor) => network.nats.isReached(connection, actor.connection));
    if (listeners.length === 0) {
      coverage.count('request without responders');
      this.mesh.after(network.conditions.delay * this.mesh.random.next(), () => onReply({ type: 'no_responders' }));
      return;
    }
    if (listeners.length > 1) coverage.count('request received by two nodes');
    const bytes = encode(body);
    const attempt = {};
    for (const listener of listeners) {
      const { generation } = listener;
      const arrivesMs = network.sendOnce<Actor>(from, listener.name, (actor) => {
        // A request to an earlier run of the process is lost; a node that has stepped down meanwhile still receives it.
        if (actor.generation !== generation) return;
        this.mesh.runOrDefer(actor, () =>
          this.receive(actor, target, { attempt, bytes }, (answer) =>
            this.sendReply(actor, from, target, answer, onReply),
          ),
        );
      });
      this.mesh.watcher?.onRequest(from, listener, target, body, arrivesMs);
    }
  }

  /** Requests the status of the group, and asks each peer whether it hosts the group, as a node does before it founds the group. */
  askGroup(actor: Actor, { askId, round }: Extract<NodeEffect, { type: 'ask_group' }>): void {
    const { generation } = actor;
    const { mesh } = this;
    let status: StatusReply | null | undefined;
    let hosts: readonly GroupHost[] | null | undefined;
    const finishIfComplete = (): void => {
      if (status === undefined || hosts === undefined || actor.generation !== generation) return;
      const input = { type: 'group_answered', askId, round, status, hosts } as const;
      mesh.runOrDefer(actor, () => mesh.step(actor, input, 'group'));
    };
    const onStatus = (answer: StatusReply | null): void => {
      if (status !== undefined) return;
      status = answer;
      finishIfComplete();
    };
    mesh.after(askTimeoutMs, () => onStatus(null));
    this.ask(actor, { api: 'admin', name: 'status' }, {}, (reply) => {
      const parsed = reply.type === 'body' ? StatusReply.safeParse(reply.body) : undefined;
      onStatus(parsed?.success === true ? parsed.data : null);
    });
    discoverHosts(mesh, actor, (found) => {
      hosts = found;
      finishIfComplete();
    });
  }

  /**
   * Sends a probe, to which only NATS replies, if no node that serves the group's subjects is connected to the same part of the
   * cluster.
   */
  probeGroup(actor: Actor, { probeId }: Extract<NodeEffect, { type: 'probe_group' }>): void {
    const { mesh } = this;
    const { connection, generation } = actor;
    const { network, coverage } = mesh;
    coverage.count('group probed');
    // Production drops what is published without a connection.
    if (connection.server === undefined || this.reports === 'never') return;
    const isServed = mesh.servers.some(
      (other) =>
        network.nats.isReached(connection, other.connection) &&
        (this.reports === 'connections' || network.isOpen(actor, other.name) || mesh.random.chance(0.5)),
    );
    if (isServed) return coverage.count('probe received by a leader');
    coverage.count(mesh.servers.length > 0 ? 'probe unserved, though a node leads' : 'probe unserved');
    mesh.after(network.conditions.delay * mesh.random.next(), () => {
      if (actor.generation !== generation || connection.server === undefined) return;
      mesh.runOrDefer(actor, () => mesh.step(actor, { type: 'group_unserved', probeId }, 'nats'));
    });
  }

  private listeners({ peerId }: RequestTarget): Actor[] {
    if (peerId === undefined) return this.mesh.servers;
    return this.mesh.nodesOf(peerId);
  }

  private sendReply(
    actor: Actor,
    from: Endpoint,
    target: RequestTarget,
    answer: unknown,
    onReply: (reply: Reply) => void,
  ): void {
    const bytes = encode(answer);
    const arrivesMs = this.mesh.network.send<Endpoint>(actor, from.name, (to) => {
      // A client that was replaced has another inbox.
      if (to !== from) return;
      onReply({ type: 'body', body: decode(bytes) });
    });
    this.mesh.watcher?.onReply(actor, from, target, answer, arrivesMs);
  }

  // ---- at a node -----------------------------------------------------------------------------------

  private receive(
    actor: Actor,
    { peerId, api, name }: RequestTarget,
    { attempt, bytes }: Delivered,
    sendBody: (body: unknown) => void,
  ): void {
    const { mesh } = this;
    const addressee: Addressee = peerId === undefined ? 'group' : 'peer';
    let body: unknown;
    let input: NodeInput | undefined;
    const send = (reply: unknown): void => {
      if (api === 'kv' && input !== undefined) {
        const { group_uid: groupUid } = summaryOf(actor);
        mesh.observer.onServed?.(actor, { operation: name, request: body, groupUid }, reply);
      }
      sendBody(reply);
    };
    const request = requestOf(name, bytes.length, {
      decode: () => {
        body = decodeRequest(bytes).value;
        return body;
      },
      reply: (reply) => {
        if (input?.type === 'watch' || input?.type === 'unwatch') mesh.onWatchServed(actor, input.type, input.watchId);
        send(reply);
        return true;
      },
      refuse: (error) => send({ error }),
    });
    this.handlerOf(actor).receive(addressee, api, request, (parse) => {
      input = parse();
      if (input === undefined) return;
      if ('requestId' in input) mesh.observer.onDelivered?.(attempt, input.requestId);
      mesh.step(actor, input, 'request');
    });
  }

  /** Passes the input of a parsed request to a node. Returns the request's number. */
  submit(actor: Actor, input: (requestId: number) => NodeInput, onReply?: (answer: NodeReply) => void): number {
    const { open } = this.handlerOf(actor);
    const request = requestOf('submitted', 0, {
      decode: () => undefined,
      reply: (result) => {
        onReply?.({ result });
        return true;
      },
      refuse: (error) => onReply?.({ error }),
    });
    const requestId = open.add(request, false, () => 'unknown');
    if (requestId === undefined) throw new Error(`${actor.name} has no room for another request`);
    open.onParsed(requestId, { reply: (result) => result, writes: true });
    this.mesh.step(actor, input(requestId), 'request');
    return requestId;
  }

  /** The node's core has replied to a request. */
  onReply(actor: Actor, requestId: number, answer: NodeReply): void {
    const { open } = this.handlerOf(actor);
    if (!open.has(requestId)) throw new Error(`request ${requestId} is answered twice, or after its node has died`);
    this.mesh.observer.onReplied?.(requestId, answer);
    if ('error' in answer) open.refuse(requestId, answer.error);
    else open.reply(requestId, answer.result);
  }

  /** The node's process has ended: its requests are not answered. */
  onCrashed(actor: Actor): void {
    this.handlers.delete(actor);
  }

  /** The node's core is replaced. */
  onRestarted(actor: Actor, error: ErrorBody): void {
    const { open } = this.handlerOf(actor);
    for (const requestId of open.ids) this.mesh.observer.onReplied?.(requestId, { error });
    open.refuseAll(error);
  }

  /** The requests that nodes which run have not answered. */
  unanswered(): { readonly requestId: number; readonly actor: Actor }[] {
    return [...this.handlers].flatMap(([actor, { open }]) => open.ids.map((requestId) => ({ requestId, actor })));
  }

  private handlerOf(actor: Actor): RequestHandler {
    const known = this.handlers.get(actor);
    if (known !== undefined) return known;
    const { mesh, service } = this;
    const handler = new RequestHandler({
      service,
      core: () => actor.core as unknown as NodeCore,
      now: () => mesh.timeOf(actor),
      generateId: () => this.generateId(),
      nextRequestId: () => ++this.lastRequestId,
      publish: (event) => countEvent(mesh.coverage, event),
      isCongested: () => false,
      messageBytes: () => Number.POSITIVE_INFINITY,
      onParseFailed: (name, error) => {
        const stack = String((error as Error).stack ?? error);
        throw new InvariantViolation('cores-keep-their-invariants', `${actor.name}: ${name}: ${stack}`);
      },
    });
    this.handlers.set(actor, handler);
    return handler;
  }

  /** Returns an id that no other call returns. Ids are not random here. */
  private generateId(): string {
    this.lastId += 1;
    return `id-${this.lastId}`.padEnd(22, '-');
  }
}

function requestOf(name: string, bytes: number, parts: Pick<Request, 'decode' | 'reply' | 'refuse'>): Request {
  return {
    name,
    bytes,
    encoding: 'msgpack',
    caller: { name: '', source: 'unknown' },
    replyEncoded: () => true,
    drop: () => {},
    ...parts,
  };
}
