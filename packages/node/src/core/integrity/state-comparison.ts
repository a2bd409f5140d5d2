/**
 * Members compare digests of their states. The leader chooses an entry that no member can have applied yet, its last one; each
 * member reports the digest of its state right after that entry; the digest of a majority of the members is right.
 * Owns: the running comparison and the result of the last one. Does not own what a member does that differs: see `Quarantine`.
 * Invariants:
 * 1. The digests that are compared are of one entry, in one term.
 * 2. A member differs only if a majority of the members of the configuration, the leader included, agrees on another digest.
 * 3. Only groups of level 1 and above compare: the state of an older build may differ.
 */
import type { StateMachine } from '@conclave/actor/core';
import {
  type AdminReply,
  allMembers,
  type Body,
  featureLevel,
  type LogIndex,
  limits,
  type Member,
  majority,
  type PeerId,
  peerIds,
  type StatusReply,
} from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

type CheckReply = AdminReply<'check'>;

interface ActiveComparison {
  readonly index: LogIndex;
  readonly members: readonly Member[];
  /** By peer; empty: the peer cannot report a digest of this entry. */
  readonly digests: Map<PeerId, string>;
  readonly sinceMs: number;
}

interface Wanted {
  readonly index: LogIndex;
  readonly leaderId: PeerId;
  readonly term: number;
}

export interface StateComparisonListener {
  /** This member's state after the entry is the majority's, or is not; or (undefined) no majority agrees. */
  readonly onCompared: (index: LogIndex, agrees: boolean | undefined, digest: string) => void;
  /** A member needs the leader's snapshot, of this entry or a later one. */
  readonly onSnapshotWanted: (index: LogIndex) => void;
  /** The entry from which on this member needs a snapshot of the leader; undefined: it needs none. */
  readonly snapshotWanted: () => LogIndex | undefined;
}

/** How often a `check` is repeated if a member could not report in time. */
const checkTries = 5;

