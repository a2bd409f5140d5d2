/**
 * A mesh of the real cores in virtual time: one queue of events, one seed. It owns delivery (delay, loss, repetition),
 * the timers, and crashes of single actors. It decides nothing about Raft. Who watches, judges.
 */
import type { Instant, StateMachine } from '@conclave/actor/core';
import { BallotBoxCore } from '@conclave/ballot-box';
import { KvService, KvStateMachine } from '@conclave/kv';
import { LogStoreCore, type LogStoreEffect, type StorageOperation } from '@conclave/log-store';
import { NodeCore, type NodeEffect, type NodeInput } from '@conclave/node';
import {
  type ActorKind,
  type AdminCommand,
  actorKinds,
  adminCommands,
  type ConclaveEvent,
  defaultTimes,
  type ErrorBody,
  feedListeners,
  type GroupId,
  type LogIndex,
  type Message,
  type PeerId,
  type StatusReply,
} from '@conclave/protocol';
import { ReplicatorGroupCore } from '@conclave/replicator';
import { Random } from './random.js';
import { VirtualDisks } from './virtual-disks.js';

export const groupId = 'main' as GroupId;

export interface Faults {
  /** Of each message between processes: chance to be lost, and to be delivered twice. */
  readonly loss: number;
  readonly repeat: number;
  /** Delivery takes up to so long. */
  readonly delayMs: number;
}

export type Answer = { readonly result: unknown } | { readonly error: ErrorBody };

interface Effect {
  readonly type: string;
}

interface AnyCore {
  step(input: unknown, at: Instant): readonly Effect[];
}

export interface Actor {
  readonly peerId: PeerId;
  readonly kind: ActorKind;
  core: AnyCore;
  /** Raised by a crash, so that what was meant for the run before is not delivered. */
  life: number;
  isUp: boolean;
  timers: Map<string, number>;
  /** The write that its disk is about to finish. */
  writing?: (() => void) | undefined;
}

/** Hears of everything while it happens. */
export interface Watcher {
  onSent?(from: Actor, to: PeerId, message: Message): void;
  onEvent?(peerId: PeerId, term: number, event: ConclaveEvent): void;
  /** `life`: the run of the state machine that applied it. */
  onApplied?(life: object, index: LogIndex, payload: Uint8Array): void;
  /** A log-store has loaded its log, or synced a write. */
  onSynced?(peerId: PeerId, store: LogStoreCore): void;
  onAnswered?(requestId: number, answer: Answer | 'silence'): void;
  /** A core is about to take a step; `at`: on the clock of its process. */
  onStepping?(actor: Actor, input: unknown, at: Instant): void;
  /** A core has taken a step, and its effects are under way. */
  onStepped?(actor: Actor): void;
  /** This has just become durable on a peer's disk, be it that the log-store hears of it or has crashed meanwhile. */
  onWritten?(peerId: PeerId, operations: readonly StorageOperation[]): void;
  /** A peer's disk is lost. */
  onWiped?(peerId: PeerId): void;
}

/** The second node of a peer, which somebody has started by mistake. */
const rival = 'rival';

interface Happening {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class CoreMesh {
  nowMs = 0;
  readonly events: { readonly atMs: number; readonly peerId: PeerId; readonly event: ConclaveEvent }[] = [];
  readonly random: Random;
  faults: Faults = { loss: 0, repeat: 0, delayMs: 2 };
  /** Whether a message may pass between two actors. */
  isLinked: (from: Actor, to: Actor) => boolean = () => true;
  watcher: Watcher = {};
  private readonly actors = new Map<string, Actor>();
  readonly disks = new VirtualDisks(groupId);
  private queue: Happening[] = [];
  private order = 0;
  private drawn = 0;
  private readonly answers = new Map<number, Answer | 'silence'>();
  /** Whom each request was given to. */
  private readonly askedOf = new Map<number, { readonly actor: Actor; readonly life: number }>();
  private lastRequestId = 0;
  private readonly serving = new Set<Actor>();
  readonly service = new KvService();
  private readonly machines = new Map<NodeCore, KvStateMachine>();

  constructor(
    readonly peers: readonly PeerId[],
    seed = 1,
  ) {
    this.random = new Random(seed);
    this.disks.onWritten = (peerId, operations) => this.watcher.onWritten?.(peerId, operations);
    this.disks.onWiped = (peerId) => this.watcher.onWiped?.(peerId);
    for (const peerId of peers) for (const kind of actorKinds) this.start(peerId, kind);
  }

  // ---- processes ---------------------------------------------------------------------------------

  start(peerId: PeerId, kind: ActorKind): void {
    this.startAs(`${peerId} ${kind}`, peerId, kind);
  }

