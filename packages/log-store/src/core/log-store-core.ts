/**
 * The log-store of one group of a peer: the order in which things become durable, and what may be said of it.
 * It owns the log's state (`LogStages`), the node's session with its ordered link (`NodeLink`) and the answers to reads
 * (`LogReader`). It does not own the storage, and does not know who leads: a leader is whoever an append names.
 *
 * Invariants:
 * 1. There is one order over entries, truncation, term, vote and open: that in which they were accepted.
 * 2. At most one write is outstanding; all that is accepted meanwhile goes into the next one.
 * 3. Nothing is acknowledged, opened or read that is not synced. What is acknowledged to a leader is what the node
 *    said was verified, never derived from the log's end.
 * 4. Nothing is accepted but in the session that was opened with this incarnation, and never in an older one than
 *    the session in force.
 * 5. Terms never fall; a vote is never changed within its term; what is known committed is never truncated.
 * 6. A message that is refused stays untaken: acknowledgements are cumulative.
 * 7. After a failure nothing is sent any more.
 * 8. What a snapshot stands for goes only once that snapshot counts and is synced.
 */
import type { Core } from '@conclave/actor/core';
import {
  type Body,
  ConclaveError,
  type Frame,
  invariant,
  type LogStoreMessage,
  limits,
  type Message,
  type PeerId,
  type Session,
  type StoreId,
} from '@conclave/protocol';
import { checkAppend } from './append-check.js';
import { DiskRoom } from './disk-room.js';
import type { GatheredWrite } from './gathered-write.js';
import type { FailureCode, LogStoreEffect, LogStoreInput, LogStoreOptions } from './inputs-and-effects.js';
import { Intake, type SeldomMessage } from './intake.js';
import { LogReader } from './log-reader.js';
import { leavesSomething, leftoversOf } from './log-snapshots.js';
import { LogStages } from './log-stages.js';
import type { LogState } from './log-state.js';
import { NodeLink, type Sender } from './node-link.js';
import type { StoredRows } from './operations.js';
import { stateFromRows } from './records.js';
import * as replies from './replies.js';

type Phase = 'new' | 'loading' | 'ready' | 'failed';

export class LogStoreCore implements Core<LogStoreInput, LogStoreEffect> {
  /** What was not taken, by reason. */
  readonly dropped: Record<string, number> = {};
  private phase: Phase = 'new';
  private failure = '';
  private readonly log = new LogStages();
  private readonly link = new NodeLink();
  private readonly reader: LogReader;
  private readonly intake: Intake;
  private readonly disk: DiskRoom;
  private effects: LogStoreEffect[] = [];
  private isUnverified: boolean;

  constructor(private readonly options: LogStoreOptions) {
    this.isUnverified = options.isUnverified === true;
    this.disk = new DiskRoom(options.diskReserveBytes);
    this.intake = new Intake(options, this.log, {
      count: (reason, times) => this.count(reason, times),
      report: (text, fields) => this.report(text, fields),
    });
    this.reader = new LogReader(options.groupId, this.log, {
      emit: (effect) => this.effects.push(effect),
      answer: (message) => this.sendNode(message),
      drop: (reason) => this.drop(reason),
    });
  }

  step(input: LogStoreInput): readonly LogStoreEffect[] {
    this.effects = [];
    if (this.phase !== 'failed') this.take(input);
    else if (input.type !== 'idle') this.drop('failed');
    return this.effects;
  }

  /** Whether it can do its work, and if not, why. */
  health(): { readonly healthy: boolean; readonly reason: string } {
    if (this.phase === 'failed') return { healthy: false, reason: this.failure };
    if (this.phase !== 'ready') return { healthy: false, reason: 'the log is being loaded' };
    if (this.disk.trouble !== '') return { healthy: false, reason: this.disk.trouble };
    const { refused } = this.link;
    if (refused === undefined && this.options.isUnverified !== true) return { healthy: true, reason: '' };
    if (refused === undefined) {
      const reason = 'the side file of the last write was missing or damaged when this process started';
      return this.isUnverified
        ? { healthy: false, reason: `${reason}: its leader has not verified the log yet` }
        : { healthy: true, reason: `${reason}; the log was verified since` };
    }
    return { healthy: false, reason: `message ${refused.seq} of the node is refused: ${refused.reason}` };
  }

  /** What is durable, for who looks on, such as a simulator. */
  get durableState(): LogState {
    return this.log.durable;
  }

  private take(input: LogStoreInput): void {
    switch (input.type) {
      case 'start':
        invariant(this.phase === 'new', 'a log-store is started once');
        this.phase = 'loading';
        this.effects.push({ type: 'load' });
        return;
      case 'loaded':
        this.onLoaded(input.rows);
        return;
      case 'message':
        if (this.phase === 'ready') this.onMessage(input.message);
        else this.drop('loading');
        return;
      case 'idle':
        this.onIdle();
        return;
      case 'written':
        this.onWritten();
        return;
      case 'read_done':
        this.guard(() => this.reader.onReadDone(input.token, input.rows));
        return;
      case 'chunk_read':
        this.guard(() => this.reader.onChunkRead(input.token, input.chunk));
        return;
      case 'disk':
        this.disk.onMeasured(input.freeBytes, input.trouble, input.stopsWrites);
        this.tellOfDisk();
        return;
      case 'write_failed':
      case 'storage_failed':
        this.fail(input.code, input.message);
        return;
    }
  }

