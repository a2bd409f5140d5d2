/**
 * The stage of catching up: decides from what the replicators report whether a change waits, fails or continues.
 * Owns: the published progress of the new peers. Does not own when writers are throttled: the replicators request it, and
 * `WriterThrottle` limits how long and how often. `ConfigurationChange` appends the entries and replies to requests.
 * Invariants:
 * 1. No change continues before each new peer, or a member's new store, has caught up and its store id is known.
 * 2. No change continues with a new peer, or a member's new store, that does not support the group's feature level, or cannot
 *    read the commands that all members can read.
 * 3. No change continues unless a majority of its next members is reachable, and one of them could lead.
 */
import { ConclaveError, hasMember, type Member, type PeerId, type Progress } from '@conclave/protocol';
import type { LeaderState, Proposals } from '../leader/index.js';
import { reachOf } from '../leader/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { type ActiveChange, memberFor } from './active-change.js';
import { CatchUpProgress } from './catch-up-progress.js';

/** What a change does next: it waits for further reports, it is undone, or it appends an entry with these members. */
export type CatchUpVerdict =
  | { readonly type: 'wait' }
  | { readonly type: 'fail'; readonly reason: ConclaveError }
  | { readonly type: 'continue'; readonly members: readonly Member[] };

const wait: CatchUpVerdict = { type: 'wait' };

