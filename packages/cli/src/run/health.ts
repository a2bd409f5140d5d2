/** Asks actors over NATS how they are. */
import { type ActorKind, decode, encode, type GroupId, HealthReply, healthWord, Subjects } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import type { HostedOptions } from './run-options.js';

/**
 * Asks each actor of the peer in each group.
 * @returns what is wrong, a sentence each; none: all are well
 */
export async function checkHealth(options: HostedOptions & { readonly timeoutMs: number }): Promise<string[]> {
  let nats: NatsConnection;
  try {
    nats = await connect({
      servers: [...options.nats],
      name: `conclave health ${options.peer}`,
      noRandomize: true,
      reconnect: false,
      timeout: options.timeoutMs,
    });
  } catch (error) {
    return [`no NATS server can be reached: ${(error as Error).message}`];
  }
  try {
    const asked = options.groups.flatMap((groupId) =>
      options.actors.map((actor) => ask(nats, options, groupId, actor)),
    );
    return (await Promise.all(asked)).filter((trouble) => trouble !== undefined);
  } finally {
    await nats.close();
  }
}

async function ask(
  nats: NatsConnection,
  { peer, prefix, timeoutMs }: HostedOptions & { readonly timeoutMs: number },
  groupId: GroupId,
  actor: ActorKind,
): Promise<string | undefined> {
  const who = `the ${actor} of ${peer} in group ${groupId}`;
  const subject = new Subjects(prefix).message({ groupId, peerId: peer, recipient: actor }, healthWord);
  try {
    const reply = await nats.request(subject, encode({}), { timeout: timeoutMs });
    const parsed = HealthReply.safeParse(decode(reply.data));
    if (!parsed.success) return `${who} gives no sensible answer`;
    return parsed.data.healthy ? undefined : `${who} is not well: ${parsed.data.reason}`;
  } catch (error) {
    return `${who} does not answer: ${(error as Error).message}`;
  }
}
