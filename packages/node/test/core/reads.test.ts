import { asSession, asTerm } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs } from './node-on-a-bench.js';

function leader(): Bench {
  const bench = new Bench();
  bench.lead();
  return bench;
}

describe('a linearizable read', () => {
  test('begins a round, and is answered when that round is confirmed', () => {
    const bench = leader();
    const before = bench.tickId;
    expect(bench.read('q')).toEqual([]);
    expect(bench.tickId).toBe(before + 1);
    expect(bench.confirmed(before)).toEqual([]);
    expect(bench.confirmed(before + 1)).toEqual(['reply 1 q at 0']);
  });

  test('is served by no round that began before it arrived', () => {
    const bench = leader();
    bench.read('q');
    bench.read('r');
    const [first, second] = [bench.tickId - 1, bench.tickId];
    bench.read('s');
    expect(bench.tickId).toBe(second);
    expect(bench.confirmed(first)).toEqual(['reply 1 q at 0']);
    // A round has become free: the third read has one of its own.
    expect(bench.tickId).toBe(second + 1);
    expect(bench.confirmed(second)).toEqual(['reply 2 r at 0']);
    expect(bench.confirmed()).toEqual(['reply 3 s at 0']);
  });

  test('sees what was committed when its round began: it waits until that is applied', () => {
    const bench = new Bench();
    bench.answersReads = false;
    bench.lead({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    bench.read('q');
    expect(bench.confirmed()).toEqual([]);
    expect(bench.summary).toMatchObject({ commit_index: 3, applied_index: 0 });
  });

  test('waits for an entry of the leader’s own term to be committed', () => {
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    const before = bench.tickId;
    bench.read('q');
    expect(bench.tickId).toBe(before);
    expect(bench.confirmed()).toEqual([]);
    bench.committed(2);
    expect(bench.tickId).toBe(before + 1);
    expect(bench.confirmed()).toEqual(['reply 1 q at 0']);
  });

  test('is refused, and not done, where the leader steps down', () => {
    const bench = leader();
    bench.read('q');
    expect(bench.higherTerm('n2', 9)).toContain('refuse 1 EPERM not_done');
    expect(bench.confirmed()).toEqual([]);
  });

  test('of a tick that was never sent confirms nothing', () => {
    const bench = leader();
    bench.read('q');
    expect(bench.confirmed(bench.tickId + 1)).toEqual([]);
  });

  test('is answered only when the own log-store has said, too, that nobody else has opened it', () => {
    const bench = leader();
    bench.saysInForce = false;
    bench.read('q');
    expect(bench.confirmed(), 'a quorum, with this leader counted in').toEqual([]);
    expect(bench.inForce({ tick_id: bench.tickId - 1 }), 'before the round').toEqual([]);
    expect(bench.inForce({ term: asTerm(bench.term - 1) }), 'in another term').toEqual([]);
    expect(bench.inForce({ session: asSession(2) }), 'of another session').toEqual([]);
    expect(bench.inForce()).toEqual(['reply 1 q at 0']);
    bench.read('r');
    expect(bench.inForce()).toEqual([]);
    expect(bench.confirmed()).toEqual(['reply 2 r at 0']);
  });

  test('asks the own log-store again with each tick until it has answered', () => {
    const bench = leader();
    bench.saysInForce = false;
    bench.read('q');
    bench.confirmed();
    bench.saysInForce = true;
    expect(bench.wait(100)).toContain('reply 1 q at 0');
  });

  test('in a group of one is confirmed by the own log-store alone: a fenced node must not answer', () => {
    const bench = new Bench();
    bench.lead({ term: 1, log: [[1, 'n1']] });
    bench.saysInForce = false;
    expect(bench.read('q')).toEqual([]);
    expect(bench.inForce()).toEqual(['reply 1 q at 0']);
    bench.read('r');
    expect(bench.fencedBy(2)).toContain('refuse 2 EPERM not_done');
  });

  test('of a group of one whose log-store is silent is not answered', () => {
    const bench = new Bench();
    bench.lead({ term: 1, log: [[1, 'n1']] });
    bench.nowMs += electionTimeoutMs + 1;
    expect(bench.read('q')).toEqual(['stay silent on 1']);
    bench.wait(0);
    expect(bench.read('r')).toContain('reply 2 r at 0');
  });
});

describe('a stale read', () => {
  test('is answered at once, by any peer on its own subject', () => {
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    expect(bench.read('q', { door: 'peer', consistency: 'stale' })).toEqual(['reply 1 q at 0']);
  });

  test('on the group’s subject by a leader', () => {
    expect(leader().read('q', { consistency: 'stale' })).toEqual(['reply 1 q at 0']);
  });
});