  private onMessage(message: LogStoreMessage): void {
    switch (message.name) {
      case 'log-store.hello':
        this.welcome();
        return;
      case 'log-store.open':
        this.onOpen(message.body);
        return;
      case 'feed.append':
      case 'log-store.append':
        this.onAppend(message.body);
        return;
      case 'log-store.vote':
        this.onVote(message.body);
        return;
      case 'log-store.confirm':
        if (this.isOfSession(message.body, true)) this.sendNode({ name: 'node.in_force', body: message.body });
        return;
      case 'log-store.tick':
        this.onTick(message.body);
        return;
      case 'log-store.snapshot_chunk':
      case 'log-store.snapshot_end':
      case 'log-store.reset':
      case 'log-store.read_only':
        this.onSeldom(message);
        return;
      case 'log-store.read':
        if (this.isOfSession(message.body, message.body.reader === 'node')) this.reader.onRead(message.body);
        return;
      case 'log-store.read_snapshot':
        if (this.isOfSession(message.body, message.body.reader === 'node')) this.reader.onReadSnapshot(message.body);
        return;
    }
  }

  private onLoaded(rows: StoredRows): void {
    invariant(this.phase === 'loading', 'a log is loaded once');
    this.guard(() => {
      this.log.load(stateFromRows(this.options, rows));
      this.phase = 'ready';
      const { base, storeId, groupUid, lastIndex, commitIndex, term, votedFor, session } = this.log.durable;
      this.effects.push({
        type: 'log',
        level: 'info',
        text: storeId === '' ? 'the log is empty: this peer has no data of the group' : 'the log is loaded',
        fields: {
          store_id: storeId,
          group_uid: groupUid,
          base_index: base.index,
          last_index: lastIndex,
          commit_index: commitIndex,
          term,
          voted_for: votedFor,
          session,
        },
      });
      this.welcome();
      if (storeId === '') this.onVerified();
      else this.clear();
    });
  }

  // ---- Sessions ------------------------------------------------------------------------------------

  private onOpen(body: Body<'log-store.open'>): void {
    const { accepted } = this.log;
    const ofThisRun = body.incarnation === this.options.incarnation;
    if (ofThisRun && body.nonce === accepted.nonce && this.link.session === accepted.session) {
      this.drop('opening_repeated');
      this.sendNode(replies.opened(this.options, this.log.durable, this.isUnverified));
      return;
    }
    if (ofThisRun && this.log.isOpening(body.nonce)) {
      this.drop('opening_repeated');
      return;
    }
    if (!ofThisRun || body.after_session !== accepted.session) {
      this.drop(ofThisRun ? 'opening_overtaken' : 'opening_of_other_run');
      this.welcome();
      return;
    }
    this.count('reads_of_older_session', this.reader.drop());
    if (this.log.open(body.nonce, this.newStoreId())) this.drop('queued_of_older_session');
  }

  /** For a group that has no data yet. Told apart by the incarnation; the group's name is for people to read. */
  private newStoreId(): StoreId {
    return `${this.options.incarnation}.${this.options.groupId}`.slice(0, limits.idBytes) as StoreId;
  }

  private welcome(): void {
    this.sendNode(replies.welcome(this.options, this.log.accepted.session));
  }

  /** Whether a message is of the session that is open; if not, tells the node where it is from it. */
  private isOfSession(sender: Sender, fromNode: boolean): boolean {
    const judged = this.link.judgeSession(sender, this.log.accepted);
    if (judged === 'open') return true;
    this.drop(judged);
    if (!fromNode) return false;
    if (judged === 'older_session') this.sendNode(replies.fenced(this.options, sender, this.log.accepted.session));
    else this.welcome();
    return false;
  }

  // ---- The ordered link ----------------------------------------------------------------------------

  /** Whether a message of the link is the next one; if not, tells the node how far the link is synced. */
  private isNext(sender: Sender, frame: Frame): boolean {
    const judged = this.link.judge(sender, frame);
    if (judged === 'take') return true;
    this.drop(`link_${judged}`);
    if (judged === 'repeat' || judged === 'gap') this.acknowledgeLink(sender.session, frame.link);
    return false;
  }

  private took(sender: Sender, frame: Frame): void {
    this.link.take(sender, frame);
    this.log.took(sender.session, frame);
  }

  private refuse(frame: Frame, reason: string): void {
    this.drop(`refused_${reason}`);
    if (!this.link.refuse(frame, reason)) return;
    this.report('a message of the node is refused, and so is all that follows it', { seq: frame.seq, reason });
  }

  /** Tells the node up to where its link is synced. */
  private acknowledgeLink(session: Session, link: number): void {
    this.sendNode(replies.ack(this.options, this.storeId, session, this.link.acknowledge(link)));
  }

