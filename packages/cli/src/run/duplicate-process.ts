/**
 * Detects whether another process runs the same actors of this peer: the peer was started twice, its data were copied, or another
 * deployment uses the same prefix and names on this NATS. Two stores of one name would confuse the peer's own actors, two copies
 * of one store could vote twice, and two nodes would fence each other. Therefore the second process does not start.
 * It sends requests to the subjects on which the other process answers health requests. While it starts it answers there, too, so
 * that two processes that start at the same moment find each other. Its connection has no echo: if it is alone, NATS reports at
 * once that nobody subscribes.
 * Two kinds of processes are not found: one in another network partition, and one that is paused. If such a process returns, the
 * sessions of the log-store protect the peer: the first node is fenced.
 */
import { type Connection, newIncarnation, type Subscription, serveHealth } from '@conclave/actor';
import {
  type ActorKind,
  ConclaveError,
  decodeRequest,
  type GroupId,
  HealthReply,
  ListGroupsReply,
  type PeerId,
  type Subjects,
} from '@conclave/protocol';
import type { z } from 'zod';
import type { RunOptions } from './run-options.js';

/**
 * The requests are repeated, because a process that is stopping may still reply. Each time all replies within `replyMs` are
 * collected.
 */
const attempts = 3;
/**
 * Of two processes that start at the same moment, one ends after `attempts` requests; the other one continues beyond that.
 */
const attemptsOfFirst = 8;
const replyMs = 400;
const startingReason = 'starting';
/** The health of a fenced node begins with this word: the node does nothing any more, and may be replaced. */
const fencedReason = 'fenced';

/** Returns the subject on which an actor answers health requests. */
type SubjectOf = (actor: Pick<HealthReply, 'group_id' | 'peer_id' | 'actor'>) => string;

type Scope = Pick<RunOptions, 'actors' | 'groups' | 'peer' | 'prefix' | 'takeOver'>;

/**
 * Looks for another process with these actors, and answers health requests as a starting process until the returned object is
 * closed.
 * @throws ConclaveError EBUSY if there is another one
 */
export async function refuseDuplicateProcess(
  options: Scope,
  connection: Connection,
  subjects: Subjects,
): Promise<Subscription> {
  const { actors, groups, peer, takeOver } = options;
  const [groupId] = groups;
  const kinds = actors.filter((actor) => !takeOver || actor === 'log-store');
  if (groupId === undefined) return { close: () => undefined };
  const incarnation = newIncarnation();
  const starting = { dropped: {}, health: () => ({ healthy: false, reason: startingReason }) };
  const claims = kinds.map((actor) =>
    serveHealth(connection, subjects, { groupId, peerId: peer, actor, incarnation }, starting, { dropped: {} }),
  );
  const claim = { close: () => claims.forEach((each) => void each.close()) };
  try {
    await connection.settled();
    // The other process may host groups with other names.
    const listed = await firstGroupOf(peer, connection, subjects);
    const groupIds = new Set(listed === undefined ? [groupId] : [groupId, listed]);
    const subjectOf: SubjectOf = ({ group_id: group, peer_id: peerId, actor }) =>
      subjects.health({ groupId: group, peerId, recipient: actor });
    const isServedBy = (actor: ActorKind) =>
      [...groupIds]
        .map((id) => subjectOf({ group_id: id, peer_id: peer, actor }))
        .map(async (subject) =>
          (await isServedByAnother(subject, subjectOf, incarnation, connection)) ? actor : undefined,
        );
    const served = (await Promise.all(kinds.flatMap(isServedBy))).filter((actor) => actor !== undefined);
    if (served.length > 0) throw refusal(served, options);
    return claim;
  } catch (error) {
    claim.close();
    throw error;
  }
}

async function isServedByAnother(
  subject: string,
  subjectOf: SubjectOf,
  incarnation: string,
  connection: Connection,
): Promise<boolean> {
  let canBeFirst = true;
  for (let attempt = 1; attempt <= (canBeFirst ? attempts : attemptsOfFirst); attempt++) {
    const replies = await repliesOn(subject, subjectOf, connection);
    const others = replies.filter(({ reason }) => !reason.startsWith(fencedReason));
    if (others.length === 0) return false;
    // Otherwise both would wait for the other one to stop, or both would end.
    canBeFirst = others.some(({ reason, incarnation: other }) => reason !== startingReason || other < incarnation);
  }
  return true;
}

/** Returns all actors that reply; none if there is no NATS, or it reports that nobody subscribes. */
async function repliesOn(subject: string, subjectOf: SubjectOf, connection: Connection): Promise<HealthReply[]> {
  const replies = await repliesTo(subject, HealthReply, connection);
  return replies.filter((reply) => subjectOf(reply) === subject);
}

/**
 * Returns the replies of a kind: `maxReplies` of them, or all that arrive in time. A program that replies to everything, such as a JetStream stream that
 * consumes the subject, is no process of this peer.
 */
async function repliesTo<T>(
  subject: string,
  schema: z.ZodType<T>,
  connection: Connection,
  maxReplies = Number.POSITIVE_INFINITY,
): Promise<T[]> {
  const replies: T[] = [];
  try {
    const messages = await connection.nats.requestMany(subject, '', { strategy: 'timer', maxWait: replyMs });
    for await (const { data } of messages) {
      const reply = schema.safeParse(decodedOf(data));
      if (reply.success) replies.push(reply.data);
      if (replies.length >= maxReplies) break;
    }
  } catch {
    // There is no NATS, or nobody subscribes.
  }
  return replies;
}

/** Undefined: it cannot be decoded. */
function decodedOf(data: Uint8Array): unknown {
  try {
    return decodeRequest(data).value;
  } catch {
    return undefined;
  }
}

/** Returns the first group in the list of this peer's log-store process. */
async function firstGroupOf(peerId: PeerId, connection: Connection, subjects: Subjects): Promise<GroupId | undefined> {
  const [reply] = await repliesTo(subjects.host(peerId, 'list_groups'), ListGroupsReply, connection, 1);
  return reply?.groups[0]?.group_id;
}

function refusal(served: readonly ActorKind[], { peer, prefix }: Scope): ConclaveError {
  const isStore = served.includes('log-store');
  return new ConclaveError(
    'EBUSY',
    `another process serves the ${isStore ? 'log-stores' : served[0]} of ${peer} already: is this peer started twice, was its ` +
      `data copied, or does another deployment use the prefix ${prefix} and the name ${peer} on this NATS? Give each ` +
      `deployment its own --prefix${isStore ? '' : '; --take-over replaces the other process'}`,
  );
}
