/**
 * Replicates the leader's log to one target, which is another peer (braft's `Replicator`): finds out which store the target
 * has, sends the log to that store only, and detects when the target has caught up.
 *
 * Owns: the identity of the target's store, and when the target last answered. Does not own the messages with entries (`LogSender`),
 * the commit index, or the log.
 *
 * Invariants:
 * 1. Until the target's store is known, only `identify` is sent to it.
 * 2. Only a message of the target's current store raises the match index, or acknowledges messages in flight.
 * 3. If the node has not ticked for an election timeout, nothing more is sent to the target.
 */
import { type Body, type LogIndex, noGroupUid, type PeerId, type Progress, type StoreId } from '@conclave/protocol';
import { CatchUpDetector } from './catch-up-detector.js';
import { IdentifyRequest } from './identify-request.js';
import { LagMeter } from './lag-meter.js';
import type { LeaderTerm } from './leader-term.js';
import { LogSender } from './log-sender.js';
import { StoreIdentity } from './store-identity.js';
import { TargetMessages } from './target-messages.js';
import { TargetReport } from './target-report.js';

type Target = Body<'replicator.targets'>['targets'][number];
type Rejected = Body<'replicator.rejected'>;

const noStore = '' as StoreId;
const nothingKnown = { match_index: 0 as LogIndex, next_index: 1 as LogIndex };

export class Replicator {
  readonly peerId: PeerId;
  readonly lag = new LagMeter();
  /**
   * Whether the node has named the target's store: the one in the configuration, a member's new store, which catches up, or the
   * store of a removed peer. False: the target is a new peer, and any store is accepted.
   */
  private isBound: boolean;
  /**
   * Why this replicator refuses the target; empty: it does not. It sends a refused target only `identify`, about once in an election
   * timeout.
   */
  private refusal: Progress['refusal'] = '';
  private receivedMs: number | undefined;
  /** When the target's log-store last acknowledged entries. */
  private storedMs: number | undefined;
  private catchUp: CatchUpDetector | undefined;
  private readonly storeIdentity: StoreIdentity;
  private readonly targetReport = new TargetReport();
  private readonly messages: TargetMessages;
  private readonly identifyRequest: IdentifyRequest;
  private readonly sender: LogSender;

  constructor(
    target: Target,
    private readonly leaderTerm: LeaderTerm,
  ) {
    this.peerId = target.peer_id;
    this.isBound = target.store_id !== noStore;
    if (target.catching_up) this.catchUp = new CatchUpDetector(leaderTerm.times.electionTimeoutMs);
    this.messages = new TargetMessages(leaderTerm, this.peerId, target.store_id);
    this.storeIdentity = new StoreIdentity(leaderTerm.times.electionTimeoutMs);
    this.identifyRequest = new IdentifyRequest(leaderTerm, this.messages);
    this.sender = new LogSender(leaderTerm, this.messages, this.isBound);
  }

  private get storeId(): StoreId {
    return this.messages.storeId;
  }

  private get state(): Progress['state'] {
    if (this.refusal !== '') return 'refused';
    return this.sender.state === 'idle' ? 'identify' : this.sender.state;
  }

  /** Starts the replicator. Called once. */
  begin(nowMs: number): void {
    if (this.catchUp !== undefined) this.lag.begin(this.leaderTerm.lastIndex, nowMs);
    this.storeIdentity.begin(nowMs);
    if (this.state === 'identify') this.identifyRequest.send(nowMs);
    else this.sender.proceed(nowMs);
  }

  /**
   * Whether this replicator can continue for `target`: `target` names the store that this replicator knows, or one of the two stores
   * is unknown.
   */
  isFor(target: Target): boolean {
    return target.store_id === noStore || this.storeId === noStore || target.store_id === this.storeId;
  }

