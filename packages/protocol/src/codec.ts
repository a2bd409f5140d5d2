/**
 * Bytes to values and back: plain msgpack that any language can read, or JSON where a request came as JSON.
 *
 * Decoding never trusts its input: lengths past the end, extension types and nesting without bound are
 * refused before anything is built.
 */
import { Packr } from 'msgpackr';
import { ConclaveError } from './errors.js';
import { limits } from './limits.js';

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  mapsAsObjects: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
});

export type Encoding = 'json' | 'msgpack';

/** Encodes as plain msgpack. A property that is `undefined` becomes nil: leave it out instead. */
export function encode(value: unknown): Uint8Array {
  return packr.pack(value);
}

/**
 * Decodes plain msgpack. Binary values are views of `bytes`, not copies, and never a Buffer, whose `slice` is another.
 * @throws ConclaveError EINVAL where `bytes` are not one complete value of plain msgpack within the bounds.
 */
export function decode(bytes: Uint8Array): unknown {
  checkPlain(bytes);
  try {
    return packr.unpack(plainView(bytes));
  } catch (error) {
    throw new ConclaveError('EINVAL', `not msgpack: ${(error as Error).message}`);
  }
}

function plainView(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes;
}

/** How a body is encoded: JSON objects start with `{` or white space, which no msgpack map does. */
export function encodingOf(bytes: Uint8Array): Encoding {
  const first = bytes[0];
  if (first === undefined) return 'json';
  return first === 0x7b || first === 0x20 || (first >= 0x09 && first <= 0x0d) ? 'json' : 'msgpack';
}

/**
 * Decodes a request's body in whichever of the two encodings it came; an empty body is `{}`.
 * @throws ConclaveError EINVAL
 */
export function decodeRequest(bytes: Uint8Array): { value: unknown; encoding: Encoding } {
  if (bytes.length === 0) return { value: {}, encoding: 'json' };
  const encoding = encodingOf(bytes);
  if (encoding === 'msgpack') return { value: decode(bytes), encoding };
  try {
    return { value: JSON.parse(textDecoder.decode(bytes)), encoding };
  } catch (error) {
    throw new ConclaveError('EINVAL', `not JSON: ${(error as Error).message}`);
  }
}

/** Encodes a reply in the encoding of its request. Binary values become base64 in JSON. */
export function encodeAs(value: unknown, encoding: Encoding): Uint8Array {
  return encoding === 'msgpack' ? encode(value) : encodeJson(value);
}

export function encodeJson(value: unknown): Uint8Array {
  return textEncoder.encode(JSON.stringify(value, binaryAsBase64));
}

const textDecoder = new TextDecoder('utf-8', { fatal: true });
const textEncoder = new TextEncoder();

function binaryAsBase64(this: unknown, key: string, value: unknown): unknown {
  // A Buffer has a toJSON of its own, which has run by now: look at the holder's value.
  const raw = key === '' ? value : (this as Record<string, unknown>)[key];
  return raw instanceof Uint8Array ? Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('base64') : value;
}

/**
 * One pass over the tokens: each length is within what is left, nesting is bounded, and there are no
 * extension types (which could make a decoder build other things than plain values).
 */
function checkPlain(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length;
  const left: number[] = [1]; // values still to come, per level
  let at = 0;
  const refuse = (why: string): never => {
    throw new ConclaveError('EINVAL', `not msgpack: ${why}`);
  };
  const lengthAt = (size: 1 | 2 | 4): number => {
    if (at + size > end) refuse('cut short');
    const value = size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at) : view.getUint32(at);
    at += size;
    return value;
  };
  // Not `at += lengthAt(size)`: that takes `at` before the length has been read.
  const skip = (size: 1 | 2 | 4): void => {
    const length = lengthAt(size);
    at += length;
  };
  const enter = (values: number): void => {
    if (values > end - at) refuse('cut short');
    if (values === 0) return;
    if (left.length >= limits.messageDepth) refuse('nested too deeply');
    left.push(values);
  };
  while (left.length > 0) {
    const level = left.length - 1;
    const remaining = left[level] as number;
    if (remaining === 0) {
      left.pop();
      continue;
    }
    left[level] = remaining - 1;
    if (at >= end) refuse('cut short');
    const type = bytes[at++] as number;
    if (type <= 0x7f || type >= 0xe0 || type === 0xc0 || type === 0xc2 || type === 0xc3) continue;
    if (type <= 0x8f) enter((type & 0x0f) * 2);
    else if (type <= 0x9f) enter(type & 0x0f);
    else if (type <= 0xbf) at += type & 0x1f;
    else
      switch (type) {
        case 0xc4: // bin 8, 16, 32
        case 0xd9: // str 8
          skip(1);
          break;
        case 0xc5:
        case 0xda:
          skip(2);
          break;
        case 0xc6:
        case 0xdb:
          skip(4);
          break;
        case 0xca: // float 32, uint 32, int 32
        case 0xce:
        case 0xd2:
          at += 4;
          break;
        case 0xcb: // float 64, uint 64, int 64
        case 0xcf:
        case 0xd3:
          at += 8;
          break;
        case 0xcc: // uint 8, int 8
        case 0xd0:
          at += 1;
          break;
        case 0xcd: // uint 16, int 16
        case 0xd1:
          at += 2;
          break;
        case 0xdc:
          enter(lengthAt(2));
          break;
        case 0xdd:
          enter(lengthAt(4));
          break;
        case 0xde:
          enter(lengthAt(2) * 2);
          break;
        case 0xdf:
          enter(lengthAt(4) * 2);
          break;
        default: // 0xc1 and the extension types
          refuse('not plain');
      }
    if (at > end) refuse('cut short');
  }
  if (at !== end) refuse('bytes behind the value');
}
