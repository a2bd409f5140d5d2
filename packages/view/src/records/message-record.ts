/** Makes records of messages and events: what is observed on NATS, and what the simulator sends. */
import {
  actorKinds,
  batchHeader,
  type EventBody,
  type EventName,
  limits,
  type Message,
  messages,
  namedSender,
  type PeerId,
  type Recipient,
} from '@conclave/protocol';
import type { EventRecord, FieldValue, MessageRecord, PlaceActor } from './record.js';

/** Fields that every message has, or that do not help a reader. */
const hidden = new Set(['group_id', 'group_uid', 'store_id', 'links', 'nonce', 'incarnation']);

/** What is known of a message that was sent. */
export interface SentMessage {
  readonly peerId: PeerId;
  readonly recipient: Recipient;
  readonly message: Message;
  /** Size of the encoded form; undefined: unknown. */
  readonly bytes?: number | undefined;
}

/** @param at milliseconds, as in the other records */
export function messageRecord(at: number, { peerId, recipient, message, bytes = 0 }: SentMessage): MessageRecord {
  const from = { peer: namedSender(message) ?? peerId, actor: senderActor(message) };
  return {
    at,
    kind: 'message',
    name: message.name,
    from,
    to: { peer: peerId, actor: recipient },
    fields: messageFields(message.body),
    bytes,
  };
}

/** @param at milliseconds, as in the other records */
export function eventRecord<E extends EventName>(at: number, name: E, body: EventBody<E>): EventRecord {
  return { at, kind: 'event', name, body };
}

/** Returns the actor that sends a message. */
function senderActor({ name, body }: Message): PlaceActor {
  // The table names the sender for people: "replicator of the leader". Some messages have senders of several kinds, and name theirs.
  if ('reader' in body) return body.reader;
  if (name === 'node.ack') return body.actor;
  const words = messages[name].from;
  return actorKinds.find((kind) => words.startsWith(kind)) ?? 'node';
}

/** Returns a message's fields as short values: bytes become their number, lists a text, objects their fields with the name in front. */
export function messageFields(body: object): Record<string, FieldValue> {
  const fields: Record<string, FieldValue> = {};
  let room: number = limits.recordFields;
  const add = (name: string, value: unknown, depth: number): void => {
    if (room <= 0 || value === undefined) return;
    const short = shortValue(value);
    if (short === undefined && depth < 2) {
      for (const [inner, one] of Object.entries(value as object)) add(`${name}.${inner}`, one, depth + 1);
      return;
    }
    fields[name.slice(0, limits.nameBytes)] = short ?? '…';
    room -= 1;
  };
  for (const [name, value] of Object.entries(body)) if (!hidden.has(name)) add(name, value, 0);
  return fields;
}

/** Undefined: an object with fields of its own. */
function shortValue(value: unknown): FieldValue | undefined {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return value;
  if (value instanceof Uint8Array) return value.length;
  if (Array.isArray(value)) return cut(listText(value));
  if (typeof value === 'object') return undefined;
  return cut(String(value));
}

function listText(values: readonly unknown[]): string {
  const shown = values.slice(0, limits.recordFields).map(itemText);
  return values.length > shown.length ? `${shown.join(', ')}, … (${values.length})` : shown.join(', ');
}

function itemText(value: unknown): string {
  if (value instanceof Uint8Array) return batchText(value);
  if (Array.isArray(value)) return `[${value.length}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  // A member, a target, the progress of one: its name represents it.
  if ('peer_id' in value) return String(value.peer_id);
  const parts = Object.entries(value).map(([name, one]) => `${name} ${typeof one === 'object' ? '…' : String(one)}`);
  return `{${parts.join(', ')}}`;
}

/** `commands 5..9`, or the number of bytes. */
function batchText(bytes: Uint8Array): string {
  try {
    const { kind, first, last } = batchHeader(bytes);
    return `${kind} ${first}..${last}, ${bytes.length} B`;
  } catch {
    return `${bytes.length} B`;
  }
}

function cut(text: string): string {
  const maxLength = limits.recordTextLength;
  return text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text;
}