  /** The node has sent its targets again: the target may have been bound to a store, or unbound from it. */
  retarget(target: Target, nowMs: number): void {
    if (target.catching_up !== (this.catchUp !== undefined)) {
      if (target.catching_up) this.beginCatchUp(nowMs);
      else this.catchUp = undefined;
    }
    this.isBound = target.store_id !== noStore;
    if (this.isBound && this.storeId === noStore) {
      this.adoptStore(target.store_id, this.leaderTerm.lastIndex, nowMs);
    } else if (!this.isBound && this.refusal === 'ESTORE') {
      this.forgetStore(nowMs);
    }
  }

  get isCatchingUp(): boolean {
    return this.catchUp !== undefined;
  }

  /** The leader's log has grown. */
  onAppended(nowMs: number): void {
    this.lag.onAppended(this.leaderTerm.lastIndex, nowMs);
    this.sender.proceed(nowMs);
  }

  /** A new tick: sends a heartbeat, and repeats requests that got no reply in time. */
  onTick(nowMs: number): void {
    this.lag.onTick();
    this.sender.onTick(nowMs);
    const { state } = this;
    if (state === 'identify') this.identifyRequest.send(nowMs);
    // A silent target may hold another history: then it drops all messages but `identify`.
    else if (state === 'refused' || (this.isBound && this.storeIdentity.isSilent(nowMs))) {
      this.identifyRequest.sendRarely(nowMs);
    }
  }

  /** Sends what can be sent now. */
  proceed(nowMs: number): void {
    this.sender.proceed(nowMs);
  }

  /** The target's log is synced and matches up to `match_index`. @returns why the message is dropped */
  onStored(body: Body<'feed.stored'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    if (body.match_index > this.leaderTerm.lastIndex) return 'beyond_last_index';
    this.recordReceived(nowMs);
    this.storedMs = nowMs;
    this.leaderTerm.onAcknowledged(body.store_id, body.match_index);
    this.sender.onMatch(body.match_index, nowMs);
    // A round of catching up (`LagMeter`), not one of ticks.
    const roundMs = this.lag.onAcknowledged(this.sender.matchIndex, this.leaderTerm.lastIndex, nowMs);
    this.catchUp?.onAcknowledged();
    if (roundMs !== undefined) this.catchUp?.onRound(roundMs);
    this.sender.proceed(nowMs);
    this.updateCatchUp(nowMs);
    return undefined;
  }

  /** The target follows this leader. @returns why the message is dropped */
  onEcho(body: Body<'feed.echo'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    this.recordReceived(nowMs);
    // A peer that has caught up is added only once its feature levels are known.
    const wereLevelsAwaited = !this.targetReport.areLevelsKnown && this.catchUp?.caughtUp === true;
    if (this.targetReport.update(body) || wereLevelsAwaited) this.leaderTerm.progressChanged = true;
    this.sender.onEcho(body, nowMs);
    this.updateCatchUp(nowMs);
    return undefined;
  }

  /** The target has rejected a request. @returns why the message is dropped; undefined: it is not */
  onRejected(body: Rejected, nowMs: number): string | undefined {
    if (body.reason === 'store') return this.onOtherStore(body, nowMs);
    if (body.store_id !== this.storeId) return 'other_store';
    this.recordReceived(nowMs);
    return this.sender.onRejected(body, nowMs);
  }

  expectsEntries(body: Body<'replicator.entries'>): boolean {
    return this.sender.expectsEntries(body);
  }

  /** The reply to the read in progress; call this only if `expectsEntries` returns true. @returns why the reply is dropped */
  onEntries(body: Body<'replicator.entries'>, nowMs: number): string | undefined {
    return this.sender.onEntries(body, nowMs);
  }

  /** The leader's own log-store has synced entries, so that they can be read. */
  onReadable(nowMs: number): void {
    this.sender.onReadable(nowMs);
  }

  expectsChunk(body: Body<'replicator.snapshot_chunk'>): boolean {
    return this.sender.expectsChunk(body);
  }

  /** The reply to a read of a snapshot; call this only if `expectsChunk` returns true. @returns why the reply is dropped */
  onSnapshotChunk(body: Body<'replicator.snapshot_chunk'>, nowMs: number): string | undefined {
    return this.sender.onSnapshotChunk(body, nowMs);
  }

