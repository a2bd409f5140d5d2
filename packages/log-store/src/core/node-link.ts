/**
 * The session that a node has opened and its ordered link.
 *
 * Invariants:
 * 1. A message is of the open session only if that was opened with this incarnation and is still in force.
 * 2. `synced` never runs ahead of what has been taken, and never goes back within a session.
 * 3. Within a session there is one link: nothing taken is forgotten, so one that began anew would be taken twice.
 */
import { LinkReceiver, type Reception } from '@conclave/actor/core';
import { asSession, type Frame, invariant, type Session, type StoreId } from '@conclave/protocol';

/** Whose message it is. */
export interface Sender {
  readonly store_id: StoreId;
  readonly session: Session;
}

export class NodeLink {
  private open = asSession(0);
  private link = new LinkReceiver();
  private synced: Frame = { link: 0, seq: 0 };
  private told = 0;
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
    this.told = 0;
    this.refusal = undefined;
  }

  /** Which session a message is of, seen from the one in force. */
  judgeSession(
    sender: Sender,
    inForce: { readonly storeId: StoreId | ''; readonly session: Session },
  ): 'open' | 'older_session' | 'not_opened' | 'other_store' {
    if (sender.store_id !== inForce.storeId) return 'other_store';
    if (sender.session < inForce.session) return 'older_session';
    return this.open > 0 && sender.session === this.open ? 'open' : 'not_opened';
  }

  /** What a framed message of the open session is, without taking it. */
  judge(sender: Sender, { link, seq }: Frame): Reception | 'begun_anew' {
    const judged = this.link.judge({ store_id: sender.store_id, session: sender.session, link, seq });
    return judged === 'take' && seq === 1 && this.link.currentSession === sender.session ? 'begun_anew' : judged;
  }

  /** Takes the message, which is the next one. */
  take(sender: Sender, { link, seq }: Frame): void {
    const reception = this.link.receive({ store_id: sender.store_id, session: sender.session, link, seq });
    invariant(reception === 'take', 'a message that was judged to be the next one is taken');
    this.refusal = undefined;
  }

  /** Leaves the message untaken. True where that is new. */
  refuse({ seq }: Frame, reason: string): boolean {
    if (this.refusal?.seq === seq) return false;
    this.refusal = { seq, reason };
    return true;
  }

  /** All up to this message is synced. */
  onSynced(frame: Frame): void {
    invariant(frame.link !== this.synced.link || frame.seq > this.synced.seq, 'what is synced does not go back');
    this.synced = frame;
  }

  /** Messages that are synced and that the node has not been told of. */
  get unacknowledged(): number {
    return this.synced.seq - this.told;
  }

  /** Up to where messages of a link have been taken, synced or not; 0: none of it. */
  takenOf(link: number): number {
    return this.link.frameFor({ link }).seq;
  }

  /** What the node is told now: up to where this link is synced; `seq` 0: nothing of it. */
  acknowledge(link: number): Frame {
    if (link !== this.synced.link) return { link, seq: 0 };
    this.told = this.synced.seq;
    return { link, seq: this.synced.seq };
  }
}
