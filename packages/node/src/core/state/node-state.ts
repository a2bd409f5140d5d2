/**
 * The state that all parts of a node read: which peer it is, its role, term and log.
 *
 * Each field has one writer, which its comment names: a method of this class, or the file of the part that owns the field. A test
 * (`test/architecture/node-state.test.ts`) finds any other.
 */

import type { LeaderClock } from '@conclave/actor/core';
import {
  asLogIndex,
  asSession,
  asTerm,
  type Body,
  commonLevels,
  type GroupUid,
  invariant,
  isIn,
  type Levels,
  type LogIndex,
  levelOf,
  noGroupUid,
  type PeerId,
  type ReadOnlyReason,
  type Role,
  type Session,
  type StoreId,
  supportedLevels,
  type Term,
} from '@conclave/protocol';
import type { Divergence } from '../inputs-and-effects.js';
import { AcknowledgedPositions } from './acknowledged-positions.js';
import { LogView } from './log-view.js';

/** The reason that operators see. */
export const sideFileLost = 'the side file of the last write was missing or damaged when the log-store was opened';

export class NodeState {
  // As `open` found them in the log-store.
  /** Writer: `open`. */
  storeId = '' as StoreId;
  /** Writer: `open`. */
  session: Session = asSession(0);
  /** When the log-store was opened: no vote is granted for an election timeout from then on. Writer: `open`. */
  openedMs = 0;
  /** Whether this peer's store may have lacked synced entries when it was opened. Writer: `open`. */
  wasUnverified = false;

  /** The group's history; empty while this peer holds none. Writer: `enterHistory`. */
  groupUid: GroupUid = noGroupUid;
  /** Writer: `enterRole`. */
  role: Role = 'opening';
  /** Rises in memory before it is stored; see `LocalActors.whenTermDurable`. Writer: `enterTerm`. */
  term: Term = asTerm(0);
  /** Writer: `grantVote`. */
  votedFor: PeerId | '' = '';
  /**
   * The store that the vote was granted to, if this node has granted it: during the replacement of a member's store two stores
   * have the member's name. Writer: `grantVote`.
   */
  votedStoreId: StoreId | '' = '';
  /** Writer: `followLeader`. */
  leaderId: PeerId | '' = '';

  /** Its content is appended by `LogAppender`, `AppendEntriesHandler`, `Bootstrap` and `PeerReset`. */
  readonly log = new LogView();
  /**
   * The configurations whose entries were appended in this run and were then not known to be committed: only their commit is
   * published. What is read back from the log, or replicated later, was published before. Filled by the parts that append.
   */
  readonly newConfigurations = new Set<LogIndex>();
  /** A leader's snapshot is about to replace the log: nothing is appended to it until the node restarts. Writer: `snapshot-receiver.ts`. */
  isLogSuperseded = false;
  /** `appliedIndex <= commitIndex <= log.lastIndex`. Writer: `commitTo`. */
  commitIndex: LogIndex = asLogIndex(0);
  /** Writer: `applier.ts`. */
  appliedIndex: LogIndex = asLogIndex(0);
  /** How many committed entries this follower did not have after its leader's last append. Writer: `append-entries.ts`. */
  committedEntriesLacked = 0;
  /** When that last append arrived. Writer: `append-entries.ts`. */
  committedEntriesLackedMs = 0;

  /** When a new tick of a leader last arrived. For one election timeout after that, this voter grants no vote. Writer: `recordContact`. */
  leaderContactMs = Number.NEGATIVE_INFINITY;
  /** The start of the election timeout: a new tick, a granted vote, a campaign, or the start. Writer: `recordElectionBase`. */
  electionBaseMs = 0;
  /** The highest tick that arrived in `term`, which has one leader. Writer: `recordTick`. */
  lastTickId = 0;
  /** The highest tick after which the log-store was still in this node's session. Writer: `recordSessionTick`. */
  sessionTickId = 0;

  /** Set if the state machine's state differs from the majority's. Writer: `quarantine.ts`. */
  divergence: Divergence | undefined;
  /** The entry after which a digest is to be taken; 0: none. Writer: `state-comparison.ts`. */
  compareIndex: LogIndex = asLogIndex(0);
  /** Why this peer stores no entries. Writer: `write-protection.ts`. */
  readOnlyReason: ReadOnlyReason = '';
  /** As the log-store reported last; null: it has not. Writer: `write-protection.ts`. */
  diskFreeBytes: number | null = null;
  /** Why the log-store is unhealthy, though it replies; empty: it is healthy, as far as it has reported. Writer: `write-protection.ts`. */
  storageProblem = '';

  /** The feature levels that the other actors of this peer support; undefined: not all have reported them. Writer: `local-actors.ts`. */
  actorLevels: Levels | undefined;
  /** What stores have acknowledged, as leaders have reported. Filled by the parts that receive a report. */
  readonly acknowledged = new AcknowledgedPositions();
  /** Why this peer's store lacks entries that it had acknowledged, so that it does not take part; empty: it has them. Writer: `store-binding.ts`. */
  olderCopyReason = '';
  /** Whether this peer's store may lack synced entries. Writer: `verify`. */
  isUnverified = false;
  /** Why this peer applies nothing more, though it acknowledges; empty: it applies. Writer: `stopApplying`. */
  stopped = '';

