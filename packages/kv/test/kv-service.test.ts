import { Command, ConclaveError, Key, kvOperations, limits, publicPartOf } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { type KvResult, KvService } from '../src/index.js';
import { generator, payloadOf, replyContext } from './support.js';

const service = new KvService();

function refusal(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    if (error instanceof ConclaveError) return [error.code, error.outcome];
    throw error;
  }
  return 'accepted';
}

describe('the requester', () => {
  it.each([
    ['put', { key: 'k', value: 'v' }, { commands: [[0, 'put', 'k', 'v']] }],
    [
      'put',
      { key: 'k', value: 'v', client_id: 3, sequence: 9, acknowledged: 8 },
      { client_id: 3, acknowledged: 8, commands: [[9, 'put', 'k', 'v']] },
    ],
    ['delete', { key: 'k', client_id: 3, sequence: 9 }, { client_id: 3, commands: [[9, 'delete', 'k']] }],
    ['cas', { key: 'k', value: 'v', expected_revision: 4 }, { commands: [[0, 'cas', 'k', 'v', 4]] }],
    [
      'batch',
      { client_id: 3, acknowledged: 1, commands: [[2, 'delete', 'k']] },
      { client_id: 3, acknowledged: 1, commands: [[2, 'delete', 'k']] },
    ],
    [
      'txn',
      { compare: [['k', 'revision', '=', 0]], then: [['put', 'k', 'v']], client_id: 3, sequence: 9 },
      { client_id: 3, commands: [[9, 'txn', [['k', 'revision', '=', 0]], [['put', 'k', 'v']], []]] },
    ],
    ['put', { key: 'k', value: 'v', lease_id: 4 }, { commands: [[0, 'put', 'k', 'v', 4]] }],
    ['lease_grant', { ttl_ms: 5000 }, { commands: [[0, 'lease_grant', 5000]] }],
    ['lease_keep', { lease_id: 4, client_id: 3, sequence: 9 }, { client_id: 3, commands: [[9, 'lease_keep', 4]] }],
    ['lock', { name: 'l', owner: 'me', lease_id: 4 }, { commands: [[0, 'lock', 'l', 'me', 4, false]] }],
    ['lock', { name: 'l', owner: 'me', lease_id: 4, wait: true }, { commands: [[0, 'lock', 'l', 'me', 4, true]] }],
    ['unlock', { name: 'l', token: 9 }, { commands: [[0, 'unlock', 'l', 9]] }],
    ['lease_revoke', { lease_id: 4 }, { commands: [[0, 'lease_revoke', 4]] }],
    ['open_session', {}, { open_session: true }],
  ])('makes one entry of %s', (operation, body, entry) => {
    expect(payloadOf(operation, body)).toEqual(entry);
  });

  it('makes queries of reads', () => {
    expect(service.parse('get', { key: 'k' })).toMatchObject({
      type: 'read',
      consistency: undefined,
      query: { type: 'keys', keys: ['k'] },
    });
    expect(service.parse('batch_get', { keys: ['a', 'b'], consistency: 'stale' })).toMatchObject({
      type: 'read',
      consistency: 'stale',
      query: { type: 'keys', keys: ['a', 'b'] },
    });
    expect(service.parse('range', { prefix: '' })).toMatchObject({
      type: 'read',
      consistency: undefined,
      query: { type: 'range', prefix: '', startAfter: undefined, limit: limits.rangeKeys, keysOnly: false },
    });
    const page = { prefix: 'a/', start_after: 'a/b', limit: 2, keys_only: true, consistency: 'stale' };
    expect(service.parse('range', page)).toMatchObject({
      type: 'read',
      consistency: 'stale',
      query: { type: 'range', prefix: 'a/', startAfter: 'a/b', limit: 2, keysOnly: true },
    });
  });

  it.each([
    ['put', { key: 'k' }],
    ['put', null],
    ['put', { key: '', value: 'v' }],
    ['put', { key: '\ud800', value: 'v' }],
    ['put', { key: 'k', value: '\udc00' }],
    ['put', { key: 'k', value: 'v', client_id: 1 }],
    ['put', { key: 'k', value: 'v', sequence: 1 }],
    ['put', { key: 'k', value: 'v', client_id: 1, sequence: 0 }],
    ['get', { key: 'k', consistency: 'eventual' }],
    ['batch', [1]],
    ['batch', { commands: [] }],
    ['batch', { commands: 'all' }],
    ['batch', { commands: [[1, 'delete', 'k']], client_id: 1.5 }],
    ['batch_get', { keys: ['k', 7] }],
    ['batch_get', { keys: ['k'], consistency: 'eventual' }],
    ['batch_get', { keys: Array.from({ length: limits.requestCommands + 1 }, () => 'k') }],
    ['range', {}],
    ['range', { prefix: '\ud800' }],
    ['range', { prefix: 'k'.repeat(limits.keyBytes + 1) }],
    ['range', { prefix: '', start_after: '' }],
    ['range', { prefix: '', limit: 0 }],
    ['range', { prefix: '', limit: limits.rangeKeys + 1 }],
    ['range', { prefix: '', keys_only: 1 }],
    ['txn', { then: [] }],
    ['txn', { compare: [['k', 'age', '=', 1]], then: [] }],
    ['txn', { compare: [['k', 'value', '==', 'v']], then: [] }],
    ['txn', { compare: [], then: [['cas', 'k', 'v', 1]] }],
    ['txn', { compare: [], then: [], else: [['get', '']] }],
    ['txn', { compare: [], then: Array.from({ length: limits.transactionParts + 1 }, () => ['get', 'k']) }],
    ['txn', { compare: [], then: [], client_id: 3 }],
    ['put', { key: 'k', value: 'v', lease_id: 0 }],
    ['lease_grant', { ttl_ms: limits.leaseMinMs - 1 }],
    ['lease_grant', { ttl_ms: limits.leaseMaxMs + 1 }],
    ['lease_keep', { lease_id: 'mine' }],
    ['lease_revoke', {}],
    ['lease_get', { lease_id: 1, start_after: '' }],
    ['lease_list', { limit: 0 }],
    ['lock', { name: 'l', owner: '', lease_id: 1 }],
    ['lock', { name: 'l', owner: 'o'.repeat(limits.ownerBytes + 1), lease_id: 1 }],
    ['lock', { name: 'l', owner: 'me' }],
    ['lock', { name: 'l', owner: 'me', lease_id: 1, wait: 7 }],
    ['unlock', { name: 'l', token: 0 }],
    ['lock_get', { name: '' }],
  ])('refuses %s %j', (operation, body) => {
    expect(refusal(() => service.parse(operation, body))).toEqual(['EINVAL', 'not_done']);
  });

  it.each(['increment', 'constructor', ''])('has no operation %j', (operation) => {
    expect(refusal(() => service.parse(operation, {}))).toEqual(['ENOENT', 'not_done']);
  });
});

