/** Bodies that are none: what a broken or hostile program may send. */
import { encode, encodeJson, limits } from '@conclave/protocol';
import type { Random } from '@conclave/simulator';
import { pick } from './garbage-samples.js';

export interface Garbage {
  /** What is wrong with it. */
  readonly kind: string;
  readonly data: Uint8Array;
}

/** Garbage for a message or request whose well-formed body this would be, in the encoding given. */
export function garbageOf(body: unknown, random: Random, encoding: 'json' | 'msgpack'): Garbage[] {
  const asBytes = (value: unknown) => (encoding === 'json' ? encodeJson(value) : encode(value));
  const whole = asBytes(body);
  return [
    { kind: 'empty', data: new Uint8Array(0) },
    { kind: 'random bytes', data: randomBytes(1 + random.below(12), random) },
    { kind: 'random bytes', data: randomBytes(200, random) },
    { kind: 'cut short', data: whole.subarray(0, random.below(whole.length)) },
    { kind: 'bytes behind', data: Uint8Array.from([...whole, ...randomBytes(1 + random.below(9), random)]) },
    { kind: 'no map', data: asBytes(pick([42, 'text', true, null, [1, 2], [body]], random)) },
    { kind: 'wrongly typed', data: asBytes(withWrongField(body, random)) },
    { kind: 'wrongly typed', data: asBytes(withWrongField(body, random)) },
    { kind: 'a field missing', data: asBytes(withoutField(body, random)) },
    { kind: 'nested deeply', data: nested(encoding, limits.messageDepth + 1) },
    { kind: 'nested very deeply', data: nested(encoding, 50_000) },
    { kind: 'a bit flipped', data: withFlippedBit(whole, random) },
  ];
}

/** Returns the body with a field that makes it larger than Conclave's limit, and smaller than the server's. */
export function overLarge(body: unknown, encoding: 'json' | 'msgpack'): Garbage {
  const whole = { ...(body as object), more: 'm'.repeat(limits.messageBytes) };
  return { kind: 'over-large', data: encoding === 'json' ? encodeJson(whole) : encode(whole) };
}

function randomBytes(length: number, random: Random): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

/** A value that no field of the protocol accepts, or next to none. */
function wrong(value: unknown, random: Random): unknown {
  const names = ['', 'with.dot', 'with space', 'kv', 'n'.repeat(limits.nameBytes + 1), 'x'.repeat(5000), '\ud800'];
  switch (typeof value) {
    case 'string':
      return pick<unknown>([7, null, [], {}, ...names], random);
    case 'number':
      return pick<unknown>(['7', null, -1, 1.5, 2 ** 53, Number.POSITIVE_INFINITY, [1], {}], random);
    case 'boolean':
      return pick<unknown>(['true', null, 1, {}], random);
    default:
      return pick<unknown>(['text', 7, true, { a: 1 }, [[[]]], Array(40).fill(value), Array(5000).fill(0)], random);
  }
}

function withWrongField(body: unknown, random: Random): unknown {
  const fields = Object.entries(body as object);
  if (fields.length === 0) return 'a text';
  const [name, value] = pick(fields, random);
  return { ...(body as object), [name]: wrong(value, random) };
}

function withoutField(body: unknown, random: Random): unknown {
  const fields = Object.entries(body as object);
  if (fields.length === 0) return [];
  const left = random.below(fields.length);
  return Object.fromEntries(fields.filter((_, at) => at !== left));
}

function nested(encoding: 'json' | 'msgpack', levels: number): Uint8Array {
  if (encoding === 'json') return Buffer.from(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`);
  return Uint8Array.from([...Array(levels).fill(0x91), 0x01]);
}

function withFlippedBit(bytes: Uint8Array, random: Random): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  if (flipped.length === 0) return flipped;
  const at = random.below(flipped.length);
  flipped[at] = (flipped[at] as number) ^ (1 << random.below(8));
  return flipped;
}
