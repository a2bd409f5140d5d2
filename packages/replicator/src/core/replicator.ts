/**
 * One target of a leader (Raft thesis, section 3.5; braft's `Replicator`): finds where its log agrees, keeps it
 * supplied, with a snapshot where the log no longer goes back as far, and watches it.
 *
 * Owns what is known of the target and which state it is in. Does not own what is committed, nor the log.
 *
 * Invariants:
 * 1. `0 <= anchor.index <= matchIndex < nextIndex <= lastIndex + 1`.
 * 2. `matchIndex` never falls while the target's store is the same; only `stored` raises it.
 * 3. Something is in flight only in `replicate`, a probe only in `probe`, chunks of a snapshot only in `install`;
 *    without a store nothing but `identify` is sent.
 * 4. A rejection counts only where it answers a request that is in flight.
 * 5. Nothing is sent to the target an election timeout after the node's last tick.
 */
import { type Body, type LogIndex, noGroupUid, type PeerId, type Progress, type StoreId } from '@conclave/protocol';
import { Agreement } from './agreement.js';
import { CatchUpWatch } from './catch-up-watch.js';
import { EntrySource } from './entry-source.js';
import { Heartbeats } from './heartbeats.js';
import { Identification } from './identification.js';
import type { Position } from './in-flight-window.js';
import { Installation } from './installation.js';
import type { Leadership } from './leadership.js';
import { Pipeline } from './pipeline.js';
import { Probe } from './probe.js';
import { StoreWatch } from './store-watch.js';
import { TargetMessages } from './target-messages.js';

type Target = Body<'replicator.targets'>['targets'][number];
type Rejected = Body<'replicator.rejected'>;

const noStore = '' as StoreId;
const nothingKnown = { matchIndex: 0 as LogIndex, nextIndex: 1 as LogIndex };

export class Replicator {
  readonly peerId: PeerId;
  /** Whether the configuration binds the target to its store. */
  private isBound: boolean;
  private state: Progress['state'];
  private refusal: Progress['refusal'] = '';
  private agreement: Agreement;
  /** In state `install`. */
  private installation: Installation | undefined;
  private readonly heartbeats = new Heartbeats();
  private readonly stores: StoreWatch;
  private heardMs: number | undefined;
  private waitsForTick = false;
  /** The target takes no entries, as it has said: heartbeats are all that it gets. */
  private isReadOnly = false;
  private watch: CatchUpWatch | undefined;
  private readonly source: EntrySource;
  private readonly messages: TargetMessages;
  private readonly identification: Identification;
  private readonly probe: Probe;
  private readonly pipeline: Pipeline;

  constructor(
    target: Target,
    private readonly leadership: Leadership,
  ) {
    this.peerId = target.peer_id;
    this.isBound = target.store_id !== noStore;
    this.state = this.isBound ? 'probe' : 'identify';
    this.agreement = new Agreement((leadership.lastIndex + 1) as LogIndex);
    this.watch = target.catching_up ? new CatchUpWatch(leadership.times) : undefined;
    this.source = new EntrySource(leadership);
    this.messages = new TargetMessages(leadership, this.peerId, target.store_id);
    this.stores = new StoreWatch(leadership.times.electionTimeoutMs);
    this.identification = new Identification(leadership, this.messages);
    this.probe = new Probe(leadership.times);
    this.pipeline = new Pipeline(leadership, this.source, this.messages);
  }

  private get storeId(): StoreId {
    return this.messages.storeId;
  }

  /** Begins, once. */
  begin(nowMs: number): void {
    this.stores.begin(nowMs);
    if (this.state === 'identify') this.identification.ask(nowMs);
    else this.proceed(nowMs);
  }

  /** Whether what is known of the target holds for this one too: it is not bound to another store. */
  isFor(target: Target): boolean {
    return target.store_id === noStore || this.storeId === noStore || target.store_id === this.storeId;
  }

  /** The configuration may have bound the target, or let go of it. */
  retarget(target: Target, nowMs: number): void {
    if (target.catching_up !== (this.watch !== undefined)) {
      this.watch = target.catching_up ? new CatchUpWatch(this.leadership.times) : undefined;
    }
    this.isBound = target.store_id !== noStore;
    if (this.isBound && this.storeId === noStore) {
      this.adoptStore(target.store_id, this.leadership.lastIndex, nowMs);
    } else if (!this.isBound && this.refusal === 'ESTORE') {
      this.forgetStore(nowMs);
    }
  }