describe('a reply', () => {
  const reply = (result: KvResult, operation = 'put', body: unknown = { key: 'k', value: 'v' }) => {
    const request = service.parse(operation, body);
    if (request.type !== 'write') throw new Error(`${operation} is a write`);
    return request.reply(result, replyContext);
  };

  it('is thrown with the outcome that it has', () => {
    expect(refusal(() => reply({ results: [['not_done', 'EBUSY', 'full']] }))).toEqual(['EBUSY', 'not_done']);
    expect(refusal(() => reply({ results: [['unknown', 'ESESSION', 'gone']] }))).toEqual(['ESESSION', 'unknown']);
    expect(refusal(() => reply({ refused: 'no entry' }))).toEqual(['EINVAL', 'not_done']);
  });

  it('matches its schema', () => {
    const done: KvResult = { results: [['done', 5, true]] };
    const results: KvResult = { results: [['done', 5, false, [['get', null, 0]]]] };
    const txn = reply(results, 'txn', { compare: [], then: [], else: [['get', 'k']] });
    expect(kvOperations.txn.reply.parse(txn)).toEqual({ succeeded: false, revision: 5, results: [['get', null, 0]] });
    for (const [operation, body] of [
      ['put', { key: 'k', value: 'v' }],
      ['delete', { key: 'k' }],
      ['cas', { key: 'k', value: 'v', expected_revision: 0 }],
      ['batch', { commands: [[1, 'delete', 'k']] }],
    ] as const) {
      kvOperations[operation].reply.parse(reply(done, operation, body));
    }
  });
});

