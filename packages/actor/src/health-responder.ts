/** Replies with the health of an actor on `<prefix>.<group>.<peer>.<actor>.health`. */
import { type Encoding, encodeAs, encodingOf, type HealthReply, type Subjects } from '@conclave/protocol';
import type { Actor } from './actor.js';
import type { Connection } from './nats-connection.js';
import { oncePerTurn } from './once-per-turn.js';
import { serveRequests } from './serve.js';
import type { ActorAddress, Subscription, Transport } from './transport.js';

export function serveHealth(
  connection: Connection,
  subjects: Subjects,
  address: ActorAddress & { readonly incarnation: string },
  hostedActor: Pick<Actor, 'health' | 'dropped'>,
  transport: Pick<Transport, 'dropped'>,
  /** The connections that the actor needs. */
  connections: readonly Pick<Connection, 'problem'>[] = [connection],
): Subscription {
  const { groupId, peerId, actor, incarnation } = address;
  const subject = subjects.health({ groupId, peerId, recipient: actor });
  const replyIn = oncePerTurn((encoding: Encoding) => {
    const dropped = { ...connection.dropped, ...transport.dropped, ...hostedActor.dropped };
    const problem = connections.map((one) => one.problem).find((found) => found !== undefined);
    const { healthy, reason } = problem === undefined ? hostedActor.health() : { healthy: false, reason: problem };
    const reply: HealthReply = { group_id: groupId, peer_id: peerId, actor, incarnation, healthy, reason, dropped };
    return encodeAs(reply, encoding);
  });
  const subscription = serveRequests(connection, subjects, subject, (request) => {
    if (request.reply) connection.publish(request.reply, replyIn(encodingOf(request.data)));
  });
  return {
    close: () => {
      if (!connection.nats.isClosed()) subscription.unsubscribe();
    },
  };
}