  /** A new tick: a heartbeat, and what is due again. */
  onTick(nowMs: number): void {
    this.waitsForTick = false;
    this.source.onTick(nowMs);
    switch (this.state) {
      case 'identify':
        this.identification.ask(nowMs);
        break;
      case 'refused':
        this.identification.askSlowly(nowMs);
        break;
      case 'probe':
        this.sendHeartbeat(nowMs);
        this.repeatProbe(nowMs);
        break;
      case 'replicate':
        if (this.pipeline.feed === 'unheard' && this.isInStep() && !this.isReadOnly) this.pipeline.feed = 'asked';
        this.sendHeartbeat(nowMs);
        if (this.pipeline.isStalled(nowMs)) this.beginProbe(this.stalledNext());
        break;
      case 'install':
        this.sendHeartbeat(nowMs);
        if (!this.isReadOnly) this.installation?.onTick(nowMs);
        break;
    }
    // It may be there, and hold another history: then it takes no notice of what is sent to it.
    if (this.isBound && this.stores.isSilent(nowMs)) this.identification.askSlowly(nowMs);
    this.proceed(nowMs);
  }

  /** Sends what there is to send. */
  proceed(nowMs: number): void {
    if (this.waitsForTick || !this.leadership.isInOffice(nowMs)) return;
    if (this.state === 'probe') this.sendProbe(nowMs);
    else if (this.isReadOnly) return;
    else if (this.state === 'replicate') this.pipeline.send(this.agreement, nowMs);
    else if (this.state === 'install') this.installation?.proceed(nowMs);
  }

  /** The target's log is synced and the leader's up to `match_index`. Answers why it is dropped. */
  onStored(body: Body<'feed.stored'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    if (body.match_index > this.leadership.lastIndex) return 'beyond_last_index';
    this.hear(nowMs);
    this.raiseMatch(body.match_index, nowMs);
    const { lastIndex, configurationIndex } = this.leadership;
    const hasCaughtUp = this.watch?.onAcknowledged(this.agreement.matchIndex, lastIndex, configurationIndex, nowMs);
    if (hasCaughtUp) this.leadership.hasNews = true;
    this.proceed(nowMs);
    return undefined;
  }

  /** The target follows this leader; whether it hears its appends itself, and takes entries at all. */
  onEcho(body: Body<'feed.echo'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    this.hear(nowMs);
    const { hears_feed: hearsFeed } = body;
    const { pipeline } = this;
    if (body.read_only !== this.isReadOnly) this.setReadOnly(body.read_only, nowMs);
    if (!hearsFeed && pipeline.feed === 'heard') pipeline.feed = 'asked';
    // Whatever it does not hear has been sent.
    if (hearsFeed && pipeline.feed === 'asked' && this.isInStep()) pipeline.feed = 'heard';
    return undefined;
  }

  /** What is under way to a target that takes no entries is lost; a probe tells how far it is. */
  private setReadOnly(isReadOnly: boolean, nowMs: number): void {
    this.isReadOnly = isReadOnly;
    this.leadership.hasNews = true;
    if (this.state !== 'replicate') return this.proceed(nowMs);
    this.pipeline.feed = 'unheard';
    this.beginProbe(this.agreement.atLeastNext(0));
    this.proceed(nowMs);
  }

