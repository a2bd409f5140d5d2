/** Replies with the metrics of an actor on `<prefix>.<group>.<peer>.<actor>.metrics`. */
import {
  type Encoding,
  encodeAs,
  encodingOf,
  type MetricSample,
  type MetricsReply,
  type ProcessSamples,
  type Subjects,
  sampleOf,
} from '@conclave/protocol';
import type { Actor } from '../actor.js';
import type { Connection } from '../nats-connection.js';
import { serveRequests } from '../serve.js';
import type { ActorAddress, Subscription } from '../transport.js';

/** Collecting takes longer than sending: all requests within this time get the same reply. */
const reuseMs = 100;

/** The samples of an actor, with its health and what it dropped. */
export function samplesOf(actor: Pick<Actor, 'health' | 'dropped' | 'samples'>): MetricSample[] {
  return [
    sampleOf('conclave_healthy', actor.health().healthy ? 1 : 0, {}),
    ...Object.entries(actor.dropped).map(([reason, count]) => sampleOf('conclave_dropped_total', count, { reason })),
    ...actor.samples(),
  ];
}

/**
 * @param ofProcess the metrics of the process, if this actor reports them
 * @returns what ends it
 */
export function serveMetrics(
  connection: Connection,
  subjects: Subjects,
  address: ActorAddress & { readonly incarnation: string },
  hostedActor: Pick<Actor, 'health' | 'dropped' | 'samples'>,
  ofProcess?: () => ProcessSamples,
): Subscription {
  const { groupId, peerId, actor, incarnation } = address;
  const made = new Map<Encoding, Uint8Array>();
  let clearing: NodeJS.Timeout | undefined;
  const replyIn = (encoding: Encoding): Uint8Array => {
    const known = made.get(encoding);
    if (known !== undefined) return known;
    const reply: MetricsReply = {
      group_id: groupId,
      peer_id: peerId,
      actor,
      incarnation,
      samples: samplesOf(hostedActor),
      ...(ofProcess === undefined ? {} : { process: ofProcess() }),
    };
    const data = encodeAs(reply, encoding);
    if (made.size === 0) clearing = setTimeout(() => made.clear(), reuseMs).unref();
    made.set(encoding, data);
    return data;
  };
  const subject = subjects.metrics({ groupId, peerId, recipient: actor });
  const subscription = serveRequests(connection, subjects, subject, (request) => {
    if (request.reply) connection.publish(request.reply, replyIn(encodingOf(request.data)));
  });
  return {
    close: () => {
      clearTimeout(clearing);
      if (!connection.nats.isClosed()) subscription.unsubscribe();
    },
  };
}