  /** The target has stored chunks of a snapshot. @returns why the message is dropped */
  onSnapshotStored(body: Body<'replicator.snapshot_stored'>, nowMs: number): string | undefined {
    if (body.store_id !== this.storeId) return 'other_store';
    this.recordReceived(nowMs);
    return this.sender.onSnapshotStored(body, nowMs);
  }

  /** The target has replied to `identify`. @returns why the message is dropped; undefined: it is not */
  onIdentity(body: Body<'replicator.identity'>, nowMs: number): string | undefined {
    if (!this.identifyRequest.isInFlight(body.request_id)) return 'not_asked';
    const isForeign = body.group_uid !== noGroupUid && body.group_uid !== this.leaderTerm.groupUid;
    const isOther = this.isBound && body.store_id !== noStore && body.store_id !== this.storeId;
    if (isOther) {
      this.storeIdentity.onIdentity(body, nowMs);
      return this.onUnboundStore(isForeign ? 'ENOTEMPTY' : 'ESTORE', nowMs);
    }
    this.recordReceived(nowMs);
    if (this.targetReport.update(body)) this.leaderTerm.progressChanged = true;
    if (this.isBound && body.store_id === this.storeId && this.hasLostEntries(body.last_index)) {
      this.refuse('ESTORE', nowMs);
    } else if (body.store_id === noStore) this.identifyRequest.repeatLater(nowMs);
    else if (isForeign) this.refuse('ENOTEMPTY', nowMs);
    else if (this.state === 'identify' || this.state === 'refused') {
      this.adoptStore(body.store_id, body.last_index, nowMs);
    } else this.identifyRequest.end();
    return undefined;
  }

  /** A message of the target was received, from the store that this replicator knows or may adopt, or from a target without a store. */
  private recordReceived(nowMs: number): void {
    this.receivedMs = nowMs;
    if (this.isBound) this.storeIdentity.onBound(nowMs);
  }

  /** A store that is not the bound one has replied. If the bound store is reachable, the reply is dropped; otherwise, refuses the target. */
  private onUnboundStore(refusal: 'ENOTEMPTY' | 'ESTORE', nowMs: number): string | undefined {
    if (this.storeIdentity.isBoundReachable(nowMs)) {
      this.identifyRequest.end();
      return 'second_store';
    }
    this.receivedMs = nowMs;
    this.refuse(refusal, nowMs);
    return undefined;
  }

  /** Whether the target can become leader: it has the log up to `index`. */
  hasAll(index: LogIndex): boolean {
    return this.refusal === '' && this.storeId !== noStore && this.sender.matchIndex >= index;
  }

  /** Whether the node must include the payload of its next entries, because this replicator sends them to the target. */
  get needsPayload(): boolean {
    return this.sender.needsPayload;
  }

  /** Orders the target to campaign at once. */
  sendTimeoutNow(): void {
    this.messages.sendTimeoutNow();
  }

  progress(nowMs: number): Progress {
    this.updateCatchUp(nowMs);
    return {
      peer_id: this.peerId,
      store_id: this.storeId,
      state: this.state,
      ...this.sender.progress(),
      // The sender's positions are those of the bound store, but another store replies, or an older copy of the bound one.
      ...(this.refusal === 'ESTORE' ? nothingKnown : {}),
      silent_ms: msSince(this.receivedMs, nowMs),
      stored_ms: msSince(this.storedMs, nowMs),
      caught_up: this.catchUp?.caughtUp ?? false,
      ...(this.catchUp?.wantsThrottle(nowMs) ? { wants_throttle: true } : {}),
      ...(this.isBehind(nowMs) ? { behind: true } : {}),
      refusal: this.refusal,
      ...this.targetReport.progress(),
      ...this.storeIdentity.found(nowMs, this.refusal !== ''),
    };
  }

