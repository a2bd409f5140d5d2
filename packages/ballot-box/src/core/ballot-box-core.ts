/**
 * The ballot-box counts every quorum of a peer: the votes of an election, and, for a leader, the ballots of its entries and the
 * echoes of its ticks.
 *
 * Owns: the *open count*: either the votes of one election, or the acknowledgements and echoes of one leader's term. A ballot-box
 * that has restarted has no open count. Then the node opens the count again, and the next ticks make all peers repeat their
 * acknowledgements.
 * Does not own the Raft log, the term or the vote, and never decides which peer campaigns.
 *
 * Invariants:
 * 1. A message counts only if its group, and its election or its leader and term, are those of the open count.
 * 2. The node's messages on its link are accepted once and in order. When a new link begins, there is no open count.
 * 3. On every tick the ballot-box sends the result of the open count again (`node.elected`, or `feed.committed` and
 *    `node.ballots`); a repeated result has no effect. `node.confirmed` is not repeated: if one is lost, that of a later tick
 *    replaces it.
 */
import {
  type Core,
  type IdleInput,
  LinkAcceptor,
  type Log,
  leaderMismatch,
  type MessageInput,
  type Send,
} from '@conclave/actor/core';
import {
  type BallotBoxMessage,
  type Body,
  DropCounter,
  type Frame,
  type GroupId,
  type Levels,
  type Message,
  type PeerId,
} from '@conclave/protocol';
import { BallotRuns } from './ballot-runs.js';
import { ElectionCount } from './election-count.js';
import { TickRounds } from './tick-rounds.js';

export interface BallotBoxOptions {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** The id of this run of the process. */
  readonly incarnation: string;
  /** The feature levels that this process supports; the default is those of this build. */
  readonly levels?: Levels | undefined;
}

export type BallotBoxInput = MessageInput<BallotBoxMessage> | IdleInput;
export type BallotBoxEffect = Send | Log;

type Lead = Body<'ballot-box.lead'>;
type LinkIdentity = Pick<Lead, 'group_id' | 'store_id' | 'session'>;

/** The open count. */
type Count =
  | { readonly type: 'none' }
  | { readonly type: 'election'; readonly own: LinkIdentity; readonly election: ElectionCount }
  | { readonly type: 'term'; readonly lead: Lead; readonly ballots: BallotRuns; readonly ticks: TickRounds };

/** Why a message was dropped; undefined: it was processed. */
type DropReason = string | undefined;

const none: Count = { type: 'none' };

export class BallotBoxCore implements Core<BallotBoxInput, BallotBoxEffect> {
  private readonly drops = new DropCounter();
  private readonly linkAcceptor: LinkAcceptor;
  private count: Count = none;
  private effects: BallotBoxEffect[] = [];

  constructor(private readonly options: BallotBoxOptions) {
    this.linkAcceptor = new LinkAcceptor({ ...options, actor: 'ballot-box' });
  }

  /** Messages that were dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.drops.byReason;
  }

  /** @throws InvariantError if the node registers entries or configurations out of order. */
  step(input: BallotBoxInput): readonly BallotBoxEffect[] {
    this.effects = [];
    if (input.type === 'idle') {
      this.linkAcceptor.onIdle(this.effects);
    } else {
      const reason = this.onMessage(input.message);
      if (reason !== undefined) this.drops.count(reason);
    }
    return this.effects;
  }

