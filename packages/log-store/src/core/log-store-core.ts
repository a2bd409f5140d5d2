/**
 * The log-store of one group of a peer. It makes entries, terms and votes durable in order, and acknowledges them to the node and
 * to the leader.
 * Owns: the log's state (`WritePipeline`), the node's session (`NodeSession`) and the reads (`LogReader`).
 * Does not own the storage. Does not know which peer leads: it sends acknowledgements to the leader that an append names.
 * Invariants:
 * 1. Entries, truncations, terms, votes and sessions become durable in the order in which they were accepted.
 * 2. At most one write is in progress; all messages that are accepted meanwhile become part of the next write.
 * 3. No entry is acknowledged or read, and no session is reported as open, before it is synced. The index that is acknowledged to a
 *    leader is the `verified_index` of the node's append. It is never derived from the log's end.
 * 4. Entries, terms, votes and snapshots are accepted only in the node's open session, in the order of its link (`NodeSession`).
 * 5. Terms never fall; a vote is never changed within its term; entries known as committed are never truncated.
 * 6. After a failure nothing is sent any more.
 * 7. Entries that a snapshot replaces are deleted only once that snapshot is current and synced.
 */
import type { Core } from '@conclave/actor/core';
import {
  type Body,
  ConclaveError,
  DropCounter,
  invariant,
  type LogStoreMessage,
  type Message,
  type PeerId,
} from '@conclave/protocol';
import { checkAppend } from './append-check.js';
import { type ControlMessage, ControlMessages } from './control-messages.js';
import { DiskReserve } from './disk-reserve.js';
import type { FailureCode, LogStoreEffect, LogStoreInput, LogStoreOptions } from './inputs-and-effects.js';
import { LogReader } from './log-reader.js';
import { garbageOf, leavesGarbage } from './log-snapshots.js';
import { type LogState, storeIdOf } from './log-state.js';
import * as messages from './messages.js';
import { NodeSession } from './node-session.js';
import { stateFromRows } from './records.js';
import type { StoredRows } from './storage-operations.js';
import type { WriteBatch } from './write-batch.js';
import { WritePipeline } from './write-pipeline.js';

type Phase = 'new' | 'loading' | 'ready' | 'failed';

export class LogStoreCore implements Core<LogStoreInput, LogStoreEffect> {
  private phase: Phase = 'new';
  private failure = '';
  private readonly drops = new DropCounter();
  private readonly log = new WritePipeline();
  private readonly reader: LogReader;
  private readonly session: NodeSession;
  private readonly controlMessages: ControlMessages;
  private readonly disk: DiskReserve;
  private effects: LogStoreEffect[] = [];
  /**
   * Whether synced data may be missing (the side file of the last write was missing or damaged), and the node has not reported since
   * that all committed entries are here.
   */
  private isUnverified: boolean;

  constructor(private readonly options: LogStoreOptions) {
    this.isUnverified = options.isUnverified === true;
    this.disk = new DiskReserve(options.diskReserveBytes);
    this.controlMessages = new ControlMessages(options, this.log, {
      count: (reason, times) => this.drops.count(reason, times),
      report: (text, fields) => this.report(text, fields),
    });
    this.reader = new LogReader(options.groupId, this.log, {
      emit: (effect) => this.effects.push(effect),
      reply: (message) => this.sendNode(message),
      drop: (reason) => this.drops.count(reason),
    });
    this.session = new NodeSession(options, this.log, this.reader, {
      sendNode: (message) => this.sendNode(message),
      count: (reason, times) => this.drops.count(reason, times),
      report: (text, fields) => this.report(text, fields),
      isUnverified: () => this.isUnverified,
    });
  }

  /** How many messages were not accepted, and how many acknowledgements a truncation or a snapshot has dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.drops.byReason;
  }

  step(input: LogStoreInput): readonly LogStoreEffect[] {
    this.effects = [];
    if (this.phase !== 'failed') this.handle(input);
    else if (input.type !== 'idle') this.drops.count('failed');
    return this.effects;
  }

  /** Whether this log-store works; if not, why. */
  health(): { readonly healthy: boolean; readonly reason: string } {
    if (this.phase === 'failed') return { healthy: false, reason: this.failure };
    if (this.phase !== 'ready') return { healthy: false, reason: 'the log is being loaded' };
    if (this.problem !== '') return { healthy: false, reason: this.problem };
    if (this.options.isUnverified !== true) return { healthy: true, reason: '' };
    const reason = 'the side file of the last write was missing or damaged when this process started';
    return this.isUnverified
      ? { healthy: false, reason: `${reason}: its leader has not verified the log yet` }
      : { healthy: true, reason: `${reason}; the log was verified since` };
  }

  /** Why it is unhealthy, though it replies to its node; empty: it is healthy, or the node knows the reason itself (`unverified`). */
  private get problem(): string {
    const { refused } = this.session;
    if (this.disk.problem !== '' || refused === undefined) return this.disk.problem;
    return `message ${refused.seq} of the node is refused: ${refused.reason}`;
  }

