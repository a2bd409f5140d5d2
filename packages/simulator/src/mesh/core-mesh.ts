/**
 * A mesh of the real cores in virtual time: one queue of events, one seed. It owns the processes, their clocks and
 * timers, and executes the effects of the cores. It decides nothing about Raft; its observer checks what the cores do.
 */
import type { Instant } from '@conclave/actor/core';
import type { KvStateMachine } from '@conclave/kv';
import type { LogStoreEffect } from '@conclave/log-store';
import { appendsInFlight, type Divergence, type NodeEffect, type NodeInput } from '@conclave/node';
import {
  type ActorKind,
  actorKinds,
  type ConclaveEvent,
  InvariantError,
  type PeerId,
  type WatchMessage,
} from '@conclave/protocol';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import { Actor, type AnyCore, type Effect, type ProcessKind } from './actor.js';
import { ActorTimers } from './actor-timers.js';
import { type Build, CoreFactory, type CoreSettings, groupId, usualSettings } from './core-factory.js';
import { Coverage, countDrops, countMessage } from './coverage.js';
import { DiskDriver } from './disk-driver.js';
import { HistoryAnnouncements } from './history-announcements.js';
import type { MeshWatcher } from './mesh-watcher.js';
import { type MessageGate, MessageRouter } from './message-router.js';
import { Processes } from './processes.js';
import { type PublishedEvent, PublishedEvents } from './published-events.js';
import { Random } from './random.js';
import type { NodeReply, RunObserver } from './run-observer.js';
import { fieldsText, inputText } from './trace-text.js';
import { FastestClock } from './virtual-clock.js';
import { VirtualDisks } from './virtual-disks.js';
import { VirtualNetwork } from './virtual-network.js';
import { VirtualRequests } from './virtual-requests.js';
import { runBeginsMs, VirtualTime } from './virtual-time.js';

export { Actor } from './actor.js';
export { groupId } from './core-factory.js';
export type { NodeReply, RunObserver } from './run-observer.js';

export class CoreMesh extends Processes {
  /** How many inputs the cores have processed, without `idle`. */
  steps = 0;
  readonly random: Random;
  readonly coverage = new Coverage();
  readonly disks = new VirtualDisks(groupId);
  readonly network: VirtualNetwork;
  readonly diskDriver: DiskDriver;
  readonly requests: VirtualRequests;
  /** An upper bound of the clocks of all nodes. */
  readonly clocks = new FastestClock();
  private readonly router: MessageRouter;
  private readonly announcements = new HistoryAnnouncements(this);
  private readonly published = new PublishedEvents(this);
  private readonly timers = new ActorTimers(this);
  observer: RunObserver = {};
  /** For scenarios: returns the random number of an actor's step, in place of the next number of `actor.random`. */
  randomOf: ((actor: Actor) => number) | undefined;
  /** For scenarios: holds arriving messages back. */
  gate: MessageGate | undefined;
  watcher: MeshWatcher | undefined;
  /** Receives a line for each event. */
  trace: ((line: string) => void) | undefined;
  private readonly clockwork = new VirtualTime();
  private readonly factory: CoreFactory;
  /** Called when a node has opened, renewed or closed (`unwatch`) a watch. */
  onWatchServed: (actor: Actor, operation: 'watch' | 'unwatch', watchId: string) => void = () => {};
  /** Called when a node publishes for a watch. */
  onPublished: (actor: Actor, watchId: string, message: WatchMessage) => void = () => {};
  /** Called with each event, for clients that subscribe to them. */
  onEvent: (actor: Actor, event: ConclaveEvent) => void = () => {};

