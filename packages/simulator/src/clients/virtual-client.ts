/**
 * A client of a run: the real core of `@conclave/client`, on the run's network and in its time. It owns the core, its
 * timer and its connection; what it is told goes to whoever called.
 */
import { type Call, ClientCore, type ClientEffect, type ClientInput, type Settlement } from '@conclave/client';
import type { CoreMesh } from '../mesh/core-mesh.js';
import type { Random } from '../mesh/random.js';
import { NatsConnection, preferredServer } from '../mesh/virtual-nats.js';
import type { Endpoint } from '../mesh/virtual-network.js';

/** How long a call may take. */
export const callTimeoutMs = 4000;

export class VirtualClient implements Endpoint {
  readonly owner: string;
  readonly connection: NatsConnection;
  private readonly core = new ClientCore({ timeoutMs: callTimeoutMs });
  private readonly callers = new Map<number, (settlement: Settlement) => void>();
  private lastCallId = 0;
  private timersSet = 0;
  private isIdlePending = false;
  private isDead = false;

  constructor(
    private readonly mesh: CoreMesh,
    readonly name: string,
    private readonly random: Random,
  ) {
    this.owner = name;
    this.connection = new NatsConnection(preferredServer(name));
    mesh.network.connect(this);
  }

  get openCalls(): number {
    return this.core.status().openCalls;
  }

  call(call: Call, onSettled: (settlement: Settlement) => void): void {
    this.lastCallId += 1;
    this.callers.set(this.lastCallId, onSettled);
    this.step({ type: 'call', callId: this.lastCallId, call });
  }

  /** Settles all that is open. */
  close(): void {
    this.step({ type: 'close' });
  }

  /** The process ends: its calls are never answered. */
  crash(): void {
    this.isDead = true;
    this.callers.clear();
    this.mesh.network.disconnect(this);
  }

  private step(input: ClientInput): void {
    if (this.isDead) return;
    this.mesh.steps += 1;
    this.mesh.trace?.(`${this.mesh.time()} ${this.name} < ${describeInput(input)}`);
    const at = { nowMs: this.mesh.nowMs, random: this.random.next() };
    for (const effect of this.core.step(input, at)) this.carryOut(effect);
    if (input.type !== 'idle') this.scheduleIdle();
  }

  private carryOut(effect: ClientEffect): void {
    switch (effect.type) {
      case 'request':
        return this.mesh.door.ask(this, effect.target, effect.body, (reply) =>
          this.step({ type: 'reply', requestId: effect.requestId, reply }),
        );
      case 'settle':
        return this.settle(effect.callId, effect.settlement);
      case 'set_timer': {
        this.timersSet += 1;
        const id = this.timersSet;
        this.mesh.after(Math.max(effect.afterMs, 1), () => {
          if (this.timersSet === id) this.step({ type: 'timer', timer: effect.timer });
        });
        return;
      }
      case 'cancel_timer':
        this.timersSet += 1;
        return;
    }
  }

  private settle(callId: number, settlement: Settlement): void {
    const caller = this.callers.get(callId);
    this.callers.delete(callId);
    caller?.(settlement);
  }

  /** In the same moment, behind all else that happens in it: what was called goes out in one piece. */
  private scheduleIdle(): void {
    if (this.isIdlePending) return;
    this.isIdlePending = true;
    this.mesh.after(0, () => {
      this.isIdlePending = false;
      this.step({ type: 'idle' });
    });
  }
}

function describeInput(input: ClientInput): string {
  if (input.type !== 'reply') return JSON.stringify(input);
  return `reply ${input.requestId} ${JSON.stringify(input.reply)}`;
}
