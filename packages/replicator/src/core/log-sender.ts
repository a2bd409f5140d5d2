/**
 * Sends a leader's log to one target, and is in one of four states:
 * - `idle`: the target's store is not known, and nothing is sent;
 * - `probe`: one AppendEntries, the probe, finds out where the target's log matches the leader's;
 * - `replicate`: the pipeline sends the entries after the match index, many messages at a time;
 * - `install`: a snapshot is sent, because the leader's log no longer contains an entry that the target needs.
 * Heartbeats are sent in each state except `idle`.
 *
 * Owns: the match state, the current state, and what a reply changes. `Heartbeats`, `Probe`, `Pipeline` and `SnapshotSender` send the
 * messages. Does not know which store the target has.
 *
 * Invariants:
 * 1. `0 <= anchor.index <= matchIndex < nextIndex <= lastIndex + 1`. The anchor is a position that is known to match.
 * 2. `matchIndex` never decreases while the target's store is the same; only `stored` increases it.
 * 3. What is in flight depends on the state. `probe`: at most one probe, and at most one message with the entries after it.
 *    `replicate`: messages of the pipeline. `install`: chunks of a snapshot. `idle`: nothing.
 * 4. A rejection has an effect only if it is the reply to a request in flight.
 */
import type { Body, LogIndex, Progress } from '@conclave/protocol';
import { EntrySource } from './entry-source.js';
import { Heartbeats } from './heartbeats.js';
import type { LeaderTerm } from './leader-term.js';
import { MatchState } from './match-state.js';
import { Pipeline } from './pipeline.js';
import { Probe } from './probe.js';
import { SnapshotSender } from './snapshot-sender.js';
import { TargetFeed } from './target-feed.js';
import type { TargetMessages } from './target-messages.js';

type Rejected = Body<'replicator.rejected'>;

export class LogSender {
  private currentState: 'idle' | 'probe' | 'replicate' | 'install';
  private match: MatchState;
  /** Defined only in `install`. */
  private snapshotSender: SnapshotSender | undefined;
  /** The target has reported that it is read-only: only messages without entries are sent to it, such as heartbeats. */
  private isReadOnly = false;
  /** Whether `proceed` sends nothing before the next tick, because the message would be rejected or useless now. */
  private waitsForTick = false;
  private readonly source: EntrySource;
  private readonly feed = new TargetFeed();
  private readonly heartbeats: Heartbeats;
  private readonly probe: Probe;
  private readonly pipeline: Pipeline;

  /** @param isKnown whether the target's store is known; otherwise nothing is sent before `begin` */
  constructor(
    private readonly leaderTerm: LeaderTerm,
    private readonly messages: TargetMessages,
    isKnown: boolean,
  ) {
    this.currentState = isKnown ? 'probe' : 'idle';
    this.match = new MatchState((leaderTerm.lastIndex + 1) as LogIndex);
    this.source = new EntrySource(leaderTerm);
    this.heartbeats = new Heartbeats(leaderTerm, messages, this.feed);
    this.probe = new Probe(leaderTerm, this.source, messages, this.feed);
    this.pipeline = new Pipeline(leaderTerm, this.source, messages, this.feed);
  }

  get state(): 'idle' | 'probe' | 'replicate' | 'install' {
    return this.currentState;
  }

  get matchIndex(): LogIndex {
    return this.match.matchIndex;
  }

  /** Whether the target receives the leader's new entries from the feed, as members do. */
  get followsFeed(): boolean {
    return this.currentState === 'replicate' && this.feed.isSubscribed && !this.isReadOnly;
  }

  /**
   * Whether the node must send the replicators the payload of the entries that it appends next, because they are sent to this target
   * soon. For a target that is not near the end of the log, entries are read from the log-store later.
   */
  get needsPayload(): boolean {
    const { currentState, feed } = this;
    const mayBeSent = currentState === 'probe' || (currentState === 'replicate' && !feed.isSubscribed);
    return mayBeSent && !this.isReadOnly && this.source.isNearEnd(this.match.nextIndex);
  }

  progress(): Pick<Progress, 'match_index' | 'next_index' | 'in_flight' | 'install' | 'read_only'> {
    return {
      match_index: this.match.matchIndex,
      next_index: this.match.nextIndex,
      in_flight: this.pipeline.inFlight + (this.probe.isOpen ? 1 : 0) + (this.snapshotSender?.inFlight ?? 0),
      install: this.snapshotSender?.progress() ?? null,
      read_only: this.isReadOnly,
    };
  }

  /** The target's store is known: begins with a probe. @param targetLastIndex the last index of the target's log */
  begin(targetLastIndex: LogIndex, nowMs: number): void {
    this.isReadOnly = false;
    // The first probe is at the end of the shorter of the two logs: after that, the logs cannot match.
    this.beginProbe(this.match.atLeastFirstUnmatched(Math.min(targetLastIndex, this.leaderTerm.lastIndex) + 1));
    this.proceed(nowMs);
  }

  /** Sends nothing more until `begin`. */
  stop(): void {
    this.enterState('idle');
  }

