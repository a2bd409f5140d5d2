/**
 * What makes a target's log follow the leader's, once its store is known: a probe finds where they agree, the pipeline
 * sends what comes behind, and a snapshot stands in for what is gone. Heartbeats go out all the while.
 *
 * Owns how far the logs agree, which of these has its turn, and what is on its way. Does not own who the target is.
 *
 * Invariants:
 * 1. `0 <= anchor.index <= matchIndex < nextIndex <= lastIndex + 1`.
 * 2. `matchIndex` never falls while the target's store is the same; only `stored` raises it.
 * 3. Something is in flight only in `replicate`, a probe only in `probe`, chunks of a snapshot only in `install`, and
 *    nothing in `idle`.
 * 4. A rejection counts only where it answers a request that is in flight.
 */
import type { Body, LogIndex, Progress } from '@conclave/protocol';
import { Agreement } from './agreement.js';
import { EntrySource } from './entry-source.js';
import { Heartbeats } from './heartbeats.js';
import type { Position } from './in-flight-window.js';
import { Installation } from './installation.js';
import type { Leadership } from './leadership.js';
import { Pipeline } from './pipeline.js';
import { Probe } from './probe.js';
import type { TargetMessages } from './target-messages.js';

type Rejected = Body<'replicator.rejected'>;

export class Supply {
  private turn: 'idle' | 'probe' | 'replicate' | 'install';
  private agreement: Agreement;
  /** In `install`. */
  private installation: Installation | undefined;
  /** The target takes no entries, as it has said: heartbeats are all that it gets. */
  private isReadOnly = false;
  private waitsForTick = false;
  private readonly heartbeats = new Heartbeats();
  private readonly source: EntrySource;
  private readonly probe: Probe;
  private readonly pipeline: Pipeline;

  /** @param isKnown whether the target's store is; else it begins with `begin`. */
  constructor(
    private readonly leadership: Leadership,
    private readonly messages: TargetMessages,
    isKnown: boolean,
  ) {
    this.turn = isKnown ? 'probe' : 'idle';
    this.agreement = new Agreement((leadership.lastIndex + 1) as LogIndex);
    this.source = new EntrySource(leadership);
    this.probe = new Probe(leadership.times);
    this.pipeline = new Pipeline(leadership, this.source, messages);
  }

  get state(): 'idle' | 'probe' | 'replicate' | 'install' {
    return this.turn;
  }

  get matchIndex(): LogIndex {
    return this.agreement.matchIndex;
  }

  /** Whether the target gets the leader's new entries by itself, as members do. */
  get isKeptInStep(): boolean {
    return this.turn === 'replicate' && this.pipeline.feed === 'heard' && !this.isReadOnly;
  }

  /** Whether what the node appends next is to be sent to the target soon. For one that is far behind it is read. */
  get wantsContent(): boolean {
    if (this.turn !== 'replicate' || this.pipeline.feed === 'heard' || this.isReadOnly) return false;
    return this.isNearEnd();
  }

  progress(): Pick<Progress, 'match_index' | 'next_index' | 'in_flight' | 'install' | 'read_only'> {
    return {
      match_index: this.agreement.matchIndex,
      next_index: this.agreement.nextIndex,
      in_flight: this.pipeline.inFlight + (this.probe.isOpen ? 1 : 0) + (this.installation?.inFlight ?? 0),
      install: this.installation?.progress() ?? null,
      read_only: this.isReadOnly,
    };
  }

  /** The target's store is known, and where its log ends. */
  begin(lastIndexThere: LogIndex, nowMs: number): void {
    this.isReadOnly = false;
    // What it has beyond the leader's end is not the leader's; what it lacks need not be probed.
    this.beginProbe(this.agreement.atLeastNext(Math.min(lastIndexThere, this.leadership.lastIndex) + 1));
    this.proceed(nowMs);
  }

  /** Sends nothing more until it begins again. */
  stop(): void {
    this.giveTurn('idle');
  }

  /** The target's store is no longer the one that was known. */
  forget(): void {
    this.stop();
    this.agreement = new Agreement(this.agreement.nextIndex);
  }

  /** A new tick: a heartbeat, and what is due again. */
  onTick(nowMs: number): void {
    this.waitsForTick = false;
    this.source.onTick(nowMs);
    switch (this.turn) {
      case 'idle':
        return;
      case 'probe':
        this.sendHeartbeat(nowMs);
        this.repeatProbe(nowMs);
        break;
      case 'replicate':
        // In time, so that it hears them when it has all that was appended before.
        if (this.mayHearFeed()) this.pipeline.feed = 'asked';
        this.sendHeartbeat(nowMs);
        if (this.pipeline.isStalled(nowMs)) this.checkArrival(nowMs);
        break;
      case 'install':
        this.sendHeartbeat(nowMs);
        if (!this.isReadOnly) this.installation?.onTick(nowMs);
        break;
    }
    this.proceed(nowMs);
  }

  /** Sends what there is to send. */
  proceed(nowMs: number): void {
    if (this.waitsForTick || !this.leadership.isInOffice(nowMs)) return;
    if (this.turn === 'probe') this.sendProbe(nowMs);
    else if (this.isReadOnly) return;
    else if (this.turn === 'replicate') this.supplyEntries(nowMs);
    else if (this.turn === 'install') this.installation?.proceed(nowMs);
  }

