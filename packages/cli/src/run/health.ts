/** Asks actors over NATS how they are. */
import {
  type ActorKind,
  decode,
  encode,
  type GroupId,
  HealthReply,
  healthWord,
  ListGroupsReply,
  Subjects,
} from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import type { HostedOptions } from './run-options.js';

export interface HealthOptions extends HostedOptions {
  readonly timeoutMs: number;
  /** Also of the groups that were created while the processes ran. */
  readonly allGroups: boolean;
}

/**
 * Asks each actor of the peer in each group.
 * @returns what is wrong, a sentence each; none: all are well
 */
export async function checkHealth(options: HealthOptions): Promise<string[]> {
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
    const groups = new Set([...options.groups, ...(options.allGroups ? await createdGroups(nats, options) : [])]);
    const asked = [...groups].flatMap((groupId) => options.actors.map((actor) => ask(nats, options, groupId, actor)));
    return (await Promise.all(asked)).filter((trouble) => trouble !== undefined);
  } catch (error) {
    return [(error as Error).message];
  } finally {
    await nats.close();
  }
}

/** @throws Error where the peer does not say. */
async function createdGroups(nats: NatsConnection, { peer, prefix, timeoutMs }: HealthOptions): Promise<GroupId[]> {
  const subject = new Subjects(prefix).host(peer, 'list_groups');
  const reply = await nats.request(subject, encode({}), { timeout: timeoutMs }).catch((error) => {
    throw new Error(`${peer} does not say which groups it hosts: ${(error as Error).message}`);
  });
  const parsed = ListGroupsReply.safeParse(decode(reply.data));
  if (!parsed.success) throw new Error(`${peer} does not say sensibly which groups it hosts`);
  return parsed.data.groups.map(({ group_id }) => group_id);
}

async function ask(
  nats: NatsConnection,
  { peer, prefix, timeoutMs }: HealthOptions,
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
