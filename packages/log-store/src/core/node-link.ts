/**
 * The session that a node has opened, and its ordered link.
 *
 * Invariants:
 * 1. A message belongs to the open session only if that was opened with this incarnation and is the current one.
 * 2. `synced` is never ahead of what was accepted, and never goes back within a session.
 * 3. Within a session there is one link: accepted messages are never forgotten, so a restarted link would repeat them.
 */
import { LinkReceiver, type Reception } from '@conclave/actor/core';
import { asSession, type Frame, invariant, type Session, type StoreId } from '@conclave/protocol';

/** The sender of a message. */
export interface Sender {
  readonly store_id: StoreId;
  readonly session: Session;
}

export class NodeLink {
  private open = asSession(0);
  private link = new LinkReceiver();
  private synced: Frame = { link: 0, seq: 0 };
  private acknowledged = 0;
  private refusal: { readonly seq: number; readonly reason: string } | undefined;

  /** The session that was opened with this incarnation; 0: none yet. */
  get session(): Session {
    return this.open;
  }

  /** The message of the link that is refused, and why. */
  get refused(): { readonly seq: number; readonly reason: string } | undefined {
    return this.refusal;
  }

  /** A session is open: its link begins. */
  opened(session: Session): void {
    this.open = session;
    this.link = new LinkReceiver();
    this.synced = { link: 0, seq: 0 };
    this.acknowledged = 0;
    this.refusal = undefined;
  }

  /** @returns how the sender's session relates to the current one */
  classifySession(
    sender: Sender,
    current: { readonly storeId: StoreId | ''; readonly session: Session },
  ): 'open' | 'older_session' | 'not_opened' | 'other_store' {
    if (sender.store_id !== current.storeId) return 'other_store';
    if (sender.session < current.session) return 'older_session';
    return this.open > 0 && sender.session === this.open ? 'open' : 'not_opened';
  }

  /** Classifies a framed message of the open session without accepting it. */
  classify(sender: Sender, { link, seq }: Frame): Reception | 'restarted' {
    const reception = this.link.classify({ store_id: sender.store_id, session: sender.session, link, seq });
    return reception === 'next' && seq === 1 && this.link.currentSession === sender.session ? 'restarted' : reception;
  }

  /** Accepts the message, which is the next one. */
  accept(sender: Sender, { link, seq }: Frame): void {
    const reception = this.link.receive({ store_id: sender.store_id, session: sender.session, link, seq });
    invariant(reception === 'next', 'the next message is accepted');
    this.refusal = undefined;
  }

  /** Refuses the message. @returns whether it was not refused before */
  refuse({ seq }: Frame, reason: string): boolean {
    if (this.refusal?.seq === seq) return false;
    this.refusal = { seq, reason };
    return true;
  }

  /** All messages up to this one are synced. */
  onSynced(frame: Frame): void {
    invariant(frame.link !== this.synced.link || frame.seq > this.synced.seq, 'the synced position does not go back');
    this.synced = frame;
  }

  /** Messages that are synced and not acknowledged to the node. */
  get unacknowledged(): number {
    return this.synced.seq - this.acknowledged;
  }

  /** The number of accepted messages of a link, synced or not; 0: none. */
  acceptedOf(link: number): number {
    return this.link.frameFor({ link }).seq;
  }

  /** @returns the acknowledgement to the node: the last synced message of this link; `seq` 0: none */
  acknowledge(link: number): Frame {
    if (link !== this.synced.link) return { link, seq: 0 };
    this.acknowledged = this.synced.seq;
    return { link, seq: this.synced.seq };
  }
}