export class StateComparison {
  private active: ActiveComparison | undefined;
  /** The entry of which this member is to report the digest, as a follower. */
  private wanted: Wanted | undefined;
  private last: CheckReply | undefined;
  private lastMs = Number.NEGATIVE_INFINITY;
  private waiting: { readonly requestId: number; tries: number }[] = [];

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
    private readonly listener: StateComparisonListener,
  ) {}

  /** The last comparison of this leader. */
  status(): Pick<StatusReply, 'states'> {
    // Left out if there is none: msgpack would turn undefined into null.
    return this.state.role === 'leader' && this.last !== undefined ? { states: this.last } : {};
  }

  /** Returns the peers among these that did not differ in the last comparison. */
  agreeing(peers: readonly PeerId[]): PeerId[] {
    return peers.filter((peerId) => this.last?.differing.includes(peerId) !== true);
  }

  /** `check`: compares at once. */
  onCommand(requestId: number): void {
    const { context } = this;
    const rejection = this.reasonAgainst();
    if (rejection !== undefined) return context.refuse(requestId, 'EUNSUPPORTED', rejection);
    if (this.waiting.length >= limits.heldCommands) return context.refuse(requestId, 'EBUSY', 'too many checks wait');
    this.waiting.push({ requestId, tries: checkTries });
    if (this.active === undefined) this.begin();
  }

  /** Once a tick: a leader begins a comparison when one is due, and ends one that members do not answer. */
  onTick(): void {
    const { context, active, state } = this;
    if (state.role !== 'leader' || this.reasonAgainst() !== undefined) return this.abandon('the leader steps down');
    const { electionTimeoutMs } = context.options;
    if (active !== undefined) {
      // Not while entries are applied: the result may restart this core.
      if (isComplete(active) || context.nowMs - active.sinceMs >= electionTimeoutMs) this.conclude(active);
      return;
    }
    const isNews = state.log.lastIndex > (this.last?.index ?? 0) || (this.last?.differing.length ?? 0) > 0;
    const everyMs = isNews ? limits.compareStatesMs : limits.compareIdleStatesMs;
    if (this.waiting.length > 0 || context.nowMs - this.lastMs >= everyMs) this.begin();
  }

  /** This peer no longer leads, or no longer serves. */
  abandon(reason: string): void {
    this.active = undefined;
    const { waiting, context } = this;
    if (waiting.length === 0) return;
    this.waiting = [];
    for (const { requestId } of waiting) context.refuse(requestId, 'EPERM', reason, 'not_done');
  }

  /** The entry of `state.compareIndex` was applied, and no later one. */
  onApplied(): void {
    const { active, wanted, state } = this;
    const index = state.appliedIndex;
    state.compareIndex = 0 as LogIndex;
    const digest = this.stateMachine.digest?.() ?? '';
    if (state.role === 'leader' && active?.index === index) this.take(active, state.peerId, digest);
    if (wanted?.index === index) this.report(wanted, digest);
  }

  /** The leader requests the digest of an entry. */
  onCompareState(body: Body<'node.compare_state'>): void {
    const { state, context } = this;
    const isFromLeader = body.leader_id === state.leaderId && body.term === state.term && state.role === 'follower';
    const isForThisStore = body.group_uid === state.groupUid && body.target_store_id === state.storeId;
    if (!isFromLeader || !isForThisStore) return context.drop('compare_state_stale');
    this.wanted = { index: body.index, leaderId: body.leader_id, term: body.term };
    this.awaitEntry(body.index, () => this.report(this.wanted as Wanted, ''));
  }

  /** A member has reported. */
  onReported(body: Body<'node.state_digest'>): void {
    const { active, state, context } = this;
    if (state.role !== 'leader' || body.group_uid !== state.groupUid || body.term !== state.term) {
      return context.drop('state_digest_stale');
    }
    const isOf = ({ peer_id, store_id }: Member): boolean => peer_id === body.peer_id && store_id === body.store_id;
    if (active?.index !== body.index || !active.members.some(isOf)) return context.drop('state_digest_stale');
    if (body.wants_snapshot_from !== undefined) this.listener.onSnapshotWanted(body.wants_snapshot_from);
    this.take(active, body.peer_id, body.digest);
    if (isComplete(active)) this.conclude(active);
  }

  /** The leader reports the result. */
  onVerdict(body: Body<'node.state_compared'>): void {
    const { wanted, state, context } = this;
    const isOwn = body.leader_id === wanted?.leaderId && body.term === wanted.term && body.index === wanted.index;
    if (!isOwn || state.term !== body.term || body.target_store_id !== state.storeId) {
      return context.drop('state_compared_stale');
    }
    this.wanted = undefined;
    this.listener.onCompared(body.index, body.agrees ?? undefined, body.digest);
  }

  private reasonAgainst(): string | undefined {
    const { state, stateMachine } = this;
    const { level = 0 } = state.log.configuration?.configuration ?? {};
    if (level < featureLevel.histories) return 'members compare their states from feature level 1 on';
    return stateMachine.digest === undefined ? 'the state machine has no digest' : undefined;
  }

  private begin(): void {
    const { state, context } = this;
    const configuration = state.log.configuration?.configuration;
    if (configuration === undefined) return;
    const index = state.log.lastIndex;
    const members = allMembers(configuration);
    const active: ActiveComparison = { index, members, digests: new Map(), sinceMs: context.nowMs };
    this.active = active;
    for (const { peer_id, store_id } of members) {
      if (peer_id === state.peerId) continue;
      context.send(peer_id, {
        name: 'node.compare_state',
        body: { ...this.fromLeader(store_id), index },
      });
    }
    this.awaitEntry(index, () => this.take(active, state.peerId, ''));
  }

  /** Takes the digest once this entry is applied, at once if it is the last applied one. */
  private awaitEntry(index: LogIndex, late: () => void): void {
    const { state } = this;
    if (this.stateMachine.digest === undefined || state.appliedIndex > index) return late();
    state.compareIndex = index;
    if (state.appliedIndex === index) this.onApplied();
  }

  private report({ index, leaderId, term }: Wanted, digest: string): void {
    const { state, context, listener } = this;
    const wants = listener.snapshotWanted();
    context.send(leaderId, {
      name: 'node.state_digest',
      body: {
        group_id: context.options.groupId,
        group_uid: state.groupUid,
        peer_id: state.peerId,
        store_id: state.storeId,
        term: term as never,
        index,
        digest,
        ...(wants === undefined ? {} : { wants_snapshot_from: wants }),
      },
    });
  }

  private take(active: ActiveComparison, peerId: PeerId, digest: string): void {
    if (this.active !== active) return;
    active.digests.set(peerId, digest);
  }

  private conclude({ index, members, digests }: ActiveComparison): void {
    const { state, context } = this;
    this.active = undefined;
    this.lastMs = context.nowMs;
    const right = agreed(members, digests);
    const known = [...digests].filter(([, digest]) => digest !== '');
    const isSplit = right === undefined && new Set(known.map(([, digest]) => digest)).size > 1;
    const differs = (digest: string): boolean => (right === undefined ? isSplit : digest !== right);
    this.last = {
      index,
      members: known.map(([peer_id, digest]) => ({ peer_id, digest })),
      differing: known.filter(([, digest]) => differs(digest)).map(([peerId]) => peerId),
      unanswered: [...new Set(peerIds(members))].filter((peerId) => (digests.get(peerId) ?? '') === ''),
      has_majority: right !== undefined,
    };
    this.replyToChecks(this.last);
    if (right === undefined && !isSplit) return;
    for (const { peer_id, store_id } of members) {
      const digest = digests.get(peer_id) ?? '';
      if (peer_id === state.peerId || digest === '') continue;
      const agrees = right === undefined ? null : digest === right;
      context.send(peer_id, {
        name: 'node.state_compared',
        body: { ...this.fromLeader(store_id), index, agrees, digest: right ?? '' },
      });
    }
    const own = digests.get(state.peerId) ?? '';
    if (own !== '') this.listener.onCompared(index, right === undefined ? undefined : own === right, right ?? '');
  }

  /** Replies to the requests that wait; if a member received the request too late, which happens under many writes, after another try. */
  private replyToChecks(last: CheckReply): void {
    const again = this.waiting.filter((each) => {
      each.tries -= 1;
      return last.unanswered.length > 0 && each.tries > 0;
    });
    for (const each of this.waiting) if (!again.includes(each)) this.context.reply(each.requestId, last);
    this.waiting = again;
  }

  private fromLeader(target_store_id: Member['store_id']): Omit<Body<'node.compare_state'>, 'index'> {
    const { state, context } = this;
    return {
      group_id: context.options.groupId,
      group_uid: state.groupUid,
      leader_id: state.peerId,
      term: state.term,
      target_store_id,
    };
  }
}

function isComplete({ members, digests }: ActiveComparison): boolean {
  return members.every(({ peer_id }) => digests.has(peer_id));
}

/** Returns the digest that a majority of the members has; undefined: none. */
function agreed(members: readonly Member[], digests: ReadonlyMap<PeerId, string>): string | undefined {
  const names = [...new Set(peerIds(members))];
  for (const digest of new Set(digests.values())) {
    if (digest === '') continue;
    if (names.filter((peerId) => digests.get(peerId) === digest).length >= majority(names.length)) return digest;
  }
  return undefined;
}
