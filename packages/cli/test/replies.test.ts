/** What a command makes of the answer to it. */
import { adminCommands, type ConclaveError, encode, isForeignReply } from '@conclave/protocol';
import { expect, it } from 'vitest';
import { parseReply } from '../src/admin-client.js';

const failure = (data: Uint8Array): ConclaveError => {
  try {
    parseReply(data, adminCommands.add_peer.reply);
  } catch (error) {
    return error as ConclaveError;
  }
  throw new Error('it was taken');
};

it('a reply that cannot be read does not show that nothing was done', () => {
  for (const data of [Uint8Array.of(0xc1), new Uint8Array(), encode({ old_peers: 1 }), encode([1])]) {
    expect(failure(data)).toMatchObject({ code: 'EINVAL', outcome: 'unknown' });
  }
});

it('an answer in JSON to a request in msgpack is another program’s', () => {
  expect(isForeignReply(Buffer.from('{"stream":"ALL","seq":1}'))).toBe(true);
  expect(isForeignReply(encode({ error: { code: 'EBUSY', message: '', outcome: 'not_done' } }))).toBe(false);
  expect(isForeignReply(new Uint8Array())).toBe(false);
});
