import { asSession } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs, groupId } from './node-on-a-bench.js';

const log = [[1, 'n1 n2 n3'] as const, 1];

describe('opening the log-store', () => {
  test('asks which run of it this is, opens that one, and takes what is durable', () => {
    const bench = new Bench();
    expect(bench.open({ term: 4, votedFor: 'n2', log, commit: 1 })).toEqual([
      'log-store.hello to n1',
      'log-store.open to n1',
      'replicator.stop',
      'ballot-box.stop',
      'log-store.read from 1',
    ]);
    expect(bench.status).toMatchObject({ role: 'follower', term: 4, session: 1, store_id: 's1', group_uid: 'uid' });
    expect(bench.summary).toMatchObject({ commit_index: 1, applied_index: 1, last_index: 2 });
  });

  test('is asked for again while it does not answer; until then nothing is said to anybody', () => {
    const bench = new Bench();
    expect(bench.step({ type: 'start' })).toEqual(['log-store.hello to n1']);
    expect(bench.wait(100)).toEqual(['log-store.hello to n1']);
    expect(bench.requestVote({ term: 9 })).toEqual([]);
    expect(bench.appendEntries({ term: 9 })).toEqual([]);
    expect(bench.admin('bootstrap', { peers: ['n1'] }, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    expect(bench.core.health()).toMatchObject({ healthy: false });
  });

  test('an opening of another nonce is not its own', () => {
    const bench = new Bench();
    bench.step({ type: 'start' });
    const opened = bench.opened({ term: 4, log });
    if (opened.name !== 'node.opened') throw new Error('it opens');
    expect(bench.hear({ ...opened, body: { ...opened.body, nonce: 'N2' } })).toEqual([]);
    expect(bench.summary.role).toBe('opening');
  });
});

describe('a log-store that has restarted', () => {
  test('makes its node start over: it says so itself', () => {
    const bench = new Bench();
    bench.lead();
    const body = { group_id: groupId, incarnation: 'L2', session: asSession(1) };
    expect(bench.hear({ name: 'node.welcome', body })).toEqual([
      'event leader_stepped_down, the log-store has restarted',
      'serve the group no more',
      'replicator.stop',
      'ballot-box.stop',
      'start over',
    ]);
    expect(bench.hear({ name: 'node.welcome', body })).toEqual([]);
  });

  test('or its acknowledgements do', () => {
    const bench = new Bench();
    bench.open({ term: 2, log });
    const body = { ...bench.own, link: 1, seq: 0, actor: 'log-store' as const, incarnation: 'L2' };
    expect(bench.hear({ name: 'node.ack', body })).toEqual(['start over']);
  });

  test('the same run that says hello again changes nothing', () => {
    const bench = new Bench();
    bench.open({ term: 2, log });
    const body = { group_id: groupId, incarnation: 'L1', session: asSession(1) };
    expect(bench.hear({ name: 'node.welcome', body })).toEqual([]);
  });
});

describe('a fenced node', () => {
  test('does nothing any more, says why, and never opens again', () => {
    const bench = new Bench();
    bench.lead();
    expect(bench.fencedBy(2)).toEqual([
      'event leader_stepped_down, another node has opened the log-store',
      'serve the group no more',
      'replicator.stop',
      'ballot-box.stop',
      'leave the own subjects',
      'event peer_fenced, 2',
    ]);
    expect(bench.core.health()).toEqual({ healthy: false, reason: expect.stringContaining('fenced') });
    expect(bench.wait(10 * electionTimeoutMs)).toEqual([]);
    expect(bench.requestVote({ term: 9 })).toEqual([]);
    const body = { group_id: groupId, incarnation: 'L2', session: asSession(2) };
    expect(bench.hear({ name: 'node.welcome', body })).toEqual([]);
    expect(bench.read('q', { door: 'peer' })).toEqual(['refuse 1 EFENCED not_done']);
  });

  test('answers whoever waits for a hand-over', () => {
    const bench = new Bench();
    bench.lead();
    bench.progress({ peer: 'n2', match: 2 });
    bench.admin('transfer_leader', { peer_id: 'n2' });
    expect(bench.fencedBy(2)).toContain('refuse 1 EFENCED unknown');
  });

  test('answers whoever waits for a founding', () => {
    const bench = new Bench();
    bench.open();
    bench.admin('bootstrap', { peers: ['n1', 'n2'] }, 'peer');
    expect(bench.fencedBy(2)).toContain('refuse 1 EFENCED not_done');
  });

  test('only a newer session fences, and only this one', () => {
    const bench = new Bench();
    bench.open({ term: 2, log });
    expect(bench.fencedBy(1)).toEqual([]);
    expect(bench.summary.role).toBe('follower');
  });

  test('what is of another session is not heard', () => {
    const bench = new Bench();
    bench.open({ term: 2, log });
    const own = { ...bench.own, session: asSession(2) };
    const ack = { ...own, link: 1, seq: 1, actor: 'log-store' as const, incarnation: 'L1' };
    expect(bench.hear({ name: 'node.ack', body: ack })).toEqual([]);
    expect(bench.dropped('ack_of_other_session')).toBe(1);
  });
});
