/**
 * Applies committed entries to the state machine, in order and once. Entries that are not in memory are read from the log-store.
 * Invariants:
 * 1. `appliedIndex` rises by one with each entry, up to the commit index; after a restore it begins at the index of the snapshot.
 * 2. An entry that this build does not understand is never skipped: neither it nor any later entry is applied.
 * 3. One step applies a bounded number of entries, so that a long log does not delay ticks and votes.
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
import type { LocalActors } from '../local/index.js';
import type { CachedBatch } from '../state/index.js';
import { type NodeState, needsLevel } from '../state/index.js';
import type { StepContext } from '../step-context.js';

/**
 * The most entries and bytes that one step applies; its last entry may exceed the bytes. The bounds are low, so that ticks, votes and
 * entries that arrive meanwhile do not wait. There is a bound on bytes because an entry may be a request of thousands of commands. The
 * leader's is higher because clients wait for it.
 */
const entriesPerStep = 512;
const bytesPerStep = { follower: 64 * 1024, laggingFollower: 256 * 1024, leader: 1024 * 1024 };
/** A follower with more than about this left to apply takes larger steps: the clients wait for it if it is elected. */
const laggingBytes = 1024 * 1024;
/** A follower that lacks about this many bytes of committed entries, or more, stores them before it applies the entries that it has. */
const storesFirstBytes = 1024 * 1024;
/** Ticks after which an unanswered read of the log is repeated. */
const readAgainTicks = 5;

