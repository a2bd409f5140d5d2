import {
  type ActorKind,
  asGroupId,
  ConclaveError,
  decode,
  isMessageName,
  type Message,
  messages,
  type PeerId,
  type Recipient,
  Subjects,
} from '@conclave/protocol';
import type { Msg, NatsConnection } from 'nats';
import type { Observation } from './observation.js';
import { subscribe } from './subscription.js';

/** A message between actors: to which peer, and what it says. */
export interface ObservedMessage {
  readonly peerId: PeerId;
  /** The actor, or the feed that several hear; also the beginning of the message's name. */
  readonly recipient: Recipient;
  readonly message: Message;
  /** Of the encoded form. */
  readonly bytes: number;
}

export interface ObserveMessagesOptions {
  readonly connection: NatsConnection;
  readonly groupId: string;
  readonly prefix?: string | undefined;
  /** Only messages to these peers; all unless given. */
  readonly peers?: readonly string[] | undefined;
  /** Only messages to these actors and feeds; all unless given. */
  readonly recipients?: readonly (ActorKind | 'feed')[] | undefined;
  /** Called with each message as it comes, instead of keeping it for the iterator. */
  readonly onMessage?: ((message: ObservedMessage) => void) | undefined;
}

/**
 * Observes the messages between the actors of a group, from now on: those that are on NATS, so among actors in one
 * process only where it mirrors them. At most `limits.observedEvents` wait to be read.
 * @throws ZodError, ConclaveError where the group or the prefix is no name.
 */
export function observeMessages(options: ObserveMessagesOptions): Observation<ObservedMessage> {
  const subjects = new Subjects(options.prefix);
  const groupId = asGroupId(options.groupId);
  const { peers, recipients } = options;
  const read = (message: Msg): ObservedMessage | 'malformed' | undefined => {
    const parsed = subjects.parse(message.subject);
    // Requests to a peer have subjects of the same shape.
    if (parsed?.type === 'request') return undefined;
    if (parsed?.type !== 'message') return 'malformed';
    const { peerId, recipient } = parsed.address;
    if (peers?.includes(peerId) === false || recipients?.includes(recipient) === false) return undefined;
    const body = readMessage(`${recipient}.${parsed.message}`, message.data);
    return body === undefined ? 'malformed' : { peerId, recipient, message: body, bytes: message.data.length };
  };
  return subscribe(options.connection, [subjects.groupMessages(groupId)], read, options.onMessage);
}

function readMessage(name: string, data: Uint8Array): Message | undefined {
  if (!isMessageName(name)) return undefined;
  try {
    const parsed = messages[name].schema.safeParse(decode(data));
    return parsed.success ? ({ name, body: parsed.data } as Message) : undefined;
  } catch (error) {
    if (error instanceof ConclaveError) return undefined;
    throw error;
  }
}
