/**
 * All replicators of one peer for one group: one per target while the peer leads, none otherwise.
 *
 * Owns the targets of the term, what they share, and the hand-over to one of them. It forgets all of it when it
 * restarts; the node then begins the link anew, and the replicators probe. Does not own the log, and never decides
 * what is committed.
 *
 * Invariants:
 * 1. What the node says is taken once and in order; a new link begins with nobody to replicate to.
 * 2. What other peers say counts only for the term that is led, its group, and the target's store.
 * 3. Heartbeats go out on the node's new ticks alone.
 */
import {
  type Core,
  type IdleInput,
  type Instant,
  LinkDoor,
  type Log,
  type MessageInput,
  type Send,
} from '@conclave/actor/core';
import {
  type Body,
  batchHeader,
  ConclaveError,
  type Frame,
  type GroupId,
  type Levels,
  type PeerId,
  type ReplicatorMessage,
  type Term,
} from '@conclave/protocol';
import { Leadership, type Outlet, type ReplicatorTimes } from './leadership.js';
import { Replicator } from './replicator.js';
import type { SnapshotThrottle } from './snapshot-throttle.js';

export interface ReplicatorGroupOptions extends ReplicatorTimes {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** Of this run of the process. */
  readonly incarnation: string;
  /** That this process speaks; those of this build where nothing is said. */
  readonly levels?: Levels | undefined;
}

export interface ReplicatorGroupDependencies {
  /** Shared by all groups of the process. */
  readonly snapshotThrottle: SnapshotThrottle;
}

export type ReplicatorGroupInput = MessageInput<ReplicatorMessage> | IdleInput;
export type ReplicatorGroupEffect = Send | Log;

type Own = Pick<Body<'replicator.lead'>, 'group_id' | 'store_id' | 'session'>;
type Targets = Body<'replicator.targets'>['targets'];

/** Why a message was dropped; undefined: it was not. */
type Dropped = string | undefined;

interface Office {
  readonly leadership: Leadership;
  readonly replicators: Map<PeerId, Replicator>;
  transfer: Transfer | undefined;
  /** What the node was last told; it sends the content until it is told. */
  wantsContent: boolean;
}

type Transfer = Pick<Body<'replicator.transfer'>, 'last_index'> & { readonly peerId: PeerId; sent: boolean };

/** Request ids begin at random, so that a late answer to an earlier run of this actor is no answer to this one. */
const requestIdStarts = 2 ** 40;

export class ReplicatorGroupCore implements Core<ReplicatorGroupInput, ReplicatorGroupEffect> {
  /** Messages that were dropped, by reason. */
  readonly dropped: Record<string, number> = {};
  private readonly door: LinkDoor;
  private office: Office | undefined;
  private effects: ReplicatorGroupEffect[] = [];
  private requestId: number | undefined;

  constructor(
    private readonly options: ReplicatorGroupOptions,
    private readonly dependencies: ReplicatorGroupDependencies,
  ) {
    const { groupId, peerId, incarnation, levels } = options;
    this.door = new LinkDoor({ groupId, peerId, incarnation, levels, actor: 'replicator' });
  }

  /** Takes one input. @throws InvariantError where the node breaks the order of its own log. */
  step(input: ReplicatorGroupInput, at: Instant): readonly ReplicatorGroupEffect[] {
    this.effects = [];
    this.requestId ??= Math.floor(at.random * requestIdStarts);
    if (input.type === 'idle') {
      this.door.onIdle(this.effects);
      return this.effects;
    }
    const reason = this.onMessage(input.message, at.nowMs);
    if (reason !== undefined) this.drop(reason);
    if (this.office !== undefined) this.tellNews(this.office, at.nowMs);
    return this.effects;
  }

