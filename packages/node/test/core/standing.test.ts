import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs, heartbeatIntervalMs } from './node-on-a-bench.js';

const log = [[1, 'n1 n2 n3'] as const, 1];

function follower(): Bench {
  const bench = new Bench();
  bench.open({ term: 2, log });
  return bench;
}

describe('an election', () => {
  test('begins with pre-votes, which raise no term', () => {
    const bench = follower();
    expect(bench.wait(electionTimeoutMs + 1)).toEqual([
      'ballot-box.elect pre_vote term 3 of n1 n2 n3',
      'pre_vote of term 3 asked of n2',
      'pre_vote of term 3 asked of n3',
    ]);
    expect(bench.summary).toMatchObject({ role: 'pre_candidate', term: 2 });
  });

  test('promise 16: goes on with votes once the own one is synced', () => {
    const bench = follower();
    bench.wait(electionTimeoutMs + 1);
    bench.syncs = false;
    expect(bench.elected()).toEqual(['log-store.vote term 3 for n1']);
    expect(bench.wait(300)).toEqual(['log-store.vote term 3 for n1']);
    expect(bench.sync()).toEqual([
      'ballot-box.elect vote term 3 of n1 n2 n3',
      'vote of term 3 asked of n2',
      'vote of term 3 asked of n3',
    ]);
  });

  test('that is won makes a leader, which appends its configuration again before all else', () => {
    const bench = follower();
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    expect(bench.elected()).toEqual([
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
    const bench = new Bench();
    bench.random = 0.999;
    bench.open({ term: 2, log });
    bench.wait(1.39 * electionTimeoutMs);
    expect(bench.summary.role).toBe('follower');
    bench.wait(0.02 * electionTimeoutMs);
    expect(bench.summary.role).toBe('pre_candidate');
  });

  test('begins at once where a peer with less in its log asks for pre-votes, and no leader may be there', () => {
    const bench = new Bench();
    bench.random = 0.999;
    bench.open({ term: 2, log });
    bench.wait(1);
    bench.appendEntries({ from: 'n2', prev: [2, 1] });
    bench.wait(electionTimeoutMs - 1);
    // A leader may be there.
    expect(bench.requestVote({ kind: 'pre_vote', from: 'n3', term: 3, last: [1, 1] })).toEqual([
      'pre_vote of term 3 refused to n3',
    ]);
    expect(bench.summary.role).toBe('follower');
    bench.wait(1);
    // It has as much, and can win.
    bench.requestVote({ kind: 'pre_vote', from: 'n3', term: 3, last: [2, 1] });
    expect(bench.summary.role).toBe('follower');
    bench.requestVote({ kind: 'pre_vote', from: 'n3', term: 3, last: [1, 1] });
    expect(bench.summary.role).toBe('pre_candidate');
  });

  test.each([
    ['has as much in its log and a higher name', 'n2', [2, 1], true],
    ['has as much in its log and a lower name', 'n0', [2, 1], false],
    ['has less in its log', 'n0', [1, 1], true],
    ['has more in its log', 'n2', [3, 1], false],
  ] as const)(
    'that another peer wants to win in the same term is begun again soon where that one %s: %s',
    (_what, from, last, again) => {
      const bench = new Bench();
      bench.open({ term: 2, log: [[1, 'n0 n1 n2'] as const, 1] });
      bench.wait(electionTimeoutMs + 1);
      bench.elected();
      expect(bench.summary).toMatchObject({ role: 'candidate', term: 3 });
      expect(bench.requestVote({ from, term: 3, last })).toContain(`vote of term 3 refused to ${from}`);
      bench.wait(heartbeatIntervalMs / 2);
      expect(bench.summary.role).toBe(again ? 'pre_candidate' : 'candidate');
    },
  );

  test('is left to a peer of a lower name that asks for pre-votes at the same time: once, until a leader is heard', () => {
    const bench = follower();
    const ask = (from: string) => bench.requestVote({ from, kind: 'pre_vote', term: 3 });
    bench.wait(electionTimeoutMs + 1);
    expect(ask('n2')).toEqual(['pre_vote of term 3 granted to n2']);
    expect(bench.summary.role).toBe('pre_candidate');
    expect(ask('n0')).toContain('pre_vote of term 3 granted to n0');
    expect(bench.summary.role).toBe('follower');
    bench.wait(1.4 * electionTimeoutMs);
    expect(bench.summary.role).toBe('pre_candidate');
    ask('n0');
    expect(bench.summary.role).toBe('pre_candidate');
    bench.appendEntries({ from: 'n2', term: 2, prev: [2, 1] });
    bench.wait(2 * electionTimeoutMs);
    expect(bench.summary.role).toBe('pre_candidate');
    ask('n0');
    expect(bench.summary.role).toBe('follower');
  });

  test('asks again on every tick', () => {
    const bench = follower();
    bench.wait(electionTimeoutMs + 1);
    expect(bench.wait(100)).toEqual(['pre_vote of term 3 asked of n2', 'pre_vote of term 3 asked of n3']);
  });

  test('that is not won in time begins anew, with a pre-vote', () => {
    const bench = follower();
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    const lines = bench.wait(2 * electionTimeoutMs);
    expect(lines).toContain('ballot-box.elect pre_vote term 4 of n1 n2 n3');
    expect(bench.term).toBe(3);
  });

  test('of before says nothing about the one now', () => {
    const bench = follower();
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    const body = { ...bench.own, term: 3 as never, kind: 'pre_vote' as const, election_id: 1 };
    expect(bench.hear({ name: 'node.elected', body })).toEqual([]);
    expect(bench.summary.role).toBe('candidate');
  });

  test('is over when a leader is heard', () => {
    const bench = follower();
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    expect(bench.appendEntries({ from: 'n3', term: 3, prev: [2, 1] })).toEqual([
      'replicator.stop',
      'ballot-box.stop',
      'echo of tick 1 in term 3 to n3',
      'log-store.append term 3 of n3: nothing verified 2',
    ]);
    expect(bench.elected()).toEqual([]);
    expect(bench.summary).toMatchObject({ role: 'follower', leader_id: 'n3' });
  });

  test('a ballot-box that has forgotten it is told again', () => {
    const bench = follower();
    bench.wait(electionTimeoutMs + 1);
    bench.restart('ballot-box');
    expect(bench.wait(100)).toContain('ballot-box.elect pre_vote term 3 of n1 n2 n3');
  });

  test('a higher term ends it', () => {
    const bench = follower();
    bench.wait(electionTimeoutMs + 1);
    bench.higherTerm('n2', 8);
    expect(bench.summary).toMatchObject({ role: 'follower', term: 8 });
  });
});

describe('who may stand', () => {
  test('promise 4: nobody without a configuration', () => {
    const bench = new Bench();
    bench.open({ term: 3 });
    expect(bench.wait(10 * electionTimeoutMs)).toEqual([]);
    expect(bench.timeoutNow(3)).toEqual([]);
    expect(bench.term).toBe(3);
  });

  test('nobody that no configuration has had since the last committed one', () => {
    const bench = new Bench();
    bench.open({
      term: 3,
      log: [
        [1, 'n1 n2 n3'],
        [2, 'n2 n3'],
      ],
      commit: 2,
    });
    expect(bench.wait(10 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
  });

  test('promise 3: a peer that the latest configuration leaves out, while that is not known to be committed', () => {
    const bench = new Bench();
    bench.open({
      term: 3,
      log: [
        [1, 'n1 n2 n3'],
        [2, 'n2 n3'],
      ],
      commit: 1,
    });
    expect(bench.wait(electionTimeoutMs + 1)).toContain('ballot-box.elect pre_vote term 4 of n2 n3');
  });

  test('promise 6: not a store that is another than the configuration binds it to', () => {
    const bench = new Bench();
    bench.open({ term: 3, log: [[1, 'n1:s0 n2 n3']] });
    expect(bench.wait(10 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
  });

  test('not a peer one of whose own actors is silent, until it is whole again', () => {
    const bench = new Bench();
    bench.random = 0.9;
    bench.open({ term: 2, log });
    bench.dead.add('replicator');
    expect(bench.wait(5 * electionTimeoutMs)).toEqual(['event actor_silent, replicator']);
    bench.restart('replicator');
    expect(bench.wait(2 * electionTimeoutMs)).toContain('pre_vote of term 3 asked of n2');
  });

  test('not a peer whose actors have not all shown themselves since the start', () => {
    const bench = new Bench();
    bench.dead.add('ballot-box');
    bench.open({ term: 2, log });
    expect(bench.wait(5 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
  });
});

describe('timeout_now', () => {
  test('makes its target stand at once, above the term, on transfer', () => {
    const bench = follower();
    bench.appendEntries({ prev: [2, 1] });
    expect(bench.timeoutNow(2)).toEqual([
      'log-store.vote term 3 for n1',
      'ballot-box.elect vote term 3 of n1 n2 n3',
      'vote of term 3 asked of n2 on transfer',
      'vote of term 3 asked of n3 on transfer',
    ]);
  });

  test('counts once, for this store, and not of an older term', () => {
    const bench = follower();
    expect(bench.timeoutNow(1)).toEqual([]);
    expect(bench.timeoutNow(2, { store: 's0' })).toEqual([]);
    bench.timeoutNow(2);
    expect(bench.timeoutNow(2)).toEqual([]);
    expect(bench.timeoutNow(3)).toEqual([]);
    expect(bench.term).toBe(3);
  });
});

describe('a higher term', () => {
  test('of a voter deposes a leader', () => {
    const bench = new Bench();
    bench.lead();
    expect(bench.higherTerm('n2', 7)[0]).toBe('event leader_stepped_down, n2 has a higher term');
    expect(bench.summary).toMatchObject({ role: 'follower', term: 7 });
  });

  test('of a peer that does not vote does not: the leader goes above it by itself, once', () => {
    const bench = new Bench();
    bench.lead();
    bench.admin('add_peer', { peer_id: 'n4' });
    bench.progress({ peer: 'n4', match: 0 });
    expect(bench.higherTerm('n4', 7)).toEqual(
      expect.arrayContaining(['log-store.vote term 8 for n1', 'vote of term 8 asked of n2 on transfer']),
    );
    expect(bench.higherTerm('n4', 7)).toEqual([]);
    expect(bench.term).toBe(8);
  });

  test('of a stranger, or of a store that is not the one known, is nothing', () => {
    const bench = new Bench();
    bench.lead();
    expect(bench.higherTerm('n9', 7)).toEqual([]);
    bench.progress({ peer: 'n2', match: 3 });
    expect(bench.higherTerm('n2', 7, 's0')).toEqual([]);
    expect(bench.summary).toMatchObject({ role: 'leader', term: 2 });
  });
});