  /** The target has another store than before: what is known about its log no longer holds. */
  forget(): void {
    this.stop();
    this.match = new MatchState(this.match.nextIndex);
  }

  /** A new tick of the node: sends a heartbeat, and repeats messages that got no reply in time. */
  onTick(nowMs: number): void {
    const { heartbeats, match } = this;
    this.waitsForTick = false;
    this.source.onTick(nowMs);
    switch (this.currentState) {
      case 'idle':
        return;
      case 'probe':
        heartbeats.send(match.anchor, nowMs);
        this.probe.repeat(nowMs);
        break;
      case 'replicate':
        if (!this.isReadOnly) this.pipeline.requestFeed(match);
        heartbeats.send(match.anchor, nowMs);
        if (this.pipeline.isStalled(nowMs)) this.checkArrival(nowMs);
        break;
      case 'install':
        heartbeats.send(match.anchor, nowMs);
        if (!this.isReadOnly) this.snapshotSender?.onTick(nowMs);
        break;
    }
    this.proceed(nowMs);
  }

  /** Sends the messages that the state and the window allow now. */
  proceed(nowMs: number): void {
    if (this.waitsForTick || !this.leaderTerm.mayStillSend(nowMs)) return;
    if (this.currentState === 'probe') this.sendProbe(nowMs);
    else if (this.isReadOnly) return;
    else if (this.currentState === 'replicate') this.pipeline.send(this.match, nowMs);
    else if (this.currentState === 'install') this.snapshotSender?.proceed(nowMs);
  }

  // ---- messages of the target --------------------------------------------------------------------

  /** The target's log is synced and matches up to `matchIndex`. */
  onMatch(matchIndex: LogIndex, nowMs: number): void {
    const { match } = this;
    const isMore = match.raise(matchIndex);
    const freed = this.pipeline.onMatch(matchIndex, isMore, nowMs);
    match.raiseAnchor([freed, this.probe.prev], (index) => this.source.termAt(index));
    // An acknowledgement up to the probe's position ends the probe, even if the target sends it because of a heartbeat.
    if (!match.reachNext() || this.currentState !== 'probe') return;
    this.currentState = 'replicate';
    const carried = this.probe.succeed();
    if (carried !== undefined) this.pipeline.addCarried(match, carried, nowMs);
  }

  /** The target reports in an echo whether it receives the leader's feed, and whether it is read-only. */
  onEcho({ hears_feed: hearsFeed, read_only }: Body<'feed.echo'>, nowMs: number): void {
    if (read_only !== this.isReadOnly) this.setReadOnly(read_only, nowMs);
    this.feed.onEcho(hearsFeed, this.currentState === 'replicate' && this.pipeline.hasSentAll(this.match));
  }

  /**
   * Whether this is the id of a request in flight, or of any heartbeat since `enterState` was last called. A rejection of such a
   * request is considered even if it is late: it may show that the target has another store.
   */
  mayHaveSent(requestId: number): boolean {
    return this.sentAs(requestId) !== undefined || this.heartbeats.includes(requestId);
  }

  /** The target has rejected a probe, entries, a heartbeat or a chunk. @returns why the rejection is dropped */
  onRejected(body: Rejected, nowMs: number): string | undefined {
    const sent = this.sentAs(body.request_id);
    if (sent === undefined) return 'not_in_flight';
    if (body.reason === 'read_only' && !this.isReadOnly) {
      this.isReadOnly = true;
      this.leaderTerm.progressChanged = true;
    }
    if (body.reason === 'wants_snapshot') {
      if (this.currentState !== 'install') this.beginSnapshot(nowMs);
      return undefined;
    }
    if (body.reason === 'busy' || body.reason === 'read_only') {
      this.waitsForTick = true;
      if (typeof sent !== 'string') this.beginProbe(this.match.atLeastFirstUnmatched(sent.index + 1));
      return undefined;
    }
    if (sent === 'chunk') return 'malformed_rejection';
    if (sent === 'heartbeat' || sent.index <= this.match.matchIndex) return this.onLostMatch();
    this.beginProbe(this.nextAfterRejection(body, sent));
    this.proceed(nowMs);
    return undefined;
  }

  /** The target has stored chunks of a snapshot. @returns why the message is dropped */
  onSnapshotStored(body: Body<'replicator.snapshot_stored'>, nowMs: number): string | undefined {
    const { snapshotSender } = this;
    if (snapshotSender === undefined) return 'not_installing';
    const outcome = snapshotSender.onStored(body, nowMs);
    if (outcome === 'installed') this.onInstalled(snapshotSender);
    this.proceed(nowMs);
    return outcome === 'installed' ? undefined : outcome;
  }

  // ---- messages of the log-store -----------------------------------------------------------------

  /** Whether this is the reply to the read in progress. */
  expectsEntries(body: Body<'replicator.entries'>): boolean {
    return this.source.expects(body);
  }

  /** The reply to the read in progress; call this only if `expectsEntries` returns true. @returns why the reply is dropped */
  onEntries(body: Body<'replicator.entries'>, nowMs: number): string | undefined {
    const outcome = this.source.onEntries(body, nowMs);
    if (outcome === 'compacted') return this.onCompacted(body.from_index, nowMs);
    if (outcome === 'accepted') this.proceed(nowMs);
    return outcome === 'accepted' ? undefined : outcome;
  }

