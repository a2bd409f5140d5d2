/**
 * All replicators of one peer for one group: one for each target while the peer leads, none otherwise.
 *
 * Owns: the replicators of the term, their shared state (`LeaderTerm`), and a leadership transfer. All of this is lost when the actor
 * restarts; the node then starts a new link and sends the full state, and the replicators probe. Does not own the log, and never
 * decides what is committed.
 *
 * Invariants:
 * 1. Messages of the node are accepted once and in order. When a new link begins, there are no targets.
 * 2. Messages of other peers count only for the active term, its group and the target's store.
 * 3. Heartbeats are sent on new ticks of the node only.
 */
import {
  type Core,
  type IdleInput,
  type Instant,
  LinkAcceptor,
  type Log,
  type MessageInput,
  type Send,
} from '@conclave/actor/core';
import {
  type Body,
  batchHeader,
  ConclaveError,
  DropCounter,
  type Frame,
  type GroupId,
  type Levels,
  type PeerId,
  type ReplicatorMessage,
  type Term,
} from '@conclave/protocol';
import { LeaderTerm, type ReplicatorOutput, type ReplicatorTimes } from './leader-term.js';
import { Replicator } from './replicator.js';
import type { SnapshotThrottle } from './snapshot-throttle.js';

export interface ReplicatorGroupOptions extends ReplicatorTimes {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** The id of this run of the process. */
  readonly incarnation: string;
  /** The feature levels that this process supports; the default is those of this build. */
  readonly levels?: Levels | undefined;
}

export interface ReplicatorGroupDependencies {
  /** Shared by all groups of the process. */
  readonly snapshotThrottle: SnapshotThrottle;
}

export type ReplicatorGroupInput = MessageInput<ReplicatorMessage> | IdleInput;
export type ReplicatorGroupEffect = Send | Log;

type LinkIdentity = Pick<Body<'replicator.lead'>, 'group_id' | 'store_id' | 'session'>;
type Targets = Body<'replicator.targets'>['targets'];

/** Why a message was dropped; undefined: it was not. */
type DropReason = string | undefined;

interface ActiveTerm {
  readonly leaderTerm: LeaderTerm;
  readonly replicators: Map<PeerId, Replicator>;
  transfer: Transfer | undefined;
  /** The value of `wants_content` that was last reported to the node. As long as it is true, the node sends the payload of entries. */
  isPayloadRequested: boolean;
}

type Transfer = Pick<Body<'replicator.transfer'>, 'last_index'> & { readonly peerId: PeerId; sent: boolean };

/** Request ids start at a random number, so that a late reply to an earlier run of this actor matches no request of this one. */
const requestIdStarts = 2 ** 40;

export class ReplicatorGroupCore implements Core<ReplicatorGroupInput, ReplicatorGroupEffect> {
  private readonly drops = new DropCounter();
  private readonly linkAcceptor: LinkAcceptor;
  private activeTerm: ActiveTerm | undefined;
  private effects: ReplicatorGroupEffect[] = [];
  private requestId: number | undefined;

  constructor(
    private readonly options: ReplicatorGroupOptions,
    private readonly dependencies: ReplicatorGroupDependencies,
  ) {
    const { groupId, peerId, incarnation, levels } = options;
    this.linkAcceptor = new LinkAcceptor({ groupId, peerId, incarnation, levels, actor: 'replicator' });
  }

  /** Messages that were dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.drops.byReason;
  }

  /** @throws InvariantError if the node breaks the order of its own log. */
  step(input: ReplicatorGroupInput, at: Instant): readonly ReplicatorGroupEffect[] {
    this.effects = [];
    this.requestId ??= Math.floor(at.random * requestIdStarts);
    if (input.type === 'idle') {
      this.linkAcceptor.onIdle(this.effects);
      return this.effects;
    }
    const reason = this.onMessage(input.message, at.nowMs);
    if (reason !== undefined) this.drops.count(reason);
    if (this.activeTerm !== undefined) this.reportChanges(this.activeTerm, at.nowMs);
    return this.effects;
  }

