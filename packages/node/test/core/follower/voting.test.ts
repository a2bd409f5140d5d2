import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

const log = [[1, 'n1 n2 n3'] as const, 1, 2];

/** A follower in term 2 whose log ends with entry 3 of term 2, long after its start. */
function voter(): NodeHarness {
  const node = new NodeHarness();
  node.open({ term: 2, log });
  node.random = 0.999;
  node.wait(electionTimeoutMs - 1);
  return node;
}

/** The same, and no leader holds a lease. */
function freeVoter(): NodeHarness {
  const node = voter();
  node.nowMs += 1;
  return node;
}

describe('a vote', () => {
  test('is granted once a term, to the first candidate, and again to the same', () => {
    const node = freeVoter();
    expect(node.requestVote({ from: 'n2', term: 3 })).toEqual([
      'log-store.vote term 3 for n2',
      'vote of term 3 granted to n2',
    ]);
    expect(node.requestVote({ from: 'n3', term: 3 })).toEqual(['vote of term 3 refused to n3']);
    expect(node.requestVote({ from: 'n2', term: 3 })).toEqual(['vote of term 3 granted to n2']);
  });

  test('promise 16: a vote is synced before it is sent', () => {
    const node = freeVoter();
    node.syncs = false;
    expect(node.requestVote({ from: 'n2', term: 3 })).toEqual(['log-store.vote term 3 for n2']);
    expect(node.requestVote({ from: 'n3', term: 3 })).toEqual([]);
    expect(node.sync()).toEqual(['vote of term 3 granted to n2', 'vote of term 3 refused to n3']);
  });

  test('a refusal is sent only once its term is synced', () => {
    const node = freeVoter();
    node.syncs = false;
    expect(node.requestVote({ from: 'n2', term: 3, last: [3, 1] })).toEqual(['log-store.vote term 3 for nobody']);
    expect(node.requestVote({ from: 'n3', term: 2 })).toEqual([]);
    expect(node.sync()).toEqual([
      'vote of term 3 refused to n2',
      'higher_term 3 to n3',
      'vote of term 2 refused to n3',
    ]);
  });

  test.each([
    ['an older last term', [9, 1], 'refused'],
    ['the same last term and a shorter log', [2, 2], 'refused'],
    ['the same log', [3, 2], 'granted'],
    ['a newer last term and a shorter log', [1, 3], 'granted'],
  ] as const)('a candidate with %s is compared with the accepted log', (_, last, outcome) => {
    const node = freeVoter();
    expect(node.requestVote({ from: 'n2', term: 4, last }).at(-1)).toBe(`vote of term 4 ${outcome} to n2`);
  });

  test('promise 18: compares the accepted log, durable or not', () => {
    const node = freeVoter();
    node.syncs = false;
    node.appendEntries({ from: 'n2', term: 2, prev: [3, 2], entries: [2, 2] });
    node.nowMs += electionTimeoutMs + 1;
    node.requestVote({ from: 'n3', term: 3, last: [4, 2] });
    expect(node.sync()).toContain('vote of term 3 refused to n3');
  });

  test('a candidate of an older term is sent the higher one', () => {
    const node = freeVoter();
    expect(node.requestVote({ from: 'n2', term: 1 })).toEqual(['higher_term 2 to n2', 'vote of term 1 refused to n2']);
  });

  test('is not granted to another history, nor to itself', () => {
    const node = freeVoter();
    expect(node.requestVote({ group: 'other', term: 9 })).toEqual([]);
    expect(node.requestVote({ from: 'n1', term: 9 })).toEqual([]);
    expect(node.dropped('request_vote_of_other_history')).toBe(2);
    expect(node.term).toBe(2);
  });

  test('a peer without a history grants no vote', () => {
    const node = new NodeHarness();
    node.open();
    node.wait(2 * electionTimeoutMs);
    expect(node.requestVote({ group: '', term: 9 })).toEqual([]);
    expect(node.requestVote({ term: 9 })).toEqual([]);
  });

  test('is granted to a candidate of this history, in the own configuration or not', () => {
    const node = freeVoter();
    expect(node.requestVote({ from: 'n7', term: 3 }).at(-1)).toBe('vote of term 3 granted to n7');
  });

  test('is granted while this peer requests pre-votes', () => {
    const node = freeVoter();
    node.requestVote({ from: 'n3', term: 3, last: [1, 1] });
    node.wait(2 * electionTimeoutMs);
    expect(node.summary.role).toBe('pre_candidate');
    expect(node.requestVote({ from: 'n2', term: 3 })).toEqual([
      'replicator.stop',
      'ballot-box.stop',
      'log-store.vote term 3 for n2',
      'vote of term 3 granted to n2',
    ]);
    expect(node.summary.role).toBe('follower');
  });

  test('is not granted again in a term after a restart: to which store of that name it went is not known', () => {
    const node = new NodeHarness();
    node.open({ term: 3, votedFor: 'n3', log });
    node.nowMs += electionTimeoutMs;
    expect(node.requestVote({ from: 'n2', term: 3 })).toEqual(['vote of term 3 refused to n2']);
    expect(node.requestVote({ from: 'n3', term: 3 })).toEqual(['vote of term 3 refused to n3']);
    expect(node.requestVote({ from: 'n3', term: 4 })).toContain('vote of term 4 granted to n3');
  });

  test('promise 6: is granted to one store of a name alone, while two of them campaign in a term', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log });
    node.nowMs += electionTimeoutMs;
    expect(node.requestVote({ from: 'n3', store: 's3', term: 3 })).toContain('vote of term 3 granted to n3');
    expect(node.requestVote({ from: 'n3', store: 's9', term: 3 })).toEqual(['vote of term 3 refused to n3']);
    expect(node.requestVote({ from: 'n3', store: 's3', term: 3 })).toEqual(['vote of term 3 granted to n3']);
  });
});

