/**
 * A mesh of the real cores in virtual time: one queue of events, one seed. It owns delivery (delay, loss, repetition),
 * the timers, crashes of single actors, and a disk per peer that keeps what was synced. It decides nothing about
 * Raft.
 */
import type { Instant } from '@conclave/actor/core';
import { BallotBoxCore } from '@conclave/ballot-box';
import { KvService, KvStateMachine } from '@conclave/kv';
import {
  indexOfKey,
  LogStoreCore,
  type LogStoreEffect,
  type Row,
  type StorageOperation,
  truncationOperations,
} from '@conclave/log-store';
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
  type Message,
  type PeerId,
  type StatusReply,
} from '@conclave/protocol';
import { ReplicatorGroupCore } from '@conclave/replicator';
import { Random } from './random.js';

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

interface Actor {
  readonly peerId: PeerId;
  readonly kind: ActorKind;
  core: AnyCore;
  /** Raised by a crash, so that what was meant for the run before is not delivered. */
  life: number;
  isUp: boolean;
  timers: Map<string, number>;
}

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
  onMessage: (from: PeerId, to: PeerId, message: Message) => void = () => {};
  private readonly actors = new Map<string, Actor>();
  private readonly disks = new Map<PeerId, Map<string, Uint8Array>>();
  private queue: Happening[] = [];
  private order = 0;
  private drawn = 0;
  private readonly answers = new Map<number, Answer | 'silence'>();
  private lastRequestId = 0;
  private readonly serving = new Set<PeerId>();
  readonly service = new KvService();
  readonly machines = new Map<PeerId, KvStateMachine>();

  constructor(
    readonly peers: readonly PeerId[],
    seed = 1,
  ) {
    this.random = new Random(seed);
    for (const peerId of peers) for (const kind of actorKinds) this.start(peerId, kind);
  }

  // ---- processes ---------------------------------------------------------------------------------

  start(peerId: PeerId, kind: ActorKind): void {
    const key = `${peerId} ${kind}`;
    const life = (this.actors.get(key)?.life ?? 0) + 1;
    const actor: Actor = { peerId, kind, core: this.makeCore(peerId, kind), life, isUp: true, timers: new Map() };
    this.actors.set(key, actor);
    if (kind === 'node' || kind === 'log-store') this.step(actor, { type: 'start' });
  }

  crash(peerId: PeerId, kind: ActorKind): void {
    const actor = this.actor(peerId, kind);
    actor.isUp = false;
    actor.life += 1;
    actor.timers.clear();
    if (kind === 'node') this.serving.delete(peerId);
  }

  crashPeer(peerId: PeerId): void {
    for (const kind of actorKinds) this.crash(peerId, kind);
  }

  startPeer(peerId: PeerId): void {
    for (const kind of actorKinds) this.start(peerId, kind);
  }

  wipe(peerId: PeerId): void {
    this.disks.delete(peerId);
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
        this.machines.set(peerId, stateMachine);
        return new NodeCore(options, { stateMachine }) as unknown as AnyCore;
      }
      case 'replicator':
        return new ReplicatorGroupCore(options) as unknown as AnyCore;
      case 'ballot-box':
        return new BallotBoxCore(options) as unknown as AnyCore;
      case 'log-store':
        return new LogStoreCore(options) as unknown as AnyCore;
    }
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
    this.perform(actor, actor.core.step(input, this.instant()));
    if (!actor.isUp) return;
    this.perform(actor, actor.core.step({ type: 'idle' }, this.instant()));
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
          break;
        case 'reply':
          this.answers.set(effect.requestId, { result: effect.result });
          break;
        case 'refuse':
          this.answers.set(effect.requestId, { error: effect.error });
          break;
        case 'drop_request':
          this.answers.set(effect.requestId, 'silence');
          break;
        case 'serve':
          if (effect.group) this.serving.add(actor.peerId);
          else this.serving.delete(actor.peerId);
          break;
        case 'ask_group':
          this.askGroup(actor, effect.askId);
          break;
        case 'restart':
          this.crash(actor.peerId, 'node');
          this.start(actor.peerId, 'node');
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
    this.onMessage(from.peerId, peerId, message);
    const [recipient] = message.name.split('.') as [ActorKind | 'feed'];
    const kinds: readonly ActorKind[] =
      recipient === 'feed' ? feedListeners[message.name as keyof typeof feedListeners] : [recipient];
    for (const kind of kinds) {
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

  private disk(peerId: PeerId): Map<string, Uint8Array> {
    const disk = this.disks.get(peerId) ?? new Map<string, Uint8Array>();
    this.disks.set(peerId, disk);
    return disk;
  }

  private rows(peerId: PeerId, part: 'e' | 't' | 'c'): Row[] {
    return [...this.disk(peerId)]
      .filter(([key]) => key.startsWith(`${groupId}/${part}/`))
      .map(([key, value]) => ({ key, value }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  private performStorage(actor: Actor, effect: LogStoreEffect): void {
    const { life, peerId } = actor;
    const later = (input: () => unknown) =>
      this.at(this.random.next() * 2, () => {
        if (actor.life === life) this.step(actor, input());
      });
    switch (effect.type) {
      case 'load':
        later(() => ({
          type: 'loaded',
          rows: {
            meta: this.disk(peerId).get(`${groupId}/m`),
            termRuns: this.rows(peerId, 't'),
            configurations: this.rows(peerId, 'c'),
            lastBatch: this.rows(peerId, 'e').at(-1),
          },
        }));
        break;
      case 'write':
        later(() => {
          for (const operation of effect.operations) this.write(peerId, operation);
          return { type: 'written' };
        });
        break;
      case 'read':
        later(() => {
          const { fromIndex, lastIndex, maxBatches } = effect.range;
          const all = this.rows(peerId, 'e').filter(({ key }) => indexOfKey(key) <= lastIndex);
          const first = all.findLastIndex(({ key }) => indexOfKey(key) <= fromIndex);
          return { type: 'read_done', token: effect.token, rows: all.slice(Math.max(first, 0)).slice(0, maxBatches) };
        });
        break;
      case 'fail':
        throw new Error(`${effect.code} ${effect.message}`);
      default:
        throw new Error(`unknown effect ${JSON.stringify(effect)}`);
    }
  }

  private write(peerId: PeerId, operation: StorageOperation): void {
    const disk = this.disk(peerId);
    if (operation.type === 'put') disk.set(operation.key, operation.value);
    else if (operation.type === 'delete') disk.delete(operation.key);
    else {
      const all = this.rows(peerId, 'e');
      const keys = all.map(({ key }) => key);
      const holding = all.findLast(({ key }) => indexOfKey(key) < operation.from);
      for (const plain of truncationOperations(groupId, operation.from, keys, holding)) this.write(peerId, plain);
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
    const serving = [...this.serving].filter((peerId) => this.actor(peerId, 'node').isUp);
    return serving.sort((a, b) => this.node(b).summary().term - this.node(a).summary().term)[0];
  }

  node(peerId: PeerId): NodeCore {
    return this.actor(peerId, 'node').core as unknown as NodeCore;
  }

  status(peerId: PeerId): StatusReply {
    return this.node(peerId).status(this.instant());
  }

  private request(peerId: PeerId, input: (requestId: number) => NodeInput): number {
    this.lastRequestId += 1;
    const requestId = this.lastRequestId;
    this.step(this.actor(peerId, 'node'), input(requestId));
    return requestId;
  }

  answer(requestId: number): Answer | 'silence' | undefined {
    return this.answers.get(requestId);
  }

  /** Waits for the answer. */
  answered(requestId: number, withinMs?: number): Answer | 'silence' {
    this.until(`request ${requestId} is answered`, () => this.answers.has(requestId), withinMs);
    return this.answers.get(requestId) as Answer;
  }

  admin(peerId: PeerId, door: 'group' | 'peer', command: AdminCommand, body: unknown): number {
    const parsed = adminCommands[command].request.parse(body);
    return this.request(peerId, (requestId) => ({ type: 'admin', requestId, door, command, body: parsed }));
  }

  /** To the leader, which must be there. */
  adminOfGroup(command: AdminCommand, body: unknown = {}): number {
    this.until('there is a leader', () => this.leader !== undefined);
    return this.admin(this.leader as PeerId, 'group', command, body);
  }

  put(peerId: PeerId, key: string, value: string): number {
    const request = this.service.parse('put', { key, value });
    if (request.type !== 'write') throw new Error('a put is a write');
    const { payload, command } = request;
    return this.request(peerId, (requestId) => ({ type: 'propose', requestId, payload, command }));
  }

  get(peerId: PeerId, key: string, door: 'group' | 'peer' = 'group'): number {
    const consistency = door === 'group' ? 'linearizable' : 'stale';
    const request = this.service.parse('get', { key, consistency });
    if (request.type !== 'read') throw new Error('a get is a read');
    const { query } = request;
    return this.request(peerId, (requestId) => ({ type: 'read', requestId, door, consistency, query }));
  }

  /** What this peer's state machine holds. */
  valueAt(peerId: PeerId, key: string): unknown {
    const request = this.service.parse('get', { key, consistency: 'stale' });
    if (request.type !== 'read') throw new Error('a get is a read');
    return request.reply(this.machines.get(peerId)?.query(request.query));
  }
}
