/** Messages between actors as lines for people: the receiver, the message, and its most important fields. */
import { batchHeader } from '@conclave/protocol';

const longest = 110;
/** Fields that the subject contains already, or that do not help people. */
const hidden = new Set(['group_id', 'group_uid', 'store_id', 'links']);

/** @param body a decoded message */
export function messageLine(peerId: string, name: string, body: object): string {
  const fields = Object.entries(body)
    .filter(([field]) => !hidden.has(field))
    .map(([field, value]) => `${field}=${shorten(value)}`)
    .join(' ');
  const text = fields.length > longest ? `${fields.slice(0, longest - 1)}…` : fields;
  return `${peerId.padEnd(4)}  ${name.padEnd(24)}  ${text}`;
}

function shorten(value: unknown): string {
  if (value instanceof Uint8Array) return batchText(value);
  if (Array.isArray(value)) return `[${value.map(shorten).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([field, inner]) => `${field}:${shorten(inner)}`)
      .join(',')}}`;
  }
  return String(value);
}

function batchText(bytes: Uint8Array): string {
  try {
    const { kind, first, last } = batchHeader(bytes);
    return `${kind} ${first}..${last}`;
  } catch {
    return `${bytes.length} bytes`;
  }
}