describe('a pre-vote', () => {
  test('is granted to a candidate that could win, and changes nothing', () => {
    const node = freeVoter();
    expect(node.requestVote({ kind: 'pre_vote', from: 'n2', term: 3 })).toEqual(['pre_vote of term 3 granted to n2']);
    expect(node.requestVote({ kind: 'pre_vote', from: 'n3', term: 9 })).toEqual(['pre_vote of term 9 granted to n3']);
    expect(node.status).toMatchObject({ term: 2, role: 'follower' });
  });

  test('is refused to a less up-to-date log, and in a term that has begun, which is reported', () => {
    const node = freeVoter();
    expect(node.requestVote({ kind: 'pre_vote', term: 2 })).toEqual([
      'higher_term 2 to n2',
      'pre_vote of term 2 refused to n2',
    ]);
    // This peer stands itself.
    expect(node.requestVote({ kind: 'pre_vote', term: 3, last: [2, 2] })).toEqual([
      'pre_vote of term 3 refused to n2',
      'ballot-box.elect pre_vote term 3 of n1 n2 n3',
      'pre_vote of term 3 asked of n2',
      'pre_vote of term 3 asked of n3',
    ]);
  });

  test('promise 10: is refused to a removed peer while heartbeats of a leader arrive', () => {
    const node = freeVoter();
    node.appendEntries({ from: 'n2', term: 2, prev: [3, 2] });
    expect(node.requestVote({ kind: 'pre_vote', from: 'n5', term: 3 })).toEqual(['pre_vote of term 3 refused to n5']);
  });
});

describe('the lease of a leader at its voters', () => {
  test('a voter grants no vote and raises no term within an election timeout of a tick', () => {
    const node = freeVoter();
    node.appendEntries({ from: 'n2', term: 2, prev: [3, 2] });
    node.nowMs += electionTimeoutMs - 1;
    expect(node.requestVote({ from: 'n3', term: 3 })).toEqual(['vote of term 3 refused to n3']);
    expect(node.term).toBe(2);
    node.nowMs += 1;
    expect(node.requestVote({ from: 'n3', term: 3 }).at(-1)).toBe('vote of term 3 granted to n3');
  });

  test('a tick that arrived before does not renew the lease', () => {
    const node = freeVoter();
    node.appendEntries({ from: 'n2', term: 2, prev: [3, 2], tick: 5 });
    node.nowMs += electionTimeoutMs;
    node.appendEntries({ from: 'n2', term: 2, prev: [3, 2], entries: [2], tick: 5 });
    node.appendEntries({ from: 'n2', term: 2, prev: [3, 2], tick: 4 });
    expect(node.requestVote({ from: 'n3', term: 3 }).at(-1)).toBe('vote of term 3 granted to n3');
  });

  test('an old tick that arrives late, after this peer has campaigned, does not renew the lease', () => {
    const node = freeVoter();
    node.appendEntries({ from: 'n2', term: 2, prev: [3, 2], tick: 5 });
    node.wait(3 * electionTimeoutMs);
    expect(node.summary.role).toBe('pre_candidate');
    expect(node.appendEntries({ from: 'n2', term: 2, prev: [3, 2], tick: 4 })).not.toContain(
      'echo of tick 4 in term 2 to n2',
    );
    expect(node.requestVote({ kind: 'pre_vote', from: 'n3', term: 3 })).toEqual(['pre_vote of term 3 granted to n3']);
  });

  test('a node that has just started grants no vote for an election timeout, even if the leader ordered the candidate to campaign', () => {
    const node = voter();
    expect(node.requestVote({ kind: 'pre_vote', from: 'n2', term: 3 })).toEqual(['pre_vote of term 3 refused to n2']);
    expect(node.requestVote({ from: 'n2', term: 3 })).toEqual(['vote of term 3 refused to n2']);
    expect(node.requestVote({ from: 'n2', term: 3, transfer: true })).toEqual(['vote of term 3 refused to n2']);
    node.nowMs += 1;
    expect(node.requestVote({ from: 'n2', term: 3 }).at(-1)).toBe('vote of term 3 granted to n2');
  });

  test('does not hold if the leader itself has ordered the election, and has ended from then on', () => {
    const node = freeVoter();
    node.appendEntries({ from: 'n2', term: 2, prev: [3, 2] });
    expect(node.requestVote({ from: 'n3', term: 3, transfer: true }).at(-1)).toBe('vote of term 3 granted to n3');
    // n3 was not elected; nobody has to wait for the lease of a leader that has given it up.
    expect(node.requestVote({ from: 'n2', term: 4 }).at(-1)).toBe('vote of term 4 granted to n2');
  });

  test('a leader grants no vote', () => {
    const node = new NodeHarness();
    node.lead();
    expect(node.requestVote({ from: 'n3', term: 9 })).toEqual(['vote of term 9 refused to n3']);
    expect(node.requestVote({ kind: 'pre_vote', from: 'n3', term: 9 })).toEqual(['pre_vote of term 9 refused to n3']);
    expect(node.summary).toMatchObject({ role: 'leader', term: 2 });
  });

  test('a leader votes for the candidate that it has ordered to campaign', () => {
    const node = new NodeHarness();
    node.lead();
    expect(node.requestVote({ from: 'n3', term: 3, transfer: true })).toEqual([
      'event leader_stepped_down, n3 campaigns',
      'serve the group no more',
      'replicator.stop',
      'ballot-box.stop',
      'log-store.vote term 3 for n3',
      'vote of term 3 granted to n3',
    ]);
  });
});
