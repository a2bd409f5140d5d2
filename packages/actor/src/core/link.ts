/**
 * The ordered link from a node to one of its own actors: each message is accepted once and in order, and resent until it is
 * acknowledged. The two ends are plain state, used inside the cores.
 *
 * A link is named by (store_id, session, link): `link` counts the restarts of the link within a session, because an actor that
 * restarts has lost its state. `seq` counts messages from 1.
 *
 * Invariants:
 * 1. `acknowledged < nextSeq`; the unacknowledged messages are exactly `acknowledged + 1 .. nextSeq - 1`.
 * 2. A receiver accepts `seq` n only after n - 1 of the same link.
 * 3. A receiver never goes back to an older session, nor to an older link of its session.
 * 4. If a receiver reports which messages it has accepted, only missing ones are resent, so that a slow receiver gets no extra work.
 * 5. A receiver follows one store. It switches to another store only after `limits.linkOtherStoreTicks` ticks of that store, without
 *    a tick of the followed store in between. So neither a late message of a store that no longer exists nor a stray message makes
 *    it switch.
 */
import { type Frame, invariant, limits, type Session, type StoreId } from '@conclave/protocol';

interface Pending<M> {
  readonly seq: number;
  readonly message: M;
  readonly bytes: number;
  sentAtMs: number;
}

/** What a receiver reports of a link. */
type Acknowledgement = Frame & { readonly taken_seq?: number | undefined; readonly asked_seq?: number | undefined };

/** The node's end. `M`: the messages that are resent. */
export class LinkSender<M> {
  private link = 1;
  private nextSeq = 1;
  private pending: Pending<M>[] = [];
  private pendingBytes = 0;
  private acknowledged = 0;
  /** The messages that the receiver lacked when it acknowledged a tick. Undefined: it does not report that. */
  private missing: { readonly from: number; readonly upTo: number } | undefined;

  /** @param window how many messages and bytes may be unacknowledged */
  constructor(
    private readonly window: { readonly messages: number; readonly bytes: number } = {
      messages: limits.linkMessages,
      bytes: limits.linkBytes,
    },
  ) {}

  /** The frame of the next message. */
  get next(): Frame {
    return { link: this.link, seq: this.nextSeq };
  }

  /** The frame of the last message sent, for ticks. */
  get last(): Frame {
    return { link: this.link, seq: this.nextSeq - 1 };
  }

  get acknowledgedSeq(): number {
    return this.acknowledged;
  }

  /** Whether the window has room. The last eighth is reserved for messages that must not wait (`urgent`). */
  hasRoom(urgent = false): boolean {
    const share = urgent ? 1 : 7 / 8;
    return this.pending.length < this.window.messages * share && this.pendingBytes < this.window.bytes * share;
  }

  /** Records the message that was sent with `next`. `bytes`: approximately the memory that it takes. */
  sent(message: M, bytes: number, nowMs: number): void {
    invariant(this.hasRoom(true), 'a link sends within its window');
    this.pending.push({ seq: this.nextSeq, message, bytes, sentAtMs: nowMs });
    this.pendingBytes += bytes;
    this.nextSeq += 1;
  }

  /** Applies an acknowledgement; false: it is of another link. */
  onAcknowledged(frame: Acknowledgement): boolean {
    if (frame.link !== this.link || frame.seq >= this.nextSeq) return false;
    const { taken_seq: has, asked_seq: asked } = frame;
    if (has !== undefined && asked !== undefined) this.missing = { from: has + 1, upTo: asked };
    if (frame.seq <= this.acknowledged) return true;
    const taken = frame.seq - this.acknowledged;
    for (const { bytes } of this.pending.splice(0, taken)) this.pendingBytes -= bytes;
    this.acknowledged = frame.seq;
    return true;
  }

