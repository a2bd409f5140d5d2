/**
 * The receiving end of an ordered link together with its manners: when to acknowledge, and to whom. For actors
 * that keep nothing on disk, so that what is taken is acknowledged as such.
 *
 * Owns the `LinkReceiver` and the count of what is taken but unacknowledged. Does not own what the messages do.
 *
 * Invariants:
 * 1. A gap and a repeat are acknowledged at once: the sender's next step hangs on them.
 * 2. At most `limits.linkAcknowledgeEvery` messages are taken and unacknowledged, so that the sender's window moves.
 * 3. A tick is always answered, unless it is stale.
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

/** What every message among one peer's actors says of its sender. */
interface Own {
  readonly store_id: StoreId;
  readonly session: Session;
}

export interface LinkDoorOptions {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly actor: ActorKind;
  readonly incarnation: string;
  /** That this process speaks; those of this build where nothing is said. */
  readonly levels?: Levels | undefined;
}

/** Where effects are gathered. */
interface Sink {
  push(send: Send<Message<'node.ack'>>): unknown;
}

/** `begun`: taken, and it is the first of a new link, so that all that was known from before is void. */
export type Admission = 'begun' | Reception;

export class LinkDoor {
  private readonly receiver = new LinkReceiver();
  private readonly unacknowledged = { count: 0, link: 0 };

  constructor(private readonly options: LinkDoorOptions) {}

  /** Whether this is of the session that is followed. */
  isCurrent(own: Own): boolean {
    return this.receiver.isCurrent(own);
  }

  /** Decides over a framed message; pushes the acknowledgement that is due. */
  admit(own: Own, frame: Frame, effects: Sink): Admission {
    const reception = this.receiver.receive({ store_id: own.store_id, session: own.session, ...frame });
    switch (reception) {
      case 'take':
        if (frame.seq === 1) this.unacknowledged.count = 0;
        this.unacknowledged.count += 1;
        this.unacknowledged.link = frame.link;
        if (this.unacknowledged.count >= limits.linkAcknowledgeEvery) effects.push(this.acknowledge(own, frame.link));
        return frame.seq === 1 ? 'begun' : 'take';
      case 'repeat':
      case 'gap':
        effects.push(this.acknowledge(own, frame.link));
        return reception;
      case 'stale':
        return reception;
    }
  }

  /** Answers a tick, whose frame names what was sent last. False: it is not of the session that is followed. */
  onTick(own: Own & Frame, effects: Sink): boolean {
    this.receiver.onTick(own);
    if (this.receiver.isStale(own)) return false;
    effects.push(this.acknowledge(own, own.link, own.seq));
    return this.isCurrent(own);
  }

  /** Acknowledges what has gathered while there was much to do. */
  onIdle(effects: Sink): void {
    const storeId = this.receiver.currentStoreId;
    if (storeId === undefined || this.unacknowledged.count < limits.linkAcknowledgeIdle) return;
    const own = { store_id: storeId, session: this.receiver.currentSession };
    effects.push(this.acknowledge(own, this.unacknowledged.link));
  }

  /** @param asked what a tick says was sent last */
  private acknowledge(own: Own, link: number, asked?: number): Send<Message<'node.ack'>> {
    const { groupId, peerId, actor, incarnation, levels = supportedLevels } = this.options;
    // Of another session the receiver knows nothing, even where the link has the same number.
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
    if (asked !== undefined) {
      body.taken_seq = frame.seq;
      body.asked_seq = asked;
    }
    return { type: 'send', peerId, message: { name: 'node.ack', body } };
  }
}
