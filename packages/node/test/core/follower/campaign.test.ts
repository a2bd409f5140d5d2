import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, heartbeatIntervalMs, NodeHarness } from '../node-harness.js';

const log = [[1, 'n1 n2 n3'] as const, 1];

function follower(): NodeHarness {
  const node = new NodeHarness();
  node.open({ term: 2, log });
  return node;
}

describe('an election', () => {
  test('begins with pre-votes, which raise no term', () => {
    const node = follower();
    expect(node.wait(electionTimeoutMs + 1)).toEqual([
      'ballot-box.elect pre_vote term 3 of n1 n2 n3',
      'pre_vote of term 3 asked of n2',
      'pre_vote of term 3 asked of n3',
    ]);
    expect(node.summary).toMatchObject({ role: 'pre_candidate', term: 2 });
  });

  test('promise 16: requests votes once the own vote is synced', () => {
    const node = follower();
    node.wait(electionTimeoutMs + 1);
    node.syncs = false;
    expect(node.elected()).toEqual(['log-store.vote term 3 for n1']);
    expect(node.wait(300)).toEqual(['log-store.vote term 3 for n1']);
    expect(node.sync()).toEqual([
      'ballot-box.elect vote term 3 of n1 n2 n3',
      'vote of term 3 asked of n2',
      'vote of term 3 asked of n3',
    ]);
  });

  test('that is won makes a leader, which appends its configuration again before all else', () => {
    const node = follower();
    node.wait(electionTimeoutMs + 1);
    node.elected();
    expect(node.elected()).toEqual([
      'ballot-box.lead term 3 from 3 to 2, 1: n1 n2 n3',
      'replicator.lead term 3 up to 2: n2 n3',
      // Before it says that it leads: clients then send at once.
      'serve the group',
      'event leader_elected, n1 n2 n3, -',
      'event configuration_appended, n1 n2 n3, -, 3',
      'feed.append term 3 of n1: entry 3 of term 3 {n1 n2 n3} verified 3',
      'replicator.targets n2 n3',
    ]);
  });

  test('begins within 1.4 election timeouts, so that a dead leader is replaced within 1.5', () => {
    const node = new NodeHarness();
    node.random = 0.999;
    node.open({ term: 2, log });
    node.wait(1.39 * electionTimeoutMs);
    expect(node.summary.role).toBe('follower');
    node.wait(0.02 * electionTimeoutMs);
    expect(node.summary.role).toBe('pre_candidate');
  });

  test('begins at once if a peer with a less up-to-date log requests pre-votes, and no leader can exist', () => {
    const node = new NodeHarness();
    node.random = 0.999;
    node.open({ term: 2, log });
    node.wait(1);
    node.appendEntries({ from: 'n2', prev: [2, 1] });
    node.wait(electionTimeoutMs - 1);
    // A leader may be there.
    expect(node.requestVote({ kind: 'pre_vote', from: 'n3', term: 3, last: [1, 1] })).toEqual([
      'pre_vote of term 3 refused to n3',
    ]);
    expect(node.summary.role).toBe('follower');
    node.wait(1);
    // It has as much, and can win.
    node.requestVote({ kind: 'pre_vote', from: 'n3', term: 3, last: [2, 1] });
    expect(node.summary.role).toBe('follower');
    node.requestVote({ kind: 'pre_vote', from: 'n3', term: 3, last: [1, 1] });
    expect(node.summary.role).toBe('pre_candidate');
  });

  test.each([
    ['has as much in its log and a higher name', 'n2', [2, 1], true],
    ['has as much in its log and a lower name', 'n0', [2, 1], false],
    ['has less in its log', 'n0', [1, 1], true],
    ['has more in its log', 'n2', [3, 1], false],
  ] as const)(
    'that another peer wants to win in the same term is begun again soon where that one %s: %s',
    (_what, from, last, again) => {
      const node = new NodeHarness();
      node.open({ term: 2, log: [[1, 'n0 n1 n2'] as const, 1] });
      node.wait(electionTimeoutMs + 1);
      node.elected();
      expect(node.summary).toMatchObject({ role: 'candidate', term: 3 });
      expect(node.requestVote({ from, term: 3, last })).toContain(`vote of term 3 refused to ${from}`);
      node.wait(heartbeatIntervalMs / 2);
      expect(node.summary.role).toBe(again ? 'pre_candidate' : 'candidate');
    },
  );

  test('is left to a peer of a lower name that requests pre-votes at the same time: once, until a heartbeat arrives', () => {
    const node = follower();
    const ask = (from: string) => node.requestVote({ from, kind: 'pre_vote', term: 3 });
    node.wait(electionTimeoutMs + 1);
    expect(ask('n2')).toEqual(['pre_vote of term 3 granted to n2']);
    expect(node.summary.role).toBe('pre_candidate');
    expect(ask('n0')).toContain('pre_vote of term 3 granted to n0');
    expect(node.summary.role).toBe('follower');
    node.wait(1.4 * electionTimeoutMs);
    expect(node.summary.role).toBe('pre_candidate');
    ask('n0');
    expect(node.summary.role).toBe('pre_candidate');
    node.appendEntries({ from: 'n2', term: 2, prev: [2, 1] });
    node.wait(2 * electionTimeoutMs);
    expect(node.summary.role).toBe('pre_candidate');
    ask('n0');
    expect(node.summary.role).toBe('follower');
  });

  test('asks again on every tick', () => {
    const node = follower();
    node.wait(electionTimeoutMs + 1);
    expect(node.wait(100)).toEqual(['pre_vote of term 3 asked of n2', 'pre_vote of term 3 asked of n3']);
  });

  test('that is not won in time is repeated, with a pre-vote', () => {
    const node = follower();
    node.wait(electionTimeoutMs + 1);
    node.elected();
    const lines = node.wait(2 * electionTimeoutMs);
    expect(lines).toContain('ballot-box.elect pre_vote term 4 of n1 n2 n3');
    expect(node.term).toBe(3);
  });

  test('a result of an earlier election does not count for the current one', () => {
    const node = follower();
    node.wait(electionTimeoutMs + 1);
    node.elected();
    const body = { ...node.own, term: 3 as never, kind: 'pre_vote' as const, election_id: 1 };
    expect(node.receive({ name: 'node.elected', body })).toEqual([]);
    expect(node.summary.role).toBe('candidate');
  });

  test('ends when a heartbeat arrives', () => {
    const node = follower();
    node.wait(electionTimeoutMs + 1);
    node.elected();
    expect(node.appendEntries({ from: 'n3', term: 3, prev: [2, 1] })).toEqual([
      'replicator.stop',
      'ballot-box.stop',
      'echo of tick 1 in term 3 to n3',
      'log-store.append term 3 of n3: nothing verified 2',
    ]);
    expect(node.elected()).toEqual([]);
    expect(node.summary).toMatchObject({ role: 'follower', leader_id: 'n3' });
  });

  test('a ballot-box that has restarted is sent the election again', () => {
    const node = follower();
    node.wait(electionTimeoutMs + 1);
    node.restart('ballot-box');
    expect(node.wait(100)).toContain('ballot-box.elect pre_vote term 3 of n1 n2 n3');
  });

  test('a higher term ends an election', () => {
    const node = follower();
    node.wait(electionTimeoutMs + 1);
    node.higherTerm('n2', 8);
    expect(node.summary).toMatchObject({ role: 'follower', term: 8 });
  });
});