  /** Whether clients would have to wait longer than usual if the target became leader now. */
  private isBehind(nowMs: number): boolean {
    const { sender, leaderTerm, lag } = this;
    if (this.targetReport.hasUnappliedEntries) return true;
    if (sender.matchIndex >= leaderTerm.lastIndex) return false;
    return !sender.followsFeed || lag.lagMs(nowMs) > leaderTerm.catchupMarginMs(nowMs);
  }

  private beginCatchUp(nowMs: number): void {
    const { leaderTerm } = this;
    this.catchUp = new CatchUpDetector(leaderTerm.times.electionTimeoutMs);
    this.lag.begin(leaderTerm.lastIndex, nowMs);
  }

  /** Checks whether a new peer has caught up; if so, the node is notified at once. */
  private updateCatchUp(nowMs: number): void {
    const { catchUp, leaderTerm, sender } = this;
    if (catchUp === undefined) return;
    const wasCaughtUp = catchUp.caughtUp;
    const view = {
      followsFeed: sender.followsFeed,
      hasConfiguration: sender.matchIndex >= leaderTerm.configurationIndex,
      lagMs: this.lag.lagMs(nowMs),
      marginMs: leaderTerm.catchupMarginMs(nowMs),
    };
    if (catchUp.update(view, nowMs) && !wasCaughtUp) leaderTerm.progressChanged = true;
  }

  private adoptStore(storeId: StoreId, targetLastIndex: LogIndex, nowMs: number): void {
    this.messages.storeId = storeId;
    this.refusal = '';
    this.identifyRequest.end();
    this.sender.begin(targetLastIndex, nowMs);
  }

  private forgetStore(nowMs: number): void {
    this.storeIdentity.forget(nowMs);
    this.messages.storeId = noStore;
    this.targetReport.forget();
    this.refusal = '';
    this.sender.forget();
    this.storedMs = undefined;
    if (this.catchUp !== undefined) this.beginCatchUp(nowMs);
    this.identifyRequest.send(nowMs);
  }

  private refuse(refusal: 'ENOTEMPTY' | 'ESTORE', nowMs: number): void {
    this.identifyRequest.repeatLater(nowMs);
    if (this.refusal === refusal) return;
    this.sender.stop();
    this.refusal = refusal;
    this.leaderTerm.progressChanged = true;
    const text =
      refusal === 'ESTORE'
        ? 'has another store than the one in the configuration, or an older copy of it'
        : 'holds data of another history';
    const { effects } = this.leaderTerm.output;
    effects.push({ type: 'log', level: 'warn', text: `${this.peerId} ${text}`, fields: { refusal } });
  }

  /** Whether the target's store has fewer entries than it had acknowledged. */
  private hasLostEntries(lastIndex: LogIndex): boolean {
    return lastIndex < this.leaderTerm.acknowledgedBy(this.storeId);
  }

  /**
   * The target has rejected a request with the reason `store`, although it names the store that this replicator knows. If that store
   * has fewer entries than it had acknowledged, its data folder is an older copy (decision 0080), and the target is refused.
   */
  private onOlderCopy(lastIndex: LogIndex, nowMs: number): string | undefined {
    if (!this.hasLostEntries(lastIndex)) return 'same_store';
    this.receivedMs = nowMs;
    this.refuse('ESTORE', nowMs);
    return 'older_copy';
  }

  /** The target reports that it has another store. */
  private onOtherStore(body: Rejected, nowMs: number): string | undefined {
    if (!this.sender.mayHaveSent(body.request_id)) return 'not_in_flight';
    if (body.store_id === this.storeId) return this.onOlderCopy(body.last_index, nowMs);
    if (this.isBound) {
      this.storeIdentity.onRejection(body.store_id, nowMs);
      return this.onUnboundStore('ESTORE', nowMs);
    }
    this.receivedMs = nowMs;
    this.forgetStore(nowMs);
    return undefined;
  }
}

/** @returns whole milliseconds; -1: never */
function msSince(atMs: number | undefined, nowMs: number): number {
  return atMs === undefined ? -1 : Math.max(0, Math.floor(nowMs - atMs));
}
