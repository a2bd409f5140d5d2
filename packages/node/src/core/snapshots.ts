/**
 * Takes snapshots of this peer's state machine, on leader and follower alike, and lets the log before them go (Raft
 * thesis, section 5.1; braft's SnapshotExecutor).
 *
 * Owns when one is taken, and the one that is being taken. Does not own the chunks once the log-store has them, nor
 * snapshots that come from a leader (see Install).
 *
 * Invariants:
 * 1. A snapshot stands for what was applied at the moment it began: entries that are applied meanwhile do not show.
 * 2. One step draws about one chunk, some milliseconds after the one before, and at most `limits.snapshotTakingChunks` are unsynced: ticks, votes and entries
 *    go on, in the link to the log-store too.
 * 3. Entries go only once the log-store has acknowledged that the snapshot counts.
 */
import type { StateMachine } from '@conclave/actor/core';
import {
  asLogIndex,
  type ConfigurationEntry,
  invariant,
  type LogIndex,
  levelOf,
  limits,
  SnapshotChunker,
  type SnapshotHead,
  type SnapshotId,
  type SnapshotReply,
  type StatusReply,
  type StoredSnapshot,
  type Term,
} from '@conclave/protocol';
import type { Applier } from './applier.js';
import type { NodeContext } from './context.js';
import type { Leadership } from './leadership.js';
import type { OwnActors } from './own-actors.js';
import type { NodeState } from './state.js';

interface Taking {
  readonly snapshotId: SnapshotId;
  readonly index: LogIndex;
  readonly term: Term;
  readonly configurations: ConfigurationEntry[];
  readonly beganMs: number;
  readonly pieces: Iterator<Uint8Array, void>;
  readonly cutter: SnapshotChunker;
  /** Cut, and not yet sent. */
  readonly chunks: Uint8Array[];
  /** Their places in the link: sent, and perhaps not yet synced. */
  unsynced: number[];
  /** How many were sent. */
  sent: number;
  /** No more pieces come. */
  isDrawn: boolean;
  /** All was sent, the end included. */
  end: { readonly seq: number; readonly compactTo: LogIndex } | undefined;
}

export interface SnapshotsListener {
  /** What else goes on that leaves no place for one, or undefined. */
  readonly obstacle: () => string | undefined;
  /** One is taken: what the log-store holds of one that came in is dropped. */
  readonly onBegun: () => void;
}

/** The margin has at most so great a part of `snapshotLogBytes`. */
const marginPart = 4;

/** A target that was silent for so many election timeouts is not waited for by the log. */
const liveTimeouts = 10;