  /**
   * Returns the messages that the receiver lacks, if the oldest of them was sent at least `afterMs` ago, and otherwise none. The
   * receiver dropped those after a missing one, however lately they were sent. They count as sent now.
   * @returns at most `maxCount` messages, oldest first
   */
  takeExpired(nowMs: number, afterMs: number, maxCount = 64): M[] {
    const { from, upTo } = this.missing ?? { from: 0, upTo: this.nextSeq };
    const first = Math.max(0, from - this.acknowledged - 1);
    const oldest = this.pending[first];
    if (oldest === undefined || oldest.seq > upTo || nowMs - oldest.sentAtMs < afterMs) return [];
    const due = this.pending.slice(first, Math.min(first + maxCount, upTo - this.acknowledged));
    for (const pending of due) pending.sentAtMs = nowMs;
    return due.map(({ message }) => message);
  }

  /** Restarts the link, as the receiver has lost its state. Pending messages are dropped. */
  restart(): void {
    this.link += 1;
    this.nextSeq = 1;
    this.acknowledged = 0;
    this.missing = undefined;
    this.pending = [];
    this.pendingBytes = 0;
  }
}

/** How a receiver classifies a frame. */
export type Reception =
  /** The next in order: accept it. */
  | 'next'
  /** Accepted before: acknowledge it again. */
  | 'repeat'
  /** An earlier one is missing: acknowledge what was accepted, so that the rest is resent. */
  | 'gap'
  /** Of an older session or link, or of a store that is not followed: refuse it. */
  | 'stale';

/** The actor's end. */
export class LinkReceiver {
  private storeId: StoreId | undefined;
  private session = 0;
  private link = 0;
  private acceptedSeq = 0;
  /** Another store of which ticks arrive, and how many have arrived since the last tick of the followed store. */
  private other: { readonly storeId: StoreId; ticks: number } | undefined;

  /** The acknowledgement of this link; `seq` 0: nothing of it was accepted. */
  frameFor(frame: { link: number }): Frame {
    return { link: frame.link, seq: frame.link === this.link ? this.acceptedSeq : 0 };
  }

  get currentSession(): Session {
    return this.session as Session;
  }

  get currentStoreId(): StoreId | undefined {
    return this.storeId;
  }

  /** Whether the message belongs to the followed store and its current session. */
  isCurrent(body: { readonly store_id: StoreId; readonly session: Session }): boolean {
    return body.store_id === this.storeId && body.session === this.session;
  }

  /** Whether the message belongs to an older session, or to another store to which the receiver does not switch (yet). */
  isStale(body: { readonly store_id: StoreId; readonly session: Session }): boolean {
    if (this.storeId === undefined) return false;
    if (body.store_id === this.storeId) return body.session < this.session;
    return this.other?.storeId !== body.store_id || this.other.ticks < limits.linkOtherStoreTicks;
  }

  /** Records a tick of the followed store, or of another one. */
  onTick(body: { readonly store_id: StoreId; readonly session: Session }): void {
    if (this.storeId === undefined) return;
    if (this.isCurrent(body)) this.other = undefined;
    else if (body.store_id === this.storeId) return;
    else if (this.other?.storeId === body.store_id) this.other.ticks += 1;
    else this.other = { storeId: body.store_id, ticks: 1 };
  }

  /** Classifies a framed message without accepting it. */
  classify(body: { readonly store_id: StoreId; readonly session: Session } & Frame): Reception {
    if (this.isStale(body)) return 'stale';
    if (!this.isCurrent(body) || body.link > this.link) return body.seq === 1 ? 'next' : 'gap';
    if (body.link < this.link) return 'stale';
    if (body.seq <= this.acceptedSeq) return 'repeat';
    return body.seq > this.acceptedSeq + 1 ? 'gap' : 'next';
  }

  /** Classifies a framed message, and accepts it if the result is `next`. */
  receive(body: { readonly store_id: StoreId; readonly session: Session } & Frame): Reception {
    const reception = this.classify(body);
    if (reception !== 'next') return reception;
    if (!this.isCurrent(body) || body.link > this.link) this.follow(body);
    this.acceptedSeq = body.seq;
    return 'next';
  }

  private follow(body: { readonly store_id: StoreId; readonly session: Session } & Frame): void {
    this.other = undefined;
    this.storeId = body.store_id;
    this.session = body.session;
    this.link = body.link;
    this.acceptedSeq = 0;
  }
}