  /** A second node for a peer that has one. */
  startRival(peerId: PeerId): void {
    this.startAs(`${peerId} ${rival}`, peerId, 'node');
  }

  crashRival(peerId: PeerId): void {
    const actor = this.actors.get(`${peerId} ${rival}`);
    if (actor !== undefined) this.stop(actor);
  }

  private startAs(key: string, peerId: PeerId, kind: ActorKind): void {
    const before = this.actors.get(key);
    if (before !== undefined) this.stop(before);
    const life = (before?.life ?? 0) + 1;
    const actor: Actor = { peerId, kind, core: this.makeCore(peerId, kind), life, isUp: true, timers: new Map() };
    this.actors.set(key, actor);
    if (kind === 'node' || kind === 'log-store') this.step(actor, { type: 'start' });
  }

  crash(peerId: PeerId, kind: ActorKind): void {
    this.stop(this.actor(peerId, kind));
  }

  private stop(actor: Actor): void {
    // What was handed to the disk may be there after the crash, or not.
    if (actor.writing !== undefined && this.random.next() < 0.5) actor.writing();
    actor.writing = undefined;
    actor.isUp = false;
    actor.life += 1;
    actor.timers.clear();
    this.serving.delete(actor);
  }

  /** The node has asked to be started over. */
  private startOver(actor: Actor): void {
    for (const [requestId, asked] of this.askedOf) {
      if (asked.actor !== actor || this.answers.has(requestId)) continue;
      this.settle(requestId, { error: { code: 'EPERM', message: 'the node starts over', outcome: 'unknown' } });
    }
    const key = [...this.actors].find(([, known]) => known === actor)?.[0];
    if (key !== undefined) this.startAs(key, actor.peerId, 'node');
  }

  crashPeer(peerId: PeerId): void {
    for (const kind of actorKinds) this.crash(peerId, kind);
    this.crashRival(peerId);
  }

  startPeer(peerId: PeerId): void {
    for (const kind of actorKinds) this.start(peerId, kind);
  }

  wipe(peerId: PeerId): void {
    this.disks.wipe(peerId);
  }

  actor(peerId: PeerId, kind: ActorKind): Actor {
    const actor = this.actors.get(`${peerId} ${kind}`);
    if (actor === undefined) throw new Error(`no ${kind} of ${peerId}`);
    return actor;
  }

  private drawId(): string {
    this.drawn += 1;
    return `id${this.drawn}`;
  }

  private makeCore(peerId: PeerId, kind: ActorKind): AnyCore {
    const options = { groupId, peerId, incarnation: this.drawId(), ...defaultTimes, catchupMargin: 1000 };
    switch (kind) {
      case 'node': {
        const stateMachine = new KvStateMachine();
        const core = new NodeCore(options, { stateMachine: this.watched(stateMachine) });
        this.machines.set(core, stateMachine);
        return core as unknown as AnyCore;
      }
      case 'replicator':
        return new ReplicatorGroupCore(options) as unknown as AnyCore;
      case 'ballot-box':
        return new BallotBoxCore(options) as unknown as AnyCore;
      case 'log-store':
        return new LogStoreCore(options) as unknown as AnyCore;
    }
  }

  private watched(machine: KvStateMachine): StateMachine {
    return {
      apply: (index, payload, command) => {
        this.watcher.onApplied?.(machine, index, payload);
        return machine.apply(index, payload, command);
      },
      query: (query) => machine.query(query),
      housekeeping: (nowMs) => machine.housekeeping(nowMs),
    };
  }

  // ---- time --------------------------------------------------------------------------------------

  private at(afterMs: number, run: () => void): void {
    this.order += 1;
    this.queue.push({ atMs: this.nowMs + afterMs, order: this.order, run });
  }

  /** Runs until the condition holds; throws when it has not after so long. */
  until(what: string, condition: () => boolean, withinMs = 30_000): void {
    const end = this.nowMs + withinMs;
    while (!condition()) if (!this.next(end)) throw new Error(`not within ${withinMs} ms: ${what}`);
  }

  run(forMs: number): void {
    const end = this.nowMs + forMs;
    while (this.next(end));
    this.nowMs = end;
  }

  private next(endMs: number): boolean {
    let best = -1;
    for (let at = 0; at < this.queue.length; at++) {
      const a = this.queue[at] as Happening;
      const b = this.queue[best];
      if (b === undefined || a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)) best = at;
    }
    const happening = this.queue[best];
    if (happening === undefined || happening.atMs > endMs) return false;
    this.queue.splice(best, 1);
    this.nowMs = happening.atMs;
    happening.run();
    return true;
  }

