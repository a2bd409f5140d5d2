/**
 * Makes replies fit into a message of JSON, where a control character takes six bytes: text is sent as base64 with its place in the
 * list; what still does not fit is left to the next page. Its own place has null, so that no value is mistaken for another.
 */
import { encodeJson, type KeyChange, type KvReply, type OperationResult, type Value } from '@conclave/protocol';

/** An upper bound for the other fields of a reply. */
const frameBytes = 1024;
/** Bytes of a place beside its text. */
const placeBytes = 32;

type Place = [place: number, base64: string];

/** @returns the reply of an operation in at most `maxBytes` bytes of JSON; undefined: impossible */
export function fitReply(operation: string, reply: unknown, maxBytes: number): unknown {
  const room = maxBytes - frameBytes;
  switch (operation) {
    case 'get':
      return fitFound(reply as KvReply<'get'>);
    case 'batch_get': {
      const { found, ...rest } = reply as KvReply<'batch_get'>;
      const fitted = fitItems(found, 0, room);
      return { ...rest, found: fitted.items, base64: fitted.base64 };
    }
    case 'range': {
      const { found, more, ...rest } = reply as KvReply<'range'>;
      const fitted = fitItems(found, 1, room);
      return { ...rest, found: fitted.items, base64: fitted.base64, more: more || fitted.items.length < found.length };
    }
    case 'txn': {
      const { results, ...rest } = reply as KvReply<'txn'>;
      const fitted = fitItems(results, 1, Number.POSITIVE_INFINITY);
      return { ...rest, results: fitted.items as OperationResult[], base64: fitted.base64 };
    }
    case 'changes':
      return fitChanges(reply as KvReply<'changes'>, room);
    case 'lease_get': {
      const { keys, more, ...rest } = reply as KvReply<'lease_get'>;
      const { items } = fitItems(
        keys.map((key) => [key]),
        -1,
        room,
      );
      return { ...rest, keys: items.map(([key]) => key), more: more || items.length < keys.length };
    }
    default:
      return undefined;
  }
}

/** @returns a change without its value, which a reader of JSON gets with `get` */
export function fitChange(change: unknown): unknown {
  const [revision, what, key, , leaseId] = change as KeyChange;
  if (what === 'delete') return change;
  return leaseId === undefined ? [revision, what, key, null] : [revision, what, key, null, leaseId];
}

function fitFound({ value, ...rest }: KvReply<'get'>): unknown {
  if (typeof value !== 'string') return undefined;
  return { ...rest, value: null, value_base64: asBase64(value) };
}

/** As many items as fit, but at least one. @param at where each item has its value, if it has one */
function fitItems<Item extends readonly unknown[]>(
  all: readonly Item[],
  at: number,
  room: number,
): { items: unknown[][]; base64: Place[] } {
  const items: unknown[][] = [];
  const base64: Place[] = [];
  let bytes = 0;
  for (const item of all) {
    const value = item[at] as Value | null | undefined;
    const isGrown = typeof value === 'string' && jsonBytes(value) > base64Bytes(value);
    const fitted = isGrown ? item.map((part, place) => (place === at ? null : part)) : [...item];
    const more = jsonBytes(fitted) + 1 + (isGrown ? base64Bytes(value) + placeBytes : 0);
    if (items.length > 0 && bytes + more > room) break;
    if (isGrown) base64.push([items.length, asBase64(value)]);
    items.push(fitted);
    bytes += more;
  }
  return { items, base64 };
}

function fitChanges({ changes, ...rest }: KvReply<'changes'>, room: number): unknown {
  const omitted: number[] = [];
  const fitted: unknown[] = [];
  let bytes = 0;
  for (const change of changes) {
    const [revision, , , value] = change;
    const isGrown = typeof value === 'string' && jsonBytes(value) > base64Bytes(value);
    const one = isGrown ? fitChange(change) : change;
    const more = jsonBytes(one) + placeBytes;
    if (fitted.length > 0 && bytes + more > room) {
      return { ...rest, changes: fitted, omitted, more: true, next_revision: revision };
    }
    if (isGrown) omitted.push(revision);
    fitted.push(one);
    bytes += more;
  }
  return { ...rest, changes: fitted, omitted };
}

function asBase64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function base64Bytes(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 3) * 4;
}

function jsonBytes(value: unknown): number {
  return encodeJson(value).length;
}