  private onMessage(message: ReplicatorMessage, nowMs: number): Dropped {
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

  private onLead(body: Body<'replicator.lead'>, nowMs: number): Dropped {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    const leadership = new Leadership(body, nowMs, this.options, this.outlet());
    this.office = { leadership, replicators: new Map(), transfer: undefined, wantsContent: true };
    this.setTargets(this.office, body.targets, nowMs);
  }

  private onTargets(body: Body<'replicator.targets'>, nowMs: number): Dropped {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    if (this.office?.leadership.term !== body.term) return 'not_leading';
    this.office.leadership.configurationIndex = body.configuration_index;
    this.setTargets(this.office, body.targets, nowMs);
  }

  private onTransfer(body: Body<'replicator.transfer'>, nowMs: number): Dropped {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    if (this.office?.leadership.term !== body.term) return 'not_leading';
    const { peer_id, last_index } = body;
    this.office.transfer = peer_id === '' ? undefined : { peerId: peer_id, last_index, sent: false };
    this.handOver(this.office, nowMs);
  }

  private onStop(body: Body<'replicator.stop'>): Dropped {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    this.office = undefined;
  }

  private onAppend(body: Body<'replicator.append'>, nowMs: number): Dropped {
    // Before the link takes it: what is malformed must not stand in the place of what the node sent.
    if (!isWellFormed(body)) return 'malformed_append';
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    if (this.office === undefined) return 'not_leading';
    const { leadership, replicators } = this.office;
    if (body.term !== leadership.term) return 'other_term';
    leadership.onCommitted(body.commit_index);
    for (const [place, run] of body.runs.entries()) {
      if (run.last_index <= leadership.lastIndex) this.drop('appended_before');
      else leadership.append(run, body.batches[place]);
    }
    leadership.ownLag.onAppended(leadership.lastIndex, nowMs);
    for (const replicator of replicators.values()) replicator.onAppended(nowMs);
  }

  private onTick(body: Body<'replicator.tick'>, nowMs: number): Dropped {
    if (!this.door.onTick(body, this.effects)) return 'tick_of_another_session';
    // Between `lead` or `stop` and what the node knows of it: the acknowledgement settles that.
    if (this.office?.leadership.term !== body.term || !body.leading) return;
    const { leadership, replicators } = this.office;
    if (!leadership.onTick(body.tick_id, body.commit_index, nowMs)) return 'old_tick';
    leadership.ownLag.onTick();
    for (const replicator of replicators.values()) replicator.onTick(nowMs);
    if (this.office.transfer !== undefined) this.office.transfer.sent = false;
    this.handOver(this.office, nowMs);
    this.sendProgress(this.office, nowMs);
  }

  // ---- from the log-store and the ballot-box -----------------------------------------------------

  private onEntries(body: Body<'replicator.entries'>, nowMs: number): Dropped {
    if (!this.door.isCurrent(body)) return 'other_session';
    for (const replicator of this.office?.replicators.values() ?? []) {
      if (replicator.isAnsweredBy(body)) return replicator.onEntries(body, nowMs);
    }
    return 'not_asked';
  }

  private onSnapshotChunk(body: Body<'replicator.snapshot_chunk'>, nowMs: number): Dropped {
    if (!this.door.isCurrent(body)) return 'other_session';
    for (const replicator of this.office?.replicators.values() ?? []) {
      if (replicator.isAnsweredByChunk(body)) return replicator.onSnapshotChunk(body, nowMs);
    }
    return 'not_asked';
  }

  // ---- from other peers --------------------------------------------------------------------------

  private onStored(body: Body<'feed.stored'>, nowMs: number): Dropped {
    if (this.office === undefined) return 'not_leading';
    const { office } = this;
    const fault = faultOf(body, office.leadership);
    if (fault !== undefined) return fault;
    if (body.peer_id === this.options.peerId) {
      // The leader's own log is no target; but what it has synced can be read.
      office.leadership.onAcknowledged(body.store_id, body.match_index);
      office.leadership.ownLag.onAcknowledged(body.match_index, office.leadership.lastIndex, nowMs);
      for (const replicator of office.replicators.values()) replicator.onReadable(nowMs);
      return;
    }
    const replicator = office.replicators.get(body.peer_id);
    if (replicator === undefined) return 'not_a_target';
    const dropped = replicator.onStored(body, nowMs);
    if (office.transfer?.peerId === body.peer_id) this.handOver(office, nowMs);
    return dropped;
  }

  private onEcho(body: Body<'feed.echo'>, nowMs: number): Dropped {
    if (this.office === undefined) return 'not_leading';
    const fault = faultOf(body, this.office.leadership);
    if (fault !== undefined) return fault;
    const replicator = this.office.replicators.get(body.peer_id);
    return replicator === undefined ? 'not_a_target' : replicator.onEcho(body, nowMs);
  }

  private onRejected(body: Body<'replicator.rejected'>, nowMs: number): Dropped {
    const replicator = this.asked(body);
    return typeof replicator === 'string' ? replicator : replicator.onRejected(body, nowMs);
  }

  private onSnapshotStored(body: Body<'replicator.snapshot_stored'>, nowMs: number): Dropped {
    const replicator = this.asked(body);
    return typeof replicator === 'string' ? replicator : replicator.onSnapshotStored(body, nowMs);
  }

  /** Who has sent this peer what it answers; or why the answer is dropped. */
  private asked(body: Pick<Body<'replicator.rejected'>, 'group_uid' | 'term' | 'peer_id'>): Replicator | string {
    if (this.office === undefined) return 'not_leading';
    const { leadership, replicators } = this.office;
    if (body.group_uid !== leadership.groupUid) return 'foreign_group';
    if (body.term !== leadership.term) return 'other_term';
    return replicators.get(body.peer_id) ?? 'not_a_target';
  }

  private onIdentity(body: Body<'replicator.identity'>, nowMs: number): Dropped {
    if (this.office === undefined) return 'not_leading';
    const replicator = this.office.replicators.get(body.peer_id);
    return replicator === undefined ? 'not_a_target' : replicator.onIdentity(body, nowMs);
  }

  // ---- the work ----------------------------------------------------------------------------------

  /** Lets go of who is not listed, keeps who is known, begins with the others. */
  private setTargets({ leadership, replicators }: Office, targets: Targets, nowMs: number): void {
    const listed = new Set(targets.map(({ peer_id }) => peer_id));
    for (const peerId of replicators.keys()) if (!listed.has(peerId)) replicators.delete(peerId);
    for (const target of targets) {
      if (target.peer_id === leadership.peerId) {
        this.drop('target_is_the_leader');
        continue;
      }
      const known = replicators.get(target.peer_id);
      if (known?.isFor(target)) {
        known.retarget(target, nowMs);
        continue;
      }
      const replicator = new Replicator(target, leadership);
      replicators.set(target.peer_id, replicator);
      replicator.begin(nowMs);
    }
    const members = [...replicators.values()].filter((replicator) => !replicator.isCatchingUp);
    leadership.memberLags = [leadership.ownLag, ...members.map(({ lag }) => lag)];
  }

  /** Tells the heir to stand, once it has all; again on every tick, until the node takes that back. */
  private handOver({ leadership, replicators, transfer }: Office, nowMs: number): void {
    if (transfer === undefined || transfer.sent || !leadership.isInOffice(nowMs)) return;
    const heir = replicators.get(transfer.peerId);
    if (!heir?.hasAll(transfer.last_index)) return;
    transfer.sent = true;
    heir.sendTimeoutNow();
  }

  /** Tells the node what it wants to know before the next tick. */
  private tellNews(office: Office, nowMs: number): void {
    // That content is of no use any more can wait for the next tick.
    if (office.leadership.hasNews || (!office.wantsContent && wantsContent(office))) this.sendProgress(office, nowMs);
  }

  private sendProgress(office: Office, nowMs: number): void {
    const { leadership, replicators } = office;
    leadership.hasNews = false;
    office.wantsContent = wantsContent(office);
    const targets = [...replicators.values()].map((replicator) => replicator.progress(nowMs));
    const { own, term, tickId } = leadership;
    const body = { ...own, term, targets, tick_id: tickId, wants_content: office.wantsContent };
    leadership.send(leadership.peerId, { name: 'node.progress', body });
  }

  /** Takes a message of the node's link: undefined, or why it is not to be taken now. */
  private admit(own: Own, frame: Frame): Dropped {
    const admission = this.door.admit(own, frame, this.effects);
    switch (admission) {
      case 'begun':
        this.office = undefined;
        return undefined;
      case 'take':
        return undefined;
      case 'repeat':
      case 'gap':
      case 'stale':
        return `link_${admission}`;
    }
  }

  private outlet(): Outlet {
    return {
      effects: { push: (effect) => this.effects.push(effect) },
      nextRequestId: () => {
        this.requestId = (this.requestId ?? 0) + 1;
        return this.requestId;
      },
      snapshotThrottle: this.dependencies.snapshotThrottle,
    };
  }

  private drop(reason: string): void {
    this.dropped[reason] = (this.dropped[reason] ?? 0) + 1;
  }
}

/** Whether somebody is to be sent what the node appends next. */
function wantsContent({ replicators }: Office): boolean {
  for (const replicator of replicators.values()) if (replicator.wantsContent) return true;
  return false;
}

/** Why a follower's word is not for this leader, or undefined. */
function faultOf(
  body: Pick<Body<'feed.stored'>, 'group_uid' | 'leader_id' | 'leader_term'>,
  leadership: Leadership,
): Dropped {
  if (body.group_uid !== leadership.groupUid) return 'foreign_group';
  if (body.leader_id !== leadership.peerId) return 'other_leader';
  return body.leader_term === leadership.term ? undefined : 'other_term';
}

/** Whether each run is one, and what is in it, where that has come, is what stands there. */
function isWellFormed({ term, runs, batches }: Body<'replicator.append'>): boolean {
  if (runs.some((run) => run.first_index < 1 || run.last_index < run.first_index)) return false;
  if (batches.length === 0) return true;
  return batches.length === runs.length && runs.every((run, place) => isOf(run, term, batches[place]));
}

type Run = Body<'replicator.append'>['runs'][number];

function isOf(run: Run, ofTerm: Term, batch: Uint8Array | undefined): boolean {
  if (batch === undefined) return false;
  try {
    const { first, last, term } = batchHeader(batch);
    return first === run.first_index && last === run.last_index && term === ofTerm && batch.length === run.bytes;
  } catch (error) {
    if (error instanceof ConclaveError) return false;
    throw error;
  }
}
