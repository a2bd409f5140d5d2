/**
 * A change of the configuration, stage by stage: catching up, joint, stable (braft's ConfigurationCtx). It also
 * runs a new leader's `flush`, which confirms a stable configuration or finishes a joint one.
 *
 * Invariants:
 * 1. One change at a time; none before the flush of this leader is committed.
 * 2. A new peer is in no configuration entry before it has caught up and its store is known.
 * 3. The joint stage is taken back only by the leader that appended it in this term, and never once the stable entry
 *    is appended.
 * 4. Each change ends with one answer to each that waits for it.
 */
import {
  allMembers,
  type Body,
  type Change,
  type ChangeReply,
  ConclaveError,
  type Configuration,
  type ErrorBody,
  invariant,
  isIn,
  type LogIndex,
  limits,
  type Member,
  majority,
  type Outcome,
  type PeerId,
  type Progress,
  peerIds,
  type Stage,
  samePeers,
} from '@conclave/protocol';
import { catchupState, catchupText, installPercent } from './catchup-words.js';
import { changesInLog } from './change-history.js';
import type { NodeContext } from './context.js';
import type { Leadership } from './leadership.js';
import type { Proposals } from './proposals.js';
import type { NodeState } from './state.js';

/** A change that is asked for. */
export interface ChangeOrder {
  readonly requestId: number;
  readonly newPeers: readonly PeerId[];
  readonly timeoutMs: number;
  /** Makes the reply, where it is not the one of `change_peers`. */
  readonly replyOf?: (reply: ChangeReply) => unknown;
  /** What has become of the request where the change does not happen; else `not_done`. */
  readonly outcomeUndone?: Outcome;
}

interface Active {
  readonly kind: 'flush' | 'change';
  /** Whether it changes something: a flush of a stable configuration does not. */
  readonly changes: boolean;
  readonly replyOf: (reply: ChangeReply) => unknown;
  readonly old: readonly Member[];
  readonly newPeers: readonly PeerId[];
  readonly adding: readonly PeerId[];
  readonly outcomeUndone: Outcome;
  readonly sinceMs: number;
  stage: Exclude<Stage, 'none'>;
  /** The entry of the stage; undefined while catching up. */
  index: LogIndex | undefined;
  /** Why the old configuration is appended again. */
  undoing: ConclaveError | undefined;
  requestId: number | undefined;
  cancelRequests: number[];
}

