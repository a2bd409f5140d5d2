/**
 * Bundles: the small messages that a process which hosts several groups sends to one actor kind of one peer within one turn, as one
 * message on `<prefix>.admin.<peer>.<recipient>.bundle.<from>`, in msgpack. These are messages caused by ticks, which repeat known
 * state. Messages by which an operator observes elections, ballots and changes are never bundled.
 */
import { z } from 'zod';
import { limits } from './limits.js';
import { feedListeners, type Message, type MessageName } from './messages.js';
import type { Recipient } from './subjects.js';

/** Each message's name and body, in the order in which they were sent. */
export const Bundle = z.object({
  messages: z.array(z.tuple([z.string(), z.unknown()])).max(limits.bundleMessages),
});
export type Bundle = z.infer<typeof Bundle>;

/** The messages that are bundled. The value: whether only without entries. */
export const bundledMessages: Partial<Record<MessageName, 'always' | 'without_entries'>> = {
  'log-store.tick': 'always',
  'ballot-box.tick': 'always',
  'replicator.tick': 'always',
  'node.ack': 'always',
  'node.disk': 'always',
  'node.confirmed': 'always',
  'node.append_entries': 'without_entries',
  'log-store.append': 'without_entries',
  'feed.echo': 'always',
  'feed.stored': 'always',
  'feed.committed': 'always',
};

/** Whether a message may be bundled. */
export function isBundled(message: Message): boolean {
  const rule = bundledMessages[message.name];
  if (rule !== 'without_entries') return rule === 'always';
  const { batches } = message.body as { readonly batches?: readonly Uint8Array[] };
  return batches?.length === 0;
}

/** The recipient of its bundle: a feed message that only one actor receives goes with that actor's own messages, to keep their order. */
export function bundleRecipient(name: MessageName): Recipient {
  const recipient = name.slice(0, name.indexOf('.')) as Recipient;
  if (recipient !== 'feed') return recipient;
  const listeners = feedListeners[name as keyof typeof feedListeners];
  return listeners.length === 1 ? listeners[0] : 'feed';
}