  /** The leader's own log-store has synced entries, so that they can be read. */
  onReadable(nowMs: number): void {
    if (this.source.onReadable()) this.proceed(nowMs);
  }

  /** Whether this is the reply to a read of a snapshot in progress. */
  expectsChunk(body: Body<'replicator.snapshot_chunk'>): boolean {
    return this.snapshotSender?.expects(body) ?? false;
  }

  /** The reply to a read of a snapshot; call this only if `expectsChunk` returns true. @returns why the reply is dropped */
  onSnapshotChunk(body: Body<'replicator.snapshot_chunk'>, nowMs: number): string | undefined {
    const outcome = this.snapshotSender?.onChunk(body);
    if (outcome === 'no_snapshot') {
      // The log-store has no snapshot although it reported that the log begins after one. Try again with the next tick.
      this.waitsForTick = true;
      this.beginProbe(this.match.nextIndex);
    }
    this.proceed(nowMs);
    return outcome;
  }

  // ---- changes of the state ----------------------------------------------------------------------

  private enterState(to: 'idle' | 'probe' | 'install'): void {
    this.currentState = to;
    this.pipeline.stop();
    this.probe.end();
    this.heartbeats.clear();
    this.snapshotSender = undefined;
  }

  private beginProbe(nextIndex: LogIndex): void {
    this.enterState('probe');
    this.match.nextIndex = nextIndex;
  }

  /** The log no longer contains this entry. If the target needs it, a snapshot is sent. */
  private onCompacted(index: LogIndex, nowMs: number): string | undefined {
    const isWanted = this.currentState === 'probe' || this.currentState === 'replicate';
    if (!isWanted || index < this.match.nextIndex) return 'compacted_before';
    this.beginSnapshot(nowMs);
    return undefined;
  }

  private beginSnapshot(nowMs: number): void {
    this.enterState('install');
    this.feed.cancel();
    this.snapshotSender = new SnapshotSender(this.leaderTerm, this.messages);
    this.snapshotSender.proceed(nowMs);
  }

  /** The target has installed the snapshot: its log now begins after the snapshot. */
  private onInstalled({ head }: SnapshotSender): void {
    const afterSnapshot = Math.min(head?.index ?? 0, this.leaderTerm.lastIndex) + 1;
    this.beginProbe(this.match.atLeastFirstUnmatched(afterSnapshot));
  }

  /**
   * The target has become read-only, or writable again. Entries in flight to a read-only target are lost, so a probe finds where the
   * target's log ends.
   */
  private setReadOnly(isReadOnly: boolean, nowMs: number): void {
    this.isReadOnly = isReadOnly;
    this.leaderTerm.progressChanged = true;
    if (this.currentState === 'replicate') {
      this.feed.cancel();
      this.beginProbe(this.match.firstUnmatched);
    }
    this.proceed(nowMs);
  }

  /** The target lacks entries that it had acknowledged as synced, which no message can repair. Tries again once per tick. */
  private onLostMatch(): string {
    this.waitsForTick = true;
    this.probe.end();
    return 'acknowledged_entries_missing';
  }

  /**
   * Finds the request in flight with this id.
   * @returns the position before the entries of the request; `heartbeat`: it is the latest heartbeat; `chunk`: it is a chunk of a
   * snapshot; undefined: no such request is in flight
   */
  private sentAs(requestId: number): { readonly index: LogIndex } | 'heartbeat' | 'chunk' | undefined {
    if (this.heartbeats.isLatest(requestId)) return 'heartbeat';
    if (this.snapshotSender?.isInFlight(requestId)) return 'chunk';
    if (this.probe.isInFlight(requestId)) return this.probe.prev;
    const index = this.pipeline.prevIndexOf(requestId);
    return index === undefined ? undefined : { index };
  }

  /**
   * @returns the next index after a mismatch: after the last entry of the target if its log is shorter, otherwise the first entry of
   * the term that conflicts (Raft thesis, section 3.5)
   */
  private nextAfterRejection(body: Rejected, sent: { readonly index: LogIndex }): LogIndex {
    const isShorter = body.last_index < sent.index;
    const hint = isShorter ? body.last_index + 1 : body.conflict_index;
    return this.match.atLeastFirstUnmatched(Math.min(hint, sent.index));
  }

  /**
   * Sends an AppendEntries without entries after the last sent one. The target rejects it if entries are missing; the rejection
   * contains where the gap begins. The messages in flight stay in flight.
   */
  private checkArrival(nowMs: number): void {
    const { match } = this;
    const index = (match.nextIndex - 1) as LogIndex;
    const term = this.source.termAt(index);
    if (term === undefined) this.beginProbe(match.firstUnmatched);
    else this.pipeline.sendCheck({ index, term }, nowMs);
  }

  private sendProbe(nowMs: number): void {
    if (!this.probe.isOpen) this.probe.send(this.match, nowMs);
    else if (!this.isReadOnly) this.probe.sendEntries(this.match);
  }
}
