/**
 * The processes of a mesh: which run, which one leads, and what their cores report.
 *
 * Owns the table of processes, and which nodes serve the group. It starts and ends none of them: `CoreMesh` does.
 */
import type { Instant } from '@conclave/actor/core';
import type { KvQuery, KvStateMachine } from '@conclave/kv';
import type { LogStoreCore } from '@conclave/log-store';
import type { NodeCore, NodeSummary } from '@conclave/node';
import type { PeerId, StatusReply } from '@conclave/protocol';
import { lastStatusOf, summaryOf } from '../invariants/record/nodes.js';
import type { Actor, AnyCore, ProcessKind } from './actor.js';
import { piecesOf } from './core-factory.js';
import { corruptState, isCorrupted, type StatePart } from './corrupted-state.js';
import { runBeginsMs } from './virtual-time.js';

export abstract class Processes {
  protected readonly known = new Map<string, Actor>();
  protected readonly byPeer = new Map<PeerId, Partial<Record<ProcessKind, Actor>>>();
  protected readonly serving = new Set<Actor>();

  /** Milliseconds since the run began. */
  abstract get nowMs(): number;

  /** The state machine of a node's core; undefined: it has none. */
  protected abstract machineOf(core: AnyCore): KvStateMachine | undefined;

  /** The process of that name; it may be down. */
  actor(peerId: PeerId, processKind: ProcessKind): Actor | undefined {
    return this.byPeer.get(peerId)?.[processKind];
  }

  named(name: string): Actor | undefined {
    return this.known.get(name);
  }

  /** All processes that were ever started and not replaced. */
  get actors(): Iterable<Actor> {
    return this.known.values();
  }

  /** Whether a process of that name was ever started. */
  isKnown(name: string): boolean {
    return this.known.has(name);
  }

  isUp(peerId: PeerId, processKind: ProcessKind): boolean {
    return this.actor(peerId, processKind)?.isUp === true;
  }

  /** The nodes of a peer that run: none, one, or two. */
  nodesOf(peerId: PeerId): Actor[] {
    return (['node', 'duplicate-node'] as const).flatMap((processKind) => {
      const actor = this.actor(peerId, processKind);
      return actor?.isUp === true ? [actor] : [];
    });
  }

  /** The nodes that serve the group's subjects, the one of the highest term first. */
  get servers(): Actor[] {
    if (this.serving.size < 2) return [...this.serving];
    return [...this.serving].sort((a, b) => summaryOf(b).term - summaryOf(a).term);
  }

  isServing(actor: Actor): boolean {
    return this.serving.has(actor);
  }

  /** The peer that serves the group's subjects: with two of them, the one of the higher term. */
  get leader(): PeerId | undefined {
    return this.servers[0]?.peerId;
  }

  /** A peer's node; of two, the one that is not fenced. */
  nodeActor(peerId: PeerId): Actor {
    const node = this.actor(peerId, 'node');
    const other = this.actor(peerId, 'duplicate-node');
    if (node === undefined) throw new Error(`${peerId} was never started`);
    const takesOver = other?.isUp === true && (!node.isUp || summaryOf(node).role === 'fenced');
    return takesOver ? other : node;
  }

  node(peerId: PeerId): NodeCore {
    return this.nodeActor(peerId).core as unknown as NodeCore;
  }

  logStore(peerId: PeerId): LogStoreCore {
    return this.actor(peerId, 'log-store')?.core as unknown as LogStoreCore;
  }

  status(peerId: PeerId): StatusReply {
    return this.statusOf(this.nodeActor(peerId));
  }

  /** The same as of the node's last step: cheaper after each step, and not for fields that depend on the clock. */
  lastStatus(peerId: PeerId): StatusReply {
    return lastStatusOf(this.nodeActor(peerId), (actor) => this.statusOf(actor));
  }

  /** The summary of the node's core. */
  summary(peerId: PeerId): NodeSummary {
    return summaryOf(this.nodeActor(peerId));
  }

  /** Returns a running node's reply to `status`. */
  statusOf(actor: Actor): StatusReply {
    return (actor.core as unknown as NodeCore).status(this.timeOf(actor));
  }

  /** Returns the time on an actor's clock, for calls that use no randomness. */
  timeOf(actor: Actor): Instant {
    return { nowMs: actor.clock.at(this.nowMs), wallTimeMs: runBeginsMs + this.nowMs, random: 0 };
  }

  /** Returns the reply of the peer's state machine to a query of keys. */
  query(peerId: PeerId, keys: readonly string[]): unknown {
    const query: KvQuery = { type: 'keys', keys };
    return this.machineOf(this.nodeActor(peerId).core)?.query(query);
  }

  /** Corrupts the state of the peer's node; returns false if that is not possible. */
  corruptState(peerId: PeerId, part: StatePart): boolean {
    const machine = this.machine(peerId);
    return machine !== undefined && corruptState(machine, part);
  }

  /** Whether the state of the peer's node is corrupted, directly or by a snapshot. */
  isCorrupted(peerId: PeerId): boolean {
    const machine = this.isUp(peerId, 'node') ? this.machine(peerId) : undefined;
    return machine !== undefined && isCorrupted(machine);
  }

  /** Returns the state of the peer's node as pieces of a snapshot; none without a state machine. */
  stateOf(peerId: PeerId): readonly Uint8Array[] {
    const machine = this.machine(peerId);
    return machine === undefined ? [] : [...piecesOf(machine)];
  }

  /** The digest of the state of the peer's node. */
  digest(peerId: PeerId): string | undefined {
    return this.machine(peerId)?.digest();
  }

  private machine(peerId: PeerId): KvStateMachine | undefined {
    return this.machineOf(this.nodeActor(peerId).core);
  }
}
