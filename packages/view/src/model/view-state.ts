/**
 * What the page shows, as plain JSON: the server sends it to a browser that connects, and both fold the next records into it.
 * Times are milliseconds on the clock of the records.
 */
import type { Condition, MessageRecord, PlaceActor } from '../records/record.js';

/** The sets that a peer belongs to: during a change `both` are its members before and after; `leaving` and `joining` only one of them. */
export type Membership = 'member' | 'joining' | 'leaving' | 'outside';

export interface ActorState {
  condition: Condition;
  /** Its last message, and messages of it so far; -1: none. */
  lastMessageAt: number;
  messages: number;
}

export interface PeerState {
  readonly name: string;
  /** `''`: unknown. */
  role: string;
  term: number;
  membership: Membership;
  /** Of a peer, or of all actors of it. */
  condition: Condition;
  actors: Record<string, ActorState>;
  /** The leader's knowledge of its log; -1: unknown. */
  match: number;
  lag: number;
  commit: number;
  applied: number;
  last: number;
  /** Since it last replied to the leader; -1: never, or unknown. */
  silentMs: number;
  /** Null: unknown. */
  healthy: boolean | null;
  /** Why it is not healthy, or why there is no status of it. */
  reason: string;
  readOnly: string;
  version: string;
  /** The percentage of the snapshot that it installs; -1: none. */
  installing: number;
  /** Whether it may be restarted now; null: unknown. */
  mayRestart: boolean | null;
  restartReason: string;
  /** When its last status arrived; -1: never. */
  statusAt: number;
}

/** A majority that an entry needs: the members of one set, and which of them have stored the entry. */
export interface Majority {
  readonly set: 'old' | 'new' | 'all';
  readonly peers: readonly string[];
  /** In the order in which they stored it. */
  stored: string[];
  readonly needed: number;
}

/** The configuration entry of a stage, and its majorities. */
export interface Ballot {
  readonly stage: 'joint' | 'stable';
  readonly index: number;
  readonly majorities: readonly Majority[];
  committedAt: number | null;
}

/** The progress of a new peer. */
export interface CatchUp {
  percent: number;
  state: string;
  match: number;
  last: number;
  lag: number;
  /** Entries per second that it receives; null: unknown yet. */
  rate: number | null;
  /** The time until it has caught up, at that rate; null: unknown. */
  remainingMs: number | null;
  /** The first of the reports that `rate` is computed from. */
  samples: { at: number; match: number; last: number }[];
}

export interface StageTime {
  readonly stage: string;
  readonly from: number;
  to: number | null;
}

export interface ChangeState {
  readonly id: number;
  readonly kind: string;
  /** Of the leader that last reported its stage. */
  term: number;
  readonly oldPeers: readonly string[];
  readonly newPeers: readonly string[];
  readonly adding: readonly string[];
  readonly removing: readonly string[];
  /** The current stage; `none` once it is over. */
  stage: string;
  stages: StageTime[];
  readonly startedAt: number;
  endedAt: number | null;
  outcome: 'going_on' | 'done' | 'failed';
  error: string;
  catchUp: Record<string, CatchUp>;
  ballots: Ballot[];
}

/** An election: a candidate, and its votes. */
export interface ElectionState {
  readonly candidate: string;
  readonly term: number;
  readonly preVote: boolean;
  readonly at: number;
  granted: string[];
  rejected: string[];
  won: boolean;
}

/** A tone is how important an entry is: it selects the colour, and a word for screen readers. */
export type Tone = 'plain' | 'good' | 'warning' | 'bad';

export interface TimelineEntry {
  readonly id: number;
  readonly at: number;
  readonly kind: 'event' | 'fault' | 'note' | 'lost';
  readonly name: string;
  /** Empty: no single peer. */
  readonly peer: string;
  readonly term: number;
  readonly text: string;
  readonly tone: Tone;
}

/** An arrow of the sequence diagram, and a dot that moves between actors. */
export interface Arrow extends MessageRecord {
  readonly id: number;
}

/** Columns of the charts, one point per `stepMs`; null: unknown. */
export interface Series {
  stepMs: number;
  at: number[];
  /** Entries committed per second. */
  writes: (number | null)[];
  /** Milliseconds from the leader's append to the commit, the average, as observed. */
  latency: (number | null)[];
  term: (number | null)[];
  /** Messages between actors per second. */
  messages: (number | null)[];
  /** Of each follower: entries that it lacks. */
  lag: Record<string, (number | null)[]>;
  /** What the next points are computed from. */
  open: {
    /** Of the leader's appends that are not committed: the last index, and when it was sent. */
    pending: { index: number; at: number }[];
    /** The commit index at the end of the last point; -1: unknown. */
    committedBefore: number;
    latencies: number;
    latencySum: number;
    sent: number | null;
    seen: number;
  };
}

export interface ViewState {
  group: string;
  /** Of the newest record. */
  now: number;
  startedAt: number | null;
  leader: string;
  term: number;
  commit: number;
  last: number;
  applied: number;
  level: number;
  /** The newest configuration known, in effect. */
  configuration: { peers: string[]; oldPeers: string[]; index: number } | null;
  peers: Record<string, PeerState>;
  /** The change in progress, or the last one. */
  change: ChangeState | null;
  pastChanges: ChangeState[];
  election: ElectionState | null;
  timeline: TimelineEntry[];
  arrows: Arrow[];
  series: Series;
  /** Messages of the last second: sent, and recorded. */
  rate: { sent: number; shown: number };
  /** Records that are missing. */
  lost: number;
  /** Notes that are in effect, by topic. */
  notes: Record<string, { text: string; level: string; at: number }>;
  /** Numbers of changes, arrows and entries. */
  nextId: number;
}

/** @param stepMs the width of a point of the charts */
export function emptyState(group: string, stepMs: number): ViewState {
  return {
    group,
    now: 0,
    startedAt: null,
    leader: '',
    term: 0,
    commit: 0,
    last: 0,
    applied: 0,
    level: 0,
    configuration: null,
    peers: {},
    change: null,
    pastChanges: [],
    election: null,
    timeline: [],
    arrows: [],
    series: {
      stepMs,
      at: [],
      writes: [],
      latency: [],
      term: [],
      messages: [],
      lag: {},
      open: { pending: [], committedBefore: -1, latencies: 0, latencySum: 0, sent: null, seen: 0 },
    },
    rate: { sent: 0, shown: 0 },
    lost: 0,
    notes: {},
    nextId: 1,
  };
}

/** The actors of a peer that the page draws. */
export const drawnActors: readonly PlaceActor[] = ['node', 'replicator', 'ballot-box', 'log-store'];

export function newPeer(name: string): PeerState {
  const actors = Object.fromEntries(
    drawnActors.map((actor) => [actor, { condition: 'up' as const, lastMessageAt: -1, messages: 0 }]),
  );
  return {
    name,
    role: '',
    term: 0,
    membership: 'outside',
    condition: 'up',
    actors,
    match: -1,
    lag: -1,
    commit: -1,
    applied: -1,
    last: -1,
    silentMs: -1,
    healthy: null,
    reason: '',
    readOnly: '',
    version: '',
    installing: -1,
    mayRestart: null,
    restartReason: '',
    statusAt: -1,
  };
}