  private onMessage(message: ReplicatorMessage, nowMs: number): DropReason {
    if (message.body.group_id !== this.options.groupId) return 'foreign_group';
    switch (message.name) {
      case 'replicator.lead':
        return this.onLead(message.body, nowMs);
      case 'replicator.targets':
        return this.onTargets(message.body, nowMs);
      case 'replicator.transfer':
        return this.onTransfer(message.body, nowMs);
      case 'replicator.stop':
        return this.onStop(message.body);
      case 'replicator.append':
        return this.onAppend(message.body, nowMs);
      case 'replicator.tick':
        return this.onTick(message.body, nowMs);
      case 'replicator.entries':
        return this.onEntries(message.body, nowMs);
      case 'replicator.rejected':
        return this.onRejected(message.body, nowMs);
      case 'replicator.identity':
        return this.onIdentity(message.body, nowMs);
      case 'replicator.snapshot_chunk':
        return this.onSnapshotChunk(message.body, nowMs);
      case 'replicator.snapshot_stored':
        return this.onSnapshotStored(message.body, nowMs);
      case 'feed.stored':
        return this.onStored(message.body, nowMs);
      case 'feed.echo':
        return this.onEcho(message.body, nowMs);
    }
  }

  // ---- from the node, in order -------------------------------------------------------------------

  private onLead(body: Body<'replicator.lead'>, nowMs: number): DropReason {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    const leaderTerm = new LeaderTerm(body, nowMs, this.options, this.output());
    this.activeTerm = { leaderTerm, replicators: new Map(), transfer: undefined, isPayloadRequested: true };
    this.setTargets(this.activeTerm, body.targets, nowMs);
  }

  private onTargets(body: Body<'replicator.targets'>, nowMs: number): DropReason {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    if (this.activeTerm?.leaderTerm.term !== body.term) return 'not_leading';
    this.activeTerm.leaderTerm.configurationIndex = body.configuration_index;
    this.setTargets(this.activeTerm, body.targets, nowMs);
  }

  private onTransfer(body: Body<'replicator.transfer'>, nowMs: number): DropReason {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    if (this.activeTerm?.leaderTerm.term !== body.term) return 'not_leading';
    const { peer_id, last_index } = body;
    this.activeTerm.transfer = peer_id === '' ? undefined : { peerId: peer_id, last_index, sent: false };
    this.transferLeadership(this.activeTerm, nowMs);
  }

  private onStop(body: Body<'replicator.stop'>): DropReason {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    this.activeTerm = undefined;
  }

  private onAppend(body: Body<'replicator.append'>, nowMs: number): DropReason {
    // Checked before the link accepts it: otherwise a malformed message would use up the sequence number of the node's own message.
    if (!isWellFormed(body)) return 'malformed_append';
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    if (this.activeTerm === undefined) return 'not_leading';
    const { leaderTerm, replicators } = this.activeTerm;
    if (body.term !== leaderTerm.term) return 'other_term';
    leaderTerm.onCommitted(body.commit_index);
    for (const [place, run] of body.runs.entries()) {
      if (run.last_index <= leaderTerm.lastIndex) this.drops.count('appended_before');
      else leaderTerm.append(run, body.batches[place]);
    }
    leaderTerm.ownLag.onAppended(leaderTerm.lastIndex, nowMs);
    for (const replicator of replicators.values()) replicator.onAppended(nowMs);
  }

  private onTick(body: Body<'replicator.tick'>, nowMs: number): DropReason {
    if (!this.linkAcceptor.onTick(body, this.effects)) return 'tick_of_another_session';
    // The tick may belong to another term, if `lead` or `stop` is still in flight. Then it only causes the acknowledgement above.
    if (this.activeTerm?.leaderTerm.term !== body.term || !body.leading) return;
    const { leaderTerm, replicators } = this.activeTerm;
    if (!leaderTerm.onTick(body, nowMs)) return 'old_tick';
    leaderTerm.ownLag.onTick();
    for (const replicator of replicators.values()) replicator.onTick(nowMs);
    if (this.activeTerm.transfer !== undefined) this.activeTerm.transfer.sent = false;
    this.transferLeadership(this.activeTerm, nowMs);
    this.sendProgress(this.activeTerm, nowMs);
  }

