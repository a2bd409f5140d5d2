import { asLogIndex, type Command, encode } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { decodePiece, encodePiece } from '../src/core/snapshot-piece.js';
import { hashOf, hashOfValue } from '../src/core/state-digest.js';
import { KvStateMachine } from '../src/index.js';
import { payloadOfEntry, RandomEntries } from './random-commands.js';
import { generator, piecesOf, restoredFrom } from './support.js';

function machineWith(...commands: readonly Command[][]): KvStateMachine {
  const machine = new KvStateMachine();
  machine.apply(asLogIndex(1), encode({ open_session: true }));
  for (const [at, list] of commands.entries()) {
    machine.apply(asLogIndex(at + 2), encode({ client_id: 1, acknowledged: 0, commands: list }));
  }
  return machine;
}

describe('the digest of a key-value store', () => {
  it('promise 31: is that of the machine that made the snapshot, after each restore and each entry after it', {
    timeout: 240_000,
  }, () => {
    for (let seed = 1; seed <= 10; seed++) {
      const below = generator(seed);
      const entries = new RandomEntries(below);
      let machine = new KvStateMachine();
      let other = new KvStateMachine();
      for (let index = 1; index <= 700; index++) {
        const payload = payloadOfEntry(entries.next(index));
        machine.apply(asLogIndex(index), payload);
        other.apply(asLogIndex(index), payload);
        if (below(4) === 0) expect(other.digest(), `seed ${seed}, entry ${index}`).toBe(machine.digest());
        if (below(25) === 0) other = restoredFrom(piecesOf(machine));
        if (below(90) === 0) machine = restoredFrom(piecesOf(other));
      }
      expect(restoredFrom(piecesOf(machine)).digest()).toBe(machine.digest());
    }
  });

  it('promise 31: differs where anything of the state differs', () => {
    const lease: Command = [1, 'lease_grant', 5000];
    const states = [
      [[]],
      [[[1, 'put', 'a', 'x']]],
      [[[1, 'put', 'a', 'y']]],
      [[[1, 'put', 'b', 'x']]],
      [[[1, 'put', 'a', new Uint8Array([120])]]],
      [[[2, 'put', 'a', 'x']]],
      [
        [
          [1, 'put', 'a', 'x'],
          [2, 'put', 'a', 'x'],
        ],
      ],
      [
        [
          [1, 'put', 'a', 'x'],
          [2, 'put', 'b', 'y'],
        ],
      ],
      [
        [
          [1, 'put', 'b', 'y'],
          [2, 'put', 'a', 'x'],
        ],
      ],
      [
        [
          [1, 'put', 'a', 'x'],
          [2, 'delete', 'a'],
        ],
      ],
      [[[1, 'cas', 'a', 'x', 7]]],
      [[lease]],
      [[[1, 'lease_grant', 6000]]],
      [[lease], [[2, 'lease_keep', 1]]],
      [[lease, [2, 'put', 'a', 'x', 1]]],
      [[lease, [2, 'put', 'a', 'x']]],
      [[lease, [2, 'lock', 'l', 'me', 1, true]]],
      [[lease, [2, 'lock', 'l', 'you', 1, true]]],
      [[lease, [2, 'lock', 'l', 'me', 1, true], [3, 'lock', 'l', 'you', 1, true], [4, 'lock', 'l', 'they', 1, true]]],
      [[lease, [2, 'lock', 'l', 'me', 1, true], [3, 'lock', 'l', 'they', 1, true], [4, 'lock', 'l', 'you', 1, true]]],
    ] as Command[][][];
    const digests = states.map((commands) => machineWith(...commands).digest());
    expect(new Set(digests).size).toBe(states.length);
  });

  it('promise 31: does not depend on deleted data, except for the numbers that these have used', () => {
    const kept = machineWith([[1, 'put', 'a', 'x']], [[2, 'put', 'b', 'y']], [[3, 'delete', 'b']]);
    const others = machineWith([[1, 'put', 'a', 'x']], [[2, 'put', 'c', 'z']], [[3, 'delete', 'c']]);
    expect(others.digest()).toBe(kept.digest());
  });

  it('promise 31: is the same where another build words the error of a kept result in another way', () => {
    const machine = machineWith([
      [1, 'lease_revoke', 77],
      [2, 'lease_keep', 77],
    ] as Command[]);
    const reworded = restoredFrom(
      piecesOf(machine).map((piece) => {
        const { number, section, rows } = decodePiece(piece);
        const text = JSON.stringify(rows).replaceAll('no lease 77', 'NO LEASE 77');
        return encodePiece(number, section, JSON.parse(text));
      }),
    );
    const textOf = (of: KvStateMachine) => Buffer.concat(piecesOf(of)).toString('latin1');
    expect(textOf(machine)).toContain('no lease 77');
    expect(textOf(reworded)).not.toContain('no lease 77');
    expect(reworded.digest()).toBe(machine.digest());
  });

  it('promise 31: is the same after thousands of leases, locks and sessions have begun and ended, whether it was requested before or not', () => {
    const asked = new KvStateMachine();
    const notAsked = new KvStateMachine();
    for (let index = 1; index <= 12_000; index++) {
      const leaseId = Math.ceil(index / 3);
      const commands: Command[] = [
        [
          [0, 'lease_grant', 5000] as Command,
          [0, 'lock', `lock ${leaseId % 7}`, 'me', leaseId, true] as Command,
          [0, 'lease_revoke', Math.max(1, leaseId - 5)] as Command,
        ][index % 3] as Command,
      ];
      const payload = encode(index % 10 === 0 ? { open_session: true } : { commands });
      asked.apply(asLogIndex(index), payload);
      notAsked.apply(asLogIndex(index), payload);
      if (index % 5 === 0) asked.digest();
    }
    expect(notAsked.digest()).toBe(asked.digest());
    expect(restoredFrom(piecesOf(asked)).digest()).toBe(asked.digest());
  });
});

describe('a hash', () => {
  it('follows from the content, and not from what was hashed before', () => {
    const long = 'x'.repeat(1000);
    const first = hashOfValue('abc');
    hashOfValue(long);
    expect(hashOfValue('abc')).toBe(first);
    expect(hashOfValue(new Uint8Array([97, 98, 99]))).not.toBe(first);
    expect(hashOfValue('abc\0')).not.toBe(first);
  });

  it('sees one changed character of a value, wherever it is', () => {
    const text = 'v'.repeat(200);
    const hashes = Array.from({ length: 200 }, (_, at) => hashOfValue(`${text.slice(0, at)}w${text.slice(at + 1)}`));
    expect(new Set(hashes).size).toBe(200);
  });

  it('distinguishes numbers above 2^32, lists in other lists and absent values', () => {
    const rows = [1, 2 ** 32 + 1, 2 ** 40 + 1, 0, null, true, false, '', '1', [], [1], [[1]], [1, []], [null], [0]];
    expect(new Set(rows.map((row) => hashOf(row))).size).toBe(rows.length);
  });
});
