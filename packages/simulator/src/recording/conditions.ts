/** The conditions of peers and actors, as faults leave them: what changed since they were last recorded. */
import { type ActorKind, actorKinds, type PeerId } from '@conclave/protocol';
import type { Condition, FaultRecord } from '@conclave/view/records';
import type { CoreMesh } from '../mesh/core-mesh.js';

export type ConditionChange = Omit<FaultRecord, 'at' | 'kind'>;

export class Conditions {
  private readonly known = new Map<PeerId, ReadonlyMap<ActorKind, Condition>>();
  private networkVersion = 0;
  /** When a process changed; undefined: everything is recorded. */
  private changedMs: number | undefined = 0;

  constructor(private readonly mesh: CoreMesh) {}

  /** A process has started, ended, was paused, or continues. */
  onProcess(): void {
    this.changedMs ??= this.mesh.nowMs;
  }

  /** Whether changes of an earlier moment are not recorded: all that happens to a peer at one time is one fault. */
  get isDue(): boolean {
    const { mesh } = this;
    if (mesh.network.version !== this.networkVersion) this.changedMs ??= mesh.nowMs;
    return this.changedMs !== undefined && this.changedMs < mesh.nowMs;
  }

  /** Returns what changed since the last call. */
  changes(): ConditionChange[] {
    const { mesh } = this;
    if (this.changedMs === undefined && mesh.network.version === this.networkVersion) return [];
    this.changedMs = undefined;
    this.networkVersion = mesh.network.version;
    const isolated = mesh.network.isolated;
    const slow = new Set(mesh.network.slowOwners);
    return mesh.peers.flatMap((peerId) => this.changesOf(peerId, isolated, slow));
  }

  private changesOf(peerId: PeerId, isolated: ReadonlySet<string>, slow: ReadonlySet<string>): ConditionChange[] {
    const before = this.known.get(peerId);
    const network = isolated.has(peerId) ? 'cut_off' : slow.has(peerId) ? 'slow' : 'up';
    const now = new Map(actorKinds.map((kind) => [kind, this.conditionOf(peerId, kind, isolated, network)] as const));
    this.known.set(peerId, now);
    const changed = actorKinds
      .map((actor) => ({ actor, was: before?.get(actor) ?? 'up', condition: now.get(actor) ?? 'up' }))
      .filter(({ was, condition }) => was !== condition);
    const [first] = changed;
    if (first === undefined) return [];
    if (new Set(now.values()).size > 1) {
      return changed.map(({ actor, was, condition }) => {
        return { peer: peerId, actor, condition, ...wordsOf(`${peerId}.${actor}`, was, condition) };
      });
    }
    // All are alike now: the peer is in this condition, also if it was only some of its actors that were not.
    const isWhole = changed.length === actorKinds.length;
    const name = isWhole ? peerId : changed.map(({ actor }) => `${peerId}.${actor}`).join(' and ');
    return [{ peer: peerId, condition: first.condition, ...wordsOf(name, first.was, first.condition) }];
  }

  private conditionOf(peerId: PeerId, kind: ActorKind, isolated: ReadonlySet<string>, network: Condition): Condition {
    const actor = this.mesh.actor(peerId, kind);
    if (actor?.isUp !== true) return 'down';
    if (actor.waiting !== undefined) return 'paused';
    return isolated.has(`${peerId}.${kind}`) ? 'cut_off' : network;
  }
}

/** The fault in a word and in a sentence. */
function wordsOf(name: string, before: Condition, now: Condition): Pick<FaultRecord, 'fault' | 'text'> {
  switch (now) {
    case 'down':
      return { fault: 'kill', text: `${name} is killed` };
    case 'paused':
      return { fault: 'pause', text: `${name} is paused` };
    case 'cut_off':
      return { fault: 'partition', text: `${name} is cut off from others` };
    case 'slow':
      return { fault: 'slow', text: `messages from and to ${name} are slow` };
    case 'up':
      if (before === 'cut_off') return { fault: 'heal', text: `${name} is connected again` };
      if (before === 'paused') return { fault: 'resume', text: `${name} continues` };
      if (before === 'slow') return { fault: 'heal', text: `${name} is as fast as before` };
      return { fault: 'start', text: `${name} runs again` };
  }
}