  constructor(
    readonly peerId: PeerId,
    /** The feature levels that this process supports. */
    readonly levels: Levels = supportedLevels,
    /** The highest version of commands that this peer's state machine reads; undefined: it declares none. */
    readonly commandVersion?: number | undefined,
    divergence?: Divergence | undefined,
  ) {
    this.divergence = divergence;
  }

  /** The log-store is open: this is what it holds. */
  open(body: Body<'node.opened'>, nowMs: number): void {
    this.storeId = body.store_id;
    this.session = body.session;
    this.enterHistory(body.group_uid);
    this.term = body.term;
    this.votedFor = body.voted_for;
    this.log.load({
      base: { index: body.base_index, term: body.base_term },
      lastIndex: body.last_index,
      termRuns: body.term_runs,
      configurations: body.configurations,
    });
    // The entries that a snapshot covers were applied once, so they are committed.
    this.commitTo(asLogIndex(Math.max(body.commit_index, body.snapshot?.head.index ?? 0)));
    this.openedMs = nowMs;
    // A group of one has no other peer that could verify it.
    this.wasUnverified = body.unverified === true;
    this.isUnverified = this.wasUnverified && !this.isAlone();
    this.enterRole('follower');
  }

  enterHistory(groupUid: GroupUid): void {
    this.groupUid = groupUid;
  }

  enterRole(role: Role): void {
    this.role = role;
  }

  /** Follows this leader; empty: no leader is known. */
  followLeader(leaderId: PeerId | ''): void {
    this.leaderId = leaderId;
  }

  commitTo(index: LogIndex): void {
    this.commitIndex = index;
  }

  /** The group's feature level, by the newest configuration of the log. */
  get level(): number {
    return levelOf(this.log.configuration?.configuration);
  }

  /** The feature levels that all actors of this peer support; null: not all have reported them. */
  get peerLevels(): Levels | null {
    return this.actorLevels === undefined ? null : commonLevels([this.levels, this.actorLevels]);
  }

  /** Returns why this peer must not lead, though it votes and acknowledges; empty: it may. */
  get cannotLead(): string {
    if (this.olderCopyReason !== '') return this.olderCopyReason;
    if (this.isUnverified) return `unverified: ${sideFileLost}, and its leader has not verified the log yet`;
    if (this.stopped !== '') return this.stopped;
    const { unreadable } = this.log;
    if (unreadable !== undefined) return `cannot read entry ${unreadable.index}: ${unreadable.reason}`;
    if (this.divergence !== undefined) return 'diverged: its state differs from the majority’s';
    const needed = needsLevel(this.level, this.levels, 'this process');
    if (needed !== '' || this.actorLevels === undefined) return needed;
    return needsLevel(this.level, this.actorLevels, 'another process of this peer');
  }

  /** A higher term begins, in memory: it is stored before it is sent. */
  enterTerm(term: Term, votedFor: PeerId | ''): void {
    invariant(term > this.term, 'a term never falls');
    this.term = term;
    this.grantVote(votedFor, '');
    this.followLeader('');
    this.lastTickId = 0;
    this.sessionTickId = 0;
  }

  grantVote(peerId: PeerId | '', storeId: StoreId | ''): void {
    this.votedFor = peerId;
    this.votedStoreId = storeId;
  }

  /** A new tick of the leader has arrived; -Infinity: the last tick prevents no vote any more, because the leader ordered an election. */
  recordContact(atMs: number): void {
    this.leaderContactMs = atMs;
  }

  /** The election timeout begins now. This does not set the timer `election` (`Election.onElectionTimer`). */
  recordElectionBase(nowMs: number): void {
    this.electionBaseMs = nowMs;
  }

  recordTick(tickId: number): void {
    this.lastTickId = tickId;
  }

  recordSessionTick(tickId: number): void {
    this.sessionTickId = Math.max(this.sessionTickId, tickId);
  }

  /** All committed entries are in the store: it lacks nothing any more. */
  verify(): void {
    this.isUnverified = false;
  }

  stopApplying(reason: string): void {
    this.stopped = reason;
  }

  /** Whether this peer may campaign: it is a member, its log will not be replaced, and its state is right. */
  isElectable(): boolean {
    return !this.isLogSuperseded && this.cannotLead === '' && this.isMember();
  }

  /** Whether the last configuration in its log that is known to be committed, or a later one, contains this peer. */
  isMember(): boolean {
    const { configurations } = this.log;
    const committed = configurations.findLastIndex((entry) => entry.index <= this.commitIndex);
    return configurations
      .slice(Math.max(committed, 0))
      .some(({ configuration }) => isIn(configuration, this.peerId, this.storeId));
  }

  /** Whether the effective configuration consists of this peer alone. */
  isAlone(): boolean {
    const configuration = this.log.configuration?.configuration;
    return (
      configuration !== undefined &&
      configuration.old_peers.length === 0 &&
      configuration.peers.length === 1 &&
      isIn(configuration, this.peerId, this.storeId)
    );
  }
}

/** Returns why a process of these levels cannot read what a group of this level writes; empty: it can. */
export function needsLevel(level: number, { lowest, highest }: Levels, who: string): string {
  if (level >= lowest && level <= highest) return '';
  return `needs level ${level}: ${who} supports ${lowest} to ${highest}`;
}

/** Returns the clock of the leader, if this peer leads. */
export function clockOf(state: NodeState, nowMs: number): LeaderClock | undefined {
  return state.role === 'leader' ? { nowMs, term: state.term } : undefined;
}