  /** Answers why it is dropped. */
  onRejected(body: Rejected, nowMs: number): string | undefined {
    const sent = this.sentAs(body.request_id);
    if (body.reason === 'store') return this.onOtherStore(body, sent !== undefined, nowMs);
    if (body.store_id !== this.storeId) return 'other_store';
    this.hear(nowMs);
    if (sent === undefined) return 'not_in_flight';
    if (body.reason === 'read_only' && !this.isReadOnly) {
      this.isReadOnly = true;
      this.leadership.hasNews = true;
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

  /** The answer to the running read, if `isAnsweredBy` says so. */
  onEntries(body: Body<'replicator.entries'>, nowMs: number): string | undefined {
    const outcome = this.source.onEntries(body, nowMs);
    if (outcome === 'compacted') return this.onCompacted(body.from_index, nowMs);
    if (outcome === 'taken') this.proceed(nowMs);
    return outcome === 'taken' ? undefined : outcome;
  }

  isAnsweredBy(body: Body<'replicator.entries'>): boolean {
    return this.source.isAnsweredBy(body);
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

  isAnsweredByChunk(body: Body<'replicator.snapshot_chunk'>): boolean {
    return this.installation?.isAnsweredBy(body) ?? false;
  }

  /** The target has stored chunks of a snapshot. Answers why it is dropped. */
  onSnapshotStored(body: Body<'replicator.snapshot_stored'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    this.hear(nowMs);
    const { installation } = this;
    if (installation === undefined) return 'not_installing';
    const outcome = installation.onStored(body, nowMs);
    if (outcome === 'installed') this.onInstalled(installation);
    this.proceed(nowMs);
    return outcome === 'installed' ? undefined : outcome;
  }

  /** Answers why it is dropped. */
  onIdentity(body: Body<'replicator.identity'>, nowMs: number): string | undefined {
    if (!this.identification.isAnsweredBy(body.request_id)) return 'not_asked';
    const isForeign = body.group_uid !== noGroupUid && body.group_uid !== this.leadership.groupUid;
    const isOther = this.isBound && body.store_id !== noStore && body.store_id !== this.storeId;
    if (isOther) {
      this.stores.onIdentity(body, nowMs);
      return this.onStranger(isForeign ? 'ENOTEMPTY' : 'ESTORE', nowMs);
    }
    this.hear(nowMs);
    if (body.store_id === noStore) this.identification.repeatLater(nowMs);
    else if (isForeign) this.refuse('ENOTEMPTY', nowMs);
    else if (this.state === 'identify' || this.state === 'refused') {
      this.adoptStore(body.store_id, body.last_index, nowMs);
    } else this.identification.end();
    return undefined;
  }

  /** The target, with the store that counts, has said something. */
  private hear(nowMs: number): void {
    this.heardMs = nowMs;
    if (this.isBound) this.stores.onBound(nowMs);
  }

  /** Another store than the bound one answers: instead of it, or, while that is heard as well, besides it. */
  private onStranger(refusal: 'ENOTEMPTY' | 'ESTORE', nowMs: number): string | undefined {
    if (this.stores.isBoundHeard(nowMs)) {
      this.identification.end();
      return 'second_store';
    }
    this.heardMs = nowMs;
    this.refuse(refusal, nowMs);
    return undefined;
  }

  /** Whether the target can take office: it has the log up to there. */
  hasAll(index: LogIndex): boolean {
    return this.state !== 'refused' && this.storeId !== noStore && this.agreement.matchIndex >= index;
  }

  /** Whether what the node appends next is to be sent to the target soon. For one that is far behind it is read. */
  get wantsContent(): boolean {
    if (this.state !== 'replicate' || this.pipeline.feed === 'heard' || this.isReadOnly) return false;
    return this.source.isNearEnd(this.agreement.nextIndex);
  }

  /** Tells the target to stand at once. */
  sendTimeoutNow(): void {
    this.messages.sendTimeoutNow();
  }

  progress(nowMs: number): Progress {
    // What another store had says nothing about the one that is there.
    const { matchIndex, nextIndex } = this.refusal === 'ESTORE' ? nothingKnown : this.agreement;
    return {
      peer_id: this.peerId,
      store_id: this.storeId,
      state: this.state,
      match_index: matchIndex,
      next_index: nextIndex,
      in_flight: this.pipeline.inFlight + (this.probe.isOpen ? 1 : 0) + (this.installation?.inFlight ?? 0),
      silent_ms: this.heardMs === undefined ? -1 : Math.max(0, Math.floor(nowMs - this.heardMs)),
      caught_up: this.watch?.caughtUp ?? false,
      refusal: this.refusal,
      install: this.installation?.progress() ?? null,
      read_only: this.isReadOnly,
      ...this.stores.found(nowMs, this.refusal !== ''),
    };
  }

  private raiseMatch(matchIndex: LogIndex, nowMs: number): void {
    const { agreement } = this;
    const isMore = agreement.raise(matchIndex);
    const freed = this.pipeline.onMatch(matchIndex, isMore, nowMs);
    agreement.raiseAnchor([freed, this.probe.prev], (index) => this.source.termAt(index));
    // A probe is answered by whatever shows that the log agrees up to there, also by a heartbeat's answer.
    if (!agreement.reachNext() || this.state !== 'probe') return;
    this.state = 'replicate';
    this.probe.succeed();
  }

  private adoptStore(storeId: StoreId, lastIndexThere: LogIndex, nowMs: number): void {
    this.messages.storeId = storeId;
    this.refusal = '';
    this.isReadOnly = false;
    this.identification.end();
    // What it has beyond the leader's end is not the leader's; what it lacks need not be probed.
    this.beginProbe(this.agreement.atLeastNext(Math.min(lastIndexThere, this.leadership.lastIndex) + 1));
    this.proceed(nowMs);
  }

  private forgetStore(nowMs: number): void {
    this.stores.forget(nowMs);
    this.messages.storeId = noStore;
    this.agreement = new Agreement(this.agreement.nextIndex);
    this.refusal = '';
    this.stopSending('identify');
    if (this.watch !== undefined) this.watch = new CatchUpWatch(this.leadership.times);
    this.identification.ask(nowMs);
  }

  private refuse(refusal: 'ENOTEMPTY' | 'ESTORE', nowMs: number): void {
    this.identification.repeatLater(nowMs);
    if (this.state === 'refused' && this.refusal === refusal) return;
    this.stopSending('refused');
    this.refusal = refusal;
    this.leadership.hasNews = true;
    const text = refusal === 'ESTORE' ? 'has another store than the configuration says' : "holds another group's log";
    const { effects } = this.leadership.outlet;
    effects.push({ type: 'log', level: 'warn', text: `${this.peerId} ${text}`, fields: { refusal } });
  }

  /** The target says that its store is another. */
  private onOtherStore(body: Rejected, isInFlight: boolean, nowMs: number): string | undefined {
    if (!isInFlight && !this.heartbeats.mayBe(body.request_id)) return 'not_in_flight';
    if (body.store_id === this.storeId) return 'same_store';
    if (this.isBound) {
      this.stores.onRejection(body.store_id, nowMs);
      return this.onStranger('ESTORE', nowMs);
    }
    this.heardMs = nowMs;
    this.forgetStore(nowMs);
    return undefined;
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

  /** Whether all that there is has been sent. */
  private isInStep(): boolean {
    return this.state === 'replicate' && this.pipeline.hasSentAll(this.agreement);
  }

  /**
   * What was sent may be lost, or wait for a slow disk. A probe behind all of it tells: it matches, and nothing needs
   * to be sent again, or the rejection says where the gap begins.
   */
  private stalledNext(): LogIndex {
    const { agreement } = this;
    const prev = (agreement.nextIndex - 1) as LogIndex;
    return this.source.termAt(prev) === undefined ? agreement.atLeastNext(0) : agreement.nextIndex;
  }

  /** The log no longer holds an entry that the target is to get: it gets a snapshot in its place. */
  private onCompacted(index: LogIndex, nowMs: number): string | undefined {
    const isWanted = this.state === 'probe' || this.state === 'replicate';
    if (!isWanted || index < this.agreement.nextIndex) return 'compacted_before';
    this.stopSending('install');
    this.pipeline.feed = 'unheard';
    this.installation = new Installation(this.leadership, this.messages);
    this.installation.proceed(nowMs);
    return undefined;
  }

  /** The target's log begins behind the snapshot now. */
  private onInstalled({ head }: Installation): void {
    const behind = Math.min(head?.index ?? 0, this.leadership.lastIndex) + 1;
    this.beginProbe(this.agreement.atLeastNext(behind));
  }

  private beginProbe(nextIndex: LogIndex): void {
    this.stopSending('probe');
    this.agreement.nextIndex = nextIndex;
  }

  private stopSending(state: 'identify' | 'probe' | 'install' | 'refused'): void {
    this.state = state;
    this.pipeline.stop();
    this.probe.end();
    this.heartbeats.forget();
    this.installation = undefined;
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
