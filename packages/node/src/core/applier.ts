/**
 * Applies committed entries to the state machine, in order and once. Entries that are not in memory are read back
 * from the log-store.
 *
 * Invariants:
 * 1. `appliedIndex` rises by one with each entry, up to the commit index; from a snapshot it begins at its index.
 * 2. An entry that this process cannot read is never skipped: from there on nothing is applied (DESIGN, section 9).
 * 3. One step applies a bounded number of entries, so that a long log does not hold up ticks and votes.
 */
import { type StateMachine, Unsupported } from '@conclave/actor/core';
import {
  asLogIndex,
  type BatchHeader,
  type Body,
  batchHeader,
  batchIsIntact,
  batchPayloads,
  batchUpTo,
  ConclaveError,
  type Configuration,
  configurationProblem,
  decodeConfiguration,
  featureLevel,
  invariant,
  type LogIndex,
  limits,
} from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { CachedBatch } from './log-view.js';
import type { OwnActors } from './own-actors.js';
import { type NodeState, needsLevel } from './state.js';

/**
 * What one step applies at the most, besides one entry: little, so that ticks, votes and entries that arrive meanwhile do not wait. By
 * bytes as well, as an entry may be a request of thousands of commands. A leader, whose clients wait for it, does more at once.
 */
const entriesPerStep = 512;
const bytesPerStep = { follower: 64 * 1024, leader: 1024 * 1024 };
/** Ticks after which a read of the log that was not answered is asked again. */
const readAgainTicks = 5;

