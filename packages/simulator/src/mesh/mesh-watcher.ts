/** Watches what happens in a mesh, for recordings and the playground. It decides nothing, and the run does not depend on it. */
import type { RequestTarget } from '@conclave/client';
import type { ConclaveEvent, HistoryAnnouncement, Message } from '@conclave/protocol';
import type { Actor } from './actor.js';
import type { Endpoint } from './virtual-network.js';

export interface MeshWatcher {
  /**
   * A message was sent to the process of this name. Each recipient of a feed has its own.
   * @param arrivesMs undefined: it is lost, or held back
   */
  onMessage(from: Actor, to: string, message: Message | LeaderAnnouncement, arrivesMs: number | undefined): void;
  /** A message has arrived at an actor, which processes it now, or when it is resumed. */
  onDelivered(from: Actor, to: Actor, message: Message | LeaderAnnouncement): void;
  /** A client or the operator has sent a request to a node. */
  onRequest(from: Endpoint, to: Actor, target: RequestTarget, body: unknown, arrivesMs: number | undefined): void;
  onReply(from: Actor, to: Endpoint, target: RequestTarget, body: unknown, arrivesMs: number | undefined): void;
  onEvent(actor: Actor, event: ConclaveEvent): void;
  /** A core has taken a step. */
  onStepped(actor: Actor): void;
  /** A process has started, ended, was paused, or continues. */
  onProcess(actor: Actor, change: ProcessChange): void;
}

export type ProcessChange = 'start' | 'crash' | 'pause' | 'resume';

/** A leader announces that it leads its history. */
export interface LeaderAnnouncement {
  readonly name: 'led_history';
  readonly body: HistoryAnnouncement;
}
