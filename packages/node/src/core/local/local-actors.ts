/**
 * A node's side of its three local actors: the ordered links to them, which messages are durable, and whether the actors respond.
 * It owns no Raft state.
 * Invariants:
 * 1. A message that contains a term or vote is sent only after the log-store has acknowledged the message that stored it.
 * 2. A replicator or ballot-box that has restarted gets a new link, which begins with the full state.
 */
import { LinkSender } from '@conclave/actor/core';
import {
  asTerm,
  type Body,
  commonLevels,
  type Frame,
  type GroupUid,
  type Levels,
  levelsOfFirstVersion,
  limits,
  type Message,
  type PeerId,
  type Term,
} from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

export const localActorKinds = ['log-store', 'replicator', 'ballot-box'] as const;
export type LocalActorKind = (typeof localActorKinds)[number];

/** An append without its addressee and its place in the link. */
export type AppendContent = Omit<Body<'log-store.append'>, 'link' | 'seq' | 'store_id' | 'session' | 'group_id'>;

interface OwnActor {
  readonly link: LinkSender<Message>;
  incarnation: string | undefined;
  /** Heartbeat intervals since its last acknowledgement: not milliseconds, as this process may itself have been paused. */
  silentIntervals: number;
  /** Whether it is sent a tick in this heartbeat interval. */
  isTickDue: boolean;
  /** The feature levels that it supports; undefined: not reported yet. */
  levels: Levels | undefined;
  reportedSilent: boolean;
}

/** The approximate memory of a message without batches. */
const smallMessageBytes = 512;