export class Applier {
  private readBack: CachedBatch[] = [];
  private reading: { readonly requestId: number; readonly sinceMs: number } | undefined;
  private lastRequestId = 0;
  private isScheduled = false;
  private isPutOff = false;
  private isHeld = false;
  private bytes = 0;
  private entries = 0;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly stateMachine: StateMachine,
    private readonly listener: {
      /** An entry was applied, with this result. */
      readonly onApplied: (index: LogIndex, result: unknown) => void;
      /** Some were. */
      readonly onAllApplied: () => void;
      /** The one of `compareIndex` was, and no later one. */
      readonly onCompareIndex: () => void;
    },
  ) {}

  /**
   * Applies soon, in a step of its own: what the step at hand sends, above all to the disk, goes out first. For a
   * follower, on whose applying nobody waits. One that lacks committed entries first stores these, as it is needed for that.
   */
  runSoon(): void {
    const { state, context } = this;
    if (state.appliedIndex === state.commitIndex) return;
    const waitMs = state.role === 'leader' ? 0 : Math.max(0, state.storesFirstUntilMs - context.nowMs);
    if (this.isScheduled && !this.isPutOff && waitMs === 0) return;
    this.isScheduled = true;
    this.isPutOff = waitMs > 0;
    context.setTimer('apply', waitMs);
  }

  /** The timer of `runSoon` has gone off. */
  onApplyTimer(): void {
    this.isScheduled = false;
    this.isPutOff = false;
    this.run();
  }

  /** Of entries, since the start. */
  get appliedBytes(): number {
    return this.bytes;
  }

  /** Of an entry, on the average since the start; 0: none was applied. An entry is a request, of one write or of hundreds. */
  get averageEntryBytes(): number {
    return this.entries === 0 ? 0 : this.bytes / this.entries;
  }

  /** Applies nothing until `goOnFrom`: the state is being restored. */
  hold(): void {
    this.isHeld = true;
  }

  get isHolding(): boolean {
    return this.isHeld;
  }

  /** The state is the one behind this entry. */
  goOnFrom(index: LogIndex): void {
    this.isHeld = false;
    this.state.appliedIndex = index;
    if (index === this.state.compareIndex) this.listener.onCompareIndex();
    this.state.log.forgetUpTo(index);
    this.run();
  }

  /** Applies what is committed, as far as one step may. */
  run(): void {
    const { state } = this;
    if (this.isHeld || state.stopped !== '') return;
    const before = state.appliedIndex;
    const room = {
      entries: entriesPerStep,
      bytes: state.role === 'leader' ? bytesPerStep.leader : bytesPerStep.follower,
    };
    while (state.appliedIndex < state.commitIndex) {
      const batch = this.batchOf(asLogIndex(state.appliedIndex + 1));
      if (batch === undefined) {
        this.read(asLogIndex(state.appliedIndex + 1));
        break;
      }
      if (room.entries <= 0 || room.bytes <= 0) {
        this.runSoon();
        break;
      }
      this.applyBatch(batch, room);
      if (state.stopped !== '') break;
    }
    if (state.appliedIndex > before) {
      state.log.forgetUpTo(state.appliedIndex);
      this.listener.onAllApplied();
    }
  }

  private batchOf(index: LogIndex): CachedBatch | undefined {
    const cached = this.state.log.cached(index);
    if (cached !== undefined) return cached;
    this.state.log.forgetUpTo(asLogIndex(index - 1));
    while (this.readBack.length > 0) {
      const batch = this.readBack[0] as CachedBatch;
      if (batch.header.last >= index) return batch.header.first <= index ? batch : undefined;
      this.readBack.shift();
    }
    return this.state.log.cached(index);
  }

  /** Applies the committed entries of a batch, as far as there is room, from which it takes. */
  private applyBatch(batch: CachedBatch, room: { entries: number; bytes: number }): void {
    const { state } = this;
    const { first, last, kind } = batch.header;
    const upTo = Math.min(last, state.commitIndex);
    const from = state.appliedIndex + 1;
    const obstacle = this.obstacle(batch.header);
    if (obstacle !== '') return this.stop(asLogIndex(from), obstacle);
    const payloads = batchPayloads(batch.bytes);
    if (kind === 'configuration') {
      const unreadable = configurationProblem(payloads[0] as Uint8Array);
      if (unreadable !== '') return this.stop(asLogIndex(from), unreadable);
      this.count(batch.bytes.length, room);
      this.applyConfiguration(decodeConfiguration(payloads[0] as Uint8Array));
      state.appliedIndex = asLogIndex(upTo);
      if (upTo === state.compareIndex) this.listener.onCompareIndex();
      return;
    }
    for (let index = from; index <= upTo && room.entries > 0 && room.bytes > 0; index++) {
      const at = index - first;
      const result = this.stateMachine.apply(
        asLogIndex(index),
        payloads[at] as Uint8Array,
        batch.commands?.[at],
        batch.header.level ?? 0,
      );
      if (result instanceof Unsupported) return this.stop(asLogIndex(index), result.reason);
      this.count(batch.bytes.length / (last - first + 1), room);
      state.appliedIndex = asLogIndex(index);
      this.listener.onApplied(asLogIndex(index), result);
      if (index === state.compareIndex) this.listener.onCompareIndex();
    }
  }

  /** Counts an entry that has about so many bytes. */
  private count(bytes: number, room: { entries: number; bytes: number }): void {
    this.bytes += bytes;
    this.entries += 1;
    room.entries -= 1;
    room.bytes -= bytes;
  }

  /** A state machine that knows histories counts by these from level 1 on: there the epochs of resets say nothing more. */
  private applyConfiguration({ epoch = 0, level = 0, history }: Configuration): void {
    const { stateMachine } = this;
    if (history !== undefined) stateMachine.beginHistory?.({ groupUid: history.group_uid, base: history.base });
    const byEpochs = level < featureLevel.histories || stateMachine.beginHistory === undefined;
    if (epoch > 0 && byEpochs) stateMachine.beginEpoch?.(epoch);
  }

  /** Why this process cannot read the entries of a batch; empty: it can. */
  private obstacle({ kind, level = 0 }: BatchHeader): string {
    const needed = needsLevel(level, this.state.levels, 'this process');
    return kind === 'unknown' ? `entries of a kind that this build does not know; ${needed}` : needed;
  }

  /** Nothing is applied from this entry on: it cannot be read here, and is never skipped. A newer build goes on with it. */
  private stop(index: LogIndex, reason: string): void {
    const { state, context } = this;
    state.stopped = `stopped applying at entry ${index}: ${reason}`;
    context.event('applying_stopped', { index, reason });
    context.log('error', 'stops applying: it cannot read an entry', { index, reason });
  }

  private read(from: LogIndex): void {
    if (this.reading !== undefined) return;
    this.lastRequestId += 1;
    this.reading = { requestId: this.lastRequestId, sinceMs: this.context.nowMs };
    this.context.sendOwn({
      name: 'log-store.read',
      body: {
        ...this.own.own,
        request_id: this.lastRequestId,
        reader: 'node',
        leader_term: 0 as never,
        from_index: from,
        max_bytes: limits.readBytes,
      },
    });
  }

  onEntries(body: Body<'node.entries'>): void {
    const { state, context } = this;
    const isOwn = body.store_id === state.storeId && body.session === state.session;
    if (!isOwn || body.request_id !== this.reading?.requestId) return context.drop('entries_not_asked_for');
    this.reading = undefined;
    if (body.refusal !== '') return context.drop('entries_refused');
    this.readBack = this.committedPart(body.batches.map(readBatch));
    // With nothing of use in it the next tick asks again: asking at once would only hear the same.
    if (this.readBack.length > 0) this.run();
  }

  /**
   * The log-store answers what is durable: that may be entries that this node has replaced since, or that may yet be.
   * Only what is committed, and has the term that this node knows of it, can be relied on.
   */
  private committedPart(batches: readonly CachedBatch[]): CachedBatch[] {
    const { log, commitIndex } = this.state;
    const good: CachedBatch[] = [];
    for (const { header, bytes } of batches) {
      if (header.first > commitIndex) break;
      const last = asLogIndex(Math.min(header.last, commitIndex));
      if (log.termAt(header.first) !== header.term || log.termAt(last) !== header.term) {
        this.context.drop('entries_replaced_meanwhile');
        break;
      }
      good.push({ header: { ...header, last }, bytes: batchUpTo(bytes, last) });
    }
    return good;
  }

  /** Asks again for what was not answered. */
  onTick(): void {
    const { reading, context } = this;
    if (reading === undefined) return this.run();
    if (context.nowMs - reading.sinceMs < readAgainTicks * context.options.heartbeatIntervalMs) return;
    this.reading = undefined;
    this.run();
  }
}

function readBatch(bytes: Uint8Array): CachedBatch {
  try {
    const header = batchHeader(bytes);
    invariant(batchIsIntact(bytes), `the batch of entry ${header.first} is damaged between log-store and node`);
    return { header, bytes };
  } catch (error) {
    if (error instanceof ConclaveError) invariant(false, `the log-store answered what is no batch: ${error.message}`);
    throw error;
  }
}
