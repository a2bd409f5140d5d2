import {
  type ActorKind,
  asGroupId,
  Bundle,
  ConclaveError,
  decode,
  type GroupId,
  isFrom,
  type Message,
  messageNameOf,
  messages,
  type PeerId,
  type Recipient,
  Subjects,
} from '@conclave/protocol';
import type { Msg, NatsConnection } from 'nats';
import type { Observation } from './observation.js';
import { subscribe } from './subscription.js';

/** A message between actors: its recipient and its content. */
export interface ObservedMessage {
  readonly peerId: PeerId;
  /** The actor, or the feed that several actors receive; also the first part of the message's name. */
  readonly recipient: Recipient;
  readonly message: Message;
  /** Size of the encoded form. */
  readonly bytes: number;
}

export interface ObserveMessagesOptions {
  readonly connection: NatsConnection;
  readonly groupId: string;
  readonly prefix?: string | undefined;
  /** Only messages to these peers; all by default. */
  readonly peers?: readonly string[] | undefined;
  /** Only messages to these actors and feeds; all by default. */
  readonly recipients?: readonly (ActorKind | 'feed')[] | undefined;
  /** Called with each message at once; then the iterator gets none. */
  readonly onMessage?: ((message: ObservedMessage) => void) | undefined;
}

/**
 * Observes the messages between the actors of a group, from now on: those on NATS, so messages among actors in one process only if
 * it mirrors them; also those in bundles with other groups' messages; not those of peers of the first version. At most
 * `limits.observedEvents` wait to be read.
 * @throws ZodError, ConclaveError if the group or the prefix is not a valid name
 */
export function observeMessages(options: ObserveMessagesOptions): Observation<ObservedMessage> {
  const subjects = new Subjects(options.prefix);
  const groupId = asGroupId(options.groupId);
  const { peers, recipients } = options;
  const isWanted = (peerId: PeerId, recipient: Recipient): boolean =>
    peers?.includes(peerId) !== false && recipients?.includes(recipient) !== false;
  const read = ({ subject, data }: Msg): (ObservedMessage | 'malformed')[] => {
    const parsed = subjects.parse(subject);
    if (parsed?.type === 'bundle') {
      const { peerId } = parsed;
      return readBundle(groupId, data).flatMap((one): (ObservedMessage | 'malformed')[] => {
        if (one === 'malformed' || !isFrom(parsed.from ?? '', one.message, peerId)) return ['malformed'];
        const recipient = one.message.name.slice(0, one.message.name.indexOf('.')) as Recipient;
        return isWanted(peerId, recipient) ? [{ peerId, recipient, ...one }] : [];
      });
    }
    if (parsed?.type !== 'message') return ['malformed'];
    const { peerId, recipient } = parsed.address;
    if (!isWanted(peerId, recipient)) return [];
    const message = readMessage(`${recipient}.${parsed.message}`, tryDecode(data));
    if (message === undefined || !isFrom(parsed.from ?? '', message, peerId)) return ['malformed'];
    return [{ peerId, recipient, message, bytes: data.length }];
  };
  return subscribe(options.connection, [subjects.groupMessages(groupId), subjects.bundles()], read, options.onMessage);
}

/** The group's messages in a bundle. */
function readBundle(groupId: GroupId, data: Uint8Array): (Pick<ObservedMessage, 'message' | 'bytes'> | 'malformed')[] {
  const bundle = Bundle.safeParse(tryDecode(data));
  if (!bundle.success) return ['malformed'];
  const bytes = Math.ceil(data.length / Math.max(1, bundle.data.messages.length));
  return bundle.data.messages
    .filter(([, body]) => (body as { readonly group_id?: unknown } | null)?.group_id === groupId)
    .map(([name, body]) => {
      const message = readMessage(name, body);
      return message === undefined ? 'malformed' : { message, bytes };
    });
}

function readMessage(text: string, body: unknown): Message | undefined {
  const name = messageNameOf(text);
  if (name === undefined) return undefined;
  const parsed = messages[name].schema.safeParse(body);
  return parsed.success ? ({ name, body: parsed.data } as Message) : undefined;
}

function tryDecode(data: Uint8Array): unknown {
  try {
    return decode(data);
  } catch (error) {
    if (error instanceof ConclaveError) return undefined;
    throw error;
  }
}
