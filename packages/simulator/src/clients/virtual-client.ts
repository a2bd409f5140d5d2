/**
 * A client of a run: the real core of `@conclave/client`, on the run's network and in its time. It owns the core, its
 * timer and its connection; results go to the caller.
 */
import { type Call, ClientCore, type ClientEffect, type ClientInput, type Settlement } from '@conclave/client';
import type { Actor } from '../mesh/actor.js';
import type { CoreMesh } from '../mesh/core-mesh.js';
import type { Random } from '../mesh/random.js';
import { NatsConnection, preferredServer } from '../mesh/virtual-nats.js';
import type { Endpoint } from '../mesh/virtual-network.js';

/** How long a call may take. */
export const callTimeoutMs = 4000;

type OnSettled = (settlement: Settlement, groupUid: string | undefined) => void;

export class VirtualClient implements Endpoint {
  readonly owner: string;
  readonly connection: NatsConnection;
  private readonly core = new ClientCore({ timeoutMs: callTimeoutMs });
  private readonly callers = new Map<number, OnSettled>();
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

  /** @param onSettled `groupUid`: the history that the settling reply names, if there is one */
  call(call: Call, onSettled: OnSettled): void {
    this.lastCallId += 1;
    this.callers.set(this.lastCallId, onSettled);
    this.step({ type: 'call', callId: this.lastCallId, call });
  }

  /** Settles all open calls. */
  close(): void {
    this.step({ type: 'close' });
  }

  /** Delivers a leader's event of its election to the client, unless the message is lost. */
  publishElection(from: Actor): void {
    this.mesh.network.sendOnce<Endpoint>(from, this.name, (to) => {
      if (to !== this) return;
      this.mesh.coverage.count('client learns of an election');
      this.step({ type: 'leader_elected' });
    });
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
    const before = this.core.history;
    const effects = this.core.step(input, at);
    this.watch(before, effects);
    for (const effect of effects) this.carryOut(effect, input);
    if (input.type !== 'idle') this.scheduleIdle();
  }

  private watch(before: string | undefined, effects: readonly ClientEffect[]): void {
    const ended = effects.flatMap((effect) => (effect.type === 'history_ended' ? [effect.groupUid] : []));
    if (ended.length > 0) this.mesh.coverage.count('client reports the end of a history');
    const { name } = this;
    this.mesh.observer.onClientStepped?.(this, { name, before, after: this.core.history, ended });
  }

  private carryOut(effect: ClientEffect, cause: ClientInput): void {
    switch (effect.type) {
      case 'request':
        return this.mesh.requests.ask(this, effect.target, effect.body, (reply) =>
          this.step({ type: 'reply', requestId: effect.requestId, reply }),
        );
      case 'settle':
        return this.settle(effect.callId, effect.settlement, groupUidOf(cause));
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

  private settle(callId: number, settlement: Settlement, groupUid: string | undefined): void {
    const caller = this.callers.get(callId);
    this.callers.delete(callId);
    caller?.(settlement, groupUid);
  }

  /** At the same time, after all other events of that time: so calls are sent in one batch. */
  private scheduleIdle(): void {
    if (this.isIdlePending) return;
    this.isIdlePending = true;
    this.mesh.after(0, () => {
      this.isIdlePending = false;
      this.step({ type: 'idle' });
    });
  }
}

/** Returns the history that a reply names. */
function groupUidOf(input: ClientInput): string | undefined {
  if (input.type !== 'reply' || input.reply.type !== 'body') return undefined;
  return (input.reply.body as { readonly group_uid?: string } | null)?.group_uid;
}

function describeInput(input: ClientInput): string {
  if (input.type !== 'reply') return JSON.stringify(input);
  return `reply ${input.requestId} ${JSON.stringify(input.reply)}`;
}
