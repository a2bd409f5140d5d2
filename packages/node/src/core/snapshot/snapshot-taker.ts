/**
 * Takes snapshots of this peer's state machine, as leader or follower, and compacts the log before them (Raft thesis, section
 * 5.1; braft's SnapshotExecutor).
 * Owns: when a snapshot is taken, and the one that is being taken. Does not own the chunks once the log-store has them, nor
 * snapshots that a leader sends (`SnapshotReceiver`).
 * Invariants:
 * 1. A snapshot covers the entries that were applied when it began, and no later ones.
 * 2. One step reads about one chunk. Between two reads some milliseconds pass, and at most `limits.snapshotTakingChunks` chunks
 *    are unsynced. So ticks, votes and entries are not delayed, also not on the link to the log-store.
 * 3. Entries are dropped only once the log-store has acknowledged that the snapshot is current.
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
import type { LeaderState } from '../leader/index.js';
import type { LocalActors } from '../local/index.js';
import type { Applier } from '../log/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

interface Taking {
  readonly snapshotId: SnapshotId;
  readonly index: LogIndex;
  readonly term: Term;
  readonly configurations: ConfigurationEntry[];
  readonly beganMs: number;
  readonly pieces: Iterator<Uint8Array, void>;
  readonly chunker: SnapshotChunker;
  /** Complete chunks that are not sent yet. */
  readonly chunks: Uint8Array[];
  /** The `seq` on the link of each chunk that was sent and may not be synced yet. */
  unsynced: number[];
  /** How many chunks were sent. */
  sent: number;
  /** All pieces of the state were read. */
  isRead: boolean;
  /** The end was sent, after all chunks. */
  end: { readonly seq: number; readonly compactTo: LogIndex } | undefined;
}

export interface SnapshotsListener {
  /** Returns why no snapshot can be taken now; undefined: one can. */
  readonly obstacle: () => string | undefined;
  /** A snapshot is being taken: what the log-store has received of another one is dropped. */
  readonly onBegun: () => void;
}

/** The margin takes at most this fraction of `snapshotLogBytes`. */
const marginPart = 4;

/** The log is not kept for a target that was silent for this many election timeouts. */
const liveTimeouts = 10;

export class SnapshotTaker {
  private last: StoredSnapshot | undefined;
  private lastMs = 0;
  /** The bytes that had been applied when the last snapshot began. */
  private appliedBytesBefore = 0;
  /** The next snapshot is due when this many bytes have been applied since. */
  private dueBytes = Number.POSITIVE_INFINITY;
  private taking: Taking | undefined;
  /** Whether the timer that continues reading is set. */
  private isScheduled = false;
  private waiting: number[] = [];
  private begun = 0;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly applier: Applier,
    private readonly leadership: LeaderState,
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
   * A large state is not written for a small log: at least half of the bytes of the last snapshot must have been applied. A
   * random part keeps the peers, which apply the same entries, from taking their snapshots at the same moment.
   */
  private setDue(): void {
    const { options, random } = this.context;
    const minBytes = Math.max(options.snapshotLogBytes, (this.last?.bytes ?? 0) / 2);
    this.dueBytes = minBytes * (1 + random / 4);
  }

  status(): Pick<StatusReply, 'snapshot' | 'taking'> {
    const { taking } = this;
    const { chunks, bytes } = taking?.chunker.sum ?? { chunks: 0, bytes: 0 };
    return {
      snapshot: this.last ?? null,
      taking: taking === undefined ? null : { index: taking.index, chunks, bytes },
    };
  }

  /** A member whose state is wrong needs a snapshot of this entry or a later one. */
  ensure(index: LogIndex): void {
    if (this.taking !== undefined || (this.last?.index ?? 0) >= index || this.state.appliedIndex < index) return;
    if (this.obstacle() === undefined) this.begin();
  }

  /** Handles the command `snapshot`. If a snapshot is being taken, the reply is that one. */
  onCommand(requestId: number): void {
    const { context } = this;
    const obstacle = this.obstacle();
    if (this.taking !== undefined) {
      this.waiting.push(requestId);
    } else if (obstacle !== undefined) {
      context.refuse(requestId, 'EBUSY', obstacle);
    } else if (this.hasNewEntries()) {
      this.waiting.push(requestId);
      this.begin();
    } else if (this.last !== undefined) {
      context.reply(requestId, this.replyOf(this.last, false));
    } else {
      context.refuse(
        requestId,
        'ENOENT',
        'this peer holds no data of the group yet: there is nothing to take a snapshot of',
      );
    }
  }

  /** Begins a snapshot if one is due, or continues the one that waits for room on the link. Called on each tick. */
  onTick(): void {
    if (this.taking === undefined && this.isDue()) this.begin();
    else this.proceed();
  }

  /** The log-store has acknowledged messages of the link. */
  onSynced(): void {
    this.proceed();
  }

  /** The timer that continues a snapshot has fired. */
  onTimer(): void {
    this.isScheduled = false;
    const { taking } = this;
    if (taking === undefined) return;
    if (!taking.isRead && taking.chunks.length === 0) this.readPieces(taking);
    this.proceed();
  }

  /** Another snapshot is being received: abandons the one that is being taken, unless all of it was sent to the log-store. */
  giveUp(reason: string): void {
    if (this.taking?.end === undefined) this.abandon(reason);
  }

