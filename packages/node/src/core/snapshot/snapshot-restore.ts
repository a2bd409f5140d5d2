/**
 * Restores the state from the log-store's snapshot, before the entries after it are applied. Meanwhile the node follows, votes
 * and may even lead; only requests that need the state wait.
 * Owns: the reads of chunks and their order. Does not own what is applied afterwards.
 * Invariants:
 * 1. Chunks are used in order of their numbers, each once; at most `limits.snapshotRestoringChunks` are requested, so that ticks,
 *    votes and entries wait for no more than these.
 * 2. Nothing is applied before the last chunk was used; then `appliedIndex` is the index of the snapshot.
 */
import type { StateMachine, StateMachineRestore } from '@conclave/actor/core';
import {
  type Body,
  ConclaveError,
  invariant,
  limits,
  SnapshotAssembler,
  type SnapshotHead,
  type SnapshotId,
  type StatusReply,
  snapshotLevel,
  snapshotPercent,
} from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { Applier } from '../log/index.js';
import { type NodeState, needsLevel } from '../state/index.js';
import type { StepContext } from '../step-context.js';

interface ActiveRestore {
  readonly snapshotId: SnapshotId;
  readonly head: SnapshotHead;
  readonly sinceMs: number;
  readonly machine: StateMachineRestore;
  readonly assembler: SnapshotAssembler;
  /** The next chunk to use. */
  next: number;
  /** Reads in flight: of which chunk, and since when. */
  readonly reads: Map<number, { readonly number: number; readonly sinceMs: number }>;
  /** Chunks that arrived before an earlier one. */
  readonly early: Map<number, Uint8Array>;
}

/** Ticks after which a chunk that did not arrive is requested again. */
const readAgainTicks = 5;

export class SnapshotRestore {
  private active: ActiveRestore | undefined;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly applier: Applier,
    private readonly stateMachine: StateMachine,
    /** The snapshot is no longer the one that was found when the log-store was opened. */
    private readonly onReplaced: (reason: string) => void,
  ) {}

  /** Whether the state is not restored yet, or cannot be: it cannot be read. */
  get isInProgress(): boolean {
    return this.active !== undefined || this.applier.isHeld;
  }

  status(): StatusReply['restoring'] {
    if (this.active === undefined) return null;
    const { head, next } = this.active;
    return { index: head.index, chunks: head.chunks, done: next, percent: snapshotPercent(next, head.chunks) };
  }

  /** The log-store is open: restores the state from its snapshot, if it has one. */
  begin(snapshot: { readonly snapshot_id: SnapshotId; readonly head: SnapshotHead } | null): void {
    if (snapshot === null) return;
    const { snapshot_id: snapshotId, head } = snapshot;
    this.applier.hold();
    const needed = needsLevel(snapshotLevel(head), this.state.levels, 'this process');
    if (needed !== '') {
      this.state.stopApplying(`does not restore its snapshot: ${needed}`);
      return;
    }
    this.active = {
      snapshotId,
      head,
      sinceMs: this.context.nowMs,
      machine: this.stateMachine.restore(),
      assembler: new SnapshotAssembler(head.index),
      next: 0,
      reads: new Map(),
      early: new Map(),
    };
    this.context.log('info', 'restores the state from a snapshot', { index: head.index, bytes: head.bytes });
    this.ask(this.active);
  }

  expects({ request_id }: Body<'node.snapshot_chunk'>): boolean {
    return this.active?.reads.has(request_id) ?? false;
  }

  onChunk(body: Body<'node.snapshot_chunk'>): void {
    const { active, state, context } = this;
    const isOwn = body.store_id === state.storeId && body.session === state.session;
    const read = active?.reads.get(body.request_id);
    if (active === undefined || !isOwn || read?.number !== body.number) {
      return context.drop('snapshot_chunk_not_asked_for');
    }
    active.reads.delete(body.request_id);
    if (body.refusal !== '') return this.onReplaced(`the snapshot to restore from is gone (${body.refusal})`);
    active.early.set(body.number, body.chunk);
    for (;;) {
      const chunk = active.early.get(active.next);
      if (chunk === undefined) break;
      active.early.delete(active.next);
      this.take(active, chunk);
    }
    if (active.next === active.head.chunks) this.finish(active);
    else this.ask(active);
  }

  /** Repeats the reads that were not answered. */
  onTick(): void {
    const { active, context } = this;
    if (active === undefined) return;
    for (const [requestId, { sinceMs }] of active.reads) {
      const isOverdue = context.nowMs - sinceMs >= readAgainTicks * context.options.heartbeatIntervalMs;
      if (isOverdue) active.reads.delete(requestId);
    }
    this.ask(active);
  }

  private ask(active: ActiveRestore): void {
    const { actors, context } = this;
    const requested = new Set([...active.reads.values()].map(({ number }) => number));
    const end = Math.min(active.next + limits.snapshotRestoringChunks, active.head.chunks);
    for (let number = active.next; number < end; number++) {
      if (requested.has(number) || active.early.has(number)) continue;
      const request_id = actors.nextReadId();
      active.reads.set(request_id, { number, sinceMs: context.nowMs });
      context.sendLocal({
        name: 'log-store.read_snapshot',
        body: {
          ...actors.identity,
          request_id,
          reader: 'node',
          leader_term: 0 as never,
          snapshot_id: active.snapshotId,
          number,
        },
      });
    }
  }

  private take(active: ActiveRestore, chunk: Uint8Array): void {
    for (const piece of pieces(active, chunk)) active.machine.take(piece);
    active.next += 1;
  }

  private finish(active: ActiveRestore): void {
    const { index } = active.head;
    invariant(active.assembler.isWhole, `the snapshot of entry ${index} ends within a piece`);
    active.machine.end();
    this.active = undefined;
    this.context.log('info', 'has restored the state', {
      index,
      took_ms: Math.round(this.context.nowMs - active.sinceMs),
    });
    this.applier.continueFrom(index);
  }
}

/**
 * Returns the pieces that are complete with this chunk. The log-store has verified it: if it is damaged now it must not be
 * applied.
 */
function pieces({ assembler, head }: ActiveRestore, chunk: Uint8Array): Uint8Array[] {
  try {
    return assembler.add(chunk);
  } catch (error) {
    if (error instanceof ConclaveError) {
      invariant(false, `the snapshot of entry ${head.index} is damaged between log-store and node: ${error.message}`);
    }
    throw error;
  }
}
