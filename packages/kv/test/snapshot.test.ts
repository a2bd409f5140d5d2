import { asLogIndex, encode, limits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { decodePiece, encodePiece } from '../src/core/snapshot-piece.js';
import { KvStateMachine } from '../src/index.js';
import { payloadOfEntry, RandomEntries } from './random-commands.js';
import { generator, piecesOf, Requester, rest, restoredFrom } from './support.js';

/** As `toEqual`, in a fraction of the time. */
function expectSame(pieces: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  expect(pieces.length).toBe(expected.length);
  for (const [at, piece] of pieces.entries()) expect(Buffer.compare(piece, expected[at]!)).toBe(0);
}

/** Applies so many random entries to all of these; their results are the same. */
function applyTo(machines: readonly KvStateMachine[], entries: RandomEntries, from: number, count: number): void {
  for (let index = from; index < from + count; index++) {
    const payload = payloadOfEntry(entries.next(index));
    const [first, ...others] = machines.map((machine) => encode(machine.apply(asLogIndex(index), payload)));
    // Not each by `expect`, which takes longer than all else here.
    if (others.some((other) => Buffer.compare(other, first!) !== 0)) expect(others).toEqual([first]);
  }
}

describe('a snapshot', () => {
  it('is the state at its call, however many entries are applied while it is drawn', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const below = generator(seed);
      const entries = new RandomEntries(below);
      const options = { snapshotPieceBytes: 100 + below(4000) };
      const [going, stopped] = [new KvStateMachine(options), new KvStateMachine(options)];
      const before = 50 + below(1500);
      applyTo([going, stopped], entries, 1, before);
      const snapshot = going.snapshot();
      const pieces: Uint8Array[] = [];
      let index = before + 1;
      for (let next = snapshot.next(); next.done !== true; next = snapshot.next()) {
        pieces.push(next.value);
        const count = below(40);
        // The stopped one stays as it was.
        applyTo([going], entries, index, count);
        index += count;
      }
      // The same state gives the same bytes, whether they are drawn at once or not.
      expectSame(pieces, piecesOf(stopped));
      const other = restoredFrom(pieces, new KvStateMachine(options));
      expectSame(piecesOf(other), pieces);
      // Both go on alike: results, and at the end all that there is.
      applyTo([stopped, other], new RandomEntries(generator(seed + 1000)), before + 1, 400);
      expectSame(piecesOf(other), piecesOf(stopped));
    }
  });

  it('may be one of several, and be abandoned', () => {
    const machine = new KvStateMachine();
    const entries = new RandomEntries(generator(7));
    applyTo([machine], entries, 1, 800);
    const first = machine.snapshot();
    const expected = piecesOf(machine);
    const start = first.next();
    applyTo([machine], entries, 801, 200);
    const second = machine.snapshot();
    const expectedSecond = piecesOf(machine);
    machine.snapshot().return?.();
    applyTo([machine], entries, 1001, 200);
    expectSame([start.value!, ...rest(first)], expected);
    applyTo([machine], entries, 1201, 200);
    expectSame(rest(second), expectedSecond);
    expect(second.next()).toEqual({ done: true, value: undefined });
  });

  it('of nothing is one piece, and what it is restored into forgets what it had', () => {
    const empty = piecesOf(new KvStateMachine());
    expect(empty).toHaveLength(1);
    const requester = new Requester(new KvStateMachine());
    requester.ask('put', { key: 'k', value: 'v' });
    restoredFrom(empty, requester.stateMachine);
    expect(requester.ask('get', { key: 'k' })).toEqual({ key: 'k', value: null, revision: 0 });
    expect(requester.ask('put', { key: 'k', value: 'w' })).toEqual({ revision: 1 });
  });

  it('consists of pieces of a bounded size, whatever the state contains', () => {
    const requester = new Requester(new KvStateMachine());
    const client_id = requester.openSession();
    const large = 'v'.repeat(limits.valueBytes);
    for (let key = 0; key < 20; key++) requester.ask('put', { key: `large ${key}`, value: large });
    for (let key = 0; key < 5000; key++) requester.ask('put', { key: `small ${key}`, value: 'v' });
    requester.ask('txn', { compare: [], then: [['get', 'large 1']], client_id, sequence: 1 });
    const pieces = piecesOf(requester.stateMachine);
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(64 * 1024 + limits.valueBytes + 2048);
    const other = new Requester(restoredFrom(pieces));
    other.index = requester.index;
    const repeated = { compare: [], then: [['get', 'large 2']], client_id, sequence: 1 };
    expect(other.ask('txn', repeated)).toEqual(requester.ask('txn', repeated));
  });

  it('promise 21: a call repeated after a restore has the result that it had', () => {
    const requester = new Requester(new KvStateMachine());
    const client_id = requester.openSession();
    const once = { client_id, sequence: 1 };
    expect(requester.ask('put', { key: 'k', value: 'v', ...once })).toEqual({ revision: 1 });
    requester.ask('put', { key: 'k', value: 'other' });
    const other = new Requester(restoredFrom(piecesOf(requester.stateMachine)));
    other.index = requester.index;
    expect(other.ask('put', { key: 'k', value: 'v', ...once })).toEqual({ revision: 1 });
    expect(other.ask('get', { key: 'k' })).toEqual({ key: 'k', value: 'other', revision: 2 });
  });

  it('contains no clocks: a restored leader waits the whole time of leases and sessions', () => {
    const requester = new Requester(new KvStateMachine({ clientSessionMs: 1500 }));
    requester.openSession();
    requester.ask('lease_grant', { ttl_ms: 1000 });
    expect(requester.stateMachine.housekeeping(0)).toBeUndefined();
    const other = restoredFrom(piecesOf(requester.stateMachine), new KvStateMachine({ clientSessionMs: 1500 }));
    expect(requester.stateMachine.housekeeping(1500)).toBeDefined();
    expect(other.housekeeping(1500)).toBeUndefined();
    expect(other.housekeeping(3000)).toBeDefined();
  });
});