export class Snapshots {
  private last: StoredSnapshot | undefined;
  private lastMs = 0;
  /** What had been applied when the last one began. */
  private appliedBytesBefore = 0;
  /** The next one is due when so much has been applied since. */
  private dueBytes = Number.POSITIVE_INFINITY;
  private taking: Taking | undefined;
  /** Whether the timer that draws on is set. */
  private isScheduled = false;
  private waiting: number[] = [];
  private drawn = 0;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly applier: Applier,
    private readonly leadership: Leadership,
    private readonly stateMachine: StateMachine,
    private readonly listener: SnapshotsListener,
  ) {}

  /** The log-store is open, and has this snapshot. */
  onOpened(snapshot: { readonly snapshot_id: SnapshotId; readonly head: SnapshotHead } | null): void {
    this.lastMs = this.context.nowMs;
    if (snapshot !== null) this.last = stored(snapshot.snapshot_id, snapshot.head);
    this.setDue();
  }

  /**
   * A large state is not written for a little log: at least half of what the last one had must have come. And peers that
   * apply the same do not all take theirs at the same moment.
   */
  private setDue(): void {
    const { options, random } = this.context;
    const leastBytes = Math.max(options.snapshotLogBytes, (this.last?.bytes ?? 0) / 2);
    this.dueBytes = leastBytes * (1 + random / 4);
  }

  status(): Pick<StatusReply, 'snapshot' | 'taking'> {
    const { taking } = this;
    const { chunks, bytes } = taking?.cutter.sum ?? { chunks: 0, bytes: 0 };
    return {
      snapshot: this.last ?? null,
      taking: taking === undefined ? null : { index: taking.index, chunks, bytes },
    };
  }

  /** A member whose state is wrong needs one of this entry or a later one. */
  ensure(index: LogIndex): void {
    if (this.taking !== undefined || (this.last?.index ?? 0) >= index || this.state.appliedIndex < index) return;
    if (this.obstacle() === undefined) this.begin();
  }

  /** The command `snapshot`: one that is being taken answers it, too. */
  onCommand(requestId: number): void {
    const { context } = this;
    const obstacle = this.obstacle();
    if (this.taking !== undefined) {
      this.waiting.push(requestId);
    } else if (obstacle !== undefined) {
      context.refuse(requestId, 'EBUSY', obstacle);
    } else if (this.hasNews()) {
      this.waiting.push(requestId);
      this.begin();
    } else if (this.last !== undefined) {
      context.reply(requestId, this.replyOf(this.last, false));
    } else {
      context.refuse(requestId, 'ENOENT', 'this peer holds no group yet: there is nothing to take a snapshot of');
    }
  }

  /** Begins one that is due, and goes on with one that waits for room. Once a tick. */
  onTick(): void {
    if (this.taking === undefined && this.isDue()) this.begin();
    else this.proceed();
  }

  /** The log-store has synced something. */
  onSynced(): void {
    this.proceed();
  }

  /** The timer that goes on with a snapshot has gone off. */
  onTimer(): void {
    this.isScheduled = false;
    const { taking } = this;
    if (taking === undefined) return;
    if (!taking.isDrawn && taking.chunks.length === 0) this.draw(taking);
    this.proceed();
  }

  /** Another snapshot comes in: gives up the one that is being taken, unless all of it is on its way to the disk. */
  giveUp(reason: string): void {
    if (this.taking?.end === undefined) this.abandon(reason);
  }

  /** Gives it up in any case; whether it counts is not known where all of it was sent. */
  abandon(reason: string): void {
    const { taking, waiting, context } = this;
    if (taking === undefined) return;
    this.taking = undefined;
    this.waiting = [];
    taking.pieces.return?.();
    this.isScheduled = false;
    context.cancelTimer('snapshot');
    context.log('info', 'gives up the snapshot that it takes', { index: taking.index, reason });
    const outcome = taking.end === undefined ? 'not_done' : 'unknown';
    for (const requestId of waiting) context.refuse(requestId, 'EBUSY', reason, outcome);
  }

  private obstacle(): string | undefined {
    const { readOnlyReason, diskFreeBytes } = this.state;
    // On a disk that is nearly full a snapshot makes room, if there is room for itself.
    const isTight =
      readOnlyReason === 'disk' && 2 * (this.last?.bytes ?? this.applier.appliedBytes) > (diskFreeBytes ?? 0);
    return isTight ? 'the disk has no room for a snapshot' : this.listener.obstacle();
  }

  private hasNews(): boolean {
    return this.state.appliedIndex > (this.last?.index ?? 0);
  }

  private isDue(): boolean {
    const { context, applier, lastMs, appliedBytesBefore, dueBytes } = this;
    const bytes = applier.appliedBytes - appliedBytesBefore;
    const isLarge = bytes >= dueBytes;
    const isOld = context.nowMs - lastMs >= context.options.snapshotIntervalMs;
    if (!(isLarge || isOld) || !this.hasNews() || this.obstacle() !== undefined) return false;
    // A newer one would have the transfer begin anew.
    return !this.isSendingOne() || bytes >= limits.snapshotPutOffSizes * dueBytes;
  }

  private isSendingOne(): boolean {
    if (this.state.role !== 'leader') return false;
    return this.leadership.allProgress.some((progress) => progress.state === 'install' && this.isLive(progress));
  }

  private isLive({ silent_ms }: { readonly silent_ms: number }): boolean {
    return silent_ms >= 0 && silent_ms < liveTimeouts * this.context.options.electionTimeoutMs;
  }

  private get chunkBytes(): number {
    return this.context.options.snapshotChunkBytes ?? limits.snapshotChunkBytes;
  }

  private begin(): void {
    const { state, context } = this;
    const index = state.appliedIndex;
    const term = state.log.termAt(index);
    invariant(term !== undefined, `the term of entry ${index}, which is applied, is known`);
    this.drawn += 1;
    this.lastMs = context.nowMs;
    this.appliedBytesBefore = this.applier.appliedBytes;
    const taking: Taking = {
      // Two cores never have the same incarnation, nor this one the same number twice.
      snapshotId: `${context.options.incarnation}-${this.drawn}`,
      index,
      term,
      configurations: state.log.configurationsUpTo(index),
      beganMs: context.nowMs,
      pieces: this.stateMachine.snapshot(),
      cutter: new SnapshotChunker(
        index,
        this.chunkBytes,
        levelOf(this.state.log.configurationAt(index)?.configuration),
      ),
      chunks: [],
      unsynced: [],
      sent: 0,
      isDrawn: false,
      end: undefined,
    };
    this.taking = taking;
    this.listener.onBegun();
    context.log('info', 'takes a snapshot', { index });
    // What is drawn first must be drawn before another entry is applied.
    this.draw(taking);
    this.proceed();
  }

  private proceed(): void {
    const { taking, own } = this;
    if (taking === undefined) return;
    if (taking.end !== undefined) {
      if (own.syncedSeq >= taking.end.seq) this.finish(taking, taking.end.compactTo);
      return;
    }
    taking.unsynced = taking.unsynced.filter((seq) => seq > own.syncedSeq);
    this.sendChunks(taking);
    if (taking.chunks.length > 0) return;
    if (!taking.isDrawn) this.schedule();
    else if (own.hasRoom('log-store')) this.sendEnd(taking);
  }

  /** Draws on after a while: requests and entries come first. */
  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.context.setTimer('snapshot', limits.snapshotReadIntervalMs);
  }

  /** Draws pieces for about one chunk. */
  private draw(taking: Taking): void {
    let bytes = 0;
    while (bytes < this.chunkBytes && taking.chunks.length === 0) {
      const next = taking.pieces.next();
      if (next.done === true) {
        taking.isDrawn = true;
        taking.chunks.push(...taking.cutter.end());
        return;
      }
      bytes += next.value.length;
      taking.chunks.push(...taking.cutter.add(next.value));
    }
  }

  private sendChunks(taking: Taking): void {
    const { own } = this;
    while (taking.unsynced.length < limits.snapshotTakingChunks && own.hasRoom('log-store')) {
      const chunk = taking.chunks.shift();
      if (chunk === undefined) return;
      const number = taking.sent;
      taking.sent += 1;
      const seq = own.sendFramed(
        'log-store',
        (frame) => ({
          name: 'log-store.snapshot_chunk',
          body: { ...own.own, ...frame, snapshot_id: taking.snapshotId, source: 'taken', number, chunk },
        }),
        chunk.length,
      );
      taking.unsynced.push(seq);
    }
  }

  private sendEnd(taking: Taking): void {
    const { own, state } = this;
    const { index, term, configurations, cutter } = taking;
    const compactTo = this.compactTo(index);
    const seq = own.sendFramed('log-store', (frame) => ({
      name: 'log-store.snapshot_end',
      body: {
        ...own.own,
        ...frame,
        snapshot_id: taking.snapshotId,
        source: 'taken',
        group_uid: state.groupUid,
        term: state.term,
        head: { index, term, configurations, ...cutter.sum },
        compact_to: compactTo,
      },
    }));
    taking.end = { seq, compactTo };
  }

  /**
   * Up to where the log may go: the margin stays, and on a leader what a live target still needs, but never more than
   * back to the last snapshot. Entries can be large: of the margin no more stays than a part of what makes a snapshot due.
   */
  private compactTo(index: LogIndex): LogIndex {
    const { state, context, leadership, applier } = this;
    const { snapshotMarginEntries, snapshotLogBytes } = context.options;
    const inBytes = Math.floor(snapshotLogBytes / marginPart / Math.max(applier.averageEntryBytes, 1));
    const before = index - Math.min(snapshotMarginEntries, inBytes);
    const live = state.role === 'leader' ? leadership.allProgress.filter((progress) => this.isLive(progress)) : [];
    const needed = Math.min(before, ...live.map(({ match_index }) => match_index));
    const wanted = Math.min(before, Math.max(needed, this.last?.index ?? 0));
    return asLogIndex(Math.max(wanted, state.log.base.index));
  }

  private finish(taking: Taking, compactTo: LogIndex): void {
    const { context, state, waiting } = this;
    const { index, term, beganMs, cutter, snapshotId } = taking;
    this.taking = undefined;
    this.waiting = [];
    this.last = { snapshot_id: snapshotId, index, term, chunks: cutter.sum.chunks, bytes: cutter.sum.bytes };
    this.setDue();
    state.log.compactTo(compactTo);
    const { chunks, bytes } = this.last;
    const took_ms = Math.round(context.nowMs - beganMs);
    context.event('snapshot_taken', { index, chunks, bytes, compacted_to: compactTo, took_ms });
    context.log('info', 'has taken a snapshot', { index, bytes, compacted_to: compactTo, took_ms });
    for (const requestId of waiting) context.reply(requestId, this.replyOf(this.last, true));
  }

  private replyOf(snapshot: StoredSnapshot, taken: boolean): SnapshotReply {
    return { ...snapshot, first_index: this.state.log.firstIndex, taken };
  }
}

function stored(snapshot_id: SnapshotId, { index, term, chunks, bytes }: SnapshotHead): StoredSnapshot {
  return { snapshot_id, index, term, chunks, bytes };
}
