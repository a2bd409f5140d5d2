/**
 * Sends a snapshot to one target instead of entries that the leader's log no longer contains (Raft thesis, section 5.3;
 * braft's `Replicator::_install_snapshot`).
 *
 * Owns: which snapshot is sent, how many chunks the target has stored, and the chunks in flight. Does not own what follows: once the
 * snapshot is installed, `LogSender` probes the log after it.
 *
 * Invariants:
 * 1. `stored <= next <= stored + limits.snapshotWindowChunks`; chunks are sent in order of their numbers.
 * 2. No chunk is sent before the target has reported how many it has: it may have kept some from an interrupted installation.
 * 3. The target replies in order. If a reply reports fewer chunks than were sent up to its request, chunks were lost, and all chunks
 *    from there on are sent again.
 * 4. Sending ends when the target reports that the snapshot is installed, and never because it takes long.
 */
import { type Body, limits, type Progress, type SnapshotHead } from '@conclave/protocol';
import type { LeaderTerm } from './leader-term.js';
import { type Snapshot, SnapshotSource } from './snapshot-source.js';
import type { TargetMessages } from './target-messages.js';

interface Request {
  readonly id: number;
  /** How many chunks the target has stored when it replies, if nothing is lost. */
  readonly upTo: number;
  /** False: the request contains no chunk, and only asks how many chunks are stored. */
  readonly hasChunk: boolean;
}

const nothing = new Uint8Array(0);

export class SnapshotSender {
  private readonly source: SnapshotSource;
  /** Whether the target has reported how many chunks it has (invariant 2). */
  private isResumed = false;
  private stored = 0;
  private next = 0;
  /** Requests without a reply, oldest first. */
  private requests: Request[] = [];
  /** When the target last replied, or was last sent a request. */
  private latestMs = 0;
  private retryAfterMs: number;

  constructor(
    private readonly leaderTerm: LeaderTerm,
    private readonly messages: TargetMessages,
  ) {
    this.source = new SnapshotSource(leaderTerm);
    this.retryAfterMs = this.firstRetryMs;
  }

  /** The head of the snapshot, which replaces the entries up to its `index`; undefined: not known yet. */
  get head(): SnapshotHead | undefined {
    return this.source.snapshot?.head;
  }

  get inFlight(): number {
    return this.requests.length;
  }

  progress(): Progress['install'] {
    if (this.head === undefined) return null;
    const { index, chunks, bytes } = this.head;
    return { index, chunks, bytes, stored: this.stored };
  }

  expects(body: Body<'replicator.snapshot_chunk'>): boolean {
    return this.source.expects(body);
  }

  /** Whether this is the id of a request to which the target has not replied. */
  isInFlight(requestId: number): boolean {
    return this.requests.some(({ id }) => id === requestId);
  }

  /** Accepts the reply to a read in progress. @returns why the reply is dropped */
  onChunk(body: Body<'replicator.snapshot_chunk'>): 'no_snapshot' | 'read_refused' | 'malformed_chunk' | undefined {
    const outcome = this.source.onChunk(body);
    if (outcome === 'replaced') this.restart();
    else if (outcome !== 'accepted') return outcome;
    return undefined;
  }

  /** The target reports how many chunks it has stored. @returns `installed`, or why the message is dropped */
  onStored(
    body: Body<'replicator.snapshot_stored'>,
    nowMs: number,
  ): 'installed' | 'other_snapshot' | 'not_in_flight' | undefined {
    const { snapshot } = this.source;
    if (snapshot?.id !== body.snapshot_id || body.stored > snapshot.head.chunks) return 'other_snapshot';
    if (body.installed) return 'installed';
    const request = this.requests.find(({ id }) => id === body.request_id);
    if (request === undefined) return 'not_in_flight';
    this.latestMs = nowMs;
    this.retryAfterMs = this.firstRetryMs;
    const isLossless = body.stored >= request.upTo;
    this.requests = isLossless ? this.requests.filter(({ id }) => id > request.id) : [];
    this.stored = body.stored;
    this.next = isLossless && this.isResumed ? Math.max(this.next, body.stored) : body.stored;
    this.isResumed = true;
    this.source.keepOnly(this.next, this.windowEnd(snapshot));
    return undefined;
  }

  /** Repeats a request to the target if it is due. */
  onTick(nowMs: number): void {
    this.source.onTick(nowMs);
    const { snapshot } = this.source;
    if (snapshot === undefined) return;
    // The target has all chunks, and restores its state from them. It is asked on each tick, however long that takes.
    const isFinishing = this.isResumed && this.stored === snapshot.head.chunks;
    const isSilent = this.requests.length > 0 && nowMs - this.latestMs >= this.retryAfterMs;
    if (!isFinishing && !isSilent) return;
    if (isSilent) this.retryAfterMs = Math.min(2 * this.retryAfterMs, this.leaderTerm.times.electionTimeoutMs);
    this.askTarget(snapshot, nowMs);
  }

  /** Reads and sends the chunks that the window has room for. */
  proceed(nowMs: number): void {
    if (!this.leaderTerm.mayStillSend(nowMs)) return;
    const { snapshot } = this.source;
    if (snapshot === undefined) {
      this.source.ask(0, nowMs);
      return;
    }
    if (!this.isResumed) {
      if (this.requests.length === 0) this.askTarget(snapshot, nowMs);
      return;
    }
    this.sendChunks(snapshot, nowMs);
    for (let number = this.next; number < this.windowEnd(snapshot); number++) {
      if (!this.source.ask(number, nowMs)) break;
    }
  }

  private get firstRetryMs(): number {
    return this.leaderTerm.times.electionTimeoutMs / 4;
  }

  private windowEnd({ head }: Snapshot): number {
    return Math.min(head.chunks, this.stored + limits.snapshotWindowChunks);
  }

  /** A newer snapshot has replaced this one. */
  private restart(): void {
    this.isResumed = false;
    this.stored = 0;
    this.next = 0;
    this.requests = [];
  }

  private sendChunks(snapshot: Snapshot, nowMs: number): void {
    while (this.next < this.windowEnd(snapshot)) {
      const chunk = this.source.take(this.next);
      if (chunk === undefined) break;
      const number = this.next;
      this.next += 1;
      const request = { id: this.leaderTerm.output.nextRequestId(), upTo: this.next, hasChunk: true };
      if (this.requests.length === 0) this.latestMs = nowMs;
      this.requests.push(request);
      this.messages.sendSnapshot(request.id, snapshot, number, chunk);
    }
  }

  /** Asks the target how many chunks it has stored. A repeated request keeps its id, so that a late reply to it counts. */
  private askTarget(snapshot: Snapshot, nowMs: number): void {
    if (!this.leaderTerm.mayStillSend(nowMs)) return;
    let request = this.requests.at(-1);
    if (request === undefined || request.hasChunk) {
      request = { id: this.leaderTerm.output.nextRequestId(), upTo: this.next, hasChunk: false };
      this.requests.push(request);
    }
    this.latestMs = nowMs;
    this.messages.sendSnapshot(request.id, snapshot, this.next, nothing);
  }
}
