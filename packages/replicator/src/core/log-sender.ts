/**
 * Makes a target's log follow the leader's, once its store is known: a probe finds where the logs match, the pipeline sends the
 * entries after that, and a snapshot replaces entries that are compacted. Heartbeats are sent all the while.
 *
 * Owns: the match state, the current state (`idle`, `probe`, `replicate`, `install`), and what is in flight. Does not know which
 * store the target has.
 *
 * Invariants:
 * 1. `0 <= anchor.index <= matchIndex < nextIndex <= lastIndex + 1`.
 * 2. `matchIndex` never falls while the target's store is the same; only `stored` raises it.
 * 3. Entries are in flight only in `replicate`, a probe, which may carry entries, only in `probe`, chunks of a snapshot only in
 *    `install`, and nothing in `idle`.
 * 4. A rejection counts only if it is the reply to a request in flight.
 */
import type { Body, LogIndex, Progress } from '@conclave/protocol';
import { EntrySource } from './entry-source.js';
import { Heartbeats } from './heartbeats.js';
import type { Position } from './in-flight-window.js';
import type { LeaderTerm } from './leader-term.js';
import { MatchState } from './match-state.js';
import { Pipeline } from './pipeline.js';
import { Probe } from './probe.js';
import { SnapshotSender } from './snapshot-sender.js';
import type { TargetMessages } from './target-messages.js';

type Rejected = Body<'replicator.rejected'>;

export class LogSender {
  private currentState: 'idle' | 'probe' | 'replicate' | 'install';
  private match: MatchState;
  /** Only in `install`. */
  private snapshotSender: SnapshotSender | undefined;
  /** The target has reported that it is read-only: it is sent heartbeats only. */
  private isReadOnly = false;
  private waitsForTick = false;
  private readonly heartbeats = new Heartbeats();
  /** The first entry that the leader may have appended itself: most logs end before it. */
  private readonly firstOwnIndex: LogIndex;
  private readonly source: EntrySource;
  private readonly probe: Probe;
  private readonly pipeline: Pipeline;

  /** @param isKnown whether the target's store is known; otherwise nothing is sent before `begin` */
  constructor(
    private readonly leaderTerm: LeaderTerm,
    private readonly messages: TargetMessages,
    isKnown: boolean,
  ) {
    this.currentState = isKnown ? 'probe' : 'idle';
    this.firstOwnIndex = (leaderTerm.lastIndex + 1) as LogIndex;
    this.match = new MatchState(this.firstOwnIndex);
    this.source = new EntrySource(leaderTerm);
    this.probe = new Probe(leaderTerm.times);
    this.pipeline = new Pipeline(leaderTerm, this.source, messages);
  }

  get state(): 'idle' | 'probe' | 'replicate' | 'install' {
    return this.currentState;
  }

  get matchIndex(): LogIndex {
    return this.match.matchIndex;
  }

  /** Whether the target receives the leader's new entries from the feed, as members do. */
  get followsFeed(): boolean {
    return this.currentState === 'replicate' && this.pipeline.feed === 'subscribed' && !this.isReadOnly;
  }

