/**
 * A voter that received a new tick from a leader within an election timeout, by the voter's own clock, grants no vote
 * and no pre-vote, and requests none, unless that leader ordered a peer to campaign (leadership transfer): the leader has no lease
 * any more then. Less than an election timeout is enough if the leader's last tick permits it, and NATS has reported to this
 * voter, since that tick, that nobody leads. A voter that has just opened its log-store grants none at all (Raft thesis, section
 * 4.2.3; DESIGN, section 5).
 */
import type { Instant } from '@conclave/actor/core';
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

interface Voter {
  openedMs: number;
  contactMs: number;
  tick: { readonly term: number; readonly id: number };
  /** What that tick permits; undefined: to vote after an election timeout. */
  replaceableAfterMs: number | undefined;
  /** NATS has reported that nobody leads, after that tick. */
  isUnserved: boolean;
}

type FromLeader = Pick<
  Body<'node.append_entries'>,
  'term' | 'leader_id' | 'target_store_id' | 'tick_id' | 'replaceable_after_ms'
>;

export class LeasesHold extends Rule implements Invariant {
  readonly name = 'leases-hold';
  readonly watched = ['node'] as const;
  readonly inputs = ['group_unserved'] as const;
  readonly after = [
    'node.opened',
    'node.append_entries',
    'node.install_snapshot',
    'node.read_tick',
    'node.timeout_now',
    'node.request_vote',
  ] as const;
  private readonly voters = new WeakMap<object, Voter>();

  readonly sent = {
    'log-store.vote': (body: Body<'log-store.vote'>, from: Actor) => {
      if (this.record.isNewVote && body.voted_for !== '' && body.voted_for !== from.peerId) this.onGranted(from);
    },
    'ballot-box.vote_response': ({ kind, granted }: Body<'ballot-box.vote_response'>, from: Actor) => {
      // A vote is checked when it is granted; it is sent later.
      if (kind === 'pre_vote' && granted) this.onGranted(from);
    },
    'ballot-box.elect': ({ kind }: Body<'ballot-box.elect'>, from: Actor) => {
      if (kind === 'pre_vote' && this.record.isNewElection) this.onRequested(from);
    },
  };

  onStepping(actor: Actor, input: unknown): void {
    if (actor.kind === 'node' && (input as { type: string }).type === 'group_unserved')
      this.voterOf(actor).isUnserved = true;
  }

  onStepped(actor: Actor): void {
    const { step } = this.record;
    if (actor.kind !== 'node' || step === undefined || step.actor !== actor) return;
    const { message } = step;
    if (message === undefined) return;
    if (message.name === 'node.opened') this.onOpened(actor, step.at);
    if (
      message.name === 'node.append_entries' ||
      message.name === 'node.install_snapshot' ||
      message.name === 'node.read_tick'
    )
      this.onFromLeader(actor, message.body, step.at);
    if (message.name === 'node.timeout_now') this.voterOf(actor).contactMs = Number.NEGATIVE_INFINITY;
    if (message.name === 'node.request_vote') this.onRequestVote(actor, message.body);
  }

  private voterOf({ core }: Actor): Voter {
    const voter = this.voters.get(core) ?? {
      openedMs: Number.NEGATIVE_INFINITY,
      contactMs: Number.NEGATIVE_INFINITY,
      tick: { term: 0, id: 0 },
      replaceableAfterMs: undefined,
      isUnserved: false,
    };
    this.voters.set(core, voter);
    return voter;
  }

  private onOpened(actor: Actor, { nowMs }: Instant): void {
    const voter = this.voterOf(actor);
    const { role } = summaryOf(actor);
    if (voter.openedMs === Number.NEGATIVE_INFINITY && role === 'follower') voter.openedMs = nowMs;
  }

  /** The summary after the step shows whether it accepted the sender as its leader. */
  private onFromLeader(actor: Actor, body: FromLeader, { nowMs }: Instant): void {
    const { role, term, leader_id } = summaryOf(actor);
    if (role !== 'follower' || term !== body.term || leader_id !== body.leader_id) return;
    // Meant for a store that this peer had before, it is rejected.
    const opened = this.record.openedStores.get(actor.core);
    if (opened !== undefined && body.target_store_id !== opened) return;
    const voter = this.voterOf(actor);
    const isNew = voter.tick.term < body.term || voter.tick.id < body.tick_id;
    if (!isNew || body.tick_id === 0) return;
    voter.tick = { term: body.term, id: body.tick_id };
    voter.contactMs = nowMs;
    voter.replaceableAfterMs = body.replaceable_after_ms;
    voter.isUnserved = false;
  }

  /** The leader of an earlier term has ordered this candidate to campaign, even if the voter refuses this candidate its vote. */
  private onRequestVote(actor: Actor, { term, transfer }: Body<'node.request_vote'>): void {
    const voter = this.voterOf(actor);
    if (transfer && voter.tick.term < term && summaryOf(actor).term === term)
      voter.contactMs = Number.NEGATIVE_INFINITY;
  }

  private onGranted(actor: Actor): void {
    const { step } = this.record;
    if (step === undefined || step.actor !== actor) return;
    const { message } = step;
    if (message?.name !== 'node.request_vote') return;
    const voter = this.voterOf(actor);
    const since = step.at.nowMs - this.record.electionTimeoutMs(actor.peerId);
    const { candidate_id, transfer } = message.body;
    this.check(
      voter.openedMs <= since,
      () => `${actor.peerId} grants ${candidate_id} a vote ${step.at.nowMs - voter.openedMs} ms after it has started`,
    );
    this.check(
      transfer || voter.contactMs <= since || this.mayReplace(voter, step.at),
      () =>
        `${actor.peerId} grants ${candidate_id} a vote ${step.at.nowMs - voter.contactMs} ms after a tick from its leader`,
    );
  }

  /** A peer that requests pre-votes counts itself. */
  private onRequested(actor: Actor): void {
    const { step } = this.record;
    if (step === undefined || step.actor !== actor) return;
    const voter = this.voterOf(actor);
    const since = step.at.nowMs - this.record.electionTimeoutMs(actor.peerId);
    this.check(
      voter.contactMs <= since || (voter.openedMs <= since && this.mayReplace(voter, step.at)),
      () => `${actor.peerId} requests pre-votes ${step.at.nowMs - voter.contactMs} ms after a tick from its leader`,
    );
  }

  /** Whether the leader has permitted a vote by now, and NATS has reported to this voter that nobody leads. */
  private mayReplace({ contactMs, replaceableAfterMs, isUnserved }: Voter, { nowMs }: Instant): boolean {
    return isUnserved && replaceableAfterMs !== undefined && nowMs - contactMs >= replaceableAfterMs;
  }
}