  // ---- steps -------------------------------------------------------------------------------------

  private step(actor: Actor, input: unknown): void {
    const at = this.instant();
    this.watcher.onStepping?.(actor, input, at);
    this.perform(actor, actor.core.step(input, at));
    if (!actor.isUp) return;
    this.perform(actor, actor.core.step({ type: 'idle' }, this.instant()));
    this.watcher.onStepped?.(actor);
  }

  private instant(): Instant {
    return { nowMs: this.nowMs, wallTimeMs: this.nowMs, random: this.random.next() };
  }

  private perform(actor: Actor, effects: readonly Effect[]): void {
    for (const effect of effects as readonly (NodeEffect | LogStoreEffect)[]) {
      switch (effect.type) {
        case 'send':
          this.send(actor, effect.peerId, effect.message);
          break;
        case 'set_timer':
          this.setTimer(actor, effect.timer, effect.afterMs);
          break;
        case 'cancel_timer':
          actor.timers.delete(effect.timer);
          break;
        case 'log':
          break;
        case 'event':
          this.events.push({ atMs: this.nowMs, peerId: actor.peerId, event: effect.event });
          this.watcher.onEvent?.(actor.peerId, summaryOf(actor).term, effect.event);
          break;
        case 'reply':
          this.settle(effect.requestId, { result: effect.result });
          break;
        case 'refuse':
          this.settle(effect.requestId, { error: effect.error });
          break;
        case 'drop_request':
          this.settle(effect.requestId, 'silence');
          break;
        case 'serve':
          if (effect.group) this.serving.add(actor);
          else this.serving.delete(actor);
          break;
        case 'ask_group':
          this.askGroup(actor, effect.askId);
          break;
        case 'restart':
          this.startOver(actor);
          break;
        default:
          this.performStorage(actor, effect);
      }
    }
  }

  private setTimer(actor: Actor, timer: string, afterMs: number): void {
    const id = this.order + 1;
    actor.timers.set(timer, id);
    const { life } = actor;
    this.at(afterMs, () => {
      if (actor.life !== life || actor.timers.get(timer) !== id) return;
      actor.timers.delete(timer);
      this.step(actor, { type: 'timer', timer });
    });
  }

  private send(from: Actor, peerId: PeerId, message: Message): void {
    this.watcher.onSent?.(from, peerId, message);
    const [recipient] = message.name.split('.') as [ActorKind | 'feed'];
    const kinds: readonly ActorKind[] =
      recipient === 'feed' ? feedListeners[message.name as keyof typeof feedListeners] : [recipient];
    for (const kind of kinds.includes('node') ? [...kinds, rival] : kinds) {
      const key = `${peerId} ${kind}`;
      if (!this.actors.has(key)) continue;
      if (this.random.next() < this.faults.loss) continue;
      this.deliver(from, key, message, 0);
      if (this.random.next() < this.faults.repeat) this.deliver(from, key, message, 500 * this.random.next());
    }
  }

  private readonly lastArrival = new Map<string, number>();

  private deliver(from: Actor, key: string, message: Message, lateMs: number): void {
    const pair = `${from.peerId} ${from.kind} > ${key}`;
    const soonest = this.nowMs + this.random.next() * this.faults.delayMs;
    // In order per publisher, but for late repeats.
    const atMs = lateMs > 0 ? soonest + lateMs : Math.max(soonest, this.lastArrival.get(pair) ?? 0);
    if (lateMs === 0) this.lastArrival.set(pair, atMs);
    const fromLife = from;
    this.at(atMs - this.nowMs, () => {
      const actor = this.actors.get(key);
      if (actor?.isUp !== true || !this.isLinked(fromLife, actor)) return;
      this.step(actor, { type: 'message', message });
    });
  }

  // ---- the disk ----------------------------------------------------------------------------------

  private performStorage(actor: Actor, effect: LogStoreEffect): void {
    const { life, peerId } = actor;
    const later = (input: () => unknown) =>
      this.at(this.random.next() * 2, () => {
        if (actor.life !== life) return;
        const heard = input();
        this.step(actor, heard);
        if (effect.type !== 'read') this.watcher.onSynced?.(peerId, actor.core as unknown as LogStoreCore);
      });
    switch (effect.type) {
      case 'load':
        later(() => ({ type: 'loaded', rows: this.disks.load(peerId) }));
        break;
      case 'write':
        actor.writing = () => this.disks.write(peerId, effect.operations);
        later(() => {
          actor.writing?.();
          actor.writing = undefined;
          return { type: 'written' };
        });
        break;
      case 'read':
        later(() => ({ type: 'read_done', token: effect.token, rows: this.disks.read(peerId, effect.range) }));
        break;
      case 'fail':
        throw new Error(`${effect.code} ${effect.message}`);
      default:
        throw new Error(`unknown effect ${JSON.stringify(effect)}`);
    }
  }

