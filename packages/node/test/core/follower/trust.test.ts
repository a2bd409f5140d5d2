import type { Body } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

const log = [[1, 'n1 n2 n3'] as const];

function follower(): NodeHarness {
  const node = new NodeHarness();
  node.open({ term: 2, log });
  return node;
}

/** The last echo of what was just sent. */
function echoOf(node: NodeHarness): Body<'feed.echo'> | undefined {
  const echo = node.sent.findLast(({ message }) => message.name === 'feed.echo');
  return echo?.message.body as Body<'feed.echo'> | undefined;
}

describe('promise 16: what a follower may trust for how long', () => {
  test('its session is confirmed as of the time of the message that the log-store has acknowledged, not of the acknowledgement', () => {
    const node = follower();
    node.confirmsSession = false;
    node.syncs = false;
    node.nowMs += 0.5 * electionTimeoutMs;
    node.appendEntries({ term: 2, prev: [1, 1], tick: 1 });
    expect(echoOf(node)?.tick_id).toBe(1);
    node.nowMs += 0.8 * electionTimeoutMs;
    node.sync();
    node.nowMs += 0.05 * electionTimeoutMs;
    node.appendEntries({ term: 2, prev: [1, 1], tick: 2 });
    expect(echoOf(node)?.tick_id).toBe(2);
    node.nowMs += 0.1 * electionTimeoutMs;
    node.appendEntries({ term: 2, prev: [1, 1], tick: 3 });
    expect(echoOf(node)).toBeUndefined();
  });

  test('an echo that waits for the sync of the term needs the session when it is sent', () => {
    const node = follower();
    node.confirmsSession = false;
    node.syncs = false;
    node.nowMs += 0.5 * electionTimeoutMs;
    node.appendEntries({ from: 'n3', term: 3, prev: [1, 1], tick: 1 });
    expect(echoOf(node)).toBeUndefined();
    node.nowMs += 0.95 * electionTimeoutMs;
    node.sync();
    expect(echoOf(node)).toBeUndefined();
    node.appendEntries({ from: 'n3', term: 3, prev: [1, 1], tick: 2 });
    expect(echoOf(node)).toBeUndefined();
  });

  test('a session tick is one of the term', () => {
    const node = follower();
    node.appendEntries({ term: 2, prev: [1, 1], tick: 7 });
    node.appendEntries({ term: 2, prev: [1, 1], tick: 8 });
    expect(echoOf(node)?.session_tick_id).toBe(7);
    node.syncs = false;
    node.appendEntries({ from: 'n3', term: 3, prev: [1, 1], tick: 9 });
    node.sync();
    expect(echoOf(node)).toMatchObject({ leader_term: 3, tick_id: 9, session_tick_id: 0 });
  });

  test('a candidate’s own vote does not count before it is synced, even if its ballot-box restarts meanwhile', () => {
    const node = follower();
    node.wait(electionTimeoutMs + 1);
    node.syncs = false;
    node.elected();
    node.restart('ballot-box');
    expect(node.wait(200).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
    expect(node.sync()).toContain('ballot-box.elect vote term 3 of n1 n2 n3');
  });
});