export class CatchUpStage {
  private readonly report: CatchUpProgress;
  private readonly parts: { context: StepContext; state: NodeState; leadership: LeaderState };

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly leadership: LeaderState,
    private readonly proposals: Proposals,
  ) {
    this.parts = { context, state, leadership };
    this.report = new CatchUpProgress(context, state, leadership);
  }

  begin(): void {
    this.report.clear();
  }

  end(): void {
    this.proposals.throttle.end();
  }

  /** The replicators have reported. */
  onProgress(active: ActiveChange): CatchUpVerdict {
    const { replacing } = active;
    const isOfOtherStore = (progress: Progress | undefined) =>
      replacing !== undefined && progress?.store_id !== replacing.store_id;
    // In a store replacement, reports on another store than the new one are ignored: the replicator sent them before it knew
    // the new store.
    const all = active.adding.map((peerId) => this.leadership.progress(peerId)).filter((each) => !isOfOtherStore(each));
    this.report.publish(all);
    const reason = this.reasonAgainst(all);
    if (reason !== undefined) return { type: 'fail', reason };
    if (all.some((progress) => progress?.wants_throttle === true)) this.slowWriters();
    if (replacing !== undefined) return this.onReplacementProgress(replacing, active);
    const haveCaughtUp = all.every((progress) => progress?.caught_up === true && progress.store_id !== '');
    return haveCaughtUp ? this.nextMembers(active) : wait;
  }

  /** Returns why one of these peers cannot be added; undefined: all can. */
  private reasonAgainst(all: readonly (Progress | undefined)[]): ConclaveError | undefined {
    const refused = all.find((progress) => progress?.refusal === 'ENOTEMPTY');
    if (refused !== undefined) return new ConclaveError('ENOTEMPTY', `${refused.peer_id} holds another history`);
    const unsupported = all.find((progress) => progress !== undefined && this.lacksLevel(progress));
    if (unsupported !== undefined) return unsupportedLevel(unsupported, this.state.level);
    const { commonCommandVersion } = this.leadership;
    const older = all.find((one) => one?.levels !== undefined && (one.command_version ?? 0) < commonCommandVersion);
    return older === undefined ? undefined : unsupportedCommands(older, commonCommandVersion);
  }

  /** Slows the writers down for a moment: a new peer that is only as fast as they are cannot catch up. */
  private slowWriters(): void {
    const { context, proposals } = this;
    if (!proposals.throttle.begin(context.nowMs)) return;
    context.log('info', 'slows writers down for a moment: a new peer cannot catch up with them');
  }

  /** Whether a peer is known not to support the group's level. */
  private lacksLevel({ levels }: Progress): boolean {
    const { level } = this.state;
    return levels !== undefined && (level > levels.highest || level < levels.lowest);
  }

  /**
   * A store replacement continues once the new store has caught up. It fails if the member has yet another store, or if the
   * lost store is back.
   */
  private onReplacementProgress({ peer_id, store_id }: Member, active: ActiveChange): CatchUpVerdict {
    const progress = this.leadership.progress(peer_id);
    if (progress === undefined || progress.store_id !== store_id) return wait;
    const { found, refusal, caught_up } = progress;
    if (found !== undefined && hasMember(active.old, peer_id, found.store_id)) {
      return cancelled(`the store that ${peer_id} is bound to is back`);
    }
    if (refusal !== '') return cancelled(`${peer_id} has yet another store`);
    return caught_up ? this.nextMembers(active) : wait;
  }

  /** All new peers have caught up, or there are none: returns the members of the next configuration if they can serve. */
  nextMembers(active: ActiveChange): CatchUpVerdict {
    // At level 0 every peer is supported. Above level 0, a new peer must have reported which levels it supports.
    const hasReported = (peerId: PeerId) => this.leadership.progress(peerId)?.levels !== undefined;
    if (this.state.level > 0 && !active.adding.every(hasReported)) return wait;
    const members = active.newPeers.map((peerId) => memberFor(active, peerId, this.leadership.progress(peerId)));
    const reach = reachOf(members, active.sinceMs, this.parts);
    // Some members are not reported yet: the next report of the replicators decides.
    if (reach === 'not_known') return wait;
    if (reach === 'too_few') return { type: 'fail', reason: outOfReach() };
    // A peer whose state is being repaired needs a leader for that.
    if (!this.mayLead(members)) return wait;
    // A store replacement waits until a majority of the members has responded lately. It may wait, because
    // the leader began it by itself: no client waits for a reply.
    const recentMs = this.context.options.electionTimeoutMs / 2;
    if (active.kind === 'heal' && reachOf(active.old, active.sinceMs, this.parts, recentMs) !== 'enough') return wait;
    return { type: 'continue', members };
  }

  /** Whether one of these peers could lead, as far as it is known. */
  private mayLead(members: readonly Pick<Member, 'peer_id'>[]): boolean {
    const { leadership, state } = this;
    return members.some(({ peer_id }) =>
      peer_id === state.peerId ? state.cannotLead === '' : leadership.progress(peer_id)?.cannot_lead !== true,
    );
  }

  /**
   * The deadline of the stage has passed: returns why the change fails; undefined: it may continue. No request waits for a
   * store replacement, and a large store takes time, so it may continue as long as it makes progress.
   */
  failureAtDeadline(active: ActiveChange): ConclaveError | undefined {
    if (active.kind === 'heal' && this.report.hasProgressedSinceLastCall()) return undefined;
    const laggards = this.report.laggards(active.adding);
    if (laggards === '' && !this.mayLead(active.newPeers.map((peer_id) => ({ peer_id })))) return cannotLead();
    return laggards === '' ? outOfReach() : new ConclaveError('ECATCHUP', `did not catch up in time: ${laggards}`);
  }
}

function cancelled(text: string): CatchUpVerdict {
  return { type: 'fail', reason: new ConclaveError('ECANCELED', text) };
}

function unsupportedLevel({ peer_id, levels }: Progress, level: number): ConclaveError {
  const supported = levels === undefined ? 'none that is known' : `levels ${levels.lowest} to ${levels.highest}`;
  return new ConclaveError(
    'EUNSUPPORTED',
    `the group has feature level ${level}, and ${peer_id} supports ${supported}`,
  );
}

function unsupportedCommands({ peer_id, command_version = 0 }: Progress, version: number): ConclaveError {
  const text = `the members read commands up to version ${version}, and the state machine of ${peer_id} only up to ${command_version}`;
  return new ConclaveError('EUNSUPPORTED', text);
}

function cannotLead(): ConclaveError {
  return new ConclaveError('ECATCHUP', 'no peer of the new set can lead: `conclave health` prints the reason');
}

function outOfReach(): ConclaveError {
  return new ConclaveError('ECATCHUP', 'no majority of the new set can be reached');
}
