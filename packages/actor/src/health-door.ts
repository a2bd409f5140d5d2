/** Answers how an actor is, on `<prefix>.<group>.<peer>.<actor>.health`. */
import { encodeAs, encodingOf, type HealthReply, healthWord, type Subjects } from '@conclave/protocol';
import type { Health } from './actor.js';
import type { Connection } from './nats-connection.js';
import type { ActorAddress, Listening } from './transport.js';

export function serveHealth(
  connection: Connection,
  subjects: Subjects,
  address: ActorAddress & { readonly incarnation: string },
  health: () => Health,
): Listening {
  const { groupId, peerId, actor, incarnation } = address;
  const subject = subjects.message({ groupId, peerId, recipient: actor }, healthWord);
  const subscription = connection.subscribe(subject, (request) => {
    if (!request.reply) return;
    const reply: HealthReply = { group_id: groupId, peer_id: peerId, actor, incarnation, ...health() };
    connection.publish(request.reply, encodeAs(reply, encodingOf(request.data)));
  });
  return {
    close: () => {
      if (!connection.nats.isClosed()) subscription.unsubscribe();
    },
  };
}