  // ---- what the target says ----------------------------------------------------------------------

  /** The target's log is synced and the leader's up to there. */
  onMatch(matchIndex: LogIndex, nowMs: number): void {
    const { agreement } = this;
    const isMore = agreement.raise(matchIndex);
    const freed = this.pipeline.onMatch(matchIndex, isMore, nowMs);
    agreement.raiseAnchor([freed, this.probe.prev], (index) => this.source.termAt(index));
    // A probe is answered by whatever shows that the log agrees up to there, also by a heartbeat's answer.
    if (!agreement.reachNext() || this.turn !== 'probe') return;
    this.turn = 'replicate';
    this.probe.succeed();
  }

  /** Whether the target hears the leader's appends itself, and takes entries at all. */
  onEcho({ hears_feed: hearsFeed, read_only }: Body<'feed.echo'>, nowMs: number): void {
    const { pipeline } = this;
    if (read_only !== this.isReadOnly) this.setReadOnly(read_only, nowMs);
    if (!hearsFeed && pipeline.feed === 'heard') pipeline.feed = 'asked';
    // Whatever it does not hear has been sent.
    if (hearsFeed && pipeline.feed === 'asked' && this.isInStep()) pipeline.feed = 'heard';
  }

  /** Whether it may answer something that was sent: who answers slowly must be found to have another store, too. */
  mayHaveSent(requestId: number): boolean {
    return this.sentAs(requestId) !== undefined || this.heartbeats.mayBe(requestId);
  }

  /** The target has refused entries, or a chunk. Answers why that is dropped. */
  onRejected(body: Rejected, nowMs: number): string | undefined {
    const sent = this.sentAs(body.request_id);
    if (sent === undefined) return 'not_in_flight';
    if (body.reason === 'read_only' && !this.isReadOnly) {
      this.isReadOnly = true;
      this.leadership.hasNews = true;
    }
    if (body.reason === 'wants_snapshot') {
      if (this.turn !== 'install') this.install(nowMs);
      return undefined;
    }
    if (body.reason === 'busy' || body.reason === 'read_only') {
      this.waitsForTick = true;
      if (typeof sent !== 'string') this.beginProbe(this.agreement.atLeastNext(sent.index + 1));
      return undefined;
    }
    if (sent === 'chunk') return 'malformed_rejection';
    if (sent === 'heartbeat' || sent.index <= this.agreement.matchIndex) return this.onLostMatch();
    this.beginProbe(this.nextAfter(body, sent));
    this.proceed(nowMs);
    return undefined;
  }

  /** The target has stored chunks of a snapshot. Answers why it is dropped. */
  onSnapshotStored(body: Body<'replicator.snapshot_stored'>, nowMs: number): string | undefined {
    const { installation } = this;
    if (installation === undefined) return 'not_installing';
    const outcome = installation.onStored(body, nowMs);
    if (outcome === 'installed') this.onInstalled(installation);
    this.proceed(nowMs);
    return outcome === 'installed' ? undefined : outcome;
  }

  // ---- what the log-store says -------------------------------------------------------------------

  isAnsweredBy(body: Body<'replicator.entries'>): boolean {
    return this.source.isAnsweredBy(body);
  }

  /** The answer to the running read, if `isAnsweredBy` says so. */
  onEntries(body: Body<'replicator.entries'>, nowMs: number): string | undefined {
    const outcome = this.source.onEntries(body, nowMs);
    if (outcome === 'compacted') return this.onCompacted(body.from_index, nowMs);
    if (outcome === 'taken') this.proceed(nowMs);
    return outcome === 'taken' ? undefined : outcome;
  }

  /** The leader's own log-store has synced entries, which can be read now. */
  onReadable(nowMs: number): void {
    if (this.source.onReadable()) this.proceed(nowMs);
  }

  isAnsweredByChunk(body: Body<'replicator.snapshot_chunk'>): boolean {
    return this.installation?.isAnsweredBy(body) ?? false;
  }

  /** The answer to a running read of a snapshot, if `isAnsweredByChunk` says so. */
  onSnapshotChunk(body: Body<'replicator.snapshot_chunk'>, nowMs: number): string | undefined {
    const outcome = this.installation?.onChunk(body);
    if (outcome === 'no_snapshot') {
      // The log was said to begin behind one. Look again with the next tick.
      this.waitsForTick = true;
      this.beginProbe(this.agreement.nextIndex);
    }
    this.proceed(nowMs);
    return outcome;
  }

  // ---- whose turn it is --------------------------------------------------------------------------

  private giveTurn(to: 'idle' | 'probe' | 'install'): void {
    this.turn = to;
    this.pipeline.stop();
    this.probe.end();
    this.heartbeats.forget();
    this.installation = undefined;
  }

  private beginProbe(nextIndex: LogIndex): void {
    this.giveTurn('probe');
    this.agreement.nextIndex = nextIndex;
  }