describe('the check by hand', () => {
  const parts: unknown[] = [
    ...[
      0,
      1,
      7,
      1000,
      limits.leaseMaxMs,
      limits.leaseMaxMs + 1,
      -1,
      1.5,
      Number.NaN,
      -0,
      Number.MAX_SAFE_INTEGER,
      Number.MAX_SAFE_INTEGER + 1,
      5n,
    ],
    ...[
      'put',
      'delete',
      'cas',
      'k',
      '',
      '\ud800',
      'ü'.repeat(512),
      'ü'.repeat(513),
      'k'.repeat(1024),
      'k'.repeat(1025),
    ],
    ...['v'.repeat(limits.valueBytes), 'v'.repeat(limits.valueBytes + 1), '€'.repeat(limits.valueBytes / 3 + 1)],
    ...[
      new Uint8Array(3),
      Buffer.alloc(2),
      new Uint8Array(limits.valueBytes + 1),
      new Uint16Array(1),
      new ArrayBuffer(1),
    ],
    ...[null, undefined, true, [], {}, ['k'], new String('k')],
  ];
  const accepts = (operation: 'batch' | 'batch_get', body: unknown) =>
    refusal(() => service.parse(operation, body)) === 'accepted';

  /** Replaces a part by another one, in the list or in a list within it. */
  const spoil = (list: unknown[], random: (below: number) => number): void => {
    const at = random(list.length + 1);
    const inner = list[at];
    if (!Array.isArray(inner) || random(4) === 0) list[at] = parts[random(parts.length)];
    else {
      list[at] = [...inner];
      spoil(list[at] as unknown[], random);
    }
  };

  it('accepts and refuses the same commands as the schema', () => {
    const random = generator(7);
    const whole = `${'p'.repeat(12)}.${'s'.repeat(22)}`;
    const valid: unknown[][] = [
      [1, 'put', 'k', 'v'],
      [1, 'put', 'k', new Uint8Array(2)],
      [1, 'put', 'k', 'v', 1],
      [1, 'lease_grant', 1000],
      [1, 'lease_keep', 7],
      [1, 'lease_revoke', 7],
      [1, 'put', 'k', 'v', whole],
      [1, 'lease_keep', whole],
      [1, 'lease_revoke', whole],
      [1, 'lease_revoke', whole, 'force'],
      [1, 'lease_revoke', publicPartOf(whole), 'force'],
      [1, 'unlock', 'k', 7, whole],
      [1, 'unlock', 'k', 7, 'force'],
      [1, 'lock', 'k', 'v', 7, true],
      [1, 'unlock', 'k', 7],
      [1, 'txn', [['k', 'lock', '=', 7]], [], []],
      [1, 'delete', 'k'],
      [1, 'cas', 'k', 'v', 1],
      [
        1,
        'txn',
        [['k', 'revision', '>', 1]],
        [['put', 'k', 'v']],
        [
          ['get', 'k'],
          ['delete', 'k'],
        ],
      ],
      [
        1,
        'txn',
        [
          ['k', 'value', '=', new Uint8Array(1)],
          ['k', 'value', '<', 'v'],
        ],
        [],
        [['put', 'k', new Uint8Array(1)]],
      ],
    ];
    const seen = { accepted: 0, refused: 0 };
    for (let round = 0; round < 4000; round++) {
      const command = [...(valid[random(valid.length)] as unknown[])];
      const faults = random(3);
      for (let fault = 0; fault < faults; fault++) spoil(command, random);
      if (random(12) === 0) command.length = random(6);
      const schema = Command.safeParse(command).success;
      expect(accepts('batch', { commands: [command] }), `command ${round}`).toBe(schema);
      seen[schema ? 'accepted' : 'refused'] += 1;
    }
    expect(seen.accepted).toBeGreaterThan(500);
    expect(seen.refused).toBeGreaterThan(500);
  });

  it('accepts and refuses the same keys, clients and marks as the schema', () => {
    for (const part of parts) {
      expect(accepts('batch_get', { keys: [part] })).toBe(Key.safeParse(part).success);
      const commands = [[1, 'delete', 'k']];
      for (const body of [{ commands, client_id: part }, { commands, acknowledged: part }, { commands: part }]) {
        expect(accepts('batch', body)).toBe(kvOperations.batch.request.safeParse(body).success);
      }
    }
  });
});