  private onTick(body: Body<'log-store.tick'>): void {
    if (!this.isOfSession(body, true)) return;
    const { session, link, seq: asked_seq } = body;
    const answered = { taken_seq: this.link.takenOf(link), asked_seq };
    this.sendNode(replies.ack(this.options, this.storeId, session, this.link.acknowledge(link), answered));
  }

  // ---- Entries, term and vote ----------------------------------------------------------------------

  private onAppend(body: Body<'log-store.append'>): void {
    if (!this.isOfSession(body, true) || !this.isNext(body, body)) return;
    const batches = checkAppend(this.log.accepted, body);
    if (typeof batches === 'string') {
      this.refuse(body, batches);
      return;
    }
    this.took(body, body);
    this.count('acknowledgements_truncated', this.log.append(body, batches, body.seq));
    if (body.verified === true) this.onVerified();
  }

  private onVerified(): void {
    if (!this.isUnverified) return;
    this.isUnverified = false;
    this.effects.push({ type: 'verified' });
  }

  private onVote(body: Body<'log-store.vote'>): void {
    if (!this.isOfSession(body, true) || !this.isNext(body, body)) return;
    const { term, votedFor } = this.log.accepted;
    if (body.term < term) {
      this.refuse(body, 'lower_term');
      return;
    }
    if (body.term === term && votedFor !== '' && body.voted_for !== votedFor) {
      this.refuse(body, 'other_vote');
      return;
    }
    this.took(body, body);
    this.log.vote(body.term, body.voted_for);
  }

  private onSeldom(message: SeldomMessage): void {
    const { body } = message;
    if (!this.isOfSession(body, true) || !this.isNext(body, body)) return;
    const refusal = this.intake.take(message);
    if (refusal !== '') {
      this.refuse(body, refusal);
      return;
    }
    this.took(body, body);
    this.log.await();
  }

  /** Asks for what is of no more use to be deleted. */
  private clear(): void {
    this.effects.push({ type: 'clear', leftovers: leftoversOf(this.log.durable) });
  }

  // ---- Writing -------------------------------------------------------------------------------------

  private onIdle(): void {
    if (this.phase !== 'ready' || this.log.isWriting) return;
    // What needs no write waits as well: who acknowledges could store an entry now (promise 27).
    if (this.disk.isStuck && !this.log.needsWrite) return;
    const begun = this.log.begin(this.options.groupId);
    if ('write' in begun) this.effects.push({ type: 'write', ...begun.write });
    else this.tell(begun.done);
  }

  private onWritten(): void {
    const before = this.log.durable;
    this.tell(this.log.finish());
    this.reader.onWritten();
    if (leavesSomething(before, this.log.durable)) this.clear();
  }

  /** Says what is synced. */
  private tell(done: GatheredWrite): void {
    for (const acknowledgement of done.acknowledgements) {
      invariant(acknowledgement.matchIndex <= this.log.durable.lastIndex, 'what is acknowledged is stored');
      this.send(acknowledgement.leaderId, replies.stored(this.options, this.storeId, acknowledgement));
    }
    if (done.taken !== undefined && done.taken.session === this.link.session) {
      this.link.onSynced(done.taken.frame);
      // Of entries the leader is told; the node itself only needs its window to move.
      if (done.isAwaited || this.link.unacknowledged >= limits.logStoreAcknowledgeEvery) {
        this.acknowledgeLink(done.taken.session, done.taken.frame.link);
      }
    }
    if (done.opening === undefined) return;
    this.link.opened(this.log.durable.session);
    this.sendNode(replies.opened(this.options, this.log.durable, this.isUnverified));
    this.tellOfDisk();
  }

  private tellOfDisk(): void {
    const { room } = this.disk;
    const { session } = this.link;
    if (room !== undefined && session > 0) this.sendNode(replies.disk(this.options, this.storeId, session, room));
  }

  // ---- Small things --------------------------------------------------------------------------------

  private get storeId(): StoreId {
    const { storeId } = this.log.durable;
    invariant(storeId !== '', 'a store that is open has its id');
    return storeId;
  }

  /** Runs what looks into stored bytes: damage stops this group's log-store. */
  private guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      this.fail(error.code === 'EINVAL' ? 'EINVAL' : 'ECORRUPT', error.message);
    }
  }

  private fail(code: FailureCode, message: string): void {
    this.phase = 'failed';
    this.failure = `${code}: ${message}`;
    this.report('the log-store of this group stops', { code, reason: message });
    this.effects.push({ type: 'fail', code, message });
  }

  private sendNode(message: Message): void {
    this.send(this.options.peerId, message);
  }

  private send(peerId: PeerId, message: Message): void {
    this.effects.push({ type: 'send', peerId, message });
  }

  private report(text: string, fields: Readonly<Record<string, unknown>>): void {
    this.effects.push({ type: 'log', level: 'error', text, fields });
  }

  private drop(reason: string): void {
    this.count(reason, 1);
  }

  private count(reason: string, times: number): void {
    if (times > 0) this.dropped[reason] = (this.dropped[reason] ?? 0) + times;
  }
}
