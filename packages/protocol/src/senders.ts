/**
 * The sender of a message. The last token of the subject names it, and NATS permissions bind a peer's credential to that token; the
 * body names the sender again, and must agree.
 */
import { type Message, type MessageName, peerFeedMessages } from './messages.js';
import type { PeerId } from './types.js';

/** The field of the body that names the sender, of messages between peers. All others are sent by the peer's own actors. */
const senderFields: Partial<Record<MessageName, string>> = {
  'feed.append': 'leader_id',
  'feed.stored': 'peer_id',
  'feed.echo': 'peer_id',
  'node.install_snapshot': 'leader_id',
  'replicator.snapshot_stored': 'peer_id',
  'node.append_entries': 'leader_id',
  'replicator.rejected': 'peer_id',
  'node.read_tick': 'leader_id',
  'node.read_index': 'peer_id',
  'node.read_index_answer': 'peer_id',
  'node.higher_term': 'peer_id',
  'node.request_vote': 'candidate_id',
  'ballot-box.vote_response': 'peer_id',
  'node.change_announced': 'leader_id',
  'node.compare_state': 'leader_id',
  'node.state_digest': 'peer_id',
  'node.state_compared': 'leader_id',
  'node.timeout_now': 'leader_id',
  'node.identify': 'peer_id',
  'replicator.identity': 'peer_id',
  'node.identity': 'peer_id',
};

/** The sender that the body names; undefined: none, since only the receiver's own actors send such messages. */
export function namedSender({ name, body }: Message): PeerId | undefined {
  const field = senderFields[name];
  return field === undefined ? undefined : (body as unknown as Record<string, PeerId>)[field];
}

/**
 * Whether a message may have come from this peer.
 * @param addressee the peer to which, or to whose feed, the message was published
 */
export function isFrom(from: string, message: Message, addressee: PeerId): boolean {
  const named = namedSender(message);
  // A peer's entries for its own log-store are published on its own feed; followers only subscribe to it.
  if (named === undefined || Object.hasOwn(peerFeedMessages, message.name)) {
    return from === addressee && (named === undefined || named === from);
  }
  return named === from;
}
