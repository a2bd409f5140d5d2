/**
 * A follower echoes its leader only while no second node of its peer can have voted: less than nine tenths of an
 * election timeout, by its own clock, after a newer session of its log-store was opened. And the session tick that it
 * reports is one that it received in this term, before that session was opened (decisions 0041 and 0042).
 *
 * Sessions are followed from outside, as log-stores open them: what the node believes of its own session is not asked.
 */
import type { Instant } from '@conclave/actor/core';
import type { Body, Message } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { runBeginsMs } from '../mesh/virtual-time.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

/**
 * How long a node may trust that its session is open: the share of an election timeout that a lease lasts, and the
 * rounding error of times since 1970.
 */
const trustShare = 0.9;
const roundingMs = 0.01;

type Tick = Message<'node.append_entries' | 'node.install_snapshot' | 'node.read_tick'>;

function isTick(message: Message | undefined): message is Tick {
  return ['node.append_entries', 'node.install_snapshot', 'node.read_tick'].includes(message?.name ?? '');
}

export class EchoesAreInSession extends Rule implements Invariant {
  readonly name = 'echoes-are-in-session';
  readonly watched = ['node'] as const;
  readonly inputs = ['start', 'message'] as const;
  /** By name: the nodes that run, or ran last. */
  private readonly nodes = new Map<string, Actor>();
  /** By core: when a newer session was opened, by the node's own clock. */
  private readonly endedMs = new WeakMap<object, number>();
  /**
   * By core, then by history and term: when each tick arrived, by the node's own clock. An older term's tick may be echoed after a later
   * term's tick for another store of the peer has arrived.
   */
  private readonly received = new WeakMap<object, Map<string, Map<number, number>>>();

  readonly sent = {
    'node.opened': (body: Body<'node.opened'>, from: Actor) => this.onOpened(body, from),
    'feed.echo': (body: Body<'feed.echo'>, from: Actor) => this.onEcho(body, from),
  };

  onStepping(actor: Actor, _input: unknown, { nowMs }: Instant): void {
    if (actor.kind !== 'node') return;
    const known = this.nodes.get(actor.name);
    if (known !== actor) this.nodes.set(actor.name, actor);
    const { message } = this.record.step ?? {};
    if (!isTick(message)) return;
    const { term, tick_id, group_uid } = message.body;
    const terms = this.received.get(actor.core) ?? new Map<string, Map<number, number>>();
    this.received.set(actor.core, terms);
    const key = `${group_uid} ${term}`;
    const ticks = terms.get(key) ?? new Map<number, number>();
    terms.set(key, ticks);
    if (!ticks.has(tick_id)) ticks.set(tick_id, nowMs);
  }

  /** A log-store is open for a session: those of all other nodes of its peer have ended. */
  private onOpened({ store_id, session }: Body<'node.opened'>, from: Actor): void {
    const nowMs = (this.record.step?.at.wallTimeMs ?? runBeginsMs) - runBeginsMs;
    for (const node of this.nodes.values()) {
      if (node.peerId !== from.peerId || this.endedMs.has(node.core)) continue;
      if (this.record.openedStores.get(node.core) !== store_id) continue;
      const own = summaryOf(node);
      if (own.session > 0 && own.session < session) {
        this.endedMs.set(node.core, node.clock.at(nowMs));
      }
    }
  }

  private onEcho({ group_uid, leader_term, session_tick_id }: Body<'feed.echo'>, { core, name, peerId }: Actor): void {
    const trustMs = trustShare * this.record.electionTimeoutMs(peerId) + roundingMs;
    const endedMs = this.endedMs.get(core);
    const nowMs = this.record.step?.at.nowMs ?? 0;
    this.check(
      endedMs === undefined || nowMs - endedMs <= trustMs,
      () => `${name} echoes a leader ${nowMs - (endedMs ?? 0)} ms after a newer session of its log-store was opened`,
    );
    if (session_tick_id === 0) return;
    const ticks = this.received.get(core)?.get(`${group_uid} ${leader_term}`);
    const receivedMs = ticks?.get(session_tick_id);
    this.check(
      receivedMs !== undefined,
      () => `${name} reports session tick ${session_tick_id} of term ${leader_term}, which it has not received`,
    );
    this.check(
      endedMs === undefined || receivedMs <= endedMs,
      () =>
        `${name} reports session tick ${session_tick_id}, received ${receivedMs - (endedMs ?? 0)} ms after its session ended`,
    );
    for (const tick of ticks?.keys() ?? []) if (tick < session_tick_id) ticks?.delete(tick);
  }
}
