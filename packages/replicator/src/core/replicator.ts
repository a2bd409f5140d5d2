/**
 * One target of a leader (braft's `Replicator`): asks which store it has, has its log supplied while that is the right
 * one, and watches it catch up.
 *
 * Owns what is known of the target's store, and when it was heard. Does not own what is sent to it (`Supply`), what is
 * committed, nor the log.
 *
 * Invariants:
 * 1. Without a store that counts nothing but `identify` is sent.
 * 2. What another store says changes neither the match nor what is in flight.
 * 3. Nothing is sent to the target an election timeout after the node's last tick.
 */
import { type Body, type LogIndex, noGroupUid, type PeerId, type Progress, type StoreId } from '@conclave/protocol';
import { CatchUpWatch } from './catch-up-watch.js';
import { Identification } from './identification.js';
import { LagMeter } from './lag-meter.js';
import type { Leadership } from './leadership.js';
import { StoreWatch } from './store-watch.js';
import { Supply } from './supply.js';
import { TargetBuild } from './target-build.js';
import { TargetMessages } from './target-messages.js';

type Target = Body<'replicator.targets'>['targets'][number];
type Rejected = Body<'replicator.rejected'>;

const noStore = '' as StoreId;
const nothingKnown = { match_index: 0 as LogIndex, next_index: 1 as LogIndex };

export class Replicator {
  readonly peerId: PeerId;
  readonly lag = new LagMeter();
  /** Whether the configuration binds the target to its store. */
  private isBound: boolean;
  /** Not empty: nothing is sent until an operator has put it right. */
  private refusal: Progress['refusal'] = '';
  private heardMs: number | undefined;
  /** When the target's log-store last acknowledged that it has stored what it was sent. */
  private storedMs: number | undefined;
  private watch: CatchUpWatch | undefined;
  private readonly stores: StoreWatch;
  private readonly build = new TargetBuild();
  private readonly messages: TargetMessages;
  private readonly identification: Identification;
  private readonly supply: Supply;

  constructor(
    target: Target,
    private readonly leadership: Leadership,
  ) {
    this.peerId = target.peer_id;
    this.isBound = target.store_id !== noStore;
    if (target.catching_up) this.watch = new CatchUpWatch(leadership.times.electionTimeoutMs);
    this.messages = new TargetMessages(leadership, this.peerId, target.store_id);
    this.stores = new StoreWatch(leadership.times.electionTimeoutMs);
    this.identification = new Identification(leadership, this.messages);
    this.supply = new Supply(leadership, this.messages, this.isBound);
  }

  private get storeId(): StoreId {
    return this.messages.storeId;
  }

  private get state(): Progress['state'] {
    if (this.refusal !== '') return 'refused';
    return this.supply.state === 'idle' ? 'identify' : this.supply.state;
  }

  /** Begins, once. */
  begin(nowMs: number): void {
    if (this.watch !== undefined) this.lag.begin(this.leadership.lastIndex, nowMs);
    this.stores.begin(nowMs);
    if (this.state === 'identify') this.identification.ask(nowMs);
    else this.supply.proceed(nowMs);
  }

  /** Whether what is known of the target holds for this one too: it is not bound to another store. */
  isFor(target: Target): boolean {
    return target.store_id === noStore || this.storeId === noStore || target.store_id === this.storeId;
  }

  /** The configuration may have bound the target, or let go of it. */
  retarget(target: Target, nowMs: number): void {
    if (target.catching_up !== (this.watch !== undefined)) {
      if (target.catching_up) this.beginWatch(nowMs);
      else this.watch = undefined;
    }
    this.isBound = target.store_id !== noStore;
    if (this.isBound && this.storeId === noStore) {
      this.adoptStore(target.store_id, this.leadership.lastIndex, nowMs);
    } else if (!this.isBound && this.refusal === 'ESTORE') {
      this.forgetStore(nowMs);
    }
  }

  get isCatchingUp(): boolean {
    return this.watch !== undefined;
  }

  /** The leader's log has grown. */
  onAppended(nowMs: number): void {
    this.lag.onAppended(this.leadership.lastIndex, nowMs);
    this.supply.proceed(nowMs);
  }

