/**
 * The table of all messages between actors, each with its sender, its purpose and its schema. The key is `<recipient>.<message>`, as
 * in the subject of the message. The files in `messages/` have one part of the table each. `docs/subjects.md` is generated from it.
 *
 * Every message names its group. A message among the actors of one peer also has `store_id` and `session` (`own` in
 * `messages/fields.ts`). A message on an ordered link has its position in the link (`frame`). A message between peers has
 * `group_uid` and names its sender.
 */
import type { z } from 'zod';
import { ballotBoxMessages } from './messages/ballot-box-messages.js';
import { groupMessages } from './messages/group-messages.js';
import { linkMessages } from './messages/link-messages.js';
import { logStoreMessages } from './messages/log-store-messages.js';
import { peerMessages } from './messages/peer-messages.js';
import { replicatorMessages } from './messages/replicator-messages.js';
import { snapshotMessages } from './messages/snapshot-messages.js';
import type { ActorKind } from './types.js';

export {
  type Acknowledged,
  Frame,
  Progress,
  ReplicatorState,
  type Target,
  TermRun,
  VoteKind,
} from './messages/fields.js';

export const messages = {
  ...logStoreMessages,
  ...snapshotMessages,
  ...linkMessages,
  ...replicatorMessages,
  ...ballotBoxMessages,
  ...peerMessages,
  ...groupMessages,
} as const;

export type Messages = typeof messages;
export type MessageName = keyof Messages;
/** The body of a message, as inferred from its schema. */
export type Body<N extends MessageName> = z.infer<Messages[N]['schema']>;

/** A message with its name: a discriminated union over all of them. */
export type Message<N extends MessageName = MessageName> = {
  [M in N]: { readonly name: M; readonly body: Body<M> };
}[N];

/** The names of the messages to a recipient, by the first part of the name. */
export type MessageNameTo<R extends string> = Extract<MessageName, `${R}.${string}`>;

const names = new Map<string, MessageName>((Object.keys(messages) as MessageName[]).map((name) => [name, name]));

/** The name of a message, as one string for all messages of this name, so that later lookups by it are fast; undefined: no message has it. */
export function messageNameOf(text: string): MessageName | undefined {
  return names.get(text);
}

/** Which actors of a peer receive each message on the feed of that peer. */
export const feedListeners = {
  'feed.append': ['log-store'],
  'feed.stored': ['replicator', 'ballot-box'],
  'feed.committed': ['node'],
  'feed.echo': ['replicator', 'ballot-box'],
} as const satisfies Record<MessageNameTo<'feed'>, readonly ActorKind[]>;

/** The messages of a feed that actors of other peers receive, too, if they were asked to subscribe. */
export const peerFeedMessages = { 'feed.append': ['node'] } as const satisfies Partial<
  Record<MessageNameTo<'feed'>, readonly ActorKind[]>
>;
export type PeerFeedMessageName = keyof typeof peerFeedMessages;

export type NodeMessage = Message<MessageNameTo<'node'> | 'feed.committed' | 'feed.append'>;
export type ReplicatorMessage = Message<MessageNameTo<'replicator'> | 'feed.stored' | 'feed.echo'>;
export type BallotBoxMessage = Message<MessageNameTo<'ballot-box'> | 'feed.stored' | 'feed.echo'>;
export type LogStoreMessage = Message<MessageNameTo<'log-store'> | 'feed.append'>;
