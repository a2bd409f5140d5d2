/**
 * The receiving end of an ordered link, with its acknowledgements. For actors without a disk, which acknowledge a message when
 * they accept it.
 *
 * Owns: the `LinkReceiver` and the count of messages accepted but not acknowledged. Does not own the effects of the messages.
 *
 * Invariants:
 * 1. A gap and a repeat are acknowledged at once: the sender waits for that.
 * 2. At most `limits.linkAcknowledgeEvery` messages are accepted and not acknowledged, so that the sender's window moves.
 * 3. A tick is always acknowledged, unless it is stale.
 */
import {
  type ActorKind,
  type Body,
  type Frame,
  type GroupId,
  type Levels,
  limits,
  type Message,
  type PeerId,
  type Session,
  type StoreId,
  supportedLevels,
} from '@conclave/protocol';
import type { Send } from './core.js';
import { LinkReceiver, type Reception } from './link.js';

/** The fields that identify the sender in messages among one peer's actors. */
interface Own {
  readonly store_id: StoreId;
  readonly session: Session;
}

export interface LinkAcceptorOptions {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly actor: ActorKind;
  readonly incarnation: string;
  /** The feature levels that this process supports; the default is those of this build. */
  readonly levels?: Levels | undefined;
}

/** Collects the effects. */
interface Sink {
  push(send: Send<Message<'node.ack'>>): unknown;
}

/** `begun`: accepted, and the first message of a new link, so that all earlier state is void. */
export type Admission = 'begun' | Reception;

export class LinkAcceptor {
  private readonly receiver = new LinkReceiver();
  private readonly unacknowledged = { count: 0, link: 0 };

  constructor(private readonly options: LinkAcceptorOptions) {}

  /** Whether this is of the session that is followed. */
  isCurrent(own: Own): boolean {
    return this.receiver.isCurrent(own);
  }

  /** Decides on a framed message; pushes the acknowledgement that is due. */
  admit(own: Own, frame: Frame, effects: Sink): Admission {
    const reception = this.receiver.receive({ store_id: own.store_id, session: own.session, ...frame });
    switch (reception) {
      case 'next':
        if (frame.seq === 1) this.unacknowledged.count = 0;
        this.unacknowledged.count += 1;
        this.unacknowledged.link = frame.link;
        if (this.unacknowledged.count >= limits.linkAcknowledgeEvery) effects.push(this.acknowledge(own, frame.link));
        return frame.seq === 1 ? 'begun' : 'next';
      case 'repeat':
      case 'gap':
        effects.push(this.acknowledge(own, frame.link));
        return reception;
      case 'stale':
        return reception;
    }
  }

  /**
   * Decides on a framed message as `admit` does.
   * @param onNewLink called before the first message of a new link
   * @returns why the message is dropped; undefined: it is to be handled now
   */
  accept(own: Own, frame: Frame, effects: Sink, onNewLink: () => void): string | undefined {
    const admission = this.admit(own, frame, effects);
    if (admission === 'begun') onNewLink();
    return admission === 'begun' || admission === 'next' ? undefined : `link_${admission}`;
  }

  /** Acknowledges a tick, whose frame names the last message sent. @returns false: it is not of the session that is followed */
  onTick(own: Own & Frame, effects: Sink): boolean {
    this.receiver.onTick(own);
    if (this.receiver.isStale(own)) return false;
    effects.push(this.acknowledge(own, own.link, own.seq));
    return this.isCurrent(own);
  }

  /** Acknowledges what has accumulated while there was much to do. */
  onIdle(effects: Sink): void {
    const storeId = this.receiver.currentStoreId;
    if (storeId === undefined || this.unacknowledged.count < limits.linkAcknowledgeIdle) return;
    const own = { store_id: storeId, session: this.receiver.currentSession };
    effects.push(this.acknowledge(own, this.unacknowledged.link));
  }

  /** @param lastSent the last message that the node has sent, according to its tick */
  private acknowledge(own: Own, link: number, lastSent?: number): Send<Message<'node.ack'>> {
    const { groupId, peerId, actor, incarnation, levels = supportedLevels } = this.options;
    // The receiver knows nothing of another session, even if the link has the same number.
    const frame = this.isCurrent(own) ? this.receiver.frameFor({ link }) : { link, seq: 0 };
    if (frame.seq > 0) this.unacknowledged.count = 0;
    const { store_id, session } = own;
    const body: Body<'node.ack'> = {
      group_id: groupId,
      store_id,
      session,
      link: frame.link,
      seq: frame.seq,
      actor,
      incarnation,
      levels,
    };
    if (lastSent !== undefined) {
      body.taken_seq = frame.seq;
      body.asked_seq = lastSent;
    }
    return { type: 'send', peerId, message: { name: 'node.ack', body } };
  }
}
