import { asSession } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, groupId, NodeHarness } from '../node-harness.js';

const log = [[1, 'n1 n2 n3'] as const, 1];

describe('opening the log-store', () => {
  test('asks which run of the log-store this is, opens it, and loads what is durable', () => {
    const node = new NodeHarness();
    expect(node.open({ term: 4, votedFor: 'n2', log, commit: 1 })).toEqual([
      'log-store.hello to n1',
      'log-store.open to n1',
      'replicator.stop',
      'ballot-box.stop',
      'log-store.read from 1',
    ]);
    expect(node.status).toMatchObject({ role: 'follower', term: 4, session: 1, store_id: 's1', group_uid: 'uid' });
    expect(node.summary).toMatchObject({ commit_index: 1, applied_index: 1, last_index: 2 });
  });

  test('is repeated while the log-store does not answer; until then no message is sent to other peers', () => {
    const node = new NodeHarness();
    expect(node.step({ type: 'start' })).toEqual(['log-store.hello to n1']);
    expect(node.wait(100)).toEqual(['log-store.hello to n1']);
    expect(node.requestVote({ term: 9 })).toEqual([]);
    expect(node.appendEntries({ term: 9 })).toEqual([]);
    expect(node.admin('bootstrap', { peers: ['n1'] }, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    expect(node.core.health()).toMatchObject({ healthy: false });
  });

  test('an opening of another nonce is not its own', () => {
    const node = new NodeHarness();
    node.step({ type: 'start' });
    const opened = node.opened({ term: 4, log });
    if (opened.name !== 'node.opened') throw new Error('it opens');
    expect(node.receive({ ...opened, body: { ...opened.body, nonce: 'N2' } })).toEqual([]);
    expect(node.summary.role).toBe('opening');
  });
});

describe('a log-store that has restarted', () => {
  test('makes its node restart, as it reports its restart itself', () => {
    const node = new NodeHarness();
    node.lead();
    const body = { group_id: groupId, incarnation: 'L2', session: asSession(1) };
    expect(node.receive({ name: 'node.welcome', body })).toEqual([
      'event leader_stepped_down, the log-store has restarted',
      'serve the group no more',
      'replicator.stop',
      'ballot-box.stop',
      'start over',
    ]);
    expect(node.receive({ name: 'node.welcome', body })).toEqual([]);
  });

  test('makes its node restart by its acknowledgements, too', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log });
    const body = { ...node.own, link: 1, seq: 0, actor: 'log-store' as const, incarnation: 'L2' };
    expect(node.receive({ name: 'node.ack', body })).toEqual(['start over']);
  });

  test('a repeated welcome of the same run changes nothing', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log });
    const body = { group_id: groupId, incarnation: 'L1', session: asSession(1) };
    expect(node.receive({ name: 'node.welcome', body })).toEqual([]);
  });
});

describe('a fenced node', () => {
  test('a fenced node does nothing any more, reports why, and never opens again', () => {
    const node = new NodeHarness();
    node.lead();
    expect(node.fencedBy(2)).toEqual([
      'event leader_stepped_down, another node has opened the log-store',
      'serve the group no more',
      'replicator.stop',
      'ballot-box.stop',
      'leave the own subjects',
      'event peer_fenced, 2',
    ]);
    expect(node.core.health()).toEqual({ healthy: false, reason: expect.stringContaining('fenced') });
    expect(node.wait(10 * electionTimeoutMs)).toEqual([]);
    expect(node.requestVote({ term: 9 })).toEqual([]);
    const body = { group_id: groupId, incarnation: 'L2', session: asSession(2) };
    expect(node.receive({ name: 'node.welcome', body })).toEqual([]);
    expect(node.read('q', { addressee: 'peer' })).toEqual(['refuse 1 EFENCED not_done']);
  });

  test('a fenced node answers the request that waits for a transfer', () => {
    const node = new NodeHarness();
    node.lead();
    node.progress({ peer: 'n2', match: 2 });
    node.admin('transfer_leader', { peer_id: 'n2' });
    expect(node.fencedBy(2)).toContain('refuse 1 EFENCED unknown');
  });

  test('a fenced node answers the request that waits for a founding', () => {
    const node = new NodeHarness();
    node.open();
    node.admin('bootstrap', { peers: ['n1', 'n2'] }, 'peer');
    expect(node.fencedBy(2)).toContain('refuse 1 EFENCED not_done');
  });

  test('only a newer session fences, and only this one', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log });
    expect(node.fencedBy(1)).toEqual([]);
    expect(node.summary.role).toBe('follower');
  });

  test('messages of another session are dropped', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log });
    const own = { ...node.own, session: asSession(2) };
    const ack = { ...own, link: 1, seq: 1, actor: 'log-store' as const, incarnation: 'L1' };
    expect(node.receive({ name: 'node.ack', body: ack })).toEqual([]);
    expect(node.dropped('ack_of_other_session')).toBe(1);
  });
});