  // ---- from the log-store and the ballot-box -----------------------------------------------------

  private onEntries(body: Body<'replicator.entries'>, nowMs: number): DropReason {
    if (!this.linkAcceptor.isCurrent(body)) return 'other_session';
    for (const replicator of this.activeTerm?.replicators.values() ?? []) {
      if (replicator.expectsEntries(body)) return replicator.onEntries(body, nowMs);
    }
    return 'not_asked';
  }

  private onSnapshotChunk(body: Body<'replicator.snapshot_chunk'>, nowMs: number): DropReason {
    if (!this.linkAcceptor.isCurrent(body)) return 'other_session';
    for (const replicator of this.activeTerm?.replicators.values() ?? []) {
      if (replicator.expectsChunk(body)) return replicator.onSnapshotChunk(body, nowMs);
    }
    return 'not_asked';
  }

  // ---- from other peers --------------------------------------------------------------------------

  private onStored(body: Body<'feed.stored'>, nowMs: number): DropReason {
    if (this.activeTerm === undefined) return 'not_leading';
    const { activeTerm } = this;
    const fault = activeTerm.leaderTerm.mismatchOf(body);
    if (fault !== undefined) return fault;
    if (body.peer_id === this.options.peerId) {
      // The leader's own log is not a target, but its synced entries can be read.
      activeTerm.leaderTerm.onAcknowledged(body.store_id, body.match_index);
      activeTerm.leaderTerm.ownLag.onAcknowledged(body.match_index, activeTerm.leaderTerm.lastIndex, nowMs);
      for (const replicator of activeTerm.replicators.values()) replicator.onReadable(nowMs);
      return;
    }
    const replicator = activeTerm.replicators.get(body.peer_id);
    if (replicator === undefined) return 'not_a_target';
    const dropped = replicator.onStored(body, nowMs);
    if (activeTerm.transfer?.peerId === body.peer_id) this.transferLeadership(activeTerm, nowMs);
    return dropped;
  }

  private onEcho(body: Body<'feed.echo'>, nowMs: number): DropReason {
    if (this.activeTerm === undefined) return 'not_leading';
    const fault = this.activeTerm.leaderTerm.mismatchOf(body);
    if (fault !== undefined) return fault;
    const replicator = this.activeTerm.replicators.get(body.peer_id);
    return replicator === undefined ? 'not_a_target' : replicator.onEcho(body, nowMs);
  }

  private onRejected(body: Body<'replicator.rejected'>, nowMs: number): DropReason {
    const replicator = this.replicatorFor(body);
    return typeof replicator === 'string' ? replicator : replicator.onRejected(body, nowMs);
  }

  private onSnapshotStored(body: Body<'replicator.snapshot_stored'>, nowMs: number): DropReason {
    const replicator = this.replicatorFor(body);
    return typeof replicator === 'string' ? replicator : replicator.onSnapshotStored(body, nowMs);
  }

  /** @returns the replicator whose request this is the reply to; or why the reply is dropped */
  private replicatorFor(
    body: Pick<Body<'replicator.rejected'>, 'group_uid' | 'term' | 'peer_id'>,
  ): Replicator | string {
    if (this.activeTerm === undefined) return 'not_leading';
    const { leaderTerm, replicators } = this.activeTerm;
    if (body.group_uid !== leaderTerm.groupUid) return 'foreign_group';
    if (body.term !== leaderTerm.term) return 'other_term';
    return replicators.get(body.peer_id) ?? 'not_a_target';
  }

  private onIdentity(body: Body<'replicator.identity'>, nowMs: number): DropReason {
    if (this.activeTerm === undefined) return 'not_leading';
    const replicator = this.activeTerm.replicators.get(body.peer_id);
    return replicator === undefined ? 'not_a_target' : replicator.onIdentity(body, nowMs);
  }

  // ---- targets, transfer and progress ------------------------------------------------------------