describe('promise 17: a restore', () => {
  const requester = new Requester(new KvStateMachine());
  for (let key = 0; key < 2000; key++) requester.ask('put', { key: `key ${key}`, value: 'some value of this key' });
  const pieces = piecesOf(requester.stateMachine);

  it('refuses a piece with any bit changed', () => {
    const below = generator(3);
    for (let time = 0; time < 200; time++) {
      const damaged = pieces.map((piece) => piece.slice());
      const piece = damaged[below(damaged.length)]!;
      const at = below(piece.length);
      piece[at] = piece[at]! ^ (1 << below(8));
      expect(() => restoredFrom(damaged)).toThrow('ECORRUPT');
    }
  });

  it('refuses pieces that are missing, repeated, in another order or truncated', () => {
    const [head, ...keys] = pieces as [Uint8Array, Uint8Array, Uint8Array];
    for (const wrong of [
      [],
      [head],
      keys,
      pieces.slice(0, -1),
      [...pieces, pieces.at(-1)!],
      [head, ...keys.toReversed()],
      [head.subarray(0, 4)],
      [new Uint8Array()],
    ]) {
      expect(() => restoredFrom(wrong)).toThrow('ECORRUPT');
    }
  });

  it('refuses foreign data, even if its checksum is right', () => {
    const head = encodePiece(0, 'head', [[5, 2, 1, 1, 0, 0, 0]]);
    const lease = encodePiece(1, 'leases', [[2, 1000, 1]]);
    expect(restoredFrom([head, lease, encodePiece(2, 'keys', [['k', 'v', 5, 2]])])).toBeDefined();
    for (const wrong of [
      [encodePiece(0, 'keys', [['k', 'v', 1, 0]])],
      [encodePiece(0, 'head', [['5', 2, 1, 1, 0, 0, 0]] as never)],
      [head, encodePiece(1, 'leases', [[3, 1000, 1]])],
      [head, lease, encodePiece(2, 'keys', [['k', 'v', 6, 0]])],
      [head, lease, encodePiece(2, 'keys', [['k', 'v', 5, 1]])],
      [head, lease, encodePiece(2, 'keys', [['', 'v', 5, 0]])],
      [head, lease, encodePiece(2, 'locks', [['l', 4, ['o', 2], []]])],
      [encodePiece(0, 'head', [[5, 2, 1, 1, 0, limits.clientSessions + 1, 0]])],
    ]) {
      expect(() => restoredFrom(wrong)).toThrow('ECORRUPT');
    }
    const other = encodePiece(0, 'head', [[0, 0, 0, 0, 0, 0, 0]]);
    expect(decodePiece(other).rows).toEqual([[0, 0, 0, 0, 0, 0, 0]]);
  });
});
