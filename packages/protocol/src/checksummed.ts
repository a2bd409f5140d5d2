/**
 * Small stored records: plain msgpack after a CRC-32, so that a flipped bit is detected when they are read.
 *
 *     0  u32  CRC-32 of all that follows, big-endian
 *     4  msgpack
 */
import { crc32 } from 'node:zlib';
import { decode, encode } from './codec.js';
import { ConclaveError } from './errors.js';

export function addChecksum(value: unknown): Uint8Array {
  const body = encode(value);
  const bytes = new Uint8Array(4 + body.length);
  bytes.set(body, 4);
  new DataView(bytes.buffer).setUint32(0, crc32(body));
  return bytes;
}

/** @throws ConclaveError ECORRUPT if the checksum is wrong */
export function removeChecksum(bytes: Uint8Array): unknown {
  const body = bytes.subarray(4);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 5 || view.getUint32(0) !== crc32(body)) throw new ConclaveError('ECORRUPT', 'bad checksum');
  return decode(body);
}
