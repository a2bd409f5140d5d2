/**
 * Requests over the network: whom they reach, the node's door, and the answers. Bodies are encoded and decoded as in
 * production. It stands for the shells of nodes and clients (`node-actor.ts`, `conclave-client.ts`).
 */

import type { ReplyContext, WatchBegun, WatchClosed } from '@conclave/actor/core';
import type { Reply, RequestTarget } from '@conclave/client';
import { KvService } from '@conclave/kv';
import type { GroupHost, NodeEffect, NodeInput } from '@conclave/node';
import {
  adminCommands,
  ConclaveError,
  decode,
  decodeRequest,
  encode,
  isAdminCommand,
  limits,
  type PeerId,
  StatusReply,
} from '@conclave/protocol';
import { summaryOf } from '../invariants/record/nodes.js';
import type { Actor } from './actor.js';
import { type DiscoveryHost, discoverHosts } from './discover-hosts.js';
import type { Answer } from './run-observer.js';
import type { Endpoint } from './virtual-network.js';

type Asked = 'group' | 'peer';
type Respond = (body: unknown) => void;

interface Delivered {
  /** The same at each node that receives the message. */
  readonly attempt: object;
  readonly bytes: Uint8Array;
}

interface Understood {
  readonly input: (requestId: number) => NodeInput;
  /** @throws ConclaveError */
  readonly reply: (result: unknown, context: ReplyContext) => unknown;
  /** Of a watch that is begun or closed. */
  readonly watchId?: string;
}

/** How long the group's leader may take to say who it is. */
const askTimeoutMs = 1000;

/** What the door needs of the mesh. */
export interface RequestHost extends DiscoveryHost {
  /** The nodes that serve the group's subjects. */
  readonly servers: Actor[];
  nodesOf(peerId: PeerId): Actor[];
  request(actor: Actor, input: (requestId: number) => NodeInput, respond?: (answer: Answer) => void): number;
  onWatchServed(actor: Actor, operation: 'watch' | 'unwatch', watchId: string): void;
}

export class RequestDoor {
  private readonly service = new KvService();
  private lastId = 0;

  constructor(private readonly mesh: RequestHost) {}