  /** Drops targets that are not listed, keeps known ones, and starts replicators for the others. */
  private setTargets({ leaderTerm, replicators }: ActiveTerm, targets: Targets, nowMs: number): void {
    const listed = new Set(targets.map(({ peer_id }) => peer_id));
    for (const peerId of replicators.keys()) if (!listed.has(peerId)) replicators.delete(peerId);
    for (const target of targets) {
      if (target.peer_id === leaderTerm.peerId) {
        this.drops.count('target_is_the_leader');
        continue;
      }
      const known = replicators.get(target.peer_id);
      if (known?.isFor(target)) {
        known.retarget(target, nowMs);
        continue;
      }
      const replicator = new Replicator(target, leaderTerm);
      replicators.set(target.peer_id, replicator);
      replicator.begin(nowMs);
    }
    const members = [...replicators.values()].filter((replicator) => !replicator.isCatchingUp);
    leaderTerm.memberLags = [leaderTerm.ownLag, ...members.map(({ lag }) => lag)];
  }

  /**
   * Sends `timeout_now` to the transfer target once it has the whole log; again on every tick until the node withdraws the
   * transfer.
   */
  private transferLeadership({ leaderTerm, replicators, transfer }: ActiveTerm, nowMs: number): void {
    if (transfer === undefined || transfer.sent || !leaderTerm.mayStillSend(nowMs)) return;
    const target = replicators.get(transfer.peerId);
    if (!target?.hasAll(transfer.last_index)) return;
    transfer.sent = true;
    target.sendTimeoutNow();
  }

  /** Sends the progress to the node before the next tick if it changed. */
  private reportChanges(activeTerm: ActiveTerm, nowMs: number): void {
    // If no target needs the payload any more, the report can wait for the next tick.
    if (activeTerm.leaderTerm.progressChanged || (!activeTerm.isPayloadRequested && needsPayload(activeTerm)))
      this.sendProgress(activeTerm, nowMs);
  }

  private sendProgress(activeTerm: ActiveTerm, nowMs: number): void {
    const { leaderTerm, replicators } = activeTerm;
    leaderTerm.progressChanged = false;
    activeTerm.isPayloadRequested = needsPayload(activeTerm);
    const targets = [...replicators.values()].map((replicator) => replicator.progress(nowMs));
    const { identity, term, tickId } = leaderTerm;
    const body = { ...identity, term, targets, tick_id: tickId, wants_content: activeTerm.isPayloadRequested };
    leaderTerm.send(leaderTerm.peerId, { name: 'node.progress', body });
  }

  /** Checks a message of the node's link. @returns why it is dropped; undefined: process it now */
  private admit(identity: LinkIdentity, frame: Frame): DropReason {
    return this.linkAcceptor.accept(identity, frame, this.effects, () => {
      this.activeTerm = undefined;
    });
  }

  private output(): ReplicatorOutput {
    return {
      effects: { push: (effect) => this.effects.push(effect) },
      nextRequestId: () => {
        this.requestId = (this.requestId ?? 0) + 1;
        return this.requestId;
      },
      snapshotThrottle: this.dependencies.snapshotThrottle,
    };
  }
}

/** Whether the node must send the payload of the entries that it appends next, because a target needs it. */
function needsPayload({ replicators }: ActiveTerm): boolean {
  for (const replicator of replicators.values()) if (replicator.needsPayload) return true;
  return false;
}

/** Whether the runs are valid and, if the message contains batches, there is one batch for each run, with the same positions. */
function isWellFormed({ term, runs, batches }: Body<'replicator.append'>): boolean {
  if (runs.some((run) => run.first_index < 1 || run.last_index < run.first_index)) return false;
  if (batches.length === 0) return true;
  return batches.length === runs.length && runs.every((run, place) => isBatchOf(run, term, batches[place]));
}

type Run = Body<'replicator.append'>['runs'][number];

function isBatchOf(run: Run, ofTerm: Term, batch: Uint8Array | undefined): boolean {
  if (batch === undefined) return false;
  try {
    const { first, last, term } = batchHeader(batch);
    return first === run.first_index && last === run.last_index && term === ofTerm && batch.length === run.bytes;
  } catch (error) {
    if (error instanceof ConclaveError) return false;
    throw error;
  }
}
