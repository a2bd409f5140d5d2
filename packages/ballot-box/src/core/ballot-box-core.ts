/**
 * The ballot-box: every quorum of a peer. It counts the votes of an election, and for a leader the ballots of its
 * entries and the echoes of its ticks.
 *
 * Owns the count that is open: an election, a leader's term, or none. It forgets all of it when it restarts; the
 * node then opens it again, and the ticks bring what had been heard. Does not own a log, a term or a vote, and
 * never decides who stands.
 *
 * Invariants:
 * 1. Nothing is counted that is not of the count that is open: its group, its term, its leader or election.
 * 2. What the node says is taken once and in order; a new link begins with nothing open.
 * 3. What it tells the node is repeated on every tick, and repeating it changes nothing.
 */
import { type Core, type IdleInput, LinkDoor, type Log, type MessageInput, type Send } from '@conclave/actor/core';
import type { BallotBoxMessage, Body, Frame, GroupId, Levels, Message, PeerId } from '@conclave/protocol';
import { BallotRuns } from './ballot-runs.js';
import { ElectionCount } from './election-count.js';
import { TickRounds } from './tick-rounds.js';

export interface BallotBoxOptions {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** Of this run of the process. */
  readonly incarnation: string;
  /** That this process speaks; those of this build where nothing is said. */
  readonly levels?: Levels | undefined;
}

export type BallotBoxInput = MessageInput<BallotBoxMessage> | IdleInput;
export type BallotBoxEffect = Send | Log;

type Lead = Body<'ballot-box.lead'>;
type Own = Pick<Lead, 'group_id' | 'store_id' | 'session'>;

/** The count that is open. */
type Count =
  | { readonly type: 'none' }
  | { readonly type: 'election'; readonly own: Own; readonly election: ElectionCount }
  | { readonly type: 'term'; readonly lead: Lead; readonly ballots: BallotRuns; readonly ticks: TickRounds };

/** Why a message was dropped; undefined: it was not. */
type Dropped = string | undefined;

const none: Count = { type: 'none' };

export class BallotBoxCore implements Core<BallotBoxInput, BallotBoxEffect> {
  /** Messages that were dropped, by reason. */
  readonly dropped: Record<string, number> = {};
  private readonly door: LinkDoor;
  private count: Count = none;
  private effects: BallotBoxEffect[] = [];

  constructor(private readonly options: BallotBoxOptions) {
    this.door = new LinkDoor({ ...options, actor: 'ballot-box' });
  }

  /** Takes one input. @throws InvariantError where the node breaks the order of its own log. */
  step(input: BallotBoxInput): readonly BallotBoxEffect[] {
    this.effects = [];
    if (input.type === 'idle') {
      this.door.onIdle(this.effects);
    } else {
      const reason = this.onMessage(input.message);
      if (reason !== undefined) this.drop(reason);
    }
    return this.effects;
  }

  /** Why the message was dropped, or undefined. */
  private onMessage(message: BallotBoxMessage): Dropped {
    if (message.body.group_id !== this.options.groupId) return 'foreign_group';
    switch (message.name) {
      case 'ballot-box.elect':
        return this.onElect(message.body);
      case 'ballot-box.lead':
        return this.onLead(message.body);
      case 'ballot-box.stop':
        return this.onStop(message.body);
      case 'ballot-box.register':
        return this.onRegister(message.body);
      case 'ballot-box.tick':
        return this.onTick(message.body);
      case 'ballot-box.vote_response':
        return this.onVoteResponse(message.body);
      case 'feed.stored':
        return this.onStored(message.body);
      case 'feed.echo':
        return this.onEcho(message.body);
    }
  }

  private onElect(body: Body<'ballot-box.elect'>): Dropped {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    const { group_id, store_id, session } = body;
    const election = new ElectionCount(body);
    this.count = { type: 'election', own: { group_id, store_id, session }, election };
    if (election.isWon) this.sendElected();
  }

  private onVoteResponse(body: Body<'ballot-box.vote_response'>): Dropped {
    if (this.count.type !== 'election') return 'no_election';
    const { election } = this.count;
    const wasWon = election.isWon;
    const outcome = election.onResponse(body);
    switch (outcome) {
      case 'counted':
        if (!wasWon && election.isWon) this.sendElected();
        return;
      case 'refused': // A vote that is not given is nothing to count: the node hears of higher terms by itself.
      case 'known': // A repeat.
        return;
      case 'foreign_group':
      case 'other_election':
      case 'not_a_voter':
        return outcome;
    }
  }

  private onLead(body: Lead): Dropped {
    if (body.configurations.length === 0) return 'no_configuration';
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    this.count = {
      type: 'term',
      lead: body,
      ballots: new BallotRuns(body.first_index, body.last_index, body.configurations),
      ticks: new TickRounds({ peer_id: body.peer_id, store_id: body.store_id }),
    };
  }

  private onStop(body: Body<'ballot-box.stop'>): Dropped {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    this.count = none;
  }