  /** Sends a request; each answer that comes back is told, there may be several. */
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
      network.sendOnce<Actor>(from, listener.name, (actor) => {
        // What was sent to an earlier run of its process is lost with that; to one that has stepped down since it still comes.
        if (actor.generation !== generation) return;
        this.mesh.hand(actor, () =>
          this.take(actor, target, { attempt, bytes }, (answer) => this.answer(actor, from, answer, onReply)),
        );
      });
    }
  }

  /** Asks the group for its status, and everybody whether he hosts it, as a node does that is asked to found it. */
  askGroup(actor: Actor, { askId, round }: Extract<NodeEffect, { type: 'ask_group' }>): void {
    const { generation } = actor;
    const { mesh } = this;
    let status: StatusReply | null | undefined;
    let hosts: readonly GroupHost[] | null | undefined;
    const answered = (): void => {
      if (status === undefined || hosts === undefined || actor.generation !== generation) return;
      const input = { type: 'group_answered', askId, round, status, hosts } as const;
      mesh.hand(actor, () => mesh.step(actor, input, 'group'));
    };
    const answeredByGroup = (answer: StatusReply | null): void => {
      if (status !== undefined) return;
      status = answer;
      answered();
    };
    mesh.after(askTimeoutMs, () => answeredByGroup(null));
    this.ask(actor, { api: 'admin', name: 'status' }, {}, (reply) => {
      const parsed = reply.type === 'body' ? StatusReply.safeParse(reply.body) : undefined;
      answeredByGroup(parsed?.success === true ? parsed.data : null);
    });
    discoverHosts(mesh, actor, (found) => {
      hosts = found;
      answered();
    });
  }

  private listeners({ peerId }: RequestTarget): Actor[] {
    if (peerId === undefined) return this.mesh.servers;
    return this.mesh.nodesOf(peerId);
  }

  private answer(actor: Actor, from: Endpoint, answer: unknown, onReply: (reply: Reply) => void): void {
    const bytes = encode(answer);
    this.mesh.network.send<Endpoint>(actor, from.name, (to) => {
      // Its inbox was its own.
      if (to !== from) return;
      onReply({ type: 'body', body: decode(bytes) });
    });
  }

  /** A request has come to a node's door. */
  private take(actor: Actor, target: RequestTarget, { attempt, bytes }: Delivered, respond: Respond): void {
    const asked: Asked = target.peerId === undefined ? 'group' : 'peer';
    let request: unknown;
    let understood: Understood;
    try {
      request = decodeRequest(bytes).value;
      understood = this.understand(actor, asked, target, request);
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      respond({ error: error.toBody() });
      return;
    }
    const input = (requestId: number): NodeInput => {
      this.mesh.observer.onDelivered?.(attempt, requestId);
      return understood.input(requestId);
    };
    this.mesh.request(actor, input, (answer) => {
      if (understood.watchId !== undefined && 'result' in answer) {
        this.mesh.onWatchServed(actor, target.name as 'watch' | 'unwatch', understood.watchId);
      }
      const { group_uid: groupUid } = summaryOf(actor);
      const body = replyOf(understood, answer, { groupUid });
      const { observer } = this.mesh;
      if (target.api === 'kv') observer.onServed?.(actor, { operation: target.name, request, groupUid }, body);
      respond(body);
    });
  }

  private understand(actor: Actor, asked: Asked, { api, name }: RequestTarget, body: unknown): Understood {
    if (api === 'admin') return this.understandCommand(asked, name, body);
    const { level } = summaryOf(actor);
    const request = this.service.parse(name, body, { level, generateId: () => this.generateId() });
    const { groupUid } = request;
    if (request.type === 'read') {
      const { query, reply } = request;
      const consistency = request.consistency ?? (asked === 'peer' ? 'stale' : 'linearizable');
      const isStale = consistency === 'stale';
      const input = (requestId: number): NodeInput => {
        return { type: 'read', requestId, door: asked, consistency, query, groupUid };
      };
      return { input, reply: (result, context) => reply(result, { ...context, isStale }) };
    }
    if (asked === 'peer') throw new ConclaveError('EPERM', 'a write goes to the group, where the leader answers');
    if (request.type === 'watch') {
      const { watchId, selector, from, reply } = request;
      const input = (requestId: number): NodeInput => {
        return { type: 'watch', requestId, watchId, selector, from, groupUid, encoding: 'msgpack' };
      };
      return { input, reply: (result, context) => reply(result as WatchBegun, context), watchId };
    }
    if (request.type === 'unwatch') {
      const { watchId, reply } = request;
      return {
        input: (requestId) => ({ type: 'unwatch', requestId, watchId, groupUid }),
        reply: (result, context) => reply(result as WatchClosed, context),
        watchId,
      };
    }
    const { payload, command, reply } = request;
    if (payload.length > limits.entryBytes) throw new ConclaveError('EINVAL', 'the entry is too large');
    return { input: (requestId) => ({ type: 'propose', requestId, payload, command, groupUid }), reply };
  }

  /** Ids are not random here, and still nobody has the same. */
  private generateId(): string {
    this.lastId += 1;
    return `id-${this.lastId}`.padEnd(22, '-');
  }

  private understandCommand(asked: Asked, name: string, body: unknown): Understood {
    if (!isAdminCommand(name)) throw new ConclaveError('ENOENT', `there is no command ${name}`);
    const { answeredBy, request } = adminCommands[name];
    if (!(answeredBy as readonly string[]).includes(asked))
      throw new ConclaveError('ENOENT', `${name} is not asked here`);
    const parsed = request.safeParse(body);
    if (!parsed.success) throw new ConclaveError('EINVAL', parsed.error.message);
    return {
      input: (requestId) => ({ type: 'admin', requestId, door: asked, command: name, body: parsed.data }),
      reply: (result) => result,
    };
  }
}

function replyOf({ reply }: Understood, answer: Answer, context: ReplyContext): unknown {
  if ('error' in answer) return answer;
  try {
    return reply(answer.result, context);
  } catch (error) {
    if (!(error instanceof ConclaveError)) throw error;
    return { error: error.toBody() };
  }
}
