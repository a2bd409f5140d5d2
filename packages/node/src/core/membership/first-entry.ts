/**
 * Writes what a new group begins with: entry 1, which is a configuration of the founder alone, or a backup in its place.
 * Owns nothing. Does not decide whether the group may be founded; `Bootstrap` does.
 */
import {
  type AdminRequest,
  asLogIndex,
  asTerm,
  batchHeader,
  type Configuration,
  commonLevels,
  encodeConfigurationBatch,
  type GroupUid,
  levelOf,
  levelsOfFirstVersion,
  snapshotLevel,
} from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { Founding } from './founding.js';

export type RestoreRequest = NonNullable<AdminRequest<'bootstrap'>['restore']>;

export class FirstEntry {
  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
  ) {}

  /** Writes entry 1, in the next term: this peer has granted no vote in it. */
  write(founding: Founding): void {
    const { state, context, actors } = this;
    state.enterTerm(asTerm(state.term + 1), state.peerId);
    actors.storeVote();
    state.enterHistory(this.newGroupUid(founding));
    const configuration = this.configuration(founding);
    const first = asLogIndex(1);
    const bytes = encodeConfigurationBatch(state.term, first, configuration);
    state.log.append({ header: batchHeader(bytes), bytes });
    actors.sendAppendToLogStore({
      group_uid: state.groupUid,
      leader_id: state.peerId,
      leader_term: state.term,
      verified_index: first,
      truncate_from: asLogIndex(0),
      commit_index: asLogIndex(0),
      batches: [bytes],
    });
    state.newConfigurations.add(first);
    context.event('configuration_appended', { peers: [state.peerId], old_peers: [], index: first });
  }

  /**
   * Replaces all entries up to the backup's last one by the backup. The node must restart once this is synced.
   * @returns why not all listed peers can read the backup, in which case nothing is written; undefined: it is being written
   */
  writeBackup(founding: Founding, { restore_id, head }: RestoreRequest): string | undefined {
    const { state, context, actors } = this;
    const configuration = this.configuration(founding);
    const needed = snapshotLevel(head);
    if (needed > levelOf(configuration)) {
      return `the backup has feature level ${needed}, and not all listed peers support it`;
    }
    const group_uid = this.newGroupUid(founding);
    const term = asTerm(Math.max(state.term, head.term) + 1);
    actors.sendFramed('log-store', (frame) => ({
      name: 'log-store.snapshot_end',
      body: {
        ...actors.identity,
        ...frame,
        snapshot_id: restore_id,
        source: 'installed',
        group_uid,
        term,
        head: { ...head, configurations: [{ index: head.index, configuration }] },
        compact_to: head.index,
      },
    }));
    context.log('info', 'founds the group with a backup', {
      group_uid,
      peers: founding.options.peers,
      index: head.index,
    });
    return undefined;
  }

  /** Returns the configuration of this peer alone, of the highest feature level that all listed peers support. */
  private configuration({ options: { peers }, levels }: Founding): Configuration {
    const { peerId: peer_id, storeId: store_id, peerLevels } = this.state;
    const all = [peerLevels ?? levelsOfFirstVersion, ...levels.values()];
    const level = Math.min(commonLevels(all).highest, this.context.options.foundingLevel ?? Number.POSITIVE_INFINITY);
    const founding = { peers: [{ peer_id, store_id }], old_peers: [], founding_peers: [...peers] };
    return level === 0 ? founding : { ...founding, level };
  }

  /** Unique: a node founds at most once for each of its rounds of requests to other peers. */
  private newGroupUid({ options: { askId } }: Founding): GroupUid {
    return `${this.context.options.incarnation}.${askId}` as GroupUid;
  }
}
