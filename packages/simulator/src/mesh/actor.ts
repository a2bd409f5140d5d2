/** An actor of a peer as a process of its own: its core, its clock, its timers, its connection. */
import type { Instant } from '@conclave/actor/core';
import type { ActorKind, PeerId } from '@conclave/protocol';
import type { Random } from './random.js';
import { VirtualClock } from './virtual-clock.js';
import { NatsConnection, preferredServer } from './virtual-nats.js';

export interface Effect {
  readonly type: string;
}

export interface AnyCore {
  step(input: unknown, at: Instant): readonly Effect[];
}

/** `rival`: the second node of a peer, which somebody has started by mistake. */
export type ProcessKind = ActorKind | 'duplicate-node';

export class Actor {
  readonly name: string;
  readonly owner: string;
  readonly kind: ActorKind;
  readonly connection: NatsConnection;
  readonly clock = new VirtualClock();
  isUp = true;
  /** Raised when its core is replaced, so that what was meant for the one before is not delivered. */
  generation = 1;
  /** The number of each timer's last setting. */
  readonly timers = new Map<string, number>();
  /** While it is paused: what has happened to it since. */
  waiting: (() => void)[] | undefined;
  /** The write that its disk is about to finish. */
  writing: (() => void) | undefined;
  isIdlePending = false;
  /** Raised as its core begins a step and as it ends it: odd while it takes one. What is known of a core as of an even number stays true. */
  stepCount = 0;

  constructor(
    readonly peerId: PeerId,
    readonly processKind: ProcessKind,
    public core: AnyCore,
    /** Its own, over all its lives. */
    readonly random: Random,
  ) {
    this.name = `${peerId}.${processKind}`;
    this.owner = peerId;
    this.kind = processKind === 'duplicate-node' ? 'node' : processKind;
    this.connection = new NatsConnection(preferredServer(peerId));
  }
}