  constructor(
    readonly peers: readonly PeerId[],
    seed = 1,
    settings: CoreSettings = usualSettings,
    random: Random = new Random(seed),
  ) {
    super();
    this.random = random;
    this.network = new VirtualNetwork(this.random, this.coverage, this.clockwork);
    this.factory = new CoreFactory(settings, this.coverage, {
      onApplied: (generation, index, payload) => this.observer.onApplied?.(generation, index, payload),
      onResult: (index, result) => this.observer.onResult?.(index, result),
      onDigest: (index, digest) => this.observer.onDigest?.(index, digest),
      onRestored: (generation, pieces) => this.observer.onRestored?.(generation, pieces),
    });
    this.router = new MessageRouter(this, settings.wire);
    this.diskDriver = new DiskDriver(this);
    this.disks.onWritten = (peerId, operations) => this.observer.onWritten?.(peerId, operations);
    this.disks.onWiped = (peerId) => this.observer.onWiped?.(peerId);
    this.requests = new VirtualRequests(this);
    for (const peerId of peers) this.startPeer(peerId);
  }

  // ---- processes ---------------------------------------------------------------------------------

  /** Starts a process; a running one of that name is crashed first. */
  start(peerId: PeerId, processKind: ProcessKind): void {
    this.crash(peerId, processKind);
    this.trace?.(`${this.time()} start ${peerId}.${processKind}`);
    const core = this.factory.make(peerId, processKind === 'duplicate-node' ? 'node' : processKind);
    const name = `${peerId}.${processKind}`;
    const actor = new Actor(peerId, processKind, core, this.known.get(name)?.random ?? this.random.stream(name));
    this.known.set(actor.name, actor);
    const ofPeer = this.byPeer.get(peerId) ?? {};
    ofPeer[processKind] = actor;
    this.byPeer.set(peerId, ofPeer);
    this.network.connect(actor);
    this.watcher?.onProcess(actor, 'start');
    this.begin(actor);
  }

  private begin(actor: Actor): void {
    if (actor.kind === 'node' || actor.kind === 'log-store') this.step(actor, { type: 'start' }, 'start');
    if (actor.kind === 'log-store') this.diskDriver.measure(actor);
  }

  /** Crashes a process: it sends nothing more. */
  crash(peerId: PeerId, processKind: ProcessKind): void {
    const actor = this.known.get(`${peerId}.${processKind}`);
    if (actor?.isUp !== true) return;
    this.trace?.(`${this.time()} crash ${actor.name}`);
    this.diskDriver.crash(actor);
    countDrops(this.coverage, actor.core);
    actor.isUp = false;
    actor.generation += 1;
    actor.timers.clear();
    actor.waiting = undefined;
    this.serving.delete(actor);
    this.announcements.unsubscribe(actor);
    this.router.subscribeToPeerFeed(actor, '');
    this.requests.onCrashed(actor);
    this.network.disconnect(actor);
    this.watcher?.onProcess(actor, 'crash');
  }

  /** Replaces the core of a node that has requested a restart, in the same process. */
  private restartCore(actor: Actor, divergence: Divergence | undefined): void {
    this.coverage.count('node restarted with a new core');
    this.requests.onRestarted(actor, { code: 'EPERM', message: 'the node restarts', outcome: 'unknown' });
    this.serving.delete(actor);
    this.announcements.unsubscribe(actor);
    this.router.subscribeToPeerFeed(actor, '');
    actor.generation += 1;
    actor.timers.clear();
    countDrops(this.coverage, actor.core);
    this.factory.forget(actor.core);
    actor.core = this.factory.make(actor.peerId, actor.kind, divergence);
    this.begin(actor);
  }

  /** Sets the build that a process runs from its next start on. */
  setBuild(peerId: PeerId, kind: ActorKind, build: Build): void {
    this.factory.setBuild(peerId, kind, build);
  }

  /** The election timeout of the processes of a peer. */
  electionTimeoutMs(peerId: PeerId): number {
    return this.factory.electionTimeoutMs(peerId);
  }

  buildOf(peerId: PeerId, kind: ActorKind): Build {
    return this.factory.buildOf(peerId, kind);
  }

  crashPeer(peerId: PeerId): void {
    for (const processKind of [...actorKinds, 'duplicate-node'] as const) this.crash(peerId, processKind);
  }