  /** A new tick: a heartbeat, and what is due again. */
  onTick(nowMs: number): void {
    this.lag.onTick();
    this.supply.onTick(nowMs);
    const { state } = this;
    if (state === 'identify') this.identification.ask(nowMs);
    // Or it may be there, and hold another history: then it takes no notice of what is sent to it.
    else if (state === 'refused' || (this.isBound && this.stores.isSilent(nowMs))) {
      this.identification.askSlowly(nowMs);
    }
  }

  /** Sends what there is to send. */
  proceed(nowMs: number): void {
    this.supply.proceed(nowMs);
  }

  /** The target's log is synced and the leader's up to `match_index`. Answers why it is dropped. */
  onStored(body: Body<'feed.stored'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    if (body.match_index > this.leadership.lastIndex) return 'beyond_last_index';
    this.hear(nowMs);
    this.storedMs = nowMs;
    this.leadership.onAcknowledged(body.store_id, body.match_index);
    this.supply.onMatch(body.match_index, nowMs);
    const roundMs = this.lag.onAcknowledged(this.supply.matchIndex, this.leadership.lastIndex, nowMs);
    this.watch?.onAcknowledged();
    if (roundMs !== undefined) this.watch?.onRound(roundMs);
    this.supply.proceed(nowMs);
    this.judge(nowMs);
    return undefined;
  }

  /** The target follows this leader. Answers why it is dropped. */
  onEcho(body: Body<'feed.echo'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    this.hear(nowMs);
    const wasAwaited = !this.build.isKnown && this.watch?.caughtUp === true;
    if (this.build.hear(body) || wasAwaited) this.leadership.hasNews = true;
    this.supply.onEcho(body, nowMs);
    this.judge(nowMs);
    return undefined;
  }

  /** Answers why it is dropped. */
  onRejected(body: Rejected, nowMs: number): string | undefined {
    if (body.reason === 'store') return this.onOtherStore(body, nowMs);
    if (body.store_id !== this.storeId) return 'other_store';
    this.hear(nowMs);
    return this.supply.onRejected(body, nowMs);
  }

  isAnsweredBy(body: Body<'replicator.entries'>): boolean {
    return this.supply.isAnsweredBy(body);
  }

  /** The answer to the running read, if `isAnsweredBy` says so. */
  onEntries(body: Body<'replicator.entries'>, nowMs: number): string | undefined {
    return this.supply.onEntries(body, nowMs);
  }

  /** The leader's own log-store has synced entries, which can be read now. */
  onReadable(nowMs: number): void {
    this.supply.onReadable(nowMs);
  }

  isAnsweredByChunk(body: Body<'replicator.snapshot_chunk'>): boolean {
    return this.supply.isAnsweredByChunk(body);
  }

  /** The answer to a running read of a snapshot, if `isAnsweredByChunk` says so. */
  onSnapshotChunk(body: Body<'replicator.snapshot_chunk'>, nowMs: number): string | undefined {
    return this.supply.onSnapshotChunk(body, nowMs);
  }

  /** The target has stored chunks of a snapshot. Answers why it is dropped. */
  onSnapshotStored(body: Body<'replicator.snapshot_stored'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    this.hear(nowMs);
    return this.supply.onSnapshotStored(body, nowMs);
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
    if (this.build.hear(body)) this.leadership.hasNews = true;
    if (this.isBound && body.store_id === this.storeId && this.hasGoneBack(body.last_index)) {
      this.refuse('ESTORE', nowMs);
    } else if (body.store_id === noStore) this.identification.repeatLater(nowMs);
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
    return this.refusal === '' && this.storeId !== noStore && this.supply.matchIndex >= index;
  }

  /** Whether what the node appends next is to be sent to the target soon. */
  get wantsContent(): boolean {
    return this.supply.wantsContent;
  }

  /** Tells the target to stand at once. */
  sendTimeoutNow(): void {
    this.messages.sendTimeoutNow();
  }