  /** @returns why the message was dropped */
  private onMessage(message: BallotBoxMessage): DropReason {
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

  private onElect(body: Body<'ballot-box.elect'>): DropReason {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    const { group_id, store_id, session } = body;
    const election = new ElectionCount(body);
    this.count = { type: 'election', own: { group_id, store_id, session }, election };
    if (election.isWon) this.sendElected();
  }

  private onVoteResponse(body: Body<'ballot-box.vote_response'>): DropReason {
    if (this.count.type !== 'election') return 'no_election';
    const { election } = this.count;
    const wasWon = election.isWon;
    const outcome = election.onResponse(body);
    switch (outcome) {
      case 'counted':
        if (!wasWon && election.isWon) this.sendElected();
        return;
      case 'refused': // A rejection is not counted. A voter with a higher term reports it to the node (`node.higher_term`).
      case 'known': // A repeated response.
        return;
      case 'foreign_group':
      case 'other_election':
      case 'not_a_voter':
        return outcome;
    }
  }

  private onLead(body: Lead): DropReason {
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

  private onStop(body: Body<'ballot-box.stop'>): DropReason {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    this.count = none;
  }

  private onRegister(body: Body<'ballot-box.register'>): DropReason {
    const refusal = this.admit(body, body);
    if (refusal !== undefined) return refusal;
    if (this.count.type !== 'term') return 'not_leading';
    const { lead, ballots } = this.count;
    if (body.term !== lead.term) return 'other_term';
    for (const run of body.runs) {
      if (run.last_index <= ballots.registeredIndex) this.drops.count('registered_before');
      else ballots.register(run.first_index, run.last_index, run.configuration ?? undefined);
    }
    // An acknowledgement of an entry may arrive before its registration.
    if (ballots.count()) this.sendCommitted();
    // A new configuration may need fewer echoes: those received so far may be enough.
    if (body.runs.some(({ configuration }) => configuration !== null)) this.sendConfirmed();
  }

  private onStored(body: Body<'feed.stored'>): DropReason {
    if (this.count.type !== 'term') return 'not_leading';
    const { lead, ballots } = this.count;
    const fault = mismatchOf(body, lead);
    if (fault !== undefined) return fault;
    // Also recorded for peers that no registered configuration contains: the entry that adds them may not be registered yet.
    switch (ballots.stored(body.peer_id, body.store_id, body.match_index)) {
      case 'raised':
        if (ballots.count()) this.sendCommitted();
        return;
      case 'known': // Repeated or outdated.
        return;
      case 'full':
        return 'too_many_members';
    }
  }

  private onEcho(body: Body<'feed.echo'>): DropReason {
    if (this.count.type !== 'term') return 'not_leading';
    const { lead, ticks } = this.count;
    const fault = mismatchOf(body, lead);
    if (fault !== undefined) return fault;
    // A voter with a shorter election timeout may vote for a candidate before the lease ends: its echo does not count for the lease.
    const grantsLease = (body.election_timeout_ms ?? Infinity) >= (lead.election_timeout_ms ?? 0);
    // The latest tick after which the voter's log-store has confirmed the session of the voter's node; 0: none. The lease counts these
    // ticks (decision 0041).
    const sessionTickId = grantsLease ? body.session_tick_id : 0;
    if (ticks.echoed(body.peer_id, body.store_id, body.tick_id, sessionTickId) === 'full') return 'too_many_members';
    this.sendConfirmed();
  }

  private onTick(body: Body<'ballot-box.tick'>): DropReason {
    if (!this.linkAcceptor.onTick(body, this.effects)) return 'tick_of_another_session';
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

  /** Checks a message of the node's link. @returns why it is dropped; undefined: process it now */
  private admit(identity: LinkIdentity, frame: Frame): DropReason {
    return this.linkAcceptor.accept(identity, frame, this.effects, () => {
      this.count = none;
    });
  }

  private sendElected(): void {
    if (this.count.type !== 'election') return;
    this.send({ name: 'node.elected', body: { ...this.count.own, ...this.count.election.result } });
  }

  private sendCommitted(): void {
    if (this.count.type !== 'term' || this.count.ballots.commitIndex === 0) return;
    const { lead, ballots } = this.count;
    this.send({ name: 'feed.committed', body: { ...identityOf(lead), term: lead.term, index: ballots.commitIndex } });
  }

  /** Reports the last tick that a quorum has echoed, if it is later than the one reported before. */
  private sendConfirmed(): void {
    if (this.count.type !== 'term') return;
    const { lead, ballots, ticks } = this.count;
    const counted = ticks.count(ballots.configuration);
    if (counted === undefined) return;
    const { tick: tick_id, sessionTick: session_tick_id } = counted;
    this.send({ name: 'node.confirmed', body: { ...identityOf(lead), term: lead.term, tick_id, session_tick_id } });
  }

  private sendBallots(): void {
    if (this.count.type !== 'term') return;
    const { lead, ballots } = this.count;
    const body = {
      ...identityOf(lead),
      term: lead.term,
      commit_index: ballots.commitIndex,
      registered_index: ballots.registeredIndex,
      // The peers whose votes are missing.
      lacking: ballots.missing(),
    };
    this.send({ name: 'node.ballots', body });
  }

  private send(message: Message): void {
    this.effects.push({ type: 'send', peerId: this.options.peerId, message });
  }
}

function identityOf(lead: Lead): LinkIdentity {
  return { group_id: lead.group_id, store_id: lead.store_id, session: lead.session };
}

/** Returns why a peer's message on the leader's feed does not count for this leader's term; undefined: it does. */
function mismatchOf(
  body: Pick<Body<'feed.stored'>, 'group_uid' | 'leader_id' | 'leader_term'>,
  lead: Lead,
): DropReason {
  return leaderMismatch(body, lead.group_uid, lead.peer_id, lead.term);
}
