/** The events that nodes publish in a run: counted, traced, and passed to those that observe the run. */
import type { ConclaveEvent, PeerId, StatusReply } from '@conclave/protocol';
import { summaryOf } from '../invariants/record/nodes.js';
import type { Actor, ProcessKind } from './actor.js';
import { type Coverage, countEvent } from './coverage.js';
import type { MeshWatcher } from './mesh-watcher.js';
import type { RunObserver } from './run-observer.js';
import { fieldsText } from './trace-text.js';

/** What the events need of the mesh. */
export interface EventHost {
  readonly coverage: Coverage;
  readonly observer: RunObserver;
  readonly watcher: MeshWatcher | undefined;
  readonly trace: ((line: string) => void) | undefined;
  readonly nowMs: number;
  /** Returns the time as traces show it. */
  time(): string;
  isServing(actor: Actor): boolean;
  isUp(peerId: PeerId, processKind: ProcessKind): boolean;
  status(peerId: PeerId): StatusReply;
  /** Called with each event, for clients that subscribe to them. */
  onEvent(actor: Actor, event: ConclaveEvent): void;
}

/** An event with its publisher, and milliseconds since the run began. */
export interface PublishedEvent {
  readonly atMs: number;
  readonly peerId: PeerId;
  readonly event: ConclaveEvent;
}

export class PublishedEvents {
  /** All events of the run so far. */
  readonly all: PublishedEvent[] = [];

  constructor(private readonly mesh: EventHost) {}

  publish(actor: Actor, event: ConclaveEvent): void {
    const { mesh } = this;
    mesh.trace?.(`${mesh.time()} ${actor.name} event ${event.name} ${fieldsText(event.detail)}`);
    this.all.push({ atMs: mesh.nowMs, peerId: actor.peerId, event });
    mesh.watcher?.onEvent(actor, event);
    countEvent(mesh.coverage, event);
    if (event.name === 'leader_elected' || event.name === 'read_only_changed') this.countReadOnlyLeaders();
    mesh.observer.onEvent?.(actor.peerId, summaryOf(actor).term, event, mesh.isServing(actor));
    mesh.onEvent(actor, event);
  }

  /** Counts if the leader is read-only, and so is its predecessor. */
  private countReadOnlyLeaders(): void {
    const { mesh } = this;
    const elected = this.all.filter(({ event }) => event.name === 'leader_elected').map(({ peerId }) => peerId);
    const last = elected.at(-1);
    const before = elected.findLast((peerId) => peerId !== last);
    const isReadOnly = (peerId: PeerId | undefined): boolean =>
      peerId !== undefined && mesh.isUp(peerId, 'node') && mesh.status(peerId).read_only !== '';
    if (isReadOnly(last) && isReadOnly(before)) mesh.coverage.count('leader and its predecessor are read-only');
  }
}