export class ConfigurationChange {
  private active: Active | undefined;
  private flushed = false;
  /** Changes that left no trace in the log, as they ended while catching up; and behind which entry that was. */
  private unlogged: { readonly behind: LogIndex; readonly change: Change }[] = [];
  private lastProgress = new Map<PeerId, string>();

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly leadership: Leadership,
    private readonly proposals: Proposals,
    /** The stable entry is committed. */
    private readonly onStable: (kind: 'flush' | 'change') => void,
  ) {}

  get stage(): Stage {
    return this.active?.changes === true ? this.active.stage : 'none';
  }

  /** Whether this leader has committed an entry of its own term. */
  get isFlushed(): boolean {
    return this.flushed;
  }

  /** Who is to come in, and has not yet caught up. */
  get joiners(): readonly PeerId[] {
    return this.active?.stage === 'catching_up' ? this.active.adding : [];
  }

  get isBusy(): boolean {
    return this.active !== undefined;
  }

  /** Begins a leadership: appends the configuration in force again (braft's flush). */
  flush(): void {
    const configuration = this.inForce();
    const isJoint = configuration.old_peers.length > 0;
    this.flushed = false;
    this.active = {
      kind: 'flush',
      changes: isJoint,
      replyOf: (reply) => reply,
      old: isJoint ? configuration.old_peers : configuration.peers,
      newPeers: peerIds(configuration.peers),
      adding: [],
      outcomeUndone: 'not_done',
      sinceMs: this.context.nowMs,
      stage: isJoint ? 'joint' : 'stable',
      index: undefined,
      undoing: undefined,
      requestId: undefined,
      cancelRequests: [],
    };
    if (isJoint) this.say('joint');
    this.append({ peers: configuration.peers, old_peers: configuration.old_peers });
  }

  private inForce(): Configuration {
    const entry = this.state.log.configuration;
    invariant(entry !== undefined, 'a leader has a configuration');
    return entry.configuration;
  }

  /** Starts a change, or refuses it. Asking for what is in force succeeds at once. */
  start(order: ChangeOrder): void {
    const { context } = this;
    const { requestId, newPeers } = order;
    if (this.active?.kind === 'change') {
      return context.refuse(requestId, 'EBUSY', `a change to ${this.active.newPeers} is ${this.active.stage}`);
    }
    if (!this.flushed || this.active !== undefined) {
      return context.refuse(requestId, 'EBUSY', 'the leader has not yet committed an entry of its own term');
    }
    const old = this.inForce().peers;
    const oldPeers = peerIds(old);
    if (samePeers(oldPeers, newPeers)) {
      const reply = { old_peers: oldPeers, new_peers: oldPeers };
      return context.reply(requestId, order.replyOf?.(reply) ?? reply);
    }
    const adding = newPeers.filter((peerId) => !oldPeers.includes(peerId));
    this.active = {
      kind: 'change',
      changes: true,
      replyOf: order.replyOf ?? ((reply) => reply),
      old,
      newPeers,
      adding,
      outcomeUndone: order.outcomeUndone ?? 'not_done',
      sinceMs: context.nowMs,
      stage: 'catching_up',
      index: undefined,
      undoing: undefined,
      requestId,
      cancelRequests: [],
    };
    this.lastProgress.clear();
    this.say('catching_up');
    context.setTimer('change', order.timeoutMs);
    if (adding.length > 0) this.leadership.setJoiners(adding);
    else this.leaveCatchingUp();
  }

  /** The replicators have reported: perhaps the new peers have caught up. */
  onProgress(): void {
    const { active } = this;
    if (active?.stage !== 'catching_up') return;
    const all = active.adding.map((peerId) => this.leadership.progress(peerId));
    for (const progress of all) if (progress !== undefined) this.publish(progress);
    const refused = all.find((progress) => progress?.refusal === 'ENOTEMPTY');
    if (refused !== undefined) {
      return this.fail(new ConclaveError('ENOTEMPTY', `${refused.peer_id} holds another history`));
    }
    if (all.every((progress) => progress?.caught_up === true && progress.store_id !== '')) this.leaveCatchingUp();
  }

  private publish(progress: Progress): void {
    const { peer_id, match_index } = progress;
    const { lastIndex } = this.state.log;
    const state = catchupState(progress);
    const percent = installPercent(progress);
    const said = `${state} ${match_index} ${percent}`;
    if (this.lastProgress.get(peer_id) === said) return;
    this.lastProgress.set(peer_id, said);
    this.context.event('catchup_progress', {
      new_peer: peer_id,
      state,
      match_index,
      last_index: lastIndex,
      lag: Math.max(lastIndex - match_index, 0),
      percent,
    });
  }

  /** On to the joint stage, or straight to the stable one where a single peer changes. */
  private leaveCatchingUp(): void {
    const { active } = this;
    invariant(active?.stage === 'catching_up', 'a change is catching up');
    const members = active.newPeers.map((peerId) => this.memberFor(peerId, active.old));
    const reach = this.reachOf(members);
    // The next report of the replicators tells more.
    if (reach === 'not_known') return;
    if (reach === 'too_few') return this.fail(outOfReach());
    const removing = active.old.filter(({ peer_id }) => !active.newPeers.includes(peer_id));
    if (active.adding.length + removing.length > 1) {
      this.enter('joint');
      this.append({ peers: members, old_peers: [...active.old] });
    } else {
      this.enter('stable');
      this.append({ peers: members, old_peers: [] });
    }
    this.leadership.setJoiners([]);
  }

  private memberFor(peerId: PeerId, old: readonly Member[]): Member {
    const bound = old.find(({ peer_id }) => peer_id === peerId);
    if (bound !== undefined) return bound;
    const progress = this.leadership.progress(peerId);
    invariant(progress !== undefined && progress.store_id !== '', `the store of ${peerId} is known`);
    return { peer_id: peerId, store_id: progress.store_id };
  }

  /**
   * Whether a majority of these is in reach. Replicators that have just begun have heard of nobody yet: only after a
   * while does that mean that nobody is there.
   */
  private reachOf(members: readonly Member[]): 'enough' | 'not_known' | 'too_few' {
    const { active, context } = this;
    invariant(active !== undefined, 'a change is going on');
    const mostMs = 2 * context.options.electionTimeoutMs;
    const isEarly = context.nowMs - active.sinceMs < mostMs;
    let reachable = 0;
    let notKnown = 0;
    for (const { peer_id } of members) {
      const progress = this.leadership.progress(peer_id);
      if (peer_id === this.state.peerId) reachable += 1;
      else if (progress === undefined || (progress.silent_ms < 0 && progress.refusal === '')) notKnown += 1;
      else if (progress.silent_ms < mostMs && progress.refusal === '' && !progress.read_only) reachable += 1;
    }
    if (reachable >= majority(members.length)) return 'enough';
    return isEarly && reachable + notKnown >= majority(members.length) ? 'not_known' : 'too_few';
  }

  private enter(stage: 'joint' | 'stable'): void {
    const { active } = this;
    invariant(active !== undefined, 'a change is going on');
    active.stage = stage;
    if (active.kind === 'change') {
      const canBeUndone = stage === 'joint' || active.undoing !== undefined;
      this.leadership.setUndoers(canBeUndone ? active.old : undefined);
    }
    this.context.setTimer('change', this.context.options.jointTimeoutMs);
    this.say(stage);
  }

  /** Appends a configuration. Whom it no longer has is still told so: also who came in with a joint one that is undone. */
  private append(configuration: Configuration): void {
    const { active } = this;
    invariant(active !== undefined, 'a change is going on');
    const before = allMembers(this.inForce());
    active.index = this.proposals.appendConfiguration(configuration);
    const gone = before.filter(({ peer_id, store_id }) => !isIn(configuration, peer_id, store_id));
    this.leadership.bidFarewell(gone, active.index);
  }

  /** Something is committed: perhaps the entry of the stage. */
  onCommitted(commitIndex: LogIndex): void {
    const { active } = this;
    if (active?.index === undefined || commitIndex < active.index) return;
    this.flushed = true;
    if (active.stage === 'joint') {
      const { peers } = this.inForce();
      this.enter('stable');
      this.append({ peers, old_peers: [] });
    } else {
      this.finish();
    }
  }

  private finish(): void {
    const { active, context } = this;
    invariant(active !== undefined, 'a change is going on');
    this.active = undefined;
    this.leadership.setUndoers(undefined);
    context.cancelTimer('change');
    if (active.undoing !== undefined) {
      this.answerUndone(active, active.undoing);
    } else if (active.requestId !== undefined) {
      const reply = { old_peers: peerIds(active.old), new_peers: [...active.newPeers] };
      context.reply(active.requestId, active.replyOf(reply));
    }
    if (active.changes) this.sayOf(active, 'none');
    this.onStable(active.kind);
  }

  /** `cancel_change`, while that is possible. */
  cancel(requestId: number): void {
    const { active, context } = this;
    if (active?.changes !== true) {
      return context.refuse(requestId, 'ENOENT', 'no change is going on');
    }
    if (active.kind === 'flush' || active.stage === 'stable') {
      return context.refuse(requestId, 'EBUSY', 'it is too late: the new configuration may be in force already');
    }
    active.cancelRequests.push(requestId);
    this.undo(new ConclaveError('ECANCELED', 'the change was cancelled'));
  }

  /** The deadline of the stage has passed. */
  onDeadline(): void {
    const { active, context } = this;
    if (active === undefined) return;
    if (active.stage === 'catching_up') {
      const laggards = this.laggards(active);
      this.fail(
        laggards === '' ? outOfReach() : new ConclaveError('ECATCHUP', `in time did not catch up: ${laggards}`),
      );
    } else if (active.stage === 'joint' && active.kind === 'change') {
      const { peers, old_peers } = this.leadership.lacking;
      const lacking = `lacking of the new: ${peers.join(' ') || 'none'}, of the old: ${old_peers.join(' ') || 'none'}`;
      this.undo(new ConclaveError('ECANCELED', `the joint stage was not committed in time; votes ${lacking}`));
    } else {
      for (const requestId of waitingFor(active)) {
        context.refuse(requestId, 'ETIMEDOUT', `the change is ${active.stage} and goes on`, 'unknown');
      }
      active.requestId = undefined;
      active.cancelRequests = [];
    }
  }

  private laggards(active: Active): string {
    const { lastIndex } = this.state.log;
    return active.adding
      .map((peerId) => ({ peerId, progress: this.leadership.progress(peerId) }))
      .filter(({ progress }) => progress?.caught_up !== true)
      .map(({ peerId, progress }) => `${peerId} (${catchupText(progress, lastIndex)})`)
      .join(', ');
  }

  private undo(reason: ConclaveError): void {
    const { active } = this;
    invariant(active !== undefined && active.stage !== 'stable', 'a change can be undone');
    if (active.stage === 'catching_up') return this.fail(reason);
    invariant(active.kind === 'change', 'the joint entry is of this leader and term');
    active.undoing = reason;
    this.enter('stable');
    this.append({ peers: [...active.old], old_peers: [] });
  }

  /** Ends a change that is catching up: nothing has happened. */
  private fail(reason: ConclaveError): void {
    const { active, context } = this;
    invariant(active?.stage === 'catching_up', 'a change is catching up');
    this.active = undefined;
    context.cancelTimer('change');
    this.leadership.setJoiners([]);
    this.remember(active, reason);
    this.answerUndone(active, reason);
    this.sayOf(active, 'none');
  }

  private answerUndone(active: Active, reason: ConclaveError): void {
    const { context } = this;
    const error = reason.toBody();
    if (active.requestId !== undefined) {
      context.refuse(active.requestId, reason.code, reason.message, active.outcomeUndone);
    }
    for (const requestId of active.cancelRequests) {
      context.reply(requestId, { cancelled: this.describe(active, 'undone', error) });
    }
    context.event('change_failed', {
      kind: 'change',
      old_peers: peerIds(active.old),
      new_peers: [...active.newPeers],
      error,
    });
  }

  private describe(active: Active, state: Change['state'], error?: ErrorBody): Change {
    return {
      kind: 'change',
      old_peers: peerIds(active.old),
      new_peers: [...active.newPeers],
      state,
      stage: active.stage,
      term: this.state.term,
      index: active.index ?? (0 as LogIndex),
      ...(error === undefined ? {} : { error }),
    };
  }

  /** The leadership is over: the next leader finishes or undoes what stands in the log. */
  abandon(reason: string, leaderId: string): void {
    const { active, context } = this;
    if (active === undefined) return;
    this.active = undefined;
    this.flushed = false;
    context.cancelTimer('change');
    // While new peers catch up no entry of it is appended: nobody will finish it.
    const outcome = active.stage === 'catching_up' ? active.outcomeUndone : 'unknown';
    for (const requestId of waitingFor(active)) context.refuse(requestId, 'EPERM', reason, outcome, leaderId);
    if (active.stage === 'catching_up') {
      this.remember(active, new ConclaveError('EPERM', `${reason} while new peers were catching up`));
    }
  }

  private remember(active: Active, reason: ConclaveError): void {
    const change = this.describe(active, 'undone', reason.toBody());
    const behind = this.state.log.lastIndex;
    this.unlogged = [...this.unlogged, { behind, change }].slice(-limits.rememberedChanges);
  }

  /** The leader has a change under way, of which nothing stands in the log. */
  onAnnounced(body: Body<'node.change_announced'>): void {
    if (body.group_uid !== this.state.groupUid) this.context.drop('change_announced_stale');
  }

  /** The last changes and what became of them, oldest first. */
  history(): Change[] {
    const { log, commitIndex } = this.state;
    const inLog = changesInLog(log.configurations, commitIndex, (index) => log.termAt(index) ?? (0 as never));
    // What ended behind an entry comes after what that entry did.
    const ended = [...inLog.map((change) => ({ behind: change.index, change })), ...this.unlogged];
    ended.sort((a, b) => a.behind - b.behind);
    const { active } = this;
    const goingOn = active?.stage === 'catching_up' ? [this.describe(active, 'going_on')] : [];
    return [...ended.map(({ change }) => change), ...goingOn].slice(-limits.rememberedChanges);
  }

  private say(stage: Stage): void {
    invariant(this.active !== undefined, 'a change is going on');
    this.sayOf(this.active, stage);
  }

  private sayOf(active: Active, stage: Stage): void {
    const old_peers = peerIds(active.old);
    this.context.event('stage_changed', { kind: 'change', stage, old_peers, new_peers: [...active.newPeers] });
  }
}

function outOfReach(): ConclaveError {
  return new ConclaveError('ECATCHUP', 'a majority of the new peers cannot be reached');
}

/** The requests that wait for the end of a change. */
function waitingFor({ requestId, cancelRequests }: Active): number[] {
  return requestId === undefined ? cancelRequests : [requestId, ...cancelRequests];
}
