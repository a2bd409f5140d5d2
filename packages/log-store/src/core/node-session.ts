/**
 * The session of a node at its log-store. It opens the session, checks that each message of the node is of this session and is the
 * next one of the link, and acknowledges the messages once they are synced.
 * Owns: the session with its ordered link (`NodeLink`). Does not own the log's state (`WritePipeline`). Does not check what a
 * message contains: the core does, and refuses a message here.
 * Invariants:
 * 1. Messages are accepted only in the current session, and only if that was opened in this run of the log-store (`incarnation`).
 * 2. If a message is refused, neither it nor the later ones of the link are accepted: acknowledgements are cumulative.
 * 3. The node learns that a session is open, or that a message is accepted, only after the write that contains it is synced.
 */
import { type Body, type Frame, limits, type Message, type Session, type StoreId } from '@conclave/protocol';
import type { LogStoreOptions } from './inputs-and-effects.js';
import type { LogReader } from './log-reader.js';
import { storeIdOf } from './log-state.js';
import * as messages from './messages.js';
import { NodeLink, type Sender } from './node-link.js';
import type { WriteBatch } from './write-batch.js';
import type { WritePipeline } from './write-pipeline.js';

/** Receives the messages, counted drops and reports of a session. */
export interface SessionOutput {
  sendNode(message: Message): void;
  count(reason: string, times?: number): void;
  report(text: string, fields: Readonly<Record<string, unknown>>): void;
  /** Whether synced data may be missing. */
  isUnverified(): boolean;
}

/** A message of the node's link: the session that it names, and its place in the link. */
type LinkMessage = Sender & Frame;

export class NodeSession {
  private readonly link = new NodeLink();

  constructor(
    private readonly options: LogStoreOptions,
    private readonly log: WritePipeline,
    private readonly reader: LogReader,
    private readonly output: SessionOutput,
  ) {}

  /** The session that is open; 0: none. */
  get current(): Session {
    return this.link.session;
  }

  /** The message of the link that is refused, and why; undefined: none. */
  get refused(): { readonly seq: number; readonly reason: string } | undefined {
    return this.link.refused;
  }

  // ---- Opening -------------------------------------------------------------------------------------

  /** Informs the node of the run of this log-store and of the current session. */
  welcome(): void {
    this.output.sendNode(messages.welcome(this.options, this.log.accepted.session));
  }

  onOpen(body: Body<'log-store.open'>): void {
    const { accepted } = this.log;
    const ofThisRun = body.incarnation === this.options.incarnation;
    if (ofThisRun && body.nonce === accepted.nonce && this.link.session === accepted.session) {
      this.output.count('opening_repeated');
      this.sendOpened();
      return;
    }
    if (ofThisRun && this.log.isOpening(body.nonce)) {
      this.output.count('opening_repeated');
      return;
    }
    if (!ofThisRun || body.after_session !== accepted.session) {
      this.output.count(ofThisRun ? 'opening_overtaken' : 'opening_of_other_run');
      this.welcome();
      return;
    }
    this.output.count('reads_of_older_session', this.reader.drop());
    if (this.log.open(body.nonce, this.newStoreId())) this.output.count('queued_of_older_session');
  }

  /** An id for the store of a group that has no data yet. The incarnation makes it unique; the group's name is for people. */
  private newStoreId(): StoreId {
    return `${this.options.incarnation}.${this.options.groupId}`.slice(0, limits.idBytes) as StoreId;
  }

  private sendOpened(): void {
    this.output.sendNode(messages.opened(this.options, this.log.durable, this.output.isUnverified()));
  }

  // ---- Messages ------------------------------------------------------------------------------------

  /** Whether a message is of the open session. If it is not, and the node sent it, sends the current session to the node. */
  isOpenFor(sender: Sender, actor: 'node' | 'replicator'): boolean {
    const relation = this.link.classifySession(sender, this.log.accepted);
    if (relation === 'open') return true;
    this.output.count(relation);
    if (actor !== 'node') return false;
    if (relation === 'older_session') {
      this.output.sendNode(messages.fenced(this.options, sender, this.log.accepted.session));
    } else {
      this.welcome();
    }
    return false;
  }

  /**
   * Whether a message of the node is of the open session, and the next one of its link. If it is a repetition, or follows a gap,
   * sends the node an acknowledgement of what is synced.
   */
  isNext(message: LinkMessage): boolean {
    if (!this.isOpenFor(message, 'node')) return false;
    const reception = this.link.classify(message, message);
    if (reception === 'next') return true;
    this.output.count(`link_${reception}`);
    if (reception === 'repeat' || reception === 'gap') this.acknowledge(message.session, message.link);
    return false;
  }

  /** Accepts the message, which is the next one. It is acknowledged once the next write is synced. */
  accept(message: LinkMessage): void {
    this.link.accept(message, message);
    this.log.accept(message.session, message);
  }

  /** Refuses the message, and with it all that follow. */
  refuse(frame: Frame, reason: string): void {
    this.output.count(`refused_${reason}`);
    if (!this.link.refuse(frame, reason)) return;
    this.output.report('a message of the node is refused, and with it all that follow', { seq: frame.seq, reason });
  }

  onTick(body: Body<'log-store.tick'>): void {
    if (!this.isOpenFor(body, 'node')) return;
    const { session, link, seq: asked_seq } = body;
    this.acknowledge(session, link, { taken_seq: this.link.acceptedOf(link), asked_seq });
  }

  // ---- Synced writes -------------------------------------------------------------------------------

  /** A write is synced: acknowledges the messages that it contains. @returns whether it has opened a session */
  onSynced(done: WriteBatch): boolean {
    if (done.acceptedFrame !== undefined && done.acceptedFrame.session === this.link.session) {
      this.link.onSynced(done.acceptedFrame.frame);
      // The leader gets an acknowledgement of each write. For entries, the node gets fewer: they only free its send window.
      if (done.isUrgent || this.link.unacknowledged >= limits.logStoreAcknowledgeEvery) {
        this.acknowledge(done.acceptedFrame.session, done.acceptedFrame.frame.link);
      }
    }
    if (done.opening === undefined) return false;
    this.link.opened(this.log.durable.session);
    this.sendOpened();
    return true;
  }

  /** Acknowledges the node's link up to what is synced. @param tick in the reply to a tick: the last messages accepted and sent */
  private acknowledge(session: Session, link: number, tick?: Parameters<typeof messages.ack>[4]): void {
    const synced = this.link.acknowledge(link);
    this.output.sendNode(messages.ack(this.options, storeIdOf(this.log.durable), session, synced, tick));
  }
}
