import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

const log = [[1, 'n1 n2 n3'] as const, 1];
const preVotes = ['ballot-box.elect pre_vote term 3 of n1 n2 n3', 'pre_vote of term 3 asked of n2'];

/** A follower of n2 that has just received tick 1, long after its start. */
function follower(permitsEarly = true): NodeHarness {
  const node = new NodeHarness();
  node.open({ term: 2, log });
  node.random = 0.999;
  node.wait(electionTimeoutMs);
  const replaceableAfterMs = permitsEarly ? 250 : undefined;
  node.appendEntries({ from: 'n2', term: 2, prev: [2, 1], tick: 1, replaceableAfterMs });
  return node;
}

/** The same, 210 ms later, after NATS has reported that nobody leads. */
function withReport(): NodeHarness {
  const node = follower();
  expect(node.wait(210)).toContain('probe 1');
  node.unserved(1);
  return node;
}

function requestPreVote(node: NodeHarness): string | undefined {
  return node.requestVote({ from: 'n3', kind: 'pre_vote', term: 3 }).at(-1);
}

describe('a follower without new ticks', () => {
  test('probes whether a peer leads from 1.3 heartbeats on, at each of its ticks, until NATS has reported', () => {
    const node = follower();
    expect(node.wait(120)).not.toContain('probe 1');
    expect(node.wait(100)).toContain('probe 1');
    expect(node.wait(100)).toContain('probe 2');
    node.unserved(2);
    expect(node.wait(100)).not.toContain('probe 3');
  });

  test('sends no probe if its leader may hold a lease, or is of an older version', () => {
    const node = follower(false);
    expect(node.wait(900).filter((line) => line.startsWith('probe'))).toEqual([]);
  });

  test('campaigns early once NATS reports that no peer leads, after the time in its leader’s last tick', () => {
    const node = withReport();
    const silentMs = () => node.nowMs - startMs;
    const startMs = node.nowMs - 210;
    expect(node.wait(54)).not.toContain(preVotes[0]);
    expect(node.wait(10)).toEqual(expect.arrayContaining(preVotes));
    expect(silentMs()).toBeLessThan(300);
  });

  test('campaigns later than a peer with a lower name, so that the two do not split the votes', () => {
    const node = follower();
    node.appendEntries({
      from: 'n2',
      term: 2,
      prev: [2, 1],
      entries: [[2, 'n0 n1 n2'] as never],
      tick: 2,
      replaceableAfterMs: 250,
    });
    node.wait(210);
    node.unserved(1);
    const sent = node.wait(100);
    expect(sent.some((line) => line.startsWith('ballot-box.elect'))).toBe(false);
    expect(node.wait(30).some((line) => line.startsWith('ballot-box.elect'))).toBe(true);
  });

  test('does not campaign early when another tick arrives, nor after a report on an older probe', () => {
    const node = withReport();
    node.appendEntries({ from: 'n2', term: 2, prev: [2, 1], tick: 2, replaceableAfterMs: 250 });
    node.unserved(1);
    expect(node.dropped('group_unserved_stale')).toBe(1);
    expect(node.wait(electionTimeoutMs).some((line) => line.startsWith('ballot-box.elect'))).toBe(false);
  });

  test('does not campaign early within an election timeout of its start', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log });
    node.random = 0.999;
    node.appendEntries({ from: 'n2', term: 2, prev: [2, 1], tick: 1, replaceableAfterMs: 250 });
    node.wait(200);
    node.unserved(1);
    expect(node.wait(700).some((line) => line.startsWith('ballot-box.elect'))).toBe(false);
  });
});

describe('a voter', () => {
  test('grants an early vote only with its own report, and after the time in its leader’s last tick', () => {
    const without = follower();
    without.wait(300);
    expect(requestPreVote(without)).toBe('pre_vote of term 3 refused to n3');
    const node = withReport();
    node.nowMs += 39;
    expect(requestPreVote(node)).toBe('pre_vote of term 3 refused to n3');
    node.nowMs += 1;
    expect(requestPreVote(node)).toBe('pre_vote of term 3 granted to n3');
  });

  test('grants none if its leader may hold a lease since the last tick', () => {
    const node = withReport();
    node.appendEntries({ from: 'n2', term: 2, prev: [2, 1], tick: 2 });
    node.wait(200);
    node.unserved(9);
    node.nowMs += 300;
    expect(requestPreVote(node)).toBe('pre_vote of term 3 refused to n3');
  });
});

describe('a leader', () => {
  function leader(): NodeHarness {
    const node = new NodeHarness();
    node.lead();
    node.wait(100);
    node.confirmed();
    return node;
  }

  test('answers for the group until its voters may replace it, by its own clock a tenth sooner', () => {
    const node = leader();
    expect(node.replaceableAfterMs).toBe(250);
    node.nowMs = node.tickMs + 224;
    expect(node.read('q')).toEqual([]);
    expect(node.confirmed()).toEqual(['reply 1 q at 0']);
    const late = leader();
    late.nowMs = late.tickMs + 225;
    const before = late.tickId;
    expect(late.read('q'), 'is held').toEqual([]);
    expect(late.tickId, 'begins no round').toBe(before);
    late.wait(100);
    late.confirmed();
    expect(late.confirmed()).toEqual(['reply 1 q at 0']);
  });

  test('asks its voters to wait for longer if confirmations take long, and then for an election timeout', () => {
    const node = leader();
    node.wait(100);
    node.nowMs += 60;
    node.confirmed();
    node.wait(100);
    expect(node.replaceableAfterMs).toBeGreaterThan(300);
    const slow = leader();
    const tick = slow.tickId + 1;
    slow.wait(100);
    slow.nowMs += 150;
    slow.confirmed(tick);
    slow.wait(100);
    expect(slow.replaceableAfterMs).toBeUndefined();
  });

  test('that needs no other peer, and in a joint stage that it can roll back, permits no early vote', () => {
    const alone = new NodeHarness();
    alone.lead({ term: 1, log: [[1, 'n1']] });
    alone.wait(100);
    expect(alone.replaceableAfterMs).toBeUndefined();
  });
});