  startPeer(peerId: PeerId): void {
    for (const kind of actorKinds) this.start(peerId, kind);
  }

  /** The actor's clock jumps forward by `offsetMs`, and runs `rate` times as fast from now on. */
  skew(actor: Actor, rate: number, offsetMs: number): void {
    actor.clock.skew(this.nowMs, rate, offsetMs);
    if (actor.kind === 'node') this.clocks.skew(actor.name, this.nowMs, rate, offsetMs);
  }

  pause(peerId: PeerId, processKind: ProcessKind): void {
    const actor = this.actor(peerId, processKind);
    if (actor?.isUp !== true || actor.waiting !== undefined) return;
    actor.waiting = [];
    this.watcher?.onProcess(actor, 'pause');
  }

  resume(peerId: PeerId, processKind: ProcessKind): void {
    const actor = this.actor(peerId, processKind);
    const waiting = actor?.waiting;
    if (actor === undefined || waiting === undefined) return;
    actor.waiting = undefined;
    this.watcher?.onProcess(actor, 'resume');
    this.coverage.count('input delayed by a pause', waiting.length);
    const { generation } = actor;
    for (const run of waiting) {
      // A step may have ended the process, or replaced its core: it does not receive the other inputs.
      if (actor.generation !== generation) return;
      run();
    }
  }

  /** The events that the nodes have published. */
  get events(): readonly PublishedEvent[] {
    return this.published.all;
  }

  protected override machineOf(core: AnyCore): KvStateMachine | undefined {
    return this.factory.machineOf(core);
  }

  // ---- time --------------------------------------------------------------------------------------

  override get nowMs(): number {
    return this.clockwork.nowMs;
  }

  after(ms: number, run: () => void): void {
    this.clockwork.after(ms, run);
  }

  /** Runs until the condition holds; returns false if it does not within this many milliseconds. */
  until(condition: () => boolean, withinMs: number): boolean {
    return this.clockwork.until(condition, withinMs);
  }

  run(forMs: number): void {
    this.clockwork.run(forMs);
  }

  /** The time of the next event; undefined: there is none. */
  get nextMs(): number | undefined {
    return this.clockwork.nextMs;
  }

  /** Runs the next event; returns false if there is none. */
  runNext(): boolean {
    return this.clockwork.runNext();
  }

  time(): string {
    return this.clockwork.text();
  }

  // ---- steps -------------------------------------------------------------------------------------

  /** Runs this at once or, while the process is paused, when it is resumed. */
  runOrDefer(actor: Actor, run: () => void): void {
    if (actor.waiting === undefined) run();
    else actor.waiting.push(run);
  }

  /**
   * Passes an input to the core, and `idle` after it: at once, or, if `network.conditions.turn` is not 0, up to that many
   * milliseconds later. Inputs that arrive in between come before the `idle`.
   * @param from for the trace: where the input came from
   */
  step(actor: Actor, input: unknown, from: string): void {
    this.steps += 1;
    this.trace?.(`${this.time()} ${actor.name} < ${from} ${inputText(input)}`);
    this.passInput(actor, input);
    if (!actor.isUp || actor.isIdlePending) return;
    const { turn } = this.network.conditions;
    if (turn === 0) return this.passInput(actor, this.idle(actor, turn));
    actor.isIdlePending = true;
    this.after(turn * actor.random.next(), () => {
      this.runOrDefer(actor, () => {
        actor.isIdlePending = false;
        if (actor.isUp) this.passInput(actor, this.idle(actor, turn));
      });
    });
  }

  /**
   * Returns the input `idle`. If `turn` is not 0, a node's process hosts other groups, too: for half a second they have many
   * uncommitted appends, for the next half second none, and so on.
   */
  private idle(actor: Actor, turn: number): NodeInput {
    if (turn === 0 || actor.kind !== 'node') return { type: 'idle' };
    const areOthersBusy = Math.floor(this.nowMs / 500) % 2 === 1;
    return { type: 'idle', otherAppends: areOthersBusy ? appendsInFlight : 0 };
  }

