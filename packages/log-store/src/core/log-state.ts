/**
 * The state of a group's log, without the entries themselves. An immutable value: a change makes a new one, so that the durable,
 * the written and the accepted state can exist side by side.
 *
 * Invariants:
 * 1. Entries go from `base.index + 1` to `lastIndex`. `termRuns` rise in index and in term; the first one begins at
 *    `base.index + 1`, the last one reaches to `lastIndex`; no entries, no runs.
 * 2. `configurations` rise in index and are at or below `lastIndex`; the committed ones are kept, also below the base, the
 *    newest `limits.reportedConfigurations` of them and the first.
 * 3. `commitIndex <= lastIndex`: a commit index that was once known, never more than the actual one.
 * 4. The snapshot covers what is below the base: `base.index <= snapshot.head.index <= commitIndex`, and no base without a
 *    snapshot.
 * 5. A slot is used once: `snapshot.slot` and `incoming.slot` differ and are at most `lastSlot`.
 */
import {
  asLogIndex,
  asSession,
  asTerm,
  type BatchHeader,
  type Body,
  type Configuration,
  type ConfigurationEntry,
  type GroupUid,
  invariant,
  type LogIndex,
  limits,
  noGroupUid,
  type PeerId,
  type Session,
  type SnapshotHead,
  type SnapshotId,
  type StoreId,
  type Term,
  type TermRun,
} from '@conclave/protocol';

/** The entry before the first one of the log. */
export interface Base {
  readonly index: LogIndex;
  readonly term: Term;
}

/** The current snapshot. Its chunks are stored under its slot. */
export interface KeptSnapshot {
  readonly slot: number;
  readonly snapshot_id: SnapshotId;
  readonly head: SnapshotHead;
}

/** An incomplete snapshot with its first `stored` chunks. */
export interface IncomingSnapshot {
  readonly slot: number;
  readonly snapshot_id: SnapshotId;
  readonly source: Body<'log-store.snapshot_chunk'>['source'];
  readonly stored: number;
  /** Bytes of these chunks, and the CRC-32 over them. */
  readonly bytes: number;
  readonly checksum: number;
}

export interface LogState {
  /** The peer that this store was made for. */
  readonly peerId: PeerId | '';
  /** Empty: there are no data of this group yet. */
  readonly storeId: StoreId | '';
  readonly groupUid: GroupUid;
  readonly term: Term;
  readonly votedFor: PeerId | '';
  readonly session: Session;
  /** The nonce of the opening that made the session. */
  readonly nonce: string;
  readonly commitIndex: LogIndex;
  readonly base: Base;
  readonly lastIndex: LogIndex;
  readonly termRuns: readonly TermRun[];
  readonly configurations: readonly ConfigurationEntry[];
  readonly snapshot: KeptSnapshot | undefined;
  readonly incoming: IncomingSnapshot | undefined;
  readonly lastSlot: number;
  /** An operator has made this peer read-only. */
  readonly readOnly: boolean;
  /** The entry after which the node's state was found wrong, and is not repaired; 0: none. */
  readonly divergedAt: LogIndex;
}

export const emptyLog: LogState = {
  peerId: '',
  storeId: '',
  groupUid: noGroupUid,
  term: asTerm(0),
  votedFor: '',
  session: asSession(0),
  nonce: '',
  commitIndex: asLogIndex(0),
  base: { index: asLogIndex(0), term: asTerm(0) },
  lastIndex: asLogIndex(0),
  termRuns: [],
  configurations: [],
  snapshot: undefined,
  incoming: undefined,
  lastSlot: 0,
  readOnly: false,
  divergedAt: asLogIndex(0),
};

/** The id of a store that is open. */
export function storeIdOf({ storeId }: LogState): StoreId {
  invariant(storeId !== '', 'a store that is open has its id');
  return storeId;
}

/** The term of the last entry, or of the one at the base; 0: there is none. */
export function lastTerm(state: LogState): Term {
  return state.termRuns.at(-1)?.term ?? state.base.term;
}

/** The term of the entry before `index`, which is above the base; 0: there is none. */
export function termBefore(state: LogState, index: LogIndex): Term {
  return state.termRuns.findLast((run) => run.first < index)?.term ?? state.base.term;
}

/** The term of an entry of the log, or of the one at the base. */
export function termAt(state: LogState, index: LogIndex): Term | undefined {
  if (index < state.base.index || index > state.lastIndex) return undefined;
  return termBefore(state, asLogIndex(index + 1));
}

/**
 * The configurations to keep: the first, which names the founders; the newest committed ones; and all that may still be
 * truncated. They must fit a message even after years of changes.
 */
export function remembered(entries: readonly ConfigurationEntry[], commitIndex: LogIndex): ConfigurationEntry[] {
  const committed = entries.filter(({ index }) => index <= commitIndex).length;
  const from = Math.max(committed - limits.reportedConfigurations, 0);
  return entries.filter((_, at) => at === 0 || at >= from);
}

/** The state with a batch after the last entry. `configuration`: of a batch of that kind. */
export function withBatch(state: LogState, header: BatchHeader, configuration: Configuration | undefined): LogState {
  const newRun = state.termRuns.length === 0 || header.term > lastTerm(state);
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

/** The state without the entries from `from` on, of which there is at least one. */
export function withoutEntriesFrom(state: LogState, from: LogIndex): LogState {
  return {
    ...state,
    lastIndex: asLogIndex(from - 1),
    termRuns: state.termRuns.filter((run) => run.first < from),
    configurations: state.configurations.filter((entry) => entry.index < from),
  };
}
