/**
 * A node's side of its own three actors: the ordered links to them, what of it is durable, and whether they
 * are alive. It owns no Raft state.
 *
 * Invariants:
 * 1. What speaks of a term or vote goes out only after the log-store has acknowledged the message that stored it.
 * 2. A replicator or ballot-box that has forgotten its link gets a new one, which begins with the full state.
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
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

export const ownActorKinds = ['log-store', 'replicator', 'ballot-box'] as const;
export type OwnActorKind = (typeof ownActorKinds)[number];

/** An append but for whose it is and its place in the link. */
export type AppendContent = Omit<Body<'log-store.append'>, 'link' | 'seq' | 'store_id' | 'session' | 'group_id'>;

interface OwnActor {
  readonly link: LinkSender<Message>;
  incarnation: string | undefined;
  /** Ticks since its last sign of life: ticks and not milliseconds, as this process may itself have been held up. */
  silentTicks: number;
  /** That it speaks; undefined: not heard yet. */
  levels: Levels | undefined;
  reportedSilent: boolean;
}

/** About what a message without batches keeps in memory. */
const smallMessageBytes = 512;

export class OwnActors {
  private readonly actors: Record<OwnActorKind, OwnActor> = {
    'log-store': newActor(),
    replicator: newActor(),
    'ballot-box': newActor(),
  };
  /** The highest term that the log-store has been sent, and the message that carried it. */
  private writtenTerm: Term = asTerm(0);
  private termSeq = 0;
  private lastReadId = 0;
  private waiting: { readonly seq: number; readonly run: () => void }[] = [];

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    /** Sends a replicator or ballot-box its full state again, on its new link. */
    private readonly resync: (kind: 'replicator' | 'ballot-box') => void,
  ) {}

  /** What every message to an own actor carries. */
  get own() {
    return {
      group_id: this.context.options.groupId,
      store_id: this.state.storeId,
      session: this.state.session,
    };
  }

  hasRoom(kind: OwnActorKind, urgent = false): boolean {
    return this.actors[kind].link.hasRoom(urgent);
  }

  /**
   * Sends a framed message to an actor. The log-store's link must have room; the others begin anew without.
   * @param bytes what it keeps in memory until it is acknowledged, beside a small message's share
   * @returns its place in the link
   */
  sendFramed(kind: OwnActorKind, build: (frame: Frame) => Message, bytes = 0): number {
    const { link } = this.actors[kind];
    if (!link.hasRoom(true) && kind !== 'log-store') {
      link.restart();
      this.resync(kind);
      return link.last.seq;
    }
    const message = build(link.next);
    link.sent(message, smallMessageBytes + bytes, this.context.nowMs);
    this.context.sendOwn(message);
    return link.last.seq;
  }

  /** Names a read of the snapshot: several parts of a node read it at once. */
  nextReadId(): number {
    this.lastReadId += 1;
    return this.lastReadId;
  }

  /** Up to here what the log-store was sent is synced. */
  get syncedSeq(): number {
    return this.actors['log-store'].link.acknowledgedSeq;
  }

  /** Sends a leader's entries to its log-store, and to the followers that hear its feed. The link must have room. */
  sendAppendToFeed(body: AppendContent, prevTerm: Term): void {
    const append = this.framed(body);
    this.context.sendOwn({ name: 'feed.append', body: { ...append, prev_term: prevTerm } });
  }

  /** Sends entries, or none, to the log-store alone. */
  sendAppendToLogStore(body: AppendContent): void {
    this.context.sendOwn({ name: 'log-store.append', body: this.framed(body) });
  }

  /** An append in its place in the link to the log-store, which is sent again to that alone. */
  private framed(content: AppendContent): Body<'log-store.append'> {
    const { link } = this.actors['log-store'];
    const { group_id, store_id, session } = this.own;
    const { link: linkNumber, seq } = link.next;
    // Spelled out: this is done for each tick and each append, and spreading takes five times as long.
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
    link.sent({ name: 'log-store.append', body }, bytesOf(content), this.context.nowMs);
    this.noteTerm(content.leader_term);
    return body;
  }

  /** Stores the term and vote. The log-store's link must have room. */
  storeVote(): void {
    const { state } = this;
    this.sendFramed('log-store', (frame) => ({
      name: 'log-store.vote',
      body: { ...this.own, ...frame, term: state.term, voted_for: state.votedFor },
    }));
    this.noteTerm(state.term);
  }

  /** Stores the beginning of another history. The log-store's link must have room. */
  storeReset(reset: Pick<Body<'log-store.reset'>, 'old_group_uid' | 'group_uid' | 'term' | 'batch'>): void {
    this.sendFramed('log-store', (frame) => ({
      name: 'log-store.reset',
      body: { ...this.own, ...frame, ...reset },
    }));
    this.noteTerm(reset.term);
  }

  /** Runs once the node's term is synced, storing it first where that has not been done; at once where it is. */
  speak(run: () => void): void {
    if (this.storeTerm()) this.runAfter(this.termSeq, run);
  }

  /** Tells a peer that asked in an older term of this node's, once that is synced. */
  tellHigherTerm(peerId: PeerId, groupUid: GroupUid): void {
    const { group_id, store_id } = this.own;
    const { peerId: peer_id, term } = this.state;
    const body = { group_id, group_uid: groupUid, peer_id, store_id, term };
    this.speak(() => this.context.send(peerId, { name: 'node.higher_term', body }));
  }

  /** Runs once all that the log-store has been sent so far is synced, the term included. */
  afterSynced(run: () => void): void {
    if (this.storeTerm()) this.runAfter(this.actors['log-store'].link.last.seq, run);
  }

  private storeTerm(): boolean {
    if (this.state.term <= this.writtenTerm) return true;
    if (!this.hasRoom('log-store', true)) {
      this.context.drop('log_store_link_full');
      return false;
    }
    this.storeVote();
    return true;
  }

  private noteTerm(term: Term): void {
    if (term <= this.writtenTerm) return;
    this.writtenTerm = term;
    this.termSeq = this.actors['log-store'].link.last.seq;
  }

  private runAfter(seq: number, run: () => void): void {
    if (this.actors['log-store'].link.acknowledgedSeq >= seq) run();
    else if (this.waiting.length < limits.linkMessages) this.waiting.push({ seq, run });
    else this.context.drop('speech_waits_too_long');
  }

  /** Takes a sign of life; false where the log-store is another run than the one that was opened. */
  onAck(body: Body<'node.ack'>): boolean {
    if (body.actor === 'node' || body.store_id !== this.state.storeId || body.session !== this.state.session) {
      this.context.drop('ack_of_other_session');
      return true;
    }
    const actor = this.actors[body.actor];
    actor.silentTicks = 0;
    actor.reportedSilent = false;
    this.noteLevels(actor, body.levels ?? levelsOfFirstVersion);
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
      // It took our messages, and knows nothing of them any more.
      actor.link.restart();
      this.resync(body.actor);
      return true;
    }
    if (!actor.link.onAcknowledged(body)) this.context.drop('ack_of_other_link');
    return true;
  }

  private noteLevels(actor: OwnActor, levels: Levels): void {
    if (actor.levels?.lowest === levels.lowest && actor.levels.highest === levels.highest) return;
    actor.levels = levels;
    const all = ownActorKinds.flatMap((kind) => this.actors[kind].levels ?? []);
    this.state.actorLevels = all.length < ownActorKinds.length ? undefined : commonLevels(all);
  }

  /** The log-store has been opened: this run of it is the one that counts. */
  opened(incarnation: string, term: Term): void {
    this.writtenTerm = term;
    const actor = this.actors['log-store'];
    actor.incarnation = incarnation;
    actor.silentTicks = 0;
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

  /** Sends again what was not acknowledged for two ticks. */
  resendDue(): void {
    for (const kind of ownActorKinds) {
      const due = this.actors[kind].link.takeExpired(this.context.nowMs, 2 * this.context.options.heartbeatIntervalMs);
      for (const message of due) this.context.sendOwn(message);
    }
  }

  /** Counts a tick; what is alive answers before the next. */
  countTick(): void {
    for (const kind of ownActorKinds) this.actors[kind].silentTicks += 1;
  }

  /** What a tick carries: whose it is, and the frame that was sent last. */
  lastSent(kind: OwnActorKind): Body<'log-store.tick'> {
    const { group_id, store_id, session } = this.own;
    const { link, seq } = this.actors[kind].link.last;
    return { group_id, store_id, session, link, seq };
  }

  sendReplicatorTick(term: Term, leading: boolean, tick_id: number): void {
    const { group_id, store_id, session, link, seq } = this.lastSent('replicator');
    const { commitIndex: commit_index } = this.state;
    const body = { group_id, store_id, session, link, seq, term, leading, tick_id, commit_index };
    this.context.sendOwn({ name: 'replicator.tick', body });
  }

  /** The actors that have been silent for an election timeout, or for another time. */
  silent(forMs: number = this.context.options.electionTimeoutMs): OwnActorKind[] {
    const most = forMs / this.context.options.heartbeatIntervalMs;
    return ownActorKinds.filter((kind) => this.actors[kind].silentTicks > most);
  }

  /** Says once of each actor that it has fallen silent. */
  reportSilent(): void {
    for (const kind of this.silent()) {
      const actor = this.actors[kind];
      if (actor.reportedSilent || actor.silentTicks === Number.POSITIVE_INFINITY) continue;
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
    silentTicks: Number.POSITIVE_INFINITY,
    levels: undefined,
    reportedSilent: false,
  };
}