  /**
   * Whether the node must include the content of the entries that it appends next, because they are sent to this target. A target
   * that is far behind gets them later, from the log-store.
   */
  get needsEntryPayload(): boolean {
    const { currentState, pipeline } = this;
    const mayBeSent = currentState === 'probe' || (currentState === 'replicate' && pipeline.feed !== 'subscribed');
    return mayBeSent && !this.isReadOnly && this.isNearEnd();
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

  /** The target's store is known, and its last index. */
  begin(lastIndexThere: LogIndex, nowMs: number): void {
    this.isReadOnly = false;
    // Entries beyond the leader's last index are not the leader's; those that the target lacks need no probe.
    this.beginProbe(this.match.atLeastNext(Math.min(lastIndexThere, this.leaderTerm.lastIndex) + 1));
    this.proceed(nowMs);
  }

  /** Sends nothing more until `begin`. */
  stop(): void {
    this.enterState('idle');
  }

  /** The target has another store than before. */
  forget(): void {
    this.stop();
    this.match = new MatchState(this.match.nextIndex);
  }

  /** A new tick: sends a heartbeat, and repeats what is due. */
  onTick(nowMs: number): void {
    this.waitsForTick = false;
    this.source.onTick(nowMs);
    switch (this.currentState) {
      case 'idle':
        return;
      case 'probe':
        this.sendHeartbeat(nowMs);
        this.repeatProbe(nowMs);
        break;
      case 'replicate':
        // Early enough that it is subscribed when it has all earlier entries.
        if (this.mayRequestFeed()) this.pipeline.feed = 'requested';
        this.sendHeartbeat(nowMs);
        if (this.pipeline.isStalled(nowMs)) this.checkArrival(nowMs);
        break;
      case 'install':
        this.sendHeartbeat(nowMs);
        if (!this.isReadOnly) this.snapshotSender?.onTick(nowMs);
        break;
    }
    this.proceed(nowMs);
  }

  /** Sends what can be sent now. */
  proceed(nowMs: number): void {
    if (this.waitsForTick || !this.leaderTerm.mayStillSend(nowMs)) return;
    if (this.currentState === 'probe') this.sendProbe(nowMs);
    else if (this.isReadOnly) return;
    else if (this.currentState === 'replicate') this.sendEntries(nowMs);
    else if (this.currentState === 'install') this.snapshotSender?.proceed(nowMs);
  }

  // ---- messages of the target --------------------------------------------------------------------

  /** The target's log is synced and matches up to `matchIndex`. */
  onMatch(matchIndex: LogIndex, nowMs: number): void {
    const { match } = this;
    const isMore = match.raise(matchIndex);
    const freed = this.pipeline.onMatch(matchIndex, isMore, nowMs);
    match.raiseAnchor([freed, this.probe.prev], (index) => this.source.termAt(index));
    // Any acknowledgement up to the probe's position answers the probe, also that of a heartbeat.
    if (!match.reachNext() || this.currentState !== 'probe') return;
    this.currentState = 'replicate';
    const carried = this.probe.succeed();
    if (carried !== undefined) this.pipeline.addCarried(match, carried, nowMs);
  }

  /** Whether the target receives the leader's feed, and whether it is read-only. */
  onEcho({ hears_feed: hearsFeed, read_only }: Body<'feed.echo'>, nowMs: number): void {
    const { pipeline } = this;
    if (read_only !== this.isReadOnly) this.setReadOnly(read_only, nowMs);
    if (!hearsFeed && pipeline.feed === 'subscribed') pipeline.feed = 'requested';
    // The entries before the feed have been sent.
    if (hearsFeed && pipeline.feed === 'requested' && this.hasSentAll()) pipeline.feed = 'subscribed';
  }

  /** Whether it is the id of a sent request: a target that replies slowly must be found to have another store, too. */
  mayHaveSent(requestId: number): boolean {
    return this.sentAs(requestId) !== undefined || this.heartbeats.includes(requestId);
  }

  /** The target has rejected entries, or a chunk. @returns why the rejection is dropped */
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
      if (typeof sent !== 'string') this.beginProbe(this.match.atLeastNext(sent.index + 1));
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

  isAnsweredBy(body: Body<'replicator.entries'>): boolean {
    return this.source.isAnsweredBy(body);
  }

  /** The reply to the read in progress: call it only if `isAnsweredBy`. @returns why it is dropped */
  onEntries(body: Body<'replicator.entries'>, nowMs: number): string | undefined {
    const outcome = this.source.onEntries(body, nowMs);
    if (outcome === 'compacted') return this.onCompacted(body.from_index, nowMs);
    if (outcome === 'taken') this.proceed(nowMs);
    return outcome === 'taken' ? undefined : outcome;
  }

  /** The leader's own log-store has synced entries, so that they can be read. */
  onReadable(nowMs: number): void {
    if (this.source.onReadable()) this.proceed(nowMs);
  }

  isAnsweredByChunk(body: Body<'replicator.snapshot_chunk'>): boolean {
    return this.snapshotSender?.isAnsweredBy(body) ?? false;
  }

  /** The reply to a read of a snapshot: call it only if `isAnsweredByChunk`. @returns why it is dropped */
  onSnapshotChunk(body: Body<'replicator.snapshot_chunk'>, nowMs: number): string | undefined {
    const outcome = this.snapshotSender?.onChunk(body);
    if (outcome === 'no_snapshot') {
      // The log was reported to begin after a snapshot. Try again with the next tick.
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

  /** The log no longer holds an entry that the target needs: it is sent a snapshot instead. */
  private onCompacted(index: LogIndex, nowMs: number): string | undefined {
    const isWanted = this.currentState === 'probe' || this.currentState === 'replicate';
    if (!isWanted || index < this.match.nextIndex) return 'compacted_before';
    this.beginSnapshot(nowMs);
    return undefined;
  }

  private beginSnapshot(nowMs: number): void {
    this.enterState('install');
    this.pipeline.feed = 'unsubscribed';
    this.snapshotSender = new SnapshotSender(this.leaderTerm, this.messages);
    this.snapshotSender.proceed(nowMs);
  }

  /** The target's log now begins after the snapshot. */
  private onInstalled({ head }: SnapshotSender): void {
    const afterSnapshot = Math.min(head?.index ?? 0, this.leaderTerm.lastIndex) + 1;
    this.beginProbe(this.match.atLeastNext(afterSnapshot));
  }

  /** Entries in flight to a read-only target are lost; a probe finds out how far its log is. */
  private setReadOnly(isReadOnly: boolean, nowMs: number): void {
    this.isReadOnly = isReadOnly;
    this.leaderTerm.progressChanged = true;
    if (this.currentState === 'replicate') {
      this.pipeline.feed = 'unsubscribed';
      this.beginProbe(this.match.atLeastNext(0));
    }
    this.proceed(nowMs);
  }

  /** The target lacks entries that it had acknowledged as synced. No message can repair that; try again, but not in a loop. */
  private onLostMatch(): string {
    this.waitsForTick = true;
    this.probe.end();
    return 'acknowledged_entries_missing';
  }

  /** @returns the prev of a request in flight; `heartbeat`: it is the latest heartbeat; `chunk`: it is of a snapshot */
  private sentAs(requestId: number): { readonly index: LogIndex } | 'heartbeat' | 'chunk' | undefined {
    if (this.heartbeats.isLatest(requestId)) return 'heartbeat';
    if (this.snapshotSender?.isInFlight(requestId)) return 'chunk';
    if (this.probe.isAnsweredBy(requestId)) return this.probe.prev;
    const index = this.pipeline.prevIndexOf(requestId);
    return index === undefined ? undefined : { index };
  }

  /** @returns where to probe after a mismatch: after the end of a shorter log, else before the conflicting term (Raft thesis, section 3.5) */
  private nextAfterRejection(body: Rejected, sent: { readonly index: LogIndex }): LogIndex {
    const isShorter = body.last_index < sent.index;
    const hint = isShorter ? body.last_index + 1 : body.conflict_index;
    return this.match.atLeastNext(Math.min(hint, sent.index));
  }

  /** Asks whether all sent entries have arrived; a rejection contains where a gap begins. The messages in flight stay in flight. */
  private checkArrival(nowMs: number): void {
    const { match } = this;
    const index = (match.nextIndex - 1) as LogIndex;
    const term = this.source.termAt(index);
    if (term === undefined) this.beginProbe(match.atLeastNext(0));
    else this.pipeline.sendCheck({ index, term }, nowMs);
  }

  /** Near the end of the log, asks the target to subscribe to the feed: its echo of the next tick confirms that it has. */
  private sendEntries(nowMs: number): void {
    if (this.mayRequestFeed()) this.pipeline.feed = 'requested';
    this.pipeline.send(this.match, nowMs);
  }

  /** Whether the target is to be asked to subscribe to the leader's feed. */
  private mayRequestFeed(): boolean {
    const { pipeline } = this;
    return pipeline.feed === 'unsubscribed' && pipeline.hasRoom && this.isNearEnd() && !this.isReadOnly;
  }

  /** Whether the entries that are not sent yet are no more than one read returns. */
  private isNearEnd(): boolean {
    return this.source.isNearEnd(this.match.nextIndex);
  }

  /** Whether the whole log has been sent. */
  private hasSentAll(): boolean {
    return this.currentState === 'replicate' && this.pipeline.hasSentAll(this.match);
  }

  /** Its prev is a position that is known to match, so that it always causes a `stored`. */
  private sendHeartbeat(nowMs: number): void {
    if (!this.leaderTerm.mayStillSend(nowMs)) return;
    const requestId = this.leaderTerm.output.nextRequestId();
    this.heartbeats.add(requestId);
    this.sendEmpty(requestId, this.match.anchor);
  }

  private sendProbe(nowMs: number): void {
    if (this.probe.isOpen) return this.sendWithProbe();
    const { anchor, nextIndex } = this.match;
    const index = (nextIndex - 1) as LogIndex;
    const term = index === anchor.index ? anchor.term : this.source.termAt(index);
    // A read of the batch with the next entry returns the term before it; more would be useless if the probe fails.
    if (term === undefined) {
      this.source.ask(nextIndex, 1, nowMs);
      return;
    }
    const requestId = this.leaderTerm.output.nextRequestId();
    this.probe.begin(requestId, { index, term }, nowMs);
    this.sendEmpty(requestId, { index, term });
  }

  /** Most logs end where the leader's own entries begin: these need not wait for the reply to the probe. */
  private sendWithProbe(): void {
    const { nextIndex } = this.match;
    if (!this.probe.mayCarry || this.isReadOnly || nextIndex !== this.firstOwnIndex) return;
    const entries = this.source.collect(nextIndex);
    if (entries === undefined || entries.prev.index !== nextIndex - 1) return;
    if (this.mayRequestFeed()) this.pipeline.feed = 'requested';
    const requestId = this.probe.carry(entries);
    this.messages.sendAppendEntries(requestId, entries.prev, this.pipeline.requestsFeed, entries.batches);
  }

  private repeatProbe(nowMs: number): void {
    const open = this.probe.repeat(nowMs);
    if (open !== undefined) this.sendEmpty(open.requestId, open.prev);
  }

  private sendEmpty(requestId: number, prev: Position): void {
    this.messages.sendAppendEntries(requestId, prev, this.pipeline.requestsFeed, []);
  }
}