  /**
   * Abandons the snapshot that is being taken in any case. If all of it was sent, it is not known whether it has become current.
   */
  abandon(reason: string): void {
    const { taking, waiting, context } = this;
    if (taking === undefined) return;
    this.taking = undefined;
    this.waiting = [];
    taking.pieces.return?.();
    this.isScheduled = false;
    context.cancelTimer('snapshot');
    context.log('info', 'abandons the snapshot that it is taking', { index: taking.index, reason });
    const outcome = taking.end === undefined ? 'not_done' : 'unknown';
    for (const requestId of waiting) context.refuse(requestId, 'EBUSY', reason, outcome);
  }

  private obstacle(): string | undefined {
    const { readOnlyReason, diskFreeBytes } = this.state;
    // On a disk that is nearly full a snapshot frees space, if there is enough for itself.
    const isTight =
      readOnlyReason === 'disk' && 2 * (this.last?.bytes ?? this.applier.appliedBytes) > (diskFreeBytes ?? 0);
    return isTight ? 'the disk has no room for a snapshot' : this.listener.obstacle();
  }

  private hasNewEntries(): boolean {
    return this.state.appliedIndex > (this.last?.index ?? 0);
  }

  private isDue(): boolean {
    const { context, applier, lastMs, appliedBytesBefore, dueBytes } = this;
    const bytes = applier.appliedBytes - appliedBytesBefore;
    const isLarge = bytes >= dueBytes;
    const isOld = context.nowMs - lastMs >= context.options.snapshotIntervalMs;
    if (!(isLarge || isOld) || !this.hasNewEntries() || this.obstacle() !== undefined) return false;
    // A newer snapshot would restart the transfer to the target.
    return !this.isSendingOne() || bytes >= limits.snapshotDelaySizes * dueBytes;
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
    this.begun += 1;
    this.lastMs = context.nowMs;
    this.appliedBytesBefore = this.applier.appliedBytes;
    const taking: Taking = {
      // Unique: no two cores have the same incarnation, and no core uses a number twice.
      snapshotId: `${context.options.incarnation}-${this.begun}`,
      index,
      term,
      configurations: state.log.configurationsUpTo(index),
      beganMs: context.nowMs,
      pieces: this.stateMachine.snapshot(),
      chunker: new SnapshotChunker(
        index,
        this.chunkBytes,
        levelOf(this.state.log.configurationAt(index)?.configuration),
      ),
      chunks: [],
      unsynced: [],
      sent: 0,
      isRead: false,
      end: undefined,
    };
    this.taking = taking;
    this.listener.onBegun();
    context.log('info', 'takes a snapshot', { index });
    // The first pieces must be read before another entry is applied.
    this.readPieces(taking);
    this.proceed();
  }

  private proceed(): void {
    const { taking, actors } = this;
    if (taking === undefined) return;
    if (taking.end !== undefined) {
      if (actors.syncedSeq >= taking.end.seq) this.finish(taking, taking.end.compactTo);
      return;
    }
    taking.unsynced = taking.unsynced.filter((seq) => seq > actors.syncedSeq);
    this.sendChunks(taking);
    if (taking.chunks.length > 0) return;
    if (!taking.isRead) this.schedule();
    else if (actors.hasRoom('log-store')) this.sendEnd(taking);
  }

  /** Continues to read after a while: requests and entries come first. */
  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.context.setTimer('snapshot', limits.snapshotReadIntervalMs);
  }

  /** Reads pieces for about one chunk. */
  private readPieces(taking: Taking): void {
    let bytes = 0;
    while (bytes < this.chunkBytes && taking.chunks.length === 0) {
      const next = taking.pieces.next();
      if (next.done === true) {
        taking.isRead = true;
        taking.chunks.push(...taking.chunker.end());
        return;
      }
      bytes += next.value.length;
      taking.chunks.push(...taking.chunker.add(next.value));
    }
  }

  private sendChunks(taking: Taking): void {
    const { actors } = this;
    while (taking.unsynced.length < limits.snapshotTakingChunks && actors.hasRoom('log-store')) {
      const chunk = taking.chunks.shift();
      if (chunk === undefined) return;
      const number = taking.sent;
      taking.sent += 1;
      const seq = actors.sendFramed(
        'log-store',
        (frame) => ({
          name: 'log-store.snapshot_chunk',
          body: { ...actors.identity, ...frame, snapshot_id: taking.snapshotId, source: 'taken', number, chunk },
        }),
        chunk.length,
      );
      taking.unsynced.push(seq);
    }
  }

  private sendEnd(taking: Taking): void {
    const { actors, state } = this;
    const { index, term, configurations, chunker } = taking;
    const compactTo = this.compactTo(index);
    const seq = actors.sendFramed('log-store', (frame) => ({
      name: 'log-store.snapshot_end',
      body: {
        ...actors.identity,
        ...frame,
        snapshot_id: taking.snapshotId,
        source: 'taken',
        group_uid: state.groupUid,
        term: state.term,
        head: { index, term, configurations, ...chunker.sum },
        compact_to: compactTo,
      },
    }));
    taking.end = { seq, compactTo };
  }

  /**
   * Returns the entry up to which the log is compacted. The margin stays; on a leader also the entries that a responding target
   * still needs, but never more than back to the last snapshot. Because entries can be large, the margin is at most a fraction of
   * `snapshotLogBytes`.
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
    const { index, term, beganMs, chunker, snapshotId } = taking;
    this.taking = undefined;
    this.waiting = [];
    this.last = { snapshot_id: snapshotId, index, term, chunks: chunker.sum.chunks, bytes: chunker.sum.bytes };
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
