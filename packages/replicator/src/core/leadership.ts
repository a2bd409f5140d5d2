/**
 * What all replicators of a leader share for one term, and their way out.
 *
 * Owns the leader's position, the latest tick and commit index, and the recent batches. Does not own the targets.
 *
 * Invariants:
 * 1. The recent batches end where the log ends, as far as it is known here; `lastTerm` is the term there.
 * 2. The commit index and the tick only rise.
 * 3. Nothing goes to another peer an election timeout after the last new tick: a node that is dead or fenced must
 *    not be kept in office by its replicators.
 */
import type { Log, Send } from '@conclave/actor/core';
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

/** What the replicators need of the actor that they are part of. */
export interface Outlet {
  readonly effects: { push(effect: Send | Log): unknown };
  /** A number that no request had before. */
  nextRequestId(): number;
  /** Of the whole process. */
  readonly snapshotThrottle: SnapshotThrottle;
}

export class Leadership {
  /** What messages to this peer's own actors carry. */
  readonly own: { readonly group_id: GroupId; readonly store_id: StoreId; readonly session: Session };
  readonly peerId: PeerId;
  readonly groupUid: GroupUid;
  readonly term: Term;
  readonly cache = new BatchRun(limits.replicatorCacheBytes);
  lastIndex: LogIndex;
  lastTerm: Term;
  commitIndex: LogIndex;
  configurationIndex: LogIndex;
  /** Of the latest tick; 0: none in this term. */
  tickId = 0;
  /** What stores have acknowledged in this term, and, committed, in earlier ones. */
  private readonly matches = new Map<StoreId, LogIndex>();
  private readonly earlier: ReadonlyMap<StoreId, LogIndex>;
  /** Of the leader's own log, which is a member's, too. */
  readonly ownLag = new LagMeter();
  /** Of all members, the leader among them. */
  memberLags: readonly LagMeter[] = [this.ownLag];
  /** Whether the node is to hear of the progress before the next tick. */
  hasNews = false;

  /** @param lastTickMs when the term began here, which counts as a tick. */
  constructor(
    lead: Body<'replicator.lead'>,
    private lastTickMs: number,
    readonly times: ReplicatorTimes,
    readonly outlet: Outlet,
  ) {
    this.own = { group_id: lead.group_id, store_id: lead.store_id, session: lead.session };
    this.peerId = lead.peer_id;
    this.groupUid = lead.group_uid;
    this.term = lead.term;
    this.lastIndex = lead.last_index;
    this.lastTerm = lead.last_term;
    this.commitIndex = lead.commit_index;
    this.configurationIndex = lead.configuration_index;
    this.earlier = new Map((lead.acknowledged ?? []).map(({ store_id, index }) => [store_id, index]));
  }

  /** Takes a tick; false where it is not a new one. */
  onTick(tickId: number, commitIndex: LogIndex, nowMs: number): boolean {
    if (tickId <= this.tickId) return false;
    this.tickId = tickId;
    this.lastTickMs = nowMs;
    this.onCommitted(commitIndex);
    return true;
  }

  onCommitted(index: LogIndex): void {
    if (index > this.commitIndex) this.commitIndex = index;
  }

  /** Takes the leader's next batch, or only where it stands. */
  append({ first_index: first, last_index: last, bytes }: Run, content: Uint8Array | undefined): void {
    invariant(first === this.lastIndex + 1, "the leader's log grows without a gap");
    const { term } = this;
    this.cache.push({ header: { first, last, term }, size: bytes, content, prevTerm: this.lastTerm });
    this.lastIndex = last;
    this.lastTerm = term;
  }

  /** A store has acknowledged all up to there in this term. */
  onAcknowledged(storeId: StoreId, index: LogIndex): void {
    if (index > (this.matches.get(storeId) ?? 0)) this.matches.set(storeId, index);
  }

  /** Up to where a store is known to have the log. */
  acknowledgedBy(storeId: StoreId): LogIndex {
    return Math.max(this.matches.get(storeId) ?? 0, this.earlier.get(storeId) ?? 0) as LogIndex;
  }

  /** What stores have acknowledged and is committed. */
  get acknowledged(): Acknowledged {
    const stores = new Set([...this.earlier.keys(), ...this.matches.keys()]);
    const committed = (storeId: StoreId) => Math.min(this.matches.get(storeId) ?? 0, this.commitIndex);
    return [...stores].slice(-limits.talliedMembers).map((store_id) => {
      return { store_id, index: Math.max(committed(store_id), this.earlier.get(store_id) ?? 0) as LogIndex };
    });
  }

  /** The term of an entry; undefined: only the log-store knows. */
  termAt(index: LogIndex): Term | undefined {
    if (index === 0) return 0 as Term;
    if (index === this.lastIndex) return this.lastTerm;
    return this.cache.termAt(index);
  }

  /**
   * What a new peer may lag to be taken in: about what the members take that commit entries together, so that no write waits
   * for the new one; and never so long that writers would notice.
   */
  catchupMarginMs(nowMs: number): number {
    const { heartbeatIntervalMs, electionTimeoutMs } = this.times;
    const lagsMs = this.memberLags.map((lag) => lag.lagMs(nowMs)).toSorted((one, other) => one - other);
    const commitMs = lagsMs[majority(lagsMs.length) - 1] ?? 0;
    return Math.min(Math.max(2 * commitMs, heartbeatIntervalMs / 4), electionTimeoutMs / 4);
  }

  /** Whether the node was heard of recently enough to speak for it. */
  isInOffice(nowMs: number): boolean {
    return nowMs - this.lastTickMs < this.times.electionTimeoutMs;
  }

  send(peerId: PeerId, message: Message): void {
    this.outlet.effects.push({ type: 'send', peerId, message });
  }
}