  private onRegister(body: Body<'ballot-box.register'>): Dropped {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    if (this.count.type !== 'term') return 'not_leading';
    const { lead, ballots } = this.count;
    if (body.term !== lead.term) return 'other_term';
    for (const run of body.runs) {
      if (run.last_index <= ballots.registeredIndex) this.drop('registered_before');
      else ballots.register(run.first_index, run.last_index, run.configuration ?? undefined);
    }
    // Who is fast may have stored it before it is registered here.
    if (ballots.count()) this.sendCommitted();
    // To a configuration that needs fewer, the echoes that there are may suffice.
    if (body.runs.some(({ configuration }) => configuration !== null)) this.sendConfirmed();
  }

  private onStored(body: Body<'feed.stored'>): Dropped {
    if (this.count.type !== 'term') return 'not_leading';
    const { lead, ballots } = this.count;
    const fault = faultOf(body, lead);
    if (fault !== undefined) return fault;
    // Kept also of those who are in no configuration yet: one that takes them in may be on its way here.
    switch (ballots.stored(body.peer_id, body.store_id, body.match_index)) {
      case 'raised':
        if (ballots.count()) this.sendCommitted();
        return;
      case 'known': // A repeat, or overtaken.
        return;
      case 'full':
        return 'too_many_members';
    }
  }

  private onEcho(body: Body<'feed.echo'>): Dropped {
    if (this.count.type !== 'term') return 'not_leading';
    const { lead, ticks } = this.count;
    const fault = faultOf(body, lead);
    if (fault !== undefined) return fault;
    // A voter with a shorter election timeout may help another sooner than the lease ends: its echo grants none.
    const grantsLease = (body.election_timeout_ms ?? Infinity) >= (lead.election_timeout_ms ?? 0);
    const sessionTickId = grantsLease ? body.session_tick_id : 0;
    if (ticks.echoed(body.peer_id, body.store_id, body.tick_id, sessionTickId) === 'full') return 'too_many_members';
    this.sendConfirmed();
  }

  private onTick(body: Body<'ballot-box.tick'>): Dropped {
    if (!this.door.onTick(body, this.effects)) return 'tick_of_another_session';
    switch (this.count.type) {
      case 'none':
        return;
      case 'election':
        if (this.count.election.isWon) this.sendElected();
        return;
      case 'term':
        this.sendCommitted();
        this.sendBallots();
        return;
    }
  }

  /** Takes a message of the node's link: undefined, or why it is not to be taken now. */
  private admit(own: Own, frame: Frame): Dropped {
    const admission = this.door.admit(own, frame, this.effects);
    switch (admission) {
      case 'begun':
        this.count = none;
        return undefined;
      case 'take':
        return undefined;
      case 'repeat':
      case 'gap':
      case 'stale':
        return `link_${admission}`;
    }
  }

  private sendElected(): void {
    if (this.count.type !== 'election') return;
    this.send({ name: 'node.elected', body: { ...this.count.own, ...this.count.election.result } });
  }

  private sendCommitted(): void {
    if (this.count.type !== 'term' || this.count.ballots.commitIndex === 0) return;
    const { lead, ballots } = this.count;
    this.send({ name: 'feed.committed', body: { ...ownOf(lead), term: lead.term, index: ballots.commitIndex } });
  }

  /** Tells of the ticks that a quorum has echoed, if that is news. */
  private sendConfirmed(): void {
    if (this.count.type !== 'term') return;
    const { lead, ballots, ticks } = this.count;
    const counted = ticks.count(ballots.configuration);
    if (counted === undefined) return;
    const { tick: tick_id, sessionTick: session_tick_id } = counted;
    this.send({ name: 'node.confirmed', body: { ...ownOf(lead), term: lead.term, tick_id, session_tick_id } });
  }

  private sendBallots(): void {
    if (this.count.type !== 'term') return;
    const { lead, ballots } = this.count;
    const body = {
      ...ownOf(lead),
      term: lead.term,
      commit_index: ballots.commitIndex,
      registered_index: ballots.registeredIndex,
      lacking: ballots.lacking(),
    };
    this.send({ name: 'node.ballots', body });
  }

  private send(message: Message): void {
    this.effects.push({ type: 'send', peerId: this.options.peerId, message });
  }

  private drop(reason: string): void {
    this.dropped[reason] = (this.dropped[reason] ?? 0) + 1;
  }
}

function ownOf(lead: Lead): Own {
  return { group_id: lead.group_id, store_id: lead.store_id, session: lead.session };
}

/** Why a follower's word is not for this leader's count, or undefined. */
function faultOf(body: Pick<Body<'feed.stored'>, 'group_uid' | 'leader_id' | 'leader_term'>, lead: Lead): Dropped {
  if (body.group_uid !== lead.group_uid) return 'foreign_group';
  if (body.leader_id !== lead.peer_id) return 'other_leader';
  return body.leader_term === lead.term ? undefined : 'other_term';
}
