/**
 * One target of a leader (Raft thesis, section 3.5; braft's `Replicator`): finds where its log agrees, keeps it
 * supplied, and watches it.
 *
 * Owns what is known of the target and what is on its way to it. Does not own what is committed, nor the log.
 *
 * Invariants:
 * 1. `0 <= anchor.index <= matchIndex < nextIndex <= lastIndex + 1`.
 * 2. `matchIndex` never falls while the target's store is the same; only `stored` raises it.
 * 3. Something is in flight only in `replicate`, a probe only in `probe`; without a store nothing but `identify` is sent.
 * 4. A rejection counts only where it answers a request that is in flight.
 * 5. Nothing is sent to the target an election timeout after the node's last tick.
 */
import {
  type Body,
  type LogIndex,
  limits,
  noGroupUid,
  type PeerId,
  type Progress,
  type StoreId,
  type Term,
} from '@conclave/protocol';
import { CatchUpWatch } from './catch-up-watch.js';
import { EntrySource, type Gathered } from './entry-source.js';
import { Identification } from './identification.js';
import { InFlightWindow, type Position } from './in-flight-window.js';
import type { Leadership } from './leadership.js';
import { TargetMessages } from './target-messages.js';

type Target = Body<'replicator.targets'>['targets'][number];
type Rejected = Body<'replicator.rejected'>;

interface Probe {
  /** Kept when it is sent again, so that the answer to either counts. */
  readonly requestId: number;
  readonly prev: Position;
  sentMs: number;
}

const noStore = '' as StoreId;
const start: Position = { index: 0 as LogIndex, term: 0 as Term };

export class Replicator {
  readonly peerId: PeerId;
  private storeId: StoreId;
  /** Whether the configuration binds the target to its store. */
  private isBound: boolean;
  private state: Progress['state'];
  private refusal: Progress['refusal'] = '';
  private matchIndex = start.index;
  private nextIndex: LogIndex;
  /** The latest position that is known to match, with its term: heartbeats stand on it. */
  private anchor = start;
  private probe: Probe | undefined;
  private retryAfterMs: number;
  /** The ids of the first heartbeat since the target's state is what it is, and of the latest. */
  private heartbeats: { readonly first: number; readonly latest: number } | undefined;
  private heardMs: number | undefined;
  private progressMs = 0;
  private waitsForTick = false;
  private watch: CatchUpWatch | undefined;
  /** Whether the target hears the leader's appends itself, so that they need not be sent. */
  private feed: 'unheard' | 'asked' | 'heard' = 'unheard';
  private readonly window = new InFlightWindow();
  private readonly source: EntrySource;
  private readonly messages: TargetMessages;
  private readonly identification: Identification;

  constructor(
    target: Target,
    private readonly leadership: Leadership,
  ) {
    this.peerId = target.peer_id;
    this.storeId = target.store_id;
    this.isBound = target.store_id !== noStore;
    this.state = this.isBound ? 'probe' : 'identify';
    this.nextIndex = (leadership.lastIndex + 1) as LogIndex;
    this.retryAfterMs = leadership.times.electionTimeoutMs / 4;
    this.watch = target.catching_up ? new CatchUpWatch(leadership.times) : undefined;
    this.source = new EntrySource(leadership);
    this.messages = new TargetMessages(leadership, this.peerId);
    this.identification = new Identification(leadership, this.messages);
  }

