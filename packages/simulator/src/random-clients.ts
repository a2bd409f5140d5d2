/**
 * Clients that write, read and change the members at random, and remember what they were told.
 *
 * Rules:
 * 1. What was acknowledged is there in the end, at each member.
 * 2. A confirmed read sees what was acknowledged, or read, before it began, or something newer.
 * 3. Each request is answered in the end, unless whoever got it is gone.
 */
import type { PeerId } from '@conclave/protocol';
import type { Actor, Answer, CoreMesh } from './mesh/core-mesh.js';

interface Write {
  readonly key: string;
  readonly value: string;
  readonly requestId: number;
}

interface Read {
  readonly key: string;
  /** The revision that it must not fall short of. */
  readonly atLeast: number;
}

const sharedKeys = ['a', 'b'];

export class RandomClients {
  /** Each to a key of its own. */
  private readonly writes: Write[] = [];
  private readonly sharedWrites = new Map<number, string>();
  private readonly reads = new Map<number, Read>();
  private readonly commands: { readonly requestId: number; readonly isChange: boolean }[] = [];
  private readonly revisions = new Map<string, number>();
  private readsDone = 0;
  private values = 0;

  constructor(
    private readonly mesh: CoreMesh,
    private readonly peers: readonly PeerId[],
  ) {}

  /** Whom a request reaches: of several that serve, any. */
  private server(): Actor | undefined {
    const { servers, random } = this.mesh;
    return servers[random.below(servers.length)];
  }

  write(): void {
    const server = this.server();
    if (server === undefined) return;
    this.values += 1;
    const value = `v${this.values}`;
    if (this.mesh.random.next() < 0.5) {
      const key = `k${this.values}`;
      this.writes.push({ key, value, requestId: this.mesh.put(server, key, value) });
    } else {
      const key = sharedKeys[this.mesh.random.below(sharedKeys.length)] as string;
      this.sharedWrites.set(this.mesh.put(server, key, value), key);
    }
  }

  read(): void {
    const server = this.server();
    if (server === undefined) return;
    const key = sharedKeys[this.mesh.random.below(sharedKeys.length)] as string;
    const atLeast = this.revisions.get(key) ?? 0;
    const requestId = this.mesh.get(server, key);
    this.reads.set(requestId, { key, atLeast });
    const answer = this.mesh.answer(requestId);
    // Answered within the same step, before it was known what it was.
    if (answer !== undefined) this.onAnswered(requestId, answer);
  }

  /** Something for an operator to ask. */
  command(): void {
    const server = this.server();
    if (server === undefined) return;
    const { mesh, peers } = this;
    const { random } = mesh;
    const dice = random.next();
    const ask = (isChange: boolean, requestId: number) => this.commands.push({ requestId, isChange });
    if (dice < 0.6) {
      const newPeers = peers.filter(() => random.next() < 0.6);
      const body = { new_peers: newPeers, timeout_ms: 3000 };
      if (newPeers.length > 0) ask(true, mesh.admin(server, 'group', 'change_peers', body));
    } else if (dice < 0.75) ask(false, mesh.admin(server, 'group', 'cancel_change', {}));
    else if (dice < 0.9) ask(false, mesh.admin(server, 'group', 'transfer_leader', {}));
    else {
      const peer = peers[random.below(peers.length)] as PeerId;
      if (!mesh.actor(peer, 'node').isUp) return;
      ask(false, mesh.admin(peer, 'peer', 'bootstrap', { peers, timeout_ms: 3000 }));
    }
  }

  onAnswered(requestId: number, answer: Answer | 'silence'): void {
    if (answer === 'silence' || !('result' in answer)) return;
    const written = this.sharedWrites.get(requestId);
    if (written !== undefined) {
      const { results } = answer.result as { results: [[string, number, boolean]] };
      this.sawRevision(written, results[0][1]);
    }
    const read = this.reads.get(requestId);
    if (read === undefined) return;
    const [[, revision]] = answer.result as [[unknown, number]];
    if (revision < read.atLeast) {
      throw new Error(`a read of ${read.key} saw revision ${revision}, and ${read.atLeast} was known before it began`);
    }
    this.readsDone += 1;
    this.sawRevision(read.key, revision);
  }

  private sawRevision(key: string, revision: number): void {
    this.revisions.set(key, Math.max(revision, this.revisions.get(key) ?? 0));
  }

  checkAtTheEnd(members: readonly PeerId[]): void {
    for (const { key, value, requestId } of this.writes) {
      if (!this.isDone(requestId)) continue;
      for (const peer of members) {
        const found = this.mesh.valueAt(peer, key) as { value: unknown };
        if (found.value !== value)
          throw new Error(`${key} was acknowledged and is ${JSON.stringify(found)} at ${peer}`);
      }
    }
    const asked = [
      ...this.writes.map(({ requestId }) => requestId),
      ...this.sharedWrites.keys(),
      ...this.reads.keys(),
      ...this.commands.map(({ requestId }) => requestId),
    ];
    for (const requestId of asked) {
      if (this.mesh.answer(requestId) === undefined && this.mesh.isAskedOfTheLiving(requestId)) {
        throw new Error(`request ${requestId} was never answered`);
      }
    }
  }

  private isDone(requestId: number): boolean {
    const answer = this.mesh.answer(requestId);
    return answer !== undefined && answer !== 'silence' && 'result' in answer;
  }

  counts(): { acknowledged: number; reads: number; changes: number } {
    return {
      acknowledged: this.writes.filter(({ requestId }) => this.isDone(requestId)).length,
      reads: this.readsDone,
      changes: this.commands.filter(({ requestId, isChange }) => isChange && this.isDone(requestId)).length,
    };
  }
}