  /** The log no longer holds an entry that the target is to get: it gets a snapshot in its place. */
  private onCompacted(index: LogIndex, nowMs: number): string | undefined {
    const isWanted = this.turn === 'probe' || this.turn === 'replicate';
    if (!isWanted || index < this.agreement.nextIndex) return 'compacted_before';
    this.install(nowMs);
    return undefined;
  }

  private install(nowMs: number): void {
    this.giveTurn('install');
    this.pipeline.feed = 'unheard';
    this.installation = new Installation(this.leadership, this.messages);
    this.installation.proceed(nowMs);
  }

  /** The target's log begins behind the snapshot now. */
  private onInstalled({ head }: Installation): void {
    const behind = Math.min(head?.index ?? 0, this.leadership.lastIndex) + 1;
    this.beginProbe(this.agreement.atLeastNext(behind));
  }

  /** What is under way to a target that takes no entries is lost; a probe tells how far it is. */
  private setReadOnly(isReadOnly: boolean, nowMs: number): void {
    this.isReadOnly = isReadOnly;
    this.leadership.hasNews = true;
    if (this.turn === 'replicate') {
      this.pipeline.feed = 'unheard';
      this.beginProbe(this.agreement.atLeastNext(0));
    }
    this.proceed(nowMs);
  }

  /** The target lacks what it had acknowledged as synced. Nothing sent can mend that; try again, but not in a loop. */
  private onLostMatch(): string {
    this.waitsForTick = true;
    this.probe.end();
    return 'acknowledged_entries_missing';
  }

  /** What a request in flight stood on; `heartbeat`: the latest of these; `chunk`: it is of a snapshot. */
  private sentAs(requestId: number): { readonly index: LogIndex } | 'heartbeat' | 'chunk' | undefined {
    if (this.heartbeats.isLatest(requestId)) return 'heartbeat';
    if (this.installation?.isInFlight(requestId)) return 'chunk';
    if (this.probe.isAnsweredBy(requestId)) return this.probe.prev;
    const index = this.pipeline.prevIndexOf(requestId);
    return index === undefined ? undefined : { index };
  }

  /** Where to probe after a mismatch: past the end of a shorter log, else before the conflicting term (Raft thesis, section 3.5). */
  private nextAfter(body: Rejected, sent: { readonly index: LogIndex }): LogIndex {
    const isShorter = body.last_index < sent.index;
    const hint = isShorter ? body.last_index + 1 : body.conflict_index;
    return this.agreement.atLeastNext(Math.min(hint, sent.index));
  }

  /** Asks whether all that was sent has arrived; the rejection says where a gap begins. What is in flight stays there. */
  private checkArrival(nowMs: number): void {
    const { agreement } = this;
    const index = (agreement.nextIndex - 1) as LogIndex;
    const term = this.source.termAt(index);
    if (term === undefined) this.beginProbe(agreement.atLeastNext(0));
    else this.pipeline.sendCheck({ index, term }, nowMs);
  }

  /** What is sent near the end asks the target to hear the feed: its echo of the next tick says that it does. */
  private supplyEntries(nowMs: number): void {
    if (this.mayHearFeed()) this.pipeline.feed = 'asked';
    this.pipeline.send(this.agreement, nowMs);
  }

  /** Whether the target is to be asked to hear the leader's appends itself. */
  private mayHearFeed(): boolean {
    const { pipeline } = this;
    return pipeline.feed === 'unheard' && pipeline.hasRoom && this.isNearEnd() && !this.isReadOnly;
  }

  /** Whether what is not sent yet is no more than one read would bring. */
  private isNearEnd(): boolean {
    return this.source.isNearEnd(this.agreement.nextIndex);
  }

  /** Whether all that there is has been sent. */
  private isInStep(): boolean {
    return this.turn === 'replicate' && this.pipeline.hasSentAll(this.agreement);
  }

  /** Stands on what is known to match, so that it always causes a `stored`. */
  private sendHeartbeat(nowMs: number): void {
    if (!this.leadership.isInOffice(nowMs)) return;
    const requestId = this.leadership.outlet.nextRequestId();
    this.heartbeats.add(requestId);
    this.sendEmpty(requestId, this.agreement.anchor);
  }

  private sendProbe(nowMs: number): void {
    if (this.probe.isOpen) return;
    const { anchor, nextIndex } = this.agreement;
    const index = (nextIndex - 1) as LogIndex;
    const term = index === anchor.index ? anchor.term : this.source.termAt(index);
    // The batch that holds the next entry comes with the term before it; more would be in vain if the probe fails.
    if (term === undefined) {
      this.source.ask(nextIndex, 1, nowMs);
      return;
    }
    const requestId = this.leadership.outlet.nextRequestId();
    this.probe.begin(requestId, { index, term }, nowMs);
    this.sendEmpty(requestId, { index, term });
  }

  private repeatProbe(nowMs: number): void {
    const open = this.probe.repeat(nowMs);
    if (open !== undefined) this.sendEmpty(open.requestId, open.prev);
  }

  private sendEmpty(requestId: number, prev: Position): void {
    this.messages.sendAppendEntries(requestId, prev, this.pipeline.asksForFeed, []);
  }
}