  // ---- requests ----------------------------------------------------------------------------------

  private askGroup(actor: Actor, askId: number): void {
    const leader = this.leader;
    const { life } = actor;
    this.at(2, () => {
      const status = leader === undefined ? null : this.status(leader);
      if (actor.life === life) this.step(actor, { type: 'group_answered', askId, status });
    });
  }

  /** The peer that serves the group's subjects: with two of them, the one of the higher term. */
  get leader(): PeerId | undefined {
    return this.servers[0]?.peerId;
  }

  /** The nodes that serve the group's subjects, the one of the highest term first. */
  get servers(): Actor[] {
    return [...this.serving].sort((a, b) => summaryOf(b).term - summaryOf(a).term);
  }

  /** A peer's node; of two, the one that is not fenced. */
  private nodeActor(peerId: PeerId): Actor {
    const node = this.actor(peerId, 'node');
    const other = this.actors.get(`${peerId} ${rival}`);
    const takesOver = other?.isUp === true && (!node.isUp || summaryOf(node).role === 'fenced');
    return takesOver ? other : node;
  }

  node(peerId: PeerId): NodeCore {
    return this.nodeActor(peerId).core as unknown as NodeCore;
  }

  logStore(peerId: PeerId): LogStoreCore {
    return this.actor(peerId, 'log-store').core as unknown as LogStoreCore;
  }

  status(peerId: PeerId): StatusReply {
    return this.node(peerId).status(this.instant());
  }

  private request(to: PeerId | Actor, input: (requestId: number) => NodeInput): number {
    const actor = typeof to === 'string' ? this.nodeActor(to) : to;
    this.lastRequestId += 1;
    const requestId = this.lastRequestId;
    this.askedOf.set(requestId, { actor, life: actor.life });
    this.step(actor, input(requestId));
    return requestId;
  }

  private settle(requestId: number, answer: Answer | 'silence'): void {
    if (this.answers.has(requestId)) throw new Error(`request ${requestId} is answered twice`);
    this.answers.set(requestId, answer);
    this.watcher.onAnswered?.(requestId, answer);
  }

  /** Whether whoever got the request can still answer it: it runs, and is not fenced. */
  isAskedOfTheLiving(requestId: number): boolean {
    const asked = this.askedOf.get(requestId);
    return asked?.actor.isUp === true && asked.actor.life === asked.life;
  }

  answer(requestId: number): Answer | 'silence' | undefined {
    return this.answers.get(requestId);
  }

  /** Waits for the answer. */
  answered(requestId: number, withinMs?: number): Answer | 'silence' {
    this.until(`request ${requestId} is answered`, () => this.answers.has(requestId), withinMs);
    return this.answers.get(requestId) as Answer;
  }

  admin(to: PeerId | Actor, door: 'group' | 'peer', command: AdminCommand, body: unknown): number {
    const parsed = adminCommands[command].request.parse(body);
    return this.request(to, (requestId) => ({ type: 'admin', requestId, door, command, body: parsed }));
  }

  /** To the leader, which must be there. */
  adminOfGroup(command: AdminCommand, body: unknown = {}): number {
    this.until('there is a leader', () => this.leader !== undefined);
    return this.admin(this.leader as PeerId, 'group', command, body);
  }

  put(to: PeerId | Actor, key: string, value: string): number {
    const request = this.service.parse('put', { key, value });
    if (request.type !== 'write') throw new Error('a put is a write');
    const { payload, command } = request;
    return this.request(to, (requestId) => ({ type: 'propose', requestId, payload, command }));
  }

  get(to: PeerId | Actor, key: string, door: 'group' | 'peer' = 'group'): number {
    const consistency = door === 'group' ? 'linearizable' : 'stale';
    const request = this.service.parse('get', { key, consistency });
    if (request.type !== 'read') throw new Error('a get is a read');
    const { query } = request;
    return this.request(to, (requestId) => ({ type: 'read', requestId, door, consistency, query }));
  }

  /** What this peer's state machine holds. */
  valueAt(peerId: PeerId, key: string): unknown {
    const request = this.service.parse('get', { key, consistency: 'stale' });
    if (request.type !== 'read') throw new Error('a get is a read');
    return request.reply(this.machines.get(this.node(peerId))?.query(request.query));
  }
}

function summaryOf(actor: Actor): ReturnType<NodeCore['summary']> {
  return (actor.core as unknown as NodeCore).summary();
}
