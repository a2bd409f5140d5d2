/** The outcome of changes, read from the configurations in the log: a new leader can report it, too. */
import {
  type Change,
  type Configuration,
  type ConfigurationEntry,
  errorBody,
  isJoint,
  type LogIndex,
  type Member,
  type PeerId,
  peerIds,
  samePeers,
  type Term,
} from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import { kindOf } from './active-change.js';

/** A change, and the entry that shows it. */
export interface RecordedChange {
  readonly afterIndex: LogIndex;
  readonly change: Change;
}

/** Returns all changes known here that have an entry or have ended, oldest first. */
export function endedChanges(
  { log, commitIndex }: NodeState,
  notInLog: (inLog: readonly Change[]) => readonly RecordedChange[],
): Change[] {
  const inLog = changesInLog(log.configurations, commitIndex, (index) => log.termAt(index) ?? (0 as Term));
  // A change that ended after an entry comes after that entry.
  const ended = [...inLog, ...notInLog(inLog.map(({ change }) => change))];
  return ended.sort((a, b) => a.afterIndex - b.afterIndex).map(({ change }) => change);
}

/** Returns the changes that these configurations, in order of index, show. */
export function changesInLog(
  configurations: readonly ConfigurationEntry[],
  commitIndex: LogIndex,
  termAt: (index: LogIndex) => Term,
): RecordedChange[] {
  const changes: RecordedChange[] = [];
  let previous: Configuration | undefined;
  let joint: Change | undefined;
  for (const { index, configuration } of configurations) {
    const trace = { term: termAt(index), index };
    const record = (change: Change) => changes.push({ afterIndex: index, change });
    const isReset = previous !== undefined && (configuration.epoch ?? 0) > (previous.epoch ?? 0);
    const lost = lostIn(configuration);
    if (lost !== undefined) record(lost);
    const committed = index <= commitIndex;
    if (isJoint(configuration)) {
      const old_peers = peerIds(configuration.old_peers);
      const kind = kindOf(configuration);
      if (joint !== undefined) forget(changes, joint);
      joint = { kind, old_peers, new_peers: peerIds(configuration.peers), state: 'going_on', stage: 'joint', ...trace };
      record(joint);
    } else if (isReset) {
      // A change of the old history is not finished by any leader.
      if (joint !== undefined) {
        forget(changes, joint);
        const error = errorBody('ECANCELED', 'the group was reset');
        record({ ...joint, state: 'undone', error });
      }
      record({ kind: 'reset', ...sets(previous, configuration), state: 'done', stage: 'stable', ...trace });
      joint = undefined;
    } else {
      const ended = endOf(joint, previous, configuration, committed);
      if (ended !== undefined) {
        if (joint !== undefined) forget(changes, joint);
        record({ ...ended, stage: 'stable', ...trace });
      }
      joint = undefined;
    }
    previous = configuration;
  }
  return changes;
}

function forget(changes: RecordedChange[], change: Change): void {
  const at = changes.findIndex((one) => one.change === change);
  if (at >= 0) changes.splice(at, 1);
}

function sets(before: Configuration | undefined, after: Configuration): { old_peers: PeerId[]; new_peers: PeerId[] } {
  return { old_peers: peerIds(before?.peers ?? []), new_peers: peerIds(after.peers) };
}

/**
 * Returns the outcome that a stable configuration shows: of the joint one before it, or of a single peer that was added or
 * removed.
 */
function endOf(
  joint: Change | undefined,
  before: Configuration | undefined,
  after: Configuration,
  committed: boolean,
): Pick<Change, 'kind' | 'old_peers' | 'new_peers' | 'state' | 'error'> | undefined {
  const peers = peerIds(after.peers);
  if (joint === undefined) {
    if (before === undefined || isJoint(before) || samePeers(peerIds(before.peers), peers)) return undefined;
    return { kind: 'change', ...sets(before, after), state: committed ? 'done' : 'going_on' };
  }
  const { kind, old_peers, new_peers } = joint;
  const undone = before !== undefined && !sameMembers(after.peers, before.peers);
  if (!committed) return { kind, old_peers, new_peers, state: 'going_on' };
  if (!undone) return { kind, old_peers, new_peers, state: 'done' };
  const error = errorBody('ECANCELED', 'the change was cancelled');
  return { kind, old_peers, new_peers, state: 'undone', error };
}

function sameMembers(a: readonly Member[], b: readonly Member[]): boolean {
  const keys = (members: readonly Member[]) => members.map(({ peer_id, store_id }) => `${peer_id} ${store_id}`).sort();
  return keys(a).join() === keys(b).join();
}

/** Returns the change that this leader's first entry reports as interrupted. */
function lostIn({ lost_change }: Configuration): Change | undefined {
  if (lost_change === undefined) return undefined;
  const { term, old_peers, new_peers } = lost_change;
  const error = errorBody('EPERM', 'its leader was lost while new peers were catching up; nothing of it happened');
  return {
    kind: 'change',
    old_peers,
    new_peers,
    state: 'undone',
    stage: 'catching_up',
    term,
    index: 0 as LogIndex,
    error,
  };
}
