/** An actor of a peer as a process of its own: its core, its clock, its timers, its connection. */
import type { Instant } from '@conclave/actor/core';
import type { NodeSummary } from '@conclave/node';
import type { ActorKind, PeerId, StatusReply } from '@conclave/protocol';
import type { Random } from './random.js';
import { VirtualClock } from './virtual-clock.js';
import { NatsConnection, preferredServer } from './virtual-nats.js';

export interface Effect {
  readonly type: string;
}

export interface AnyCore {
  step(input: unknown, at: Instant): readonly Effect[];
}

/** What a node's core has reported since the step of this number (`invariants/record/nodes.ts`). */
export interface CoreReports {
  core: AnyCore | undefined;
  stepCount: number;
  summary: NodeSummary | undefined;
  status: StatusReply | undefined;
}

/** `duplicate-node`: the second node of a peer, started by mistake. */
export type ProcessKind = ActorKind | 'duplicate-node';

export class Actor {
  readonly name: string;
  readonly owner: string;
  readonly kind: ActorKind;
  readonly connection: NatsConnection;
  readonly clock = new VirtualClock();
  isUp = true;
  /** Increased when its core is replaced, so that nothing meant for the previous core is delivered. */
  generation = 1;
  /** The number of each timer's last setting. */
  readonly timers = new Map<string, number>();
  /** While it is paused: the inputs that wait. */
  waiting: (() => void)[] | undefined;
  /** The write that its disk is executing. */
  writing: (() => void) | undefined;
  isIdlePending = false;
  /**
   * Increased before and after each step of its core: odd during a step. What was read from a core at an even number
   * stays valid until it changes.
   */
  stepCount = 0;
  readonly reports: CoreReports = { core: undefined, stepCount: 0, summary: undefined, status: undefined };

  constructor(
    readonly peerId: PeerId,
    readonly processKind: ProcessKind,
    public core: AnyCore,
    /** Its own stream, over all its generations. */
    readonly random: Random,
  ) {
    this.name = `${peerId}.${processKind}`;
    this.owner = peerId;
    this.kind = processKind === 'duplicate-node' ? 'node' : processKind;
    this.connection = new NatsConnection(preferredServer(peerId));
  }

  /** Whether its core is taking a step. */
  get isStepping(): boolean {
    return this.stepCount % 2 === 1;
  }
}
