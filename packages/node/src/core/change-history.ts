/** What became of changes, read from the configurations in the log: what a new leader can tell as well. */
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
import { kindOf } from './active-change.js';
import type { NodeState } from './state.js';

/** A change, and the entry that tells of it. */
export interface ToldChange {
  readonly behind: LogIndex;
  readonly change: Change;
}

/** All changes that are known here and have come to an entry or to an end, oldest first. */
export function endedChanges(
  { log, commitIndex }: NodeState,
  besides: (inLog: readonly Change[]) => readonly ToldChange[],
): Change[] {
  const inLog = changesInLog(log.configurations, commitIndex, (index) => log.termAt(index) ?? (0 as Term));
  // What ended behind an entry comes after what that entry did.
  const ended = [...inLog, ...besides(inLog.map(({ change }) => change))];
  return ended.sort((a, b) => a.behind - b.behind).map(({ change }) => change);
}

/** The changes that these configurations, in order of index, are the traces of. */
export function changesInLog(
  configurations: readonly ConfigurationEntry[],
  commitIndex: LogIndex,
  termAt: (index: LogIndex) => Term,
): ToldChange[] {
  const told: ToldChange[] = [];
  let inForce: Configuration | undefined;
  let joint: Change | undefined;
  for (const { index, configuration } of configurations) {
    const trace = { term: termAt(index), index };
    const say = (change: Change) => told.push({ behind: index, change });
    const isReset = inForce !== undefined && (configuration.epoch ?? 0) > (inForce.epoch ?? 0);
    const lost = lostIn(configuration);
    if (lost !== undefined) say(lost);
    const committed = index <= commitIndex;
    if (isJoint(configuration)) {
      const old_peers = peerIds(configuration.old_peers);
      const kind = kindOf(configuration);
      if (joint !== undefined) forget(told, joint);
      joint = { kind, old_peers, new_peers: peerIds(configuration.peers), state: 'going_on', stage: 'joint', ...trace };
      say(joint);
    } else if (isReset) {
      // Whatever was going on in the old history: nobody finishes it.
      if (joint !== undefined) {
        forget(told, joint);
        const error = errorBody('ECANCELED', 'the group was reset');
        say({ ...joint, state: 'undone', error });
      }
      say({ kind: 'reset', ...sets(inForce, configuration), state: 'done', stage: 'stable', ...trace });
      joint = undefined;
    } else {
      const ended = endOf(joint, inForce, configuration, committed);
      if (ended !== undefined) {
        if (joint !== undefined) forget(told, joint);
        say({ ...ended, stage: 'stable', ...trace });
      }
      joint = undefined;
    }
    inForce = configuration;
  }
  return told;
}

function forget(told: ToldChange[], change: Change): void {
  const at = told.findIndex((one) => one.change === change);
  if (at >= 0) told.splice(at, 1);
}

function sets(before: Configuration | undefined, after: Configuration): { old_peers: PeerId[]; new_peers: PeerId[] } {
  return { old_peers: peerIds(before?.peers ?? []), new_peers: peerIds(after.peers) };
}

/** What a stable configuration says of the joint one before it, or of a single peer that came or went. */
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

/** The change of which this leader's first entry says that its leader was lost. */
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
