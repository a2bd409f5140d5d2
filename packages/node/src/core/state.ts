/**
 * The state that all parts of a node read: who it is, its role, term and log. Written by NodeCore and by the part
 * that owns the field, as said at each.
 */

import type { LeaderClock } from '@conclave/actor/core';
import {
  asLogIndex,
  asSession,
  asTerm,
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
import { AcknowledgedPositions } from './acknowledged-positions.js';
import { LogView } from './log-view.js';
import type { Divergence } from './quarantine.js';

/** What an operator reads. */
export const sideFileLost = 'the side file of the last write was missing or damaged when the log-store was opened';

export class NodeState {
  // From the opening of the log-store.
  storeId = '' as StoreId;
  session: Session = asSession(0);
  /** The group's history; empty while this peer holds none. */
  groupUid: GroupUid = noGroupUid;

  /**
   * The configurations whose entries were appended in this run and were then not known to be committed by anybody: only their
   * commit is an event. What is read back from the log, or replicated to who has missed it, has happened before.
   */
  readonly newConfigurations = new Set<LogIndex>();

  role: Role = 'opening';
  /** Rises in memory before it is stored; see Durability. */
  term: Term = asTerm(0);
  votedFor: PeerId | '' = '';
  /** The store that the vote went to, if this node has given it: while a member's store is replaced, two have its name. */
  votedStoreId: StoreId | '' = '';
  leaderId: PeerId | '' = '';
  readonly log = new LogView();
  /**
   * A leader's snapshot is about to take the place of the log: nothing is appended to it any more, until the node begins
   * anew. By Install.
   */
  isLogLeft = false;
  /** `appliedIndex <= commitIndex <= log.lastIndex`. */
  commitIndex: LogIndex = asLogIndex(0);
  appliedIndex: LogIndex = asLogIndex(0);
  /** A follower that lacks committed entries stores those before it applies what it has; until then, unless more come. */
  storesFirstUntilMs = 0;

  /** When a leader's new tick was last heard; the leader's lease at this voter. */
  leaderContactMs = Number.NEGATIVE_INFINITY;
  /** From when on the election timer runs: contact, a vote granted, or the start. */
  electionBaseMs = 0;
  /** When the log-store was opened: no vote is granted for an election timeout from then on. */
  openedMs = 0;
  /** The highest tick heard in `term`, which has one leader. */
  lastTickId = 0;
  /** The highest of these after which the log-store was still in this node's session. */
  sessionTickId = 0;
  /** The state machine's state differs from the majority's; see `quarantine.ts`. */
  divergence: Divergence | undefined;
  /** The entry behind which a digest is to be taken; 0: none. By StateComparison. */
  compareIndex: LogIndex = asLogIndex(0);
  /** Why this peer takes no entries; see `read-only.ts`. */
  readOnlyReason: ReadOnlyReason = '';
  /** As the log-store has said last; null: it has not. */
  diskFreeBytes: number | null = null;

  /** The levels that the other actors of this peer speak; undefined: not all of them have said. By OwnActors. */
  actorLevels: Levels | undefined;
  /** The highest version of commands that this peer's state machine reads; undefined: it declares none. */
  commandVersion: number | undefined;
  /** What stores have acknowledged, as leaders have said. */
  readonly acknowledged = new AcknowledgedPositions();
  /** This peer's store lacks what it had acknowledged: it takes no part any more, and why; empty: it does. */
  wentBack = '';
  /** Whether this peer's store may lack what it had synced; and whether that was so when it was opened. By Opening. */
  isUnverified = false;
  wasUnverified = false;
  /** Why this peer applies nothing more, though it acknowledges; empty: it applies. By Applier and Install. */
  stopped = '';

  constructor(
    readonly peerId: PeerId,
    /** That this process speaks. */
    readonly levels: Levels = supportedLevels,
  ) {}

  /** The group's feature level, by the newest configuration of the log. */
  get level(): number {
    return levelOf(this.log.configuration?.configuration);
  }

  /** The levels that all actors of this peer speak; null: not all of them have said. */
  get peerLevels(): Levels | null {
    return this.actorLevels === undefined ? null : commonLevels([this.levels, this.actorLevels]);
  }

  /** Why this peer must not lead, though it votes and acknowledges; empty: it may. */
  get cannotLead(): string {
    if (this.wentBack !== '') return this.wentBack;
    if (this.isUnverified) return `unverified: ${sideFileLost}, and its leader has not verified the log yet`;
    if (this.stopped !== '') return this.stopped;
    const { unreadable } = this.log;
    if (unreadable !== undefined) return `cannot read entry ${unreadable.index}: ${unreadable.reason}`;
    if (this.divergence !== undefined) return 'diverged: its state differs from the majority’s';
    const needed = needsLevel(this.level, this.levels, 'this process');
    if (needed !== '' || this.actorLevels === undefined) return needed;
    return needsLevel(this.level, this.actorLevels, 'another process of this peer');
  }

  /** A higher term begins, in memory: it is stored before it is spoken. */
  enterTerm(term: Term, votedFor: PeerId | ''): void {
    invariant(term > this.term, 'a term never falls');
    this.term = term;
    this.votedFor = votedFor;
    this.votedStoreId = '';
    this.leaderId = '';
    this.lastTickId = 0;
    this.sessionTickId = 0;
  }

  /** Whether this peer may stand: it is a member, the log that it would stand with is here to stay, and its state is right. */
  isElectable(): boolean {
    return !this.isLogLeft && this.cannotLead === '' && this.isMember();
  }

  /** Whether a configuration of its log has this peer, from the last one known committed on. */
  isMember(): boolean {
    const { configurations } = this.log;
    const committed = configurations.findLastIndex((entry) => entry.index <= this.commitIndex);
    return configurations
      .slice(Math.max(committed, 0))
      .some(({ configuration }) => isIn(configuration, this.peerId, this.storeId));
  }

  /** Whether the configuration in force consists of this peer alone. */
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

/** Why a process that speaks these levels cannot read what a group of this level writes; empty: it can. */
export function needsLevel(level: number, { lowest, highest }: Levels, who: string): string {
  if (level >= lowest && level <= highest) return '';
  return `needs level ${level}: ${who} speaks ${lowest} to ${highest}`;
}

/** The clock of the leader, where this peer leads. */
export function clockOf(state: NodeState, nowMs: number): LeaderClock | undefined {
  return state.role === 'leader' ? { nowMs, term: state.term } : undefined;
}
