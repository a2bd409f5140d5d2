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

interface Going {
  readonly snapshotId: SnapshotId;
  readonly head: SnapshotHead;
  readonly sinceMs: number;
  readonly machine: StateMachineRestore;
  readonly joiner: SnapshotAssembler;
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
  private going: Going | undefined;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly own: LocalActors,
    private readonly applier: Applier,
    private readonly stateMachine: StateMachine,
    /** The snapshot is no longer the one that was found when the log-store was opened. */
    private readonly onReplaced: (reason: string) => void,
  ) {}

  /** Whether the state is not restored yet, or cannot be: it cannot be read. */
  get isInProgress(): boolean {
    return this.going !== undefined || this.applier.isHolding;
  }

  status(): StatusReply['restoring'] {
    if (this.going === undefined) return null;
    const { head, next } = this.going;
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
    this.going = {
      snapshotId,
      head,
      sinceMs: this.context.nowMs,
      machine: this.stateMachine.restore(),
      joiner: new SnapshotAssembler(head.index),
      next: 0,
      reads: new Map(),
      early: new Map(),
    };
    this.context.log('info', 'restores the state from a snapshot', { index: head.index, bytes: head.bytes });
    this.ask(this.going);
  }

  isAnsweredBy({ request_id }: Body<'node.snapshot_chunk'>): boolean {
    return this.going?.reads.has(request_id) ?? false;
  }

  onChunk(body: Body<'node.snapshot_chunk'>): void {
    const { going, state, context } = this;
    const isOwn = body.store_id === state.storeId && body.session === state.session;
    const read = going?.reads.get(body.request_id);
    if (going === undefined || !isOwn || read?.number !== body.number) {
      return context.drop('snapshot_chunk_not_asked_for');
    }
    going.reads.delete(body.request_id);
    if (body.refusal !== '') return this.onReplaced(`the snapshot to restore from is gone (${body.refusal})`);
    going.early.set(body.number, body.chunk);
    for (;;) {
      const chunk = going.early.get(going.next);
      if (chunk === undefined) break;
      going.early.delete(going.next);
      this.take(going, chunk);
    }
    if (going.next === going.head.chunks) this.finish(going);
    else this.ask(going);
  }

  /** Repeats the reads that were not answered. */
  onTick(): void {
    const { going, context } = this;
    if (going === undefined) return;
    for (const [requestId, { sinceMs }] of going.reads) {
      const isOverdue = context.nowMs - sinceMs >= readAgainTicks * context.options.heartbeatIntervalMs;
      if (isOverdue) going.reads.delete(requestId);
    }
    this.ask(going);
  }

  private ask(going: Going): void {
    const { own, context } = this;
    const asked = new Set([...going.reads.values()].map(({ number }) => number));
    const end = Math.min(going.next + limits.snapshotRestoringChunks, going.head.chunks);
    for (let number = going.next; number < end; number++) {
      if (asked.has(number) || going.early.has(number)) continue;
      const request_id = own.nextReadId();
      going.reads.set(request_id, { number, sinceMs: context.nowMs });
      context.sendOwn({
        name: 'log-store.read_snapshot',
        body: {
          ...own.identity,
          request_id,
          reader: 'node',
          leader_term: 0 as never,
          snapshot_id: going.snapshotId,
          number,
        },
      });
    }
  }

  private take(going: Going, chunk: Uint8Array): void {
    for (const piece of pieces(going, chunk)) going.machine.take(piece);
    going.next += 1;
  }

  private finish(going: Going): void {
    const { index } = going.head;
    invariant(going.joiner.isWhole, `the snapshot of entry ${index} ends within a piece`);
    going.machine.end();
    this.going = undefined;
    this.context.log('info', 'has restored the state', {
      index,
      took_ms: Math.round(this.context.nowMs - going.sinceMs),
    });
    this.applier.continueFrom(index);
  }
}

/**
 * Returns the pieces that are complete with this chunk. The log-store has verified it: if it is damaged now it must not be
 * applied.
 */
function pieces({ joiner, head }: Going, chunk: Uint8Array): Uint8Array[] {
  try {
    return joiner.add(chunk);
  } catch (error) {
    if (error instanceof ConclaveError) {
      invariant(false, `the snapshot of entry ${head.index} is damaged between log-store and node: ${error.message}`);
    }
    throw error;
  }
}