export class LocalActors {
  private readonly actors: Record<LocalActorKind, OwnActor> = {
    'log-store': newActor(),
    replicator: newActor(),
    'ballot-box': newActor(),
  };
  /** The highest term that the log-store was sent, and the message that carried it. */
  private sentTerm: Term = asTerm(0);
  private termSeq = 0;
  private lastReadId = 0;
  private waiting: { readonly seq: number; readonly run: () => void }[] = [];

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    /** Sends a replicator or ballot-box its full state again, on its new link. */
    private readonly resync: (kind: 'replicator' | 'ballot-box') => void,
  ) {}

  /** The fields of every message to a local actor. */
  get identity() {
    return {
      group_id: this.context.options.groupId,
      store_id: this.state.storeId,
      session: this.state.session,
    };
  }

  hasRoom(kind: LocalActorKind, urgent = false): boolean {
    return this.actors[kind].link.hasRoom(urgent);
  }

  /**
   * Sends a message to an actor in the order of its link. The log-store's link must have room; the links of the others restart if
   * they have none.
   * @param bytes the memory that the message takes until it is acknowledged, beyond that of a small message
   * @returns its place in the link
   */
  sendFramed(kind: LocalActorKind, build: (frame: Frame) => Message, bytes = 0): number {
    const { link } = this.actors[kind];
    if (!link.hasRoom(true) && kind !== 'log-store') {
      link.restart();
      this.resync(kind);
      return link.last.seq;
    }
    const message = build(link.next);
    link.sent(message, smallMessageBytes + bytes, this.context.nowMs);
    this.context.sendLocal(message);
    return link.last.seq;
  }

  /** Ends what the replicators and the ballot-box do for an earlier term or session. */
  stopTerm(): void {
    this.stopTermOf('replicator');
    this.stopTermOf('ballot-box');
  }

  stopTermOf(kind: 'replicator' | 'ballot-box'): void {
    const { term } = this.state;
    this.sendFramed(kind, (frame) => ({ name: `${kind}.stop`, body: { ...this.identity, ...frame, term } }));
  }

  /** Returns a number for a read of the snapshot: several parts of a node read it at the same time. */
  nextReadId(): number {
    this.lastReadId += 1;
    return this.lastReadId;
  }

  /** The last message to the log-store that is synced, with all before it. */
  get syncedSeq(): number {
    return this.actors['log-store'].link.acknowledgedSeq;
  }

  /** Sends a leader's entries to its log-store, and to the followers that are subscribed to its feed. The link must have room. */
  sendAppendToFeed(body: AppendContent, prevTerm: Term): void {
    const append = this.framed(body);
    this.context.sendLocal({ name: 'feed.append', body: { ...append, prev_term: prevTerm } });
  }

  /** Sends entries, or none, to the log-store alone. */
  sendAppendToLogStore(body: AppendContent): void {
    this.context.sendLocal({ name: 'log-store.append', body: this.framed(body) });
  }

  /** Returns an append with its place in the link to the log-store, which is resent to the log-store alone. */
  private framed(content: AppendContent): Body<'log-store.append'> {
    const { link } = this.actors['log-store'];
    const { group_id, store_id, session } = this.identity;
    const { link: linkNumber, seq } = link.next;
    // Without spreading: this runs for each tick and each append, and spreading takes five times as long.
    const body: Body<'log-store.append'> = {
      group_id,
      store_id,
      session,
      link: linkNumber,
      seq,
      group_uid: content.group_uid,
      leader_id: content.leader_id,
      leader_term: content.leader_term,
      verified_index: content.verified_index,
      truncate_from: content.truncate_from,
      commit_index: content.commit_index,
      batches: content.batches,
    };
    if (content.verified !== undefined) body.verified = content.verified;
    if (content.traces !== undefined) body.traces = content.traces;
    link.sent({ name: 'log-store.append', body }, bytesOf(content), this.context.nowMs);
    this.recordTerm(content.leader_term);
    return body;
  }

  /** Stores the term and vote. The log-store's link must have room. */
  storeVote(): void {
    const { state } = this;
    this.sendFramed('log-store', (frame) => ({
      name: 'log-store.vote',
      body: { ...this.identity, ...frame, term: state.term, voted_for: state.votedFor },
    }));
    this.recordTerm(state.term);
  }

  /** Stores the beginning of another history. The log-store's link must have room. */
  storeReset(reset: Pick<Body<'log-store.reset'>, 'old_group_uid' | 'group_uid' | 'term' | 'batch'>): void {
    this.sendFramed('log-store', (frame) => ({
      name: 'log-store.reset',
      body: { ...this.identity, ...frame, ...reset },
    }));
    this.recordTerm(reset.term);
  }

  /** Runs the function once the node's term is synced: at once if it is; otherwise the term is stored first. */
  whenTermDurable(run: () => void): void {
    if (this.storeTerm()) this.runAfter(this.termSeq, run);
  }

  /** Sends this node's term to a peer that sent a request of an older one, once that is synced. */
  sendHigherTerm(peerId: PeerId, groupUid: GroupUid): void {
    const { group_id, store_id } = this.identity;
    const { peerId: peer_id, term } = this.state;
    const body = { group_id, group_uid: groupUid, peer_id, store_id, term };
    this.whenTermDurable(() => this.context.send(peerId, { name: 'node.higher_term', body }));
  }

  /** Runs the function once everything that the log-store was sent so far is synced, the term included. */
  afterSynced(run: () => void): void {
    if (this.storeTerm()) this.runAfter(this.actors['log-store'].link.last.seq, run);
  }

  private storeTerm(): boolean {
    if (this.state.term <= this.sentTerm) return true;
    if (!this.hasRoom('log-store', true)) {
      this.context.drop('log_store_link_full');
      return false;
    }
    this.storeVote();
    return true;
  }

  private recordTerm(term: Term): void {
    if (term <= this.sentTerm) return;
    this.sentTerm = term;
    this.termSeq = this.actors['log-store'].link.last.seq;
  }

  private runAfter(seq: number, run: () => void): void {
    if (this.actors['log-store'].link.acknowledgedSeq >= seq) run();
    else if (this.waiting.length < limits.linkMessages) this.waiting.push({ seq, run });
    else this.context.drop('message_waits_for_term_too_long');
  }

  /** Records an acknowledgement; false where the log-store has restarted since it was opened. */
  onAck(body: Body<'node.ack'>): boolean {
    if (body.actor === 'node' || body.store_id !== this.state.storeId || body.session !== this.state.session) {
      this.context.drop('ack_of_other_session');
      return true;
    }
    const actor = this.actors[body.actor];
    actor.silentIntervals = 0;
    actor.reportedSilent = false;
    this.recordLevels(actor, body.levels ?? levelsOfFirstVersion);
    if (body.actor === 'log-store') {
      if (actor.incarnation !== body.incarnation) return false;
      if (actor.link.onAcknowledged(body)) this.runSynced();
      return true;
    }
    if (actor.incarnation !== undefined && actor.incarnation !== body.incarnation) {
      actor.incarnation = body.incarnation;
      actor.link.restart();
      this.resync(body.actor);
      return true;
    }
    actor.incarnation = body.incarnation;
    if (body.link === actor.link.last.link && body.seq < 1 && actor.link.acknowledgedSeq > 0) {
      // The actor has restarted, and has lost the messages that it had accepted.
      actor.link.restart();
      this.resync(body.actor);
      return true;
    }
    if (!actor.link.onAcknowledged(body)) this.context.drop('ack_of_other_link');
    return true;
  }

  private recordLevels(actor: OwnActor, levels: Levels): void {
    if (actor.levels?.lowest === levels.lowest && actor.levels.highest === levels.highest) return;
    actor.levels = levels;
    const all = localActorKinds.flatMap((kind) => this.actors[kind].levels ?? []);
    this.state.actorLevels = all.length < localActorKinds.length ? undefined : commonLevels(all);
  }

  /** The log-store is open: only acknowledgements of this run of it count. */
  opened(incarnation: string, term: Term): void {
    this.sentTerm = term;
    const actor = this.actors['log-store'];
    actor.incarnation = incarnation;
    actor.silentIntervals = 0;
  }

  get logStoreIncarnation(): string | undefined {
    return this.actors['log-store'].incarnation;
  }

  private runSynced(): void {
    const { acknowledgedSeq } = this.actors['log-store'].link;
    const due = this.waiting.filter(({ seq }) => seq <= acknowledgedSeq);
    if (due.length === 0) return;
    this.waiting = this.waiting.filter(({ seq }) => seq > acknowledgedSeq);
    for (const { run } of due) run();
  }

  /** Resends what was not acknowledged for two ticks. */
  resendDue(): void {
    for (const kind of localActorKinds) {
      const due = this.actors[kind].link.takeExpired(this.context.nowMs, 2 * this.context.options.heartbeatIntervalMs);
      for (const message of due) this.context.sendLocal(message);
    }
  }

  /**
   * A heartbeat interval begins: decides which actors are sent a tick. An actor that runs acknowledges a tick before the next
   * interval. The log-store is sent none if it has acknowledged something in the last interval: its acknowledgements show that this
   * node's session is still the current one. A replicator or ballot-box that has acknowledged everything is sent none for half an
   * election timeout, unless it replicates or counts for this node.
   */
  beginInterval(): void {
    const { electionTimeoutMs, heartbeatIntervalMs } = this.context.options;
    const idleIntervals = electionTimeoutMs / heartbeatIntervalMs / 2;
    const isActive = this.state.role !== 'follower';
    for (const kind of localActorKinds) {
      const actor = this.actors[kind];
      const { link } = actor;
      actor.silentIntervals += 1;
      const isUnacknowledged = link.acknowledgedSeq < link.last.seq;
      const hasTask = kind === 'log-store' ? actor.silentIntervals > 1 : isActive;
      actor.isTickDue = hasTask || isUnacknowledged || actor.silentIntervals >= idleIntervals;
    }
  }

  isTickDue(kind: LocalActorKind): boolean {
    return this.actors[kind].isTickDue;
  }

  /** Returns the content of a tick: its addressee, and the frame that was sent last. */
  lastSent(kind: LocalActorKind): Body<'log-store.tick'> {
    const { group_id, store_id, session } = this.identity;
    const { link, seq } = this.actors[kind].link.last;
    return { group_id, store_id, session, link, seq };
  }

  sendReplicatorTick(term: Term, leading: boolean, tick_id: number, replaceableAfterMs?: number): void {
    const { group_id, store_id, session, link, seq } = this.lastSent('replicator');
    const { commitIndex: commit_index } = this.state;
    const body = { group_id, store_id, session, link, seq, term, leading, tick_id, commit_index };
    const permission = replaceableAfterMs === undefined ? {} : { replaceable_after_ms: replaceableAfterMs };
    this.context.sendLocal({ name: 'replicator.tick', body: { ...body, ...permission } });
  }

  /** Returns the actors that have not acknowledged anything for an election timeout, or for another time. */
  silent(forMs: number = this.context.options.electionTimeoutMs): LocalActorKind[] {
    const maxIntervals = forMs / this.context.options.heartbeatIntervalMs;
    return localActorKinds.filter((kind) => this.actors[kind].silentIntervals > maxIntervals);
  }

  /** Publishes once of each actor that it is silent. */
  reportSilent(): void {
    for (const kind of this.silent()) {
      const actor = this.actors[kind];
      if (actor.reportedSilent || actor.silentIntervals === Number.POSITIVE_INFINITY) continue;
      actor.reportedSilent = true;
      this.context.event('actor_silent', { actor: kind });
      this.context.log('warn', `the ${kind} of this peer is silent`);
    }
  }
}

function bytesOf({ batches }: AppendContent): number {
  return smallMessageBytes + batches.reduce((sum, batch) => sum + batch.length, 0);
}

function newActor(): OwnActor {
  return {
    link: new LinkSender(),
    incarnation: undefined,
    silentIntervals: Number.POSITIVE_INFINITY,
    isTickDue: true,
    levels: undefined,
    reportedSilent: false,
  };
}