describe('the right to campaign', () => {
  test('promise 4: a peer without a configuration does not campaign', () => {
    const node = new NodeHarness();
    node.open({ term: 3 });
    expect(node.wait(10 * electionTimeoutMs)).toEqual([]);
    expect(node.timeoutNow(3)).toEqual([]);
    expect(node.term).toBe(3);
  });

  test('a peer that is in no configuration from the last committed one on does not campaign', () => {
    const node = new NodeHarness();
    node.open({
      term: 3,
      log: [
        [1, 'n1 n2 n3'],
        [2, 'n2 n3'],
      ],
      commit: 2,
    });
    expect(node.wait(10 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
  });

  test('promise 3: a peer that is not in the latest configuration campaigns while that is not known to be committed', () => {
    const node = new NodeHarness();
    node.open({
      term: 3,
      log: [
        [1, 'n1 n2 n3'],
        [2, 'n2 n3'],
      ],
      commit: 1,
    });
    expect(node.wait(electionTimeoutMs + 1)).toContain('ballot-box.elect pre_vote term 4 of n2 n3');
  });

  test('promise 6: a peer with another store than the configuration binds it to does not campaign', () => {
    const node = new NodeHarness();
    node.open({ term: 3, log: [[1, 'n1:s0 n2 n3']] });
    expect(node.wait(10 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
  });

  test('a peer with a silent actor does not campaign until that actor answers again', () => {
    const node = new NodeHarness();
    node.random = 0.9;
    node.open({ term: 2, log });
    node.dead.add('replicator');
    expect(node.wait(5 * electionTimeoutMs)).toEqual(['event actor_silent, replicator']);
    node.restart('replicator');
    expect(node.wait(2 * electionTimeoutMs)).toContain('pre_vote of term 3 asked of n2');
  });

  test('a peer does not campaign before all of its actors have answered since its start', () => {
    const node = new NodeHarness();
    node.dead.add('ballot-box');
    node.open({ term: 2, log });
    expect(node.wait(5 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
  });
});

describe('timeout_now', () => {
  test('makes its target campaign at once, above the term, on transfer', () => {
    const node = follower();
    node.appendEntries({ prev: [2, 1] });
    expect(node.timeoutNow(2)).toEqual([
      'log-store.vote term 3 for n1',
      'ballot-box.elect vote term 3 of n1 n2 n3',
      'vote of term 3 asked of n2 on transfer',
      'vote of term 3 asked of n3 on transfer',
    ]);
  });

  test('is followed once, by this store, and not if it is of an older term', () => {
    const node = follower();
    expect(node.timeoutNow(1)).toEqual([]);
    expect(node.timeoutNow(2, { store: 's0' })).toEqual([]);
    node.timeoutNow(2);
    expect(node.timeoutNow(2)).toEqual([]);
    expect(node.timeoutNow(3)).toEqual([]);
    expect(node.term).toBe(3);
  });
});

describe('a higher term', () => {
  test('of a voter deposes a leader', () => {
    const node = new NodeHarness();
    node.lead();
    expect(node.higherTerm('n2', 7)[0]).toBe('event leader_stepped_down, n2 has a higher term');
    expect(node.summary).toMatchObject({ role: 'follower', term: 7 });
  });

  test('of a peer that does not vote does not depose the leader, which campaigns above that term, once', () => {
    const node = new NodeHarness();
    node.lead();
    node.admin('add_peer', { peer_id: 'n4' });
    node.progress({ peer: 'n4', match: 0 });
    expect(node.higherTerm('n4', 7)).toEqual(
      expect.arrayContaining(['log-store.vote term 8 for n1', 'vote of term 8 asked of n2 on transfer']),
    );
    expect(node.higherTerm('n4', 7)).toEqual([]);
    expect(node.term).toBe(8);
  });

  test('of a stranger, or of another store of a target, is ignored', () => {
    const node = new NodeHarness();
    node.lead();
    expect(node.higherTerm('n9', 7)).toEqual([]);
    node.progress({ peer: 'n2', match: 3 });
    expect(node.higherTerm('n2', 7, 's0')).toEqual([]);
    expect(node.summary).toMatchObject({ role: 'leader', term: 2 });
  });
});