  private passInput(actor: Actor, input: unknown): void {
    this.perform(actor, this.effectsOf(actor, input));
    this.watcher?.onStepped(actor);
    this.observer.onStepped?.(actor);
  }

  private effectsOf(actor: Actor, input: unknown): readonly Effect[] {
    const at = this.instant(actor);
    this.observer.onStepping?.(actor, input, at);
    actor.stepCount += 1;
    try {
      return actor.core.step(input, at);
    } catch (error) {
      throw coreViolation(actor, error);
    } finally {
      actor.stepCount += 1;
    }
  }

  private instant(actor: Actor): Instant {
    return {
      nowMs: actor.clock.at(this.nowMs),
      wallTimeMs: runBeginsMs + this.nowMs,
      random: this.randomOf?.(actor) ?? actor.random.next(),
    };
  }

  private perform(actor: Actor, effects: readonly Effect[]): void {
    for (const effect of effects as readonly (NodeEffect | LogStoreEffect)[]) {
      switch (effect.type) {
        case 'send':
          countMessage(this.coverage, effect.message);
          this.router.send(actor, effect.peerId, effect.message);
          break;
        case 'set_timer':
          this.timers.set(actor, effect.timer, effect.afterMs);
          break;
        case 'cancel_timer':
          this.timers.cancel(actor, effect.timer);
          break;
        case 'log':
          this.trace?.(`${this.time()} ${actor.name} ${effect.level}: ${effect.text} ${fieldsText(effect.fields)}`);
          break;
        case 'event':
          this.published.publish(actor, effect.event);
          break;
        case 'reply':
          this.reply(actor, effect.requestId, effect.result);
          break;
        case 'refuse':
          this.requests.onReply(actor, effect.requestId, { error: effect.error });
          break;
        case 'publish':
          this.onPublished(actor, effect.watchId, effect.body);
          break;
        case 'publish_led_history':
          this.announcements.publish(actor, effect.body);
          break;
        case 'serve':
          if (effect.group) this.serving.add(actor);
          else this.serving.delete(actor);
          break;
        case 'trace':
          // Simulated requests have no traces.
          break;
        case 'leave_subjects':
          // Not simulated: requests on a peer's own subjects reach all of its running nodes (`nodesOf`).
          break;
        case 'subscribe_led_histories':
          if (effect.isWanted) this.announcements.subscribe(actor);
          else this.announcements.unsubscribe(actor);
          break;
        case 'subscribe_feed':
          this.router.subscribeToPeerFeed(actor, effect.peerId);
          break;
        case 'ask_group':
          this.requests.askGroup(actor, effect);
          break;
        case 'probe_group':
          this.requests.probeGroup(actor, effect);
          break;
        case 'restart':
          this.restartCore(actor, effect.divergence);
          return;
        default:
          this.diskDriver.perform(actor, effect);
          if (!actor.isUp) return;
      }
    }
  }

  /** The core replies to a request: the production code of its shell builds the message. */
  private reply(actor: Actor, requestId: number, result: unknown): void {
    try {
      this.requests.onReply(actor, requestId, { result });
    } catch (error) {
      throw coreViolation(actor, error);
    }
  }

  // ---- requests ----------------------------------------------------------------------------------

  /** Passes a parsed request to a node. */
  request(actor: Actor, input: (requestId: number) => NodeInput, onReply?: (answer: NodeReply) => void): number {
    return this.requests.submit(actor, input, onReply);
  }
}

/**
 * Returns an error that was thrown in a step as a violation of `cores-keep-their-invariants`. A violation that an observer has thrown is
 * returned unchanged.
 */
function coreViolation(actor: Actor, error: unknown): InvariantViolation {
  if (error instanceof InvariantViolation) return error;
  const what = error instanceof InvariantError ? error.message : String((error as Error).stack ?? error);
  return new InvariantViolation('cores-keep-their-invariants', `${actor.name}: ${what}`);
}