  progress(nowMs: number): Progress {
    this.judge(nowMs);
    return {
      peer_id: this.peerId,
      store_id: this.storeId,
      state: this.state,
      ...this.supply.progress(),
      // What another store had says nothing about the one that is there.
      ...(this.refusal === 'ESTORE' ? nothingKnown : {}),
      silent_ms: msSince(this.heardMs, nowMs),
      stored_ms: msSince(this.storedMs, nowMs),
      caught_up: this.watch?.caughtUp ?? false,
      ...(this.watch?.wantsThrottle(nowMs) ? { wants_throttle: true } : {}),
      ...(this.isBehind(nowMs) ? { behind: true } : {}),
      refusal: this.refusal,
      ...this.build.progress(),
      ...this.stores.found(nowMs, this.refusal !== ''),
    };
  }

  /** Whether clients would wait for it noticeably, had it to have all of the log, and to answer from it. */
  private isBehind(nowMs: number): boolean {
    const { supply, leadership, lag } = this;
    if (this.build.isUnapplied) return true;
    if (supply.matchIndex >= leadership.lastIndex) return false;
    return !supply.isKeptInStep || lag.lagMs(nowMs) > leadership.catchupMarginMs(nowMs);
  }

  private beginWatch(nowMs: number): void {
    const { leadership } = this;
    this.watch = new CatchUpWatch(leadership.times.electionTimeoutMs);
    this.lag.begin(leadership.lastIndex, nowMs);
  }

  /** Looks whether a new peer has caught up; if so, or if it needs help, the node is told at once. */
  private judge(nowMs: number): void {
    const { watch, leadership, supply } = this;
    if (watch === undefined) return;
    const wasCaughtUp = watch.caughtUp;
    const view = {
      isInStep: supply.isKeptInStep,
      hasConfiguration: supply.matchIndex >= leadership.configurationIndex,
      lagMs: this.lag.lagMs(nowMs),
      marginMs: leadership.catchupMarginMs(nowMs),
    };
    if (watch.judge(view, nowMs) && !wasCaughtUp) leadership.hasNews = true;
  }

  private adoptStore(storeId: StoreId, lastIndexThere: LogIndex, nowMs: number): void {
    this.messages.storeId = storeId;
    this.refusal = '';
    this.identification.end();
    this.supply.begin(lastIndexThere, nowMs);
  }

  private forgetStore(nowMs: number): void {
    this.stores.forget(nowMs);
    this.messages.storeId = noStore;
    this.build.forget();
    this.refusal = '';
    this.supply.forget();
    this.storedMs = undefined;
    if (this.watch !== undefined) this.beginWatch(nowMs);
    this.identification.ask(nowMs);
  }

  private refuse(refusal: 'ENOTEMPTY' | 'ESTORE', nowMs: number): void {
    this.identification.repeatLater(nowMs);
    if (this.refusal === refusal) return;
    this.supply.stop();
    this.refusal = refusal;
    this.leadership.hasNews = true;
    const text = refusal === 'ESTORE' ? 'has another store than the configuration says' : "holds another group's log";
    const { effects } = this.leadership.outlet;
    effects.push({ type: 'log', level: 'warn', text: `${this.peerId} ${text}`, fields: { refusal } });
  }

  private hasGoneBack(lastIndex: LogIndex): boolean {
    return lastIndex < this.leadership.acknowledgedBy(this.storeId);
  }

  /** The target's store says that it lacks what it has acknowledged. */
  private onOlderCopy(lastIndex: LogIndex, nowMs: number): string | undefined {
    if (!this.hasGoneBack(lastIndex)) return 'same_store';
    this.heardMs = nowMs;
    this.refuse('ESTORE', nowMs);
    return 'older_copy';
  }

  /** The target says that its store is another. */
  private onOtherStore(body: Rejected, nowMs: number): string | undefined {
    if (!this.supply.mayHaveSent(body.request_id)) return 'not_in_flight';
    if (body.store_id === this.storeId) return this.onOlderCopy(body.last_index, nowMs);
    if (this.isBound) {
      this.stores.onRejection(body.store_id, nowMs);
      return this.onStranger('ESTORE', nowMs);
    }
    this.heardMs = nowMs;
    this.forgetStore(nowMs);
    return undefined;
  }
}

/** Whole milliseconds; -1: never. */
function msSince(atMs: number | undefined, nowMs: number): number {
  return atMs === undefined ? -1 : Math.max(0, Math.floor(nowMs - atMs));
}