export class Applier {
  /** Committed batches that were read from the log-store, from the next one to apply on. */
  private readBack: CachedBatch[] = [];
  private reading: { readonly requestId: number; readonly sinceMs: number } | undefined;
  private lastRequestId = 0;
  private isScheduled = false;
  /** Whether the scheduled step waits for a heartbeat interval, because storing comes first. */
  private isDelayed = false;
  /** Whether the state is being restored, so that nothing is applied. */
  private held = false;
  private bytes = 0;
  private entries = 0;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly stateMachine: StateMachine,
    private readonly listener: {
      /** An entry was applied, with this result. */
      readonly onApplied: (index: LogIndex, result: unknown) => void;
      /** Entries were applied. */
      readonly onAllApplied: () => void;
      /** The entry was applied after which the members compare their states (`compareIndex`), and no later one. */
      readonly onCompareIndex: () => void;
    },
  ) {}

  /**
   * Applies soon, in a step of its own: the messages of the current step, above all those to the log-store, are sent first. Called
   * for a follower, because no client waits for it; also called when a step has no room for more entries. A follower that lacks
   * many committed entries stores them first: new entries come after them, and a quorum may need this follower for those. Until then
   * it takes only one step of applying per heartbeat interval, however many entries arrive.
   */
  runSoon(): void {
    const { state, context } = this;
    if (state.appliedIndex === state.commitIndex) return;
    const isDelayed = state.role !== 'leader' && this.storesFirst();
    if (this.isScheduled && (!this.isDelayed || isDelayed)) return;
    this.isScheduled = true;
    this.isDelayed = isDelayed;
    context.setTimer('apply', isDelayed ? context.options.heartbeatIntervalMs : 0);
  }

  /**
   * Whether this follower lacks about `storesFirstBytes` of committed entries or more, as of its leader's last append, which arrived
   * within the last heartbeat interval. If none has arrived since, there is nothing to store first.
   */
  private storesFirst(): boolean {
    const { committedEntriesLacked: entries, committedEntriesLackedMs: sinceMs } = this.state;
    if (entries === 0 || this.context.nowMs >= sinceMs + this.context.options.heartbeatIntervalMs) return false;
    // Before the first entry was applied their size is not known.
    return this.averageEntryBytes === 0 || entries * this.averageEntryBytes > storesFirstBytes;
  }

  /** The timer of `runSoon` has fired. */
  onApplyTimer(): void {
    this.isScheduled = false;
    this.isDelayed = false;
    this.run();
  }

  /** The bytes of the entries that were applied since the start. */
  get appliedBytes(): number {
    return this.bytes;
  }

  /** The average bytes of an entry since the start; 0: none was applied. An entry is a request, of one write or of hundreds. */
  get averageEntryBytes(): number {
    return this.entries === 0 ? 0 : this.bytes / this.entries;
  }

  /** Applies nothing until `continueFrom`: the state is being restored. */
  hold(): void {
    this.held = true;
  }

  get isHeld(): boolean {
    return this.held;
  }

  /** The state is restored, and includes all entries up to this one. */
  continueFrom(index: LogIndex): void {
    this.held = false;
    this.state.appliedIndex = index;
    if (index === this.state.compareIndex) this.listener.onCompareIndex();
    this.state.log.evictUpTo(index);
    this.run();
  }

  /** Applies committed entries, as many as one step may. */
  run(): void {
    const { state } = this;
    if (this.held || state.stopped !== '') return;
    const before = state.appliedIndex;
    const room = { entries: entriesPerStep, bytes: this.bytesOfStep() };
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
      state.log.evictUpTo(state.appliedIndex);
      this.listener.onAllApplied();
    }
  }

  private bytesOfStep(): number {
    const { role, commitIndex, appliedIndex } = this.state;
    if (role === 'leader') return bytesPerStep.leader;
    const isLagging = (commitIndex - appliedIndex) * this.averageEntryBytes > laggingBytes && !this.storesFirst();
    return isLagging ? bytesPerStep.laggingFollower : bytesPerStep.follower;
  }

  /** Returns the batch with this entry, which is the next to apply; undefined: it must be read from the log-store. */
  private batchOf(index: LogIndex): CachedBatch | undefined {
    const cached = this.state.log.cached(index);
    if (cached !== undefined) return cached;
    this.state.log.evictUpTo(asLogIndex(index - 1));
    while (this.readBack.length > 0) {
      const batch = this.readBack[0] as CachedBatch;
      if (batch.header.last >= index) return batch.header.first <= index ? batch : undefined;
      this.readBack.shift();
    }
    return this.state.log.cached(index);
  }

  /** Applies the committed entries of a batch, as many as there is room for. */
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

  /** Counts an entry of about this many bytes. */
  private count(bytes: number, room: { entries: number; bytes: number }): void {
    this.bytes += bytes;
    this.entries += 1;
    room.entries -= 1;
    room.bytes -= bytes;
  }

  /**
   * Notifies the state machine of a new history, or of a reset (`epoch`). From feature level 1 on, a state machine that supports
   * histories is not informed of resets, because each reset begins a history.
   */
  private applyConfiguration({ epoch = 0, level = 0, history }: Configuration): void {
    const { stateMachine } = this;
    if (history !== undefined) stateMachine.beginHistory?.({ groupUid: history.group_uid, base: history.base });
    const byEpochs = level < featureLevel.histories || stateMachine.beginHistory === undefined;
    if (epoch > 0 && byEpochs) stateMachine.beginEpoch?.(epoch);
  }

  /** Returns why this process cannot read the entries of a batch; empty: it can. */
  private obstacle({ kind, level = 0 }: BatchHeader): string {
    const needed = needsLevel(level, this.state.levels, 'this process');
    return kind === 'unknown' ? `entries of a kind that this build does not know; ${needed}` : needed;
  }

  /** Applies nothing from this entry on: this build cannot read it, and it is never skipped. A newer build applies it. */
  private stop(index: LogIndex, reason: string): void {
    const { state, context } = this;
    state.stopApplying(`stopped applying at entry ${index}: ${reason}`);
    context.event('applying_stopped', { index, reason });
    context.log('error', 'stops applying: it cannot read an entry', { index, reason });
  }

  private read(from: LogIndex): void {
    if (this.reading !== undefined) return;
    this.lastRequestId += 1;
    this.reading = { requestId: this.lastRequestId, sinceMs: this.context.nowMs };
    this.context.sendLocal({
      name: 'log-store.read',
      body: {
        ...this.actors.identity,
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
    // Without a useful entry the next tick reads again: an immediate read would return the same.
    if (this.readBack.length > 0) this.run();
  }

  /**
   * The log-store returns durable entries, some of which this node may have replaced since, or may replace yet. Only committed
   * entries are used, and only if their terms are the same in this node's log.
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

  /** Repeats a read that has long been unanswered. Without an open read, applies what can be applied. */
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
    if (error instanceof ConclaveError)
      invariant(false, `the log-store sent bytes that are not a batch: ${error.message}`);
    throw error;
  }
}