  /** Begins, once. */
  begin(nowMs: number): void {
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
        if (this.feed === 'unheard' && this.isInStep()) this.feed = 'asked';
        this.sendHeartbeat(nowMs);
        if (this.isStalled(nowMs)) this.beginProbe(this.stalledNext());
        break;
    }
    this.proceed(nowMs);
  }

  /** Sends what there is to send. */
  proceed(nowMs: number): void {
    if (this.waitsForTick || !this.leadership.isInOffice(nowMs)) return;
    if (this.state === 'probe') this.sendProbe(nowMs);
    else if (this.state === 'replicate') this.sendEntries(nowMs);
  }

  /** The target's log is synced and the leader's up to `match_index`. Answers why it is dropped. */
  onStored(body: Body<'feed.stored'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    if (body.match_index > this.leadership.lastIndex) return 'beyond_last_index';
    this.heardMs = nowMs;
    this.raiseMatch(body.match_index, nowMs);
    const { lastIndex, configurationIndex } = this.leadership;
    const hasCaughtUp = this.watch?.onAcknowledged(this.matchIndex, lastIndex, configurationIndex, nowMs);
    if (hasCaughtUp) this.leadership.hasNews = true;
    this.proceed(nowMs);
    return undefined;
  }

  /** The target follows this leader. `hearsFeed`: and hears its appends itself. */
  onEcho(storeId: StoreId, hearsFeed: boolean, nowMs: number): string | undefined {
    if (storeId !== this.storeId) return 'other_store';
    this.heardMs = nowMs;
    if (!hearsFeed && this.feed === 'heard') this.feed = 'asked';
    // Whatever it does not hear has been sent.
    if (hearsFeed && this.feed === 'asked' && this.isInStep()) this.feed = 'heard';
    return undefined;
  }

  /** Answers why it is dropped. */
  onRejected(body: Rejected, nowMs: number): string | undefined {
    const sent = this.sentAs(body.request_id);
    if (body.reason === 'store') return this.onOtherStore(body, sent !== undefined || this.isOfAHeartbeat(body), nowMs);
    if (body.store_id !== this.storeId) return 'other_store';
    this.heardMs = nowMs;
    if (sent === undefined) return 'not_in_flight';
    if (body.reason === 'busy') {
      this.waitsForTick = true;
      if (sent !== 'heartbeat') this.beginProbe(this.atLeastNext(sent.index + 1));
      return undefined;
    }
    if (sent === 'heartbeat' || sent.index <= this.matchIndex) return this.onLostMatch();
    this.beginProbe(this.nextAfter(body, sent));
    this.proceed(nowMs);
    return undefined;
  }

  /** The answer to the running read, if `isAnsweredBy` says so. */
  onEntries(body: Body<'replicator.entries'>, nowMs: number): string | undefined {
    const outcome = this.source.onEntries(body);
    if (outcome === 'taken') this.proceed(nowMs);
    return outcome === 'taken' ? undefined : outcome;
  }

  isAnsweredBy(body: Body<'replicator.entries'>): boolean {
    return this.source.isAnsweredBy(body);
  }

  /** Answers why it is dropped. */
  onIdentity(body: Body<'replicator.identity'>, nowMs: number): string | undefined {
    if (!this.identification.isAnsweredBy(body.request_id)) return 'not_asked';
    this.heardMs = nowMs;
    const isForeign = body.group_uid !== noGroupUid && body.group_uid !== this.leadership.groupUid;
    if (body.store_id === noStore) this.identification.repeatLater(nowMs);
    else if (this.isBound && body.store_id !== this.storeId) this.refuse('ESTORE', nowMs);
    else if (isForeign) this.refuse('ENOTEMPTY', nowMs);
    else this.adoptStore(body.store_id, body.last_index, nowMs);
    return undefined;
  }

  /** Whether the target can take office: it has the log up to there. */
  hasAll(index: LogIndex): boolean {
    return this.state !== 'refused' && this.storeId !== noStore && this.matchIndex >= index;
  }

  /** Whether what the node appends next is to be sent to the target. */
  get wantsContent(): boolean {
    return this.state === 'replicate' && this.feed !== 'heard';
  }

  /** Tells the target to stand at once. */
  sendTimeoutNow(): void {
    this.messages.sendTimeoutNow(this.storeId);
  }

  progress(nowMs: number): Progress {
    return {
      peer_id: this.peerId,
      store_id: this.storeId,
      state: this.state,
      match_index: this.matchIndex,
      next_index: this.nextIndex,
      in_flight: this.window.size + (this.probe === undefined ? 0 : 1),
      silent_ms: this.heardMs === undefined ? -1 : Math.max(0, Math.floor(nowMs - this.heardMs)),
      caught_up: this.watch?.caughtUp ?? false,
      refusal: this.refusal,
    };
  }

  private raiseMatch(matchIndex: LogIndex, nowMs: number): void {
    const freed = this.window.acknowledge(matchIndex);
    if (matchIndex > this.matchIndex) {
      this.matchIndex = matchIndex;
      this.progressMs = nowMs;
    }
    this.raiseAnchor(freed);
    // A probe is answered by whatever shows that the log agrees up to there, also by a heartbeat's answer.
    const agrees = this.matchIndex >= this.nextIndex - 1;
    if (agrees) this.nextIndex = (this.matchIndex + 1) as LogIndex;
    if (this.state !== 'probe' || !agrees) return;
    this.state = 'replicate';
    this.probe = undefined;
    this.retryAfterMs = this.leadership.times.electionTimeoutMs / 4;
  }

  /** Moves the anchor up to the match, or to the latest position before it whose term is known. */
  private raiseAnchor(freed: Position | undefined): void {
    if (this.anchor.index === this.matchIndex) return;
    const term = freed?.index === this.matchIndex ? freed.term : this.source.termAt(this.matchIndex);
    const exact = term === undefined ? undefined : { index: this.matchIndex, term };
    for (const known of [exact, freed, this.probe?.prev]) {
      if (known === undefined || known.index > this.matchIndex || known.index <= this.anchor.index) continue;
      this.anchor = known;
    }
  }

  private adoptStore(storeId: StoreId, lastIndexThere: LogIndex, nowMs: number): void {
    this.storeId = storeId;
    this.refusal = '';
    this.identification.end();
    // What it has beyond the leader's end is not the leader's; what it lacks need not be probed.
    this.beginProbe(this.atLeastNext(Math.min(lastIndexThere, this.leadership.lastIndex) + 1));
    this.proceed(nowMs);
  }

  private forgetStore(nowMs: number): void {
    this.storeId = noStore;
    this.matchIndex = start.index;
    this.anchor = start;
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
    if (!isInFlight) return 'not_in_flight';
    if (body.store_id === this.storeId) return 'same_store';
    this.heardMs = nowMs;
    if (this.isBound) this.refuse('ESTORE', nowMs);
    else this.forgetStore(nowMs);
    return undefined;
  }

  /** The target lacks what it had acknowledged as synced. Nothing sent can mend that; try again, but not in a loop. */
  private onLostMatch(): string {
    this.waitsForTick = true;
    this.probe = undefined;
    return 'acknowledged_entries_missing';
  }

  /** What a request in flight stood on; `heartbeat`: the latest of these. */
  private sentAs(requestId: number): Position | { readonly index: LogIndex } | 'heartbeat' | undefined {
    if (requestId === this.heartbeats?.latest) return 'heartbeat';
    if (requestId === this.probe?.requestId) return this.probe.prev;
    const message = this.window.find(requestId);
    return message === undefined ? undefined : { index: message.prevIndex };
  }

  /** Whether it may answer an earlier heartbeat: who answers slowly must be found to have another store, too. */
  private isOfAHeartbeat({ request_id }: Rejected): boolean {
    return this.heartbeats !== undefined && request_id >= this.heartbeats.first && request_id <= this.heartbeats.latest;
  }

  /** Where to probe after a mismatch: past the end of a shorter log, else before the conflicting term (Raft thesis, section 3.5). */
  private nextAfter(body: Rejected, sent: { readonly index: LogIndex }): LogIndex {
    const isShorter = body.last_index < sent.index;
    const hint = isShorter ? body.last_index + 1 : body.conflict_index;
    return this.atLeastNext(Math.min(hint, sent.index));
  }

  private atLeastNext(index: number): LogIndex {
    return Math.max(index, this.matchIndex + 1) as LogIndex;
  }

  private isStalled(nowMs: number): boolean {
    const { electionTimeoutMs, heartbeatIntervalMs } = this.leadership.times;
    // What a target was to hear by itself it does not miss: nobody rejects what came before.
    const patienceMs = this.feed === 'heard' ? 2 * heartbeatIntervalMs : electionTimeoutMs / 2;
    return this.window.size > 0 && nowMs - this.progressMs >= patienceMs;
  }

  /** Whether all that there is has been sent. */
  private isInStep(): boolean {
    return this.state === 'replicate' && this.nextIndex > this.leadership.lastIndex;
  }

  /**
   * What was sent may be lost, or wait for a slow disk. A probe behind all of it tells: it matches, and nothing needs
   * to be sent again, or the rejection says where the gap begins.
   */
  private stalledNext(): LogIndex {
    const prev = (this.nextIndex - 1) as LogIndex;
    return this.source.termAt(prev) === undefined ? this.atLeastNext(0) : this.nextIndex;
  }

  private beginProbe(nextIndex: LogIndex): void {
    this.stopSending('probe');
    this.nextIndex = nextIndex;
  }

  private stopSending(state: 'identify' | 'probe' | 'refused'): void {
    this.state = state;
    if (this.feed === 'heard') this.feed = 'asked';
    this.window.clear();
    this.probe = undefined;
    this.heartbeats = undefined;
  }

  /** Stands on what is known to match, so that it always causes a `stored`. */
  private sendHeartbeat(nowMs: number): void {
    if (!this.leadership.isInOffice(nowMs)) return;
    const latest = this.leadership.outlet.nextRequestId();
    this.heartbeats = { first: this.heartbeats?.first ?? latest, latest };
    this.sendAppendEntries(latest, this.anchor, []);
  }

  private sendProbe(nowMs: number): void {
    if (this.probe !== undefined) return;
    const index = (this.nextIndex - 1) as LogIndex;
    const term = index === this.anchor.index ? this.anchor.term : this.source.termAt(index);
    // The batch that holds the next entry comes with the term before it; more would be in vain if the probe fails.
    if (term === undefined) {
      this.source.ask(this.nextIndex, 1, nowMs);
      return;
    }
    this.probe = { requestId: this.leadership.outlet.nextRequestId(), prev: { index, term }, sentMs: nowMs };
    this.sendAppendEntries(this.probe.requestId, this.probe.prev, []);
  }

  private repeatProbe(nowMs: number): void {
    if (this.probe === undefined || nowMs - this.probe.sentMs < this.retryAfterMs) return;
    this.retryAfterMs = Math.min(2 * this.retryAfterMs, this.leadership.times.electionTimeoutMs);
    this.probe.sentMs = nowMs;
    this.sendAppendEntries(this.probe.requestId, this.probe.prev, []);
  }

  private sendEntries(nowMs: number): void {
    if (this.feed === 'heard') this.countHeard(nowMs);
    while (this.nextIndex <= this.leadership.lastIndex && this.window.hasRoom(0)) {
      const gathered = this.source.gather(this.nextIndex);
      if (gathered === undefined) {
        this.source.ask(this.nextIndex, limits.readBytes, nowMs);
        break;
      }
      if (!this.window.hasRoom(gathered.bytes)) break;
      const requestId = this.addInFlight(gathered, nowMs);
      this.sendAppendEntries(requestId, gathered.prev, gathered.batches);
    }
    // It does not keep up: what it hears would pile up on its way.
    if (this.nextIndex <= this.leadership.lastIndex) this.feed = 'unheard';
  }

  /** What the target hears by itself is in flight as if it had been sent; what is past the window is to be sent again. */
  private countHeard(nowMs: number): void {
    while (this.nextIndex <= this.leadership.lastIndex) {
      const placed = this.source.placed(this.nextIndex);
      if (placed === undefined || !this.window.hasRoom(placed.bytes)) {
        this.feed = 'unheard';
        return;
      }
      this.addInFlight(placed, nowMs);
    }
  }

  private addInFlight({ prev, last, bytes }: Omit<Gathered, 'batches'>, nowMs: number): number {
    if (this.window.size === 0) this.progressMs = nowMs;
    const requestId = this.leadership.outlet.nextRequestId();
    this.window.add({ requestId, prevIndex: prev.index, last, bytes });
    this.nextIndex = (last.index + 1) as LogIndex;
    return requestId;
  }

  private sendAppendEntries(requestId: number, prev: Position, batches: Uint8Array[]): void {
    this.messages.sendAppendEntries(this.storeId, requestId, prev, this.feed !== 'unheard', batches);
  }
}
