/**
 * Changes without an entry in the log: they ended while new peers were catching up, or are catching up now. A leader announces
 * its change to the other members on every tick; the next leader reports in its first entry a change that was announced and is
 * not in its log, so that all members know of it from then on (promise 7).
 * Owns: the change that was announced, and the changes that have ended. Does not own the change that this node itself carries out
 * as the leader.
 * Invariants:
 * 1. An announcement is accepted only from the leader of this node's term.
 * 2. A change is reported as interrupted once, by the first leader after its own; never if it has an entry.
 */
import {
  type Body,
  type Change,
  type ConclaveError,
  type Configuration,
  type LogIndex,
  limits,
  type PeerId,
  peerIds,
  samePeers,
  type Term,
} from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { type ActiveChange, describe } from './active-change.js';
import { endedChanges, type RecordedChange } from './change-history.js';

type InterruptedChange = NonNullable<Configuration['lost_change']>;
type Peers = { readonly old_peers: readonly PeerId[]; readonly new_peers: readonly PeerId[] };

export class ChangeAnnouncements {
  private announced: (Peers & { readonly term: Term }) | undefined;
  /** The changes that have ended, each with the last entry at that time. */
  private ended: RecordedChange[] = [];

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
  ) {}

  /**
   * A leader announces its change that is catching up, or that has ended while it was. A store replacement is not announced,
   * because it is tried again.
   * @param failure why it has ended; undefined: it is in progress
   */
  announce({ kind, old, newPeers }: ActiveChange, failure?: ConclaveError): void {
    if (kind !== 'change') return;
    const { state, context } = this;
    for (const { peer_id } of old) {
      if (peer_id === state.peerId) continue;
      context.send(peer_id, {
        name: 'node.change_announced',
        body: {
          group_id: context.options.groupId,
          group_uid: state.groupUid,
          leader_id: state.peerId,
          term: state.term,
          old_peers: peerIds(old),
          new_peers: [...newPeers],
          over: failure?.toBody() ?? null,
        },
      });
    }
  }

  /** The leader announces a change without an entry in the log, or its end. */
  onAnnounced(body: Body<'node.change_announced'>): void {
    const { state, context } = this;
    const isFromLeader = body.leader_id === state.leaderId && body.term === state.term && state.role === 'follower';
    if (!isFromLeader || body.group_uid !== state.groupUid) return context.drop('change_announced_stale');
    const { old_peers, new_peers, term, over } = body;
    if (over === null) {
      this.announced = { old_peers, new_peers, term };
      return;
    }
    this.announced = undefined;
    const change = { kind: 'change' as const, old_peers, new_peers, state: 'undone' as const };
    const stage = 'catching_up' as const;
    this.end({ ...change, stage, term, index: 0 as LogIndex, error: over });
  }

  /** Records a change that was undone. A store replacement is not recorded, because it is tried again. */
  recordUndone(active: ActiveChange, reason: ConclaveError): void {
    if (active.kind === 'change') this.end(describe(active, this.state.term, 'undone', reason.toBody()));
  }

  /** A change has ended without effect. */
  private end(change: Change): void {
    const afterIndex = this.state.log.lastIndex;
    this.ended = [...this.ended, { afterIndex, change }].slice(-limits.rememberedChanges);
  }

  /** This node begins to lead: returns the change that its first entry reports as interrupted. */
  takeInterruptedChange(): InterruptedChange | undefined {
    const { announced, state } = this;
    this.announced = undefined;
    if (announced === undefined || announced.term >= state.term || this.isInLog(announced)) return undefined;
    return { term: announced.term, old_peers: [...announced.old_peers], new_peers: [...announced.new_peers] };
  }

  /** Whether the change has an entry, in its leader's term. */
  private isInLog({ term, new_peers }: Peers & { readonly term: Term }): boolean {
    const { log } = this.state;
    return log.configurations.some(
      ({ index, configuration }) => log.termAt(index) === term && samePeers(peerIds(configuration.peers), new_peers),
    );
  }

  /** Returns the last changes and their outcomes, oldest first. @param active the change that this leader carries out */
  history(active: ActiveChange | undefined): Change[] {
    const { state } = this;
    const ended = endedChanges(state, (inLog) => this.notInLog(inLog));
    const inProgress = active?.stage === 'catching_up' ? [describe(active, state.term, 'going_on')] : [];
    return [...ended, ...inProgress].slice(-limits.rememberedChanges);
  }

  /** Returns the changes that the log does not show, each with the last entry when it ended. */
  private notInLog(inLog: readonly Change[]): readonly RecordedChange[] {
    const isRecorded = (change: Change) =>
      inLog.some(
        (announced) =>
          announced.index === 0 && announced.term === change.term && samePeers(announced.new_peers, change.new_peers),
      );
    return this.ended.filter(({ change }) => !isRecorded(change));
  }
}
