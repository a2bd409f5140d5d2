/**
 * The state that all replicators of a leader share in one term, and their access to the actor that they are part of.
 * Owns: the leader's positions, the latest tick and commit index, and the recent batches. Does not own the targets.
 * Invariants:
 * 1. The recent batches end at `lastIndex`, the end of the leader's log as far as the node has reported it; `lastTerm` is the term
 *    of that entry.
 * 2. The commit index and the tick id never decrease.
 * 3. Nothing is sent to another peer if the last new tick is an election timeout old. Otherwise heartbeats would keep the followers of
 *    a dead or fenced node from electing another leader.
 */
import { type Log, leaderMismatch, type Send } from '@conclave/actor/core';
import {
  type Acknowledged,
  type Body,
  type GroupId,
  type GroupUid,
  invariant,
  type LogIndex,
  limits,
  type Message,
  majority,
  type PeerId,
  type Session,
  type StoreId,
  type Term,
} from '@conclave/protocol';
import { BatchRun } from './batch-run.js';
import { LagMeter } from './lag-meter.js';
import type { SnapshotThrottle } from './snapshot-throttle.js';

type Run = Body<'replicator.append'>['runs'][number];

export interface ReplicatorTimes {
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
}

/** The functions of the actor that its replicators use. */
export interface ReplicatorOutput {
  readonly effects: { push(effect: Send | Log): unknown };
  /** Returns an id that no earlier request had. */
  nextRequestId(): number;
  /** Shared by the whole process. */
  readonly snapshotThrottle: SnapshotThrottle;
}

export class LeaderTerm {
  /** The fields that identify the sender in messages to this peer's own actors. */
  readonly identity: { readonly group_id: GroupId; readonly store_id: StoreId; readonly session: Session };
  readonly peerId: PeerId;
  readonly groupUid: GroupUid;
  readonly term: Term;
  readonly cache = new BatchRun(limits.replicatorCacheBytes);
  lastIndex: LogIndex;
  lastTerm: Term;
  commitIndex: LogIndex;
  configurationIndex: LogIndex;
  /** The id of the latest tick; 0: there was none in this term. */
  tickId = 0;
  /** The field `replaceable_after_ms` of the latest tick; undefined: voters may replace this leader only after an election timeout. */
  replaceableAfterMs: number | undefined;
  /** The index that each store has acknowledged in this term. */
  private readonly matches = new Map<StoreId, LogIndex>();
  /** The committed index that each store had acknowledged in earlier terms. */
  private readonly earlier: ReadonlyMap<StoreId, LogIndex>;
  /** The lag of the leader's own log. */
  readonly ownLag = new LagMeter();
  /** The lags of all members, including the leader. */
  memberLags: readonly LagMeter[] = [this.ownLag];
  /** Whether the progress must be sent to the node without waiting for the next tick. */
  progressChanged = false;

  /** @param lastTickMs the time now: the begin of the term counts as a tick */
  constructor(
    lead: Body<'replicator.lead'>,
    private lastTickMs: number,
    readonly times: ReplicatorTimes,
    readonly output: ReplicatorOutput,
  ) {
    this.identity = { group_id: lead.group_id, store_id: lead.store_id, session: lead.session };
    this.peerId = lead.peer_id;
    this.groupUid = lead.group_uid;
    this.term = lead.term;
    this.lastIndex = lead.last_index;
    this.lastTerm = lead.last_term;
    this.commitIndex = lead.commit_index;
    this.configurationIndex = lead.configuration_index;
    this.earlier = new Map((lead.acknowledged ?? []).map(({ store_id, index }) => [store_id, index]));
  }

  /** @returns false if the tick is not a new one */
  onTick(tick: Body<'replicator.tick'>, nowMs: number): boolean {
    if (tick.tick_id <= this.tickId) return false;
    this.tickId = tick.tick_id;
    this.replaceableAfterMs = tick.replaceable_after_ms;
    this.lastTickMs = nowMs;
    this.onCommitted(tick.commit_index);
    return true;
  }

  onCommitted(index: LogIndex): void {
    if (index > this.commitIndex) this.commitIndex = index;
  }

  /** Adds the leader's next batch; without its payload, only its position. */
  append({ first_index: first, last_index: last, bytes }: Run, payload: Uint8Array | undefined): void {
    invariant(first === this.lastIndex + 1, "the leader's log grows without a gap");
    const { term } = this;
    this.cache.push({ header: { first, last, term }, size: bytes, payload, prevTerm: this.lastTerm });
    this.lastIndex = last;
    this.lastTerm = term;
  }

  /** A store has acknowledged all entries up to `index` in this term. */
  onAcknowledged(storeId: StoreId, index: LogIndex): void {
    if (index > (this.matches.get(storeId) ?? 0)) this.matches.set(storeId, index);
  }

  /** @returns the index up to which a store has acknowledged the log, in this term or as committed in earlier ones; 0: unknown */
  acknowledgedBy(storeId: StoreId): LogIndex {
    return Math.max(this.matches.get(storeId) ?? 0, this.earlier.get(storeId) ?? 0) as LogIndex;
  }

  /** The committed index that each store has acknowledged. */
  get acknowledged(): Acknowledged {
    const stores = new Set([...this.earlier.keys(), ...this.matches.keys()]);
    const committed = (storeId: StoreId) => Math.min(this.matches.get(storeId) ?? 0, this.commitIndex);
    return [...stores].slice(-limits.acknowledgedStores).map((store_id) => {
      return { store_id, index: Math.max(committed(store_id), this.earlier.get(store_id) ?? 0) as LogIndex };
    });
  }

  /** @returns the term of an entry; undefined: only the log-store knows it */
  termAt(index: LogIndex): Term | undefined {
    if (index === 0) return 0 as Term;
    if (index === this.lastIndex) return this.lastTerm;
    return this.cache.termAt(index);
  }

  /**
   * The longest lag with which a new peer counts as caught up, in milliseconds: twice the lag of the members whose acknowledgements
   * commit entries, so that no write waits long for the new peer; at least a quarter of a heartbeat interval, at most a quarter of an
   * election timeout.
   */
  catchupMarginMs(nowMs: number): number {
    const { heartbeatIntervalMs, electionTimeoutMs } = this.times;
    const lagsMs = this.memberLags.map((lag) => lag.lagMs(nowMs)).toSorted((one, other) => one - other);
    const commitMs = lagsMs[majority(lagsMs.length) - 1] ?? 0;
    return Math.min(Math.max(2 * commitMs, heartbeatIntervalMs / 4), electionTimeoutMs / 4);
  }

  /** Whether the node's last tick is recent enough, so that messages may be sent in its name (invariant 3). */
  mayStillSend(nowMs: number): boolean {
    return nowMs - this.lastTickMs < this.times.electionTimeoutMs;
  }

  /** Returns why a peer's message on the leader's feed does not count for this term; undefined: it does. */
  mismatchOf(body: Pick<Body<'feed.stored'>, 'group_uid' | 'leader_id' | 'leader_term'>): string | undefined {
    return leaderMismatch(body, this.groupUid, this.peerId, this.term);
  }

  send(peerId: PeerId, message: Message): void {
    this.output.effects.push({ type: 'send', peerId, message });
  }
}
