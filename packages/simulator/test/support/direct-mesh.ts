/** A mesh whose nodes receive requests directly, without network and clients. */
import { KvService } from '@conclave/kv';
import type { NodeInput } from '@conclave/node';
import { type AdminCommand, adminCommands, type PeerId } from '@conclave/protocol';
import { CoreMesh, type NodeReply } from '../../src/index.js';

export class DirectMesh extends CoreMesh {
  private readonly answers = new Map<number, NodeReply>();
  private readonly service = new KvService();

  constructor(peers: readonly PeerId[], seed = 1) {
    super(peers, seed);
    this.observer = { onReplied: (requestId, answer) => this.answers.set(requestId, answer) };
  }

  hasReply(requestId: number): boolean {
    return this.answers.has(requestId);
  }

  /** Waits for the answer. */
  answered(requestId: number, withinMs = 30_000): NodeReply {
    this.wait(`request ${requestId} is answered`, () => this.answers.has(requestId), withinMs);
    return this.answers.get(requestId) as NodeReply;
  }

  /** Runs until the condition holds; throws if it does not within this many milliseconds. */
  wait(what: string, condition: () => boolean, withinMs: number): void {
    if (!this.until(condition, withinMs)) throw new Error(`not within ${withinMs} ms: ${what}`);
  }

  admin(to: PeerId, addressee: 'group' | 'peer', command: AdminCommand, body: unknown): number {
    const parsed = adminCommands[command].request.parse(body);
    return this.ask(to, (requestId) => ({ type: 'admin', requestId, addressee, command, body: parsed }));
  }

  /** Sends it to the leader, which must exist. */
  adminOfGroup(command: AdminCommand, body: unknown = {}): number {
    this.wait('there is a leader', () => this.leader !== undefined, 30_000);
    return this.admin(this.leader as PeerId, 'group', command, body);
  }

  put(to: PeerId, key: string, value: string): number {
    const request = this.service.parse('put', { key, value });
    if (request.type !== 'write') throw new Error('a put is a write');
    const { payload, command } = request;
    return this.ask(to, (requestId) => ({ type: 'propose', requestId, payload, command }));
  }

  get(to: PeerId, key: string): number {
    const request = this.service.parse('get', { key });
    if (request.type !== 'read') throw new Error('a get is a read');
    const { query, consistency = 'linearizable' } = request;
    return this.ask(to, (requestId) => ({ type: 'read', requestId, addressee: 'group', consistency, query }));
  }

  /** Returns the value in this peer's state machine. */
  valueAt(peerId: PeerId, key: string): unknown {
    return (this.query(peerId, [key]) as [[unknown, number]])[0][0];
  }

  private ask(to: PeerId, input: (requestId: number) => NodeInput): number {
    return this.request(this.nodeActor(to), input);
  }
}
