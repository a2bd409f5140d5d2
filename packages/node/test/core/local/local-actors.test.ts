import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, heartbeatIntervalMs, NodeHarness } from '../node-harness.js';

const log = [[1, 'n1 n2 n3'] as const];

/** How many ticks each own actor is sent in this time. */
function ticksIn(node: NodeHarness, forMs: number): Record<string, number> {
  node.wait(forMs);
  const names = node.sent.map(({ message }) => message.name).filter((name) => name.endsWith('.tick'));
  const counts = { 'log-store.tick': 0, 'replicator.tick': 0, 'ballot-box.tick': 0 };
  for (const name of names) counts[name as keyof typeof counts] += 1;
  return counts;
}

/** A follower that receives a heartbeat in each interval. */
function ticksOfFollower(node: NodeHarness, intervals: number): Record<string, number> {
  const sum: Record<string, number> = {};
  for (let tick = 2; tick < intervals + 2; tick++) {
    node.appendEntries({ term: 2, prev: [1, 1], tick });
    for (const [name, count] of Object.entries(ticksIn(node, heartbeatIntervalMs)))
      sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}

function follower(): NodeHarness {
  const node = new NodeHarness();
  node.open({ term: 2, log });
  node.appendEntries({ term: 2, prev: [1, 1] });
  node.wait(electionTimeoutMs / 2);
  return node;
}

describe('ticks to own actors', () => {
  test('of a follower: two in an election timeout if they have acknowledged everything', () => {
    const intervals = (10 * electionTimeoutMs) / heartbeatIntervalMs;
    expect(ticksOfFollower(follower(), intervals)).toEqual({
      // It acknowledges the appends that heartbeats cause.
      'log-store.tick': 0,
      'replicator.tick': 20,
      'ballot-box.tick': 20,
    });
  });

  test('of a follower: one in each heartbeat interval from when one is not acknowledged', () => {
    const node = follower();
    node.dead.add('replicator');
    const perTimeout = electionTimeoutMs / heartbeatIntervalMs;
    const { 'replicator.tick': sent = 0 } = ticksOfFollower(node, 2 * perTimeout);
    expect(sent).toBeGreaterThanOrEqual(1.5 * perTimeout);
  });

  test('of a follower: the log-store gets one in each interval while a message to it is not acknowledged', () => {
    const node = follower();
    node.syncs = false;
    expect(ticksOfFollower(node, 5)['log-store.tick']).toBe(5);
  });

  test('of a follower without a leader: the log-store acknowledges in every second interval, as another node may open it', () => {
    const node = follower();
    expect(ticksIn(node, 5 * heartbeatIntervalMs)).toMatchObject({ 'log-store.tick': 3, 'replicator.tick': 1 });
  });

  test('of a leader: the replicator and the ballot-box get one in each interval', () => {
    const node = new NodeHarness();
    node.lead();
    node.wait(0);
    expect(ticksIn(node, 5 * heartbeatIntervalMs)).toMatchObject({ 'replicator.tick': 5, 'ballot-box.tick': 5 });
  });

  test('of a candidate: the ballot-box gets one in each interval, and repeats that it is elected', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log });
    node.wait(2 * electionTimeoutMs);
    expect(node.status.role).toBe('pre_candidate');
    expect(ticksIn(node, 3 * heartbeatIntervalMs)).toMatchObject({ 'ballot-box.tick': 3 });
  });

  test('with a short election timeout, every own actor gets one in each interval', () => {
    const node = new NodeHarness('n1', { electionTimeoutMs: 2 * heartbeatIntervalMs });
    node.open({ term: 2, log });
    expect(ticksOfFollower(node, 10)).toMatchObject({ 'replicator.tick': 10, 'ballot-box.tick': 10 });
  });
});
