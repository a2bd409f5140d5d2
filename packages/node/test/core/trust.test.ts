import type { Body } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs } from './node-on-a-bench.js';

const log = [[1, 'n1 n2 n3'] as const];

function follower(): Bench {
  const bench = new Bench();
  bench.open({ term: 2, log });
  return bench;
}

/** The last echo of what was just sent. */
function echoOf(bench: Bench): Body<'feed.echo'> | undefined {
  const echo = bench.sent.findLast(({ message }) => message.name === 'feed.echo');
  return echo?.message.body as Body<'feed.echo'> | undefined;
}

describe('promise 16: what a follower may trust for how long', () => {
  test('it is sure of its session as of when it sent what the log-store has acknowledged, not as of the acknowledgement', () => {
    const bench = follower();
    bench.saysInForce = false;
    bench.syncs = false;
    bench.nowMs += 0.5 * electionTimeoutMs;
    bench.appendEntries({ term: 2, prev: [1, 1], tick: 1 });
    expect(echoOf(bench)?.tick_id).toBe(1);
    bench.nowMs += 0.8 * electionTimeoutMs;
    bench.sync();
    bench.nowMs += 0.05 * electionTimeoutMs;
    bench.appendEntries({ term: 2, prev: [1, 1], tick: 2 });
    expect(echoOf(bench)?.tick_id).toBe(2);
    bench.nowMs += 0.1 * electionTimeoutMs;
    bench.appendEntries({ term: 2, prev: [1, 1], tick: 3 });
    expect(echoOf(bench)).toBeUndefined();
  });

  test('a session tick is one of the term', () => {
    const bench = follower();
    bench.appendEntries({ term: 2, prev: [1, 1], tick: 7 });
    bench.appendEntries({ term: 2, prev: [1, 1], tick: 8 });
    expect(echoOf(bench)?.session_tick_id).toBe(7);
    bench.syncs = false;
    bench.appendEntries({ from: 'n3', term: 3, prev: [1, 1], tick: 9 });
    bench.sync();
    expect(echoOf(bench)).toMatchObject({ leader_term: 3, tick_id: 9, session_tick_id: 0 });
  });

  test('a candidate’s own vote does not count before it is synced, also where its ballot-box restarts meanwhile', () => {
    const bench = follower();
    bench.wait(electionTimeoutMs + 1);
    bench.syncs = false;
    bench.elected();
    bench.restart('ballot-box');
    expect(bench.wait(200).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
    expect(bench.sync()).toContain('ballot-box.elect vote term 3 of n1 n2 n3');
  });
});
