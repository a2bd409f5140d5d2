import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs } from './node-on-a-bench.js';

const three = { peers: ['n1', 'n2', 'n3'] };

function empty(peerId = 'n1'): Bench {
  const bench = new Bench(peerId);
  bench.open();
  return bench;
}

function noLeader(bench: Bench): string[] {
  return bench.step({ type: 'group_answered', askId: 1, status: null });
}

describe('founding a group', () => {
  test('asks everybody first, then writes entry 1 as a group of one, then takes the others in', () => {
    const bench = empty();
    expect(bench.admin('bootstrap', three, 'peer')).toEqual(['ask the group', 'identify n2', 'identify n3']);
    expect(noLeader(bench)).toEqual([]);
    expect(bench.identity('n2')).toEqual([]);
    expect(bench.identity('n3')).toEqual([
      'log-store.vote term 1 for n1',
      'log-store.append term 1 of n1: entry 1 of term 1 {n1 for n1 n2 n3 level 1} verified 1',
      'event configuration_appended, n1, -, 1',
      'log-store.vote term 2 for n1',
      'ballot-box.elect vote term 2 of n1 for n1 n2 n3 level 1',
    ]);
    expect(bench.elected()).toContain('feed.append term 2 of n1: entry 2 of term 2 {n1 level 1} verified 2');
    expect(bench.committed(2)).toContain('event stage_changed, catching_up, n1, n1 n2 n3');
    bench.progress({ peer: 'n2', match: 2, caughtUp: true }, { peer: 'n3', match: 2, caughtUp: true });
    bench.committed(3);
    expect(bench.committed(4)).toContainEqual(expect.stringContaining('"founded":true'));
  });

  test('the entry is synced before it stands for election with it', () => {
    const bench = empty();
    bench.syncs = false;
    bench.admin('bootstrap', { peers: ['n1'] }, 'peer');
    expect(noLeader(bench)).not.toContain('log-store.vote term 2 for n1');
    expect(bench.sync()).toEqual(['log-store.vote term 2 for n1']);
  });

  test('no two foundings have the same group_uid', () => {
    const bench = empty();
    bench.admin('bootstrap', { peers: ['n1'] }, 'peer');
    noLeader(bench);
    expect(bench.status.group_uid).toBe('N1.1');
  });

  test('nothing is founded where a peer holds the group: it answers what is there', () => {
    const bench = empty();
    bench.admin('bootstrap', three, 'peer');
    noLeader(bench);
    bench.identity('n2');
    const found = { group_uid: 'uid' as never, leader_id: 'n5' as never };
    expect(bench.identity('n3', found)).toEqual([
      'reply 1 {"group_id":"main","group_uid":"uid","peers":[],"old_peers":[],"leader_id":"n5","founded":false}',
    ]);
    expect(bench.status.group_uid).toBe('');
  });

  test('nothing is founded where a leader answers', () => {
    const bench = empty();
    bench.admin('bootstrap', three, 'peer');
    bench.identity('n2');
    bench.identity('n3');
    const other = new Bench();
    other.lead();
    expect(bench.step({ type: 'group_answered', askId: 1, status: other.status })).toContainEqual(
      expect.stringContaining('"founded":false'),
    );
  });

  test('nothing is founded where a peer cannot be reached', () => {
    const bench = empty();
    bench.admin('bootstrap', { ...three, timeout_ms: 500 }, 'peer');
    noLeader(bench);
    bench.identity('n2');
    expect(bench.wait(400)).toContain('identify n3');
    expect(bench.wait(200)).toContain('refuse 1 EUNREACHABLE not_done');
    expect(bench.identity('n3')).toEqual([]);
  });

  test('a peer that is not listed founds nothing', () => {
    expect(empty('n9').admin('bootstrap', three, 'peer')).toEqual(['refuse 1 EINVAL not_done']);
  });

  test('of two founders the lower name goes on', () => {
    const low = empty('n1');
    low.admin('bootstrap', three, 'peer');
    expect(low.identify('n2')).toEqual(['identity to n2: nothing, founding']);
    const high = empty('n2');
    high.admin('bootstrap', three, 'peer');
    expect(high.identify('n1')).toEqual(['refuse 1 EBUSY not_done', 'identity to n1: nothing']);
  });

  test('a founder does not count who is founding itself', () => {
    const bench = empty();
    bench.admin('bootstrap', { peers: ['n1', 'n2'] }, 'peer');
    noLeader(bench);
    expect(bench.identity('n2', { founding: true })).toEqual([]);
  });

  test('who has promised to wait does not found meanwhile', () => {
    const bench = empty();
    bench.identify('n2');
    expect(bench.admin('bootstrap', three, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    bench.wait(5 * electionTimeoutMs + 1);
    expect(bench.admin('bootstrap', three, 'peer')).toContain('ask the group');
  });

  test('a leader’s replicator is told who this is, and nothing is promised to it', () => {
    const bench = empty();
    expect(bench.identify('n2', { asker: 'replicator', founding: false })).toEqual(['replicator.identity to n2']);
    expect(bench.admin('bootstrap', three, 'peer')).toContain('ask the group');
  });
});

describe('a founding that was cut short', () => {
  test('between vote and entry is founded anew, in the next term', () => {
    const bench = new Bench();
    bench.open({ term: 1, votedFor: 'n1' });
    bench.admin('bootstrap', { peers: ['n1'] }, 'peer');
    expect(noLeader(bench)).toContain(
      'log-store.append term 2 of n1: entry 1 of term 2 {n1 for n1 level 1} verified 1',
    );
  });

  test('after the entry goes on where it was, when it is asked again', () => {
    const bench = new Bench();
    bench.lead({ term: 1, votedFor: 'n1', log: [[1, 'n1 for n1 n2 n3']] });
    expect(bench.admin('bootstrap', { peers: ['n1', 'n2'] }, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    expect(bench.admin('bootstrap', three, 'peer')).toContain('event stage_changed, catching_up, n1, n1 n2 n3');
  });

  test('a group that is there is answered, whoever is listed', () => {
    const bench = new Bench();
    bench.lead();
    expect(bench.admin('bootstrap', three, 'peer')).toEqual([
      'reply 1 {"group_id":"main","group_uid":"uid","peers":["n1","n2","n3"],"old_peers":[],"leader_id":"n1","founded":false}',
    ]);
  });

  test('where others do not catch up, the group of one is there all the same: unknown', () => {
    const bench = new Bench();
    bench.lead({ term: 1, votedFor: 'n1', log: [[1, 'n1 for n1 n2 n3']] });
    bench.admin('bootstrap', { ...three, timeout_ms: 300 }, 'peer');
    expect(bench.wait(300)).toContain('refuse 1 ECATCHUP unknown');
  });

  test('who waits is answered at the deadline, where the founder cannot be elected', () => {
    const bench = empty();
    bench.admin('bootstrap', { peers: ['n1'], timeout_ms: 500 }, 'peer');
    noLeader(bench);
    expect(bench.wait(600)).toContain('refuse 1 ETIMEDOUT unknown');
    bench.elected();
    expect(bench.committed(2).filter((line) => /^(reply|refuse)/.test(line))).toEqual([]);
  });
});