  /** The durable state, for observers such as the simulator. */
  get durableState(): LogState {
    return this.log.durable;
  }

  private handle(input: LogStoreInput): void {
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
        else this.drops.count('loading');
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
        this.disk.onMeasured(input.freeBytes, input.problem, input.stopsWrites);
        this.sendDiskState();
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
        this.session.welcome();
        return;
      case 'log-store.open':
        this.session.onOpen(message.body);
        return;
      case 'feed.append':
      case 'log-store.append':
        this.onAppend(message.body);
        return;
      case 'log-store.vote':
        this.onVote(message.body);
        return;
      case 'log-store.confirm':
        if (this.session.isOpenFor(message.body, 'node')) this.sendNode({ name: 'node.in_force', body: message.body });
        return;
      case 'log-store.tick':
        this.session.onTick(message.body);
        return;
      case 'log-store.snapshot_chunk':
      case 'log-store.snapshot_end':
      case 'log-store.reset':
      case 'log-store.read_only':
        this.onControlMessage(message);
        return;
      case 'log-store.read':
        if (this.session.isOpenFor(message.body, message.body.reader)) this.reader.onRead(message.body);
        return;
      case 'log-store.read_snapshot':
        if (this.session.isOpenFor(message.body, message.body.reader)) this.reader.onReadSnapshot(message.body);
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
      this.session.welcome();
      // An empty log becomes a new store: it cannot lack anything.
      if (storeId === '') this.onVerified();
      else this.purge();
    });
  }

  // ---- Entries, term and vote ----------------------------------------------------------------------

  private onAppend(body: Body<'log-store.append'>): void {
    if (!this.session.isNext(body)) return;
    const batches = checkAppend(this.log.accepted, body);
    if (typeof batches === 'string') {
      this.session.refuse(body, batches);
      return;
    }
    this.session.accept(body);
    this.drops.count('acknowledgements_truncated', this.log.append(body, batches, body.seq));
    if (body.verified === true) this.onVerified();
  }

  private onVerified(): void {
    if (!this.isUnverified) return;
    this.isUnverified = false;
    this.effects.push({ type: 'verified' });
  }

  private onVote(body: Body<'log-store.vote'>): void {
    if (!this.session.isNext(body)) return;
    const { term, votedFor } = this.log.accepted;
    if (body.term < term) {
      this.session.refuse(body, 'lower_term');
      return;
    }
    if (body.term === term && votedFor !== '' && body.voted_for !== votedFor) {
      this.session.refuse(body, 'other_vote');
      return;
    }
    this.session.accept(body);
    this.log.vote(body.term, body.voted_for);
  }

  private onControlMessage(message: ControlMessage): void {
    const { body } = message;
    if (!this.session.isNext(body)) return;
    const refusal = this.controlMessages.accept(message);
    if (refusal !== '') {
      this.session.refuse(body, refusal);
      return;
    }
    this.session.accept(body);
    this.log.acknowledgePromptly();
  }

  /** Requests the deletion of stored rows that are no longer needed. */
  private purge(): void {
    this.effects.push({ type: 'purge', garbage: garbageOf(this.log.durable) });
  }

  // ---- Writing -------------------------------------------------------------------------------------

  private onIdle(): void {
    if (this.phase !== 'ready' || this.log.isWriting) return;
    // While nothing can be stored, acknowledgements that need no write wait, too: the leader counts a peer that acknowledges as one
    // that can store entries (promise 27).
    if (this.disk.isStuck && !this.log.needsWrite) return;
    const begun = this.log.begin(this.options.groupId);
    if ('write' in begun) this.effects.push({ type: 'write', ...begun.write });
    else this.sendAcknowledgements(begun.done);
  }

  private onWritten(): void {
    const before = this.log.durable;
    this.sendAcknowledgements(this.log.finish());
    this.reader.onWritten();
    if (leavesGarbage(before, this.log.durable)) this.purge();
  }

  /** Sends the acknowledgements of a synced write. */
  private sendAcknowledgements(done: WriteBatch): void {
    for (const acknowledgement of done.acknowledgements) {
      invariant(acknowledgement.matchIndex <= this.log.durable.lastIndex, 'an acknowledged index is stored');
      const message = messages.stored(this.options, storeIdOf(this.log.durable), acknowledgement);
      this.send(acknowledgement.leaderId, message);
    }
    if (this.session.onSynced(done)) this.sendDiskState();
  }

  private sendDiskState(): void {
    const { room } = this.disk;
    const { current } = this.session;
    if (room === undefined || current === 0) return;
    this.sendNode(messages.disk(this.options, storeIdOf(this.log.durable), current, room, this.problem));
  }

  // ---- Helpers -------------------------------------------------------------------------------------

  /** Runs code that decodes stored bytes. If they are damaged, of an unknown version or of another peer, this log-store stops. */
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
    this.report('the log-store of this group has stopped', { code, reason: message });
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
}
