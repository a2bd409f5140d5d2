/**
 * What a group's log is, but for the entries themselves. Values: a change makes a new one, so that what is
 * durable, what is being written and what has been accepted can stand side by side.
 *
 * Invariants:
 * 1. `termRuns` rise in index and in term; the last one reaches to `lastIndex`; no entries, no runs.
 * 2. `configurations` rise in index and are at or below `lastIndex`.
 * 3. `commitIndex <= lastIndex`: a commit index that was once known, never more than the truth.
 */
import {
  asLogIndex,
  asSession,
  asTerm,
  type BatchHeader,
  type Configuration,
  type ConfigurationEntry,
  type GroupUid,
  type LogIndex,
  noGroupUid,
  type PeerId,
  type Session,
  type StoreId,
  type Term,
  type TermRun,
} from '@conclave/protocol';

export interface LogState {
  /** Empty: this group's data has not been made yet. */
  readonly storeId: StoreId | '';
  readonly groupUid: GroupUid;
  readonly term: Term;
  readonly votedFor: PeerId | '';
  readonly session: Session;
  /** Of the opening that made the session. */
  readonly nonce: string;
  readonly commitIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly termRuns: readonly TermRun[];
  readonly configurations: readonly ConfigurationEntry[];
}

export const emptyLog: LogState = {
  storeId: '',
  groupUid: noGroupUid,
  term: asTerm(0),
  votedFor: '',
  session: asSession(0),
  nonce: '',
  commitIndex: asLogIndex(0),
  lastIndex: asLogIndex(0),
  termRuns: [],
  configurations: [],
};

/** The first entry that is there; 1 where there is none. */
export function firstIndex(state: LogState): LogIndex {
  return state.termRuns[0]?.first ?? asLogIndex(1);
}

export function lastTerm(state: LogState): Term {
  return state.termRuns.at(-1)?.term ?? asTerm(0);
}

/** The term of the entry before `index`; 0: there is none. */
export function termBefore(state: LogState, index: LogIndex): Term {
  return state.termRuns.findLast((run) => run.first < index)?.term ?? asTerm(0);
}

/** With a batch that follows the last entry. `configuration`: what it holds, where it is of that kind. */
export function withBatch(state: LogState, header: BatchHeader, configuration: Configuration | undefined): LogState {
  const newRun = header.term > lastTerm(state);
  return {
    ...state,
    lastIndex: header.last,
    termRuns: newRun ? [...state.termRuns, { first: header.first, term: header.term }] : state.termRuns,
    configurations:
      configuration === undefined
        ? state.configurations
        : [...state.configurations, { index: header.first, configuration }],
  };
}

/** Without the entries from `from` on, of which there is one at least. */
export function withoutEntriesFrom(state: LogState, from: LogIndex): LogState {
  return {
    ...state,
    lastIndex: asLogIndex(from - 1),
    termRuns: state.termRuns.filter((run) => run.first < from),
    configurations: state.configurations.filter((entry) => entry.index < from),
  };
}
