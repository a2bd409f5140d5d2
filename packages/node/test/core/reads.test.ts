import { asSession, asTerm, type HistoryAnnouncement } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs, groupId, uid } from './node-on-a-bench.js';

function leader(): Bench {
  const bench = new Bench();
  bench.lead();
  return bench;
}

describe('a linearizable read', () => {
  test('begins a round, and is answered when that round is confirmed', () => {
    const bench = leader();
    const before = bench.tickId;
    expect(bench.read('q')).toEqual([]);
    expect(bench.tickId).toBe(before + 1);
    expect(bench.confirmed(before)).toEqual([]);
    expect(bench.confirmed(before + 1)).toEqual(['reply 1 q at 0']);
  });

  test('is served by no round that began before it arrived', () => {
    const bench = leader();
    bench.read('q');
    bench.read('r');
    const [first, second] = [bench.tickId - 1, bench.tickId];
    bench.read('s');
    expect(bench.tickId).toBe(second);
    expect(bench.confirmed(first)).toEqual(['reply 1 q at 0']);
    // A round has become free: the third read has one of its own.
    expect(bench.tickId).toBe(second + 1);
    expect(bench.confirmed(second)).toEqual(['reply 2 r at 0']);
    expect(bench.confirmed()).toEqual(['reply 3 s at 0']);
  });

  test('sees what was committed when its round began: it waits until that is applied', () => {
    const bench = new Bench();
    bench.answersReads = false;
    bench.lead({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    bench.read('q');
    expect(bench.confirmed()).toEqual([]);
    expect(bench.summary).toMatchObject({ commit_index: 3, applied_index: 0 });
  });

  test('waits for an entry of the leader’s own term to be committed', () => {
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    const before = bench.tickId;
    bench.read('q');
    expect(bench.tickId).toBe(before);
    expect(bench.confirmed()).toEqual([]);
    bench.committed(2);
    expect(bench.tickId).toBe(before + 1);
    expect(bench.confirmed()).toEqual(['reply 1 q at 0']);
  });

  test('promise 32: needs no entry of the own term where all entries before it are known to be committed', () => {
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1 n2 n3'], 1], commit: 2 });
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    expect(bench.summary).toMatchObject({ role: 'leader', commit_index: 2, last_index: 3 });
    bench.confirmed();
    const before = bench.tickId;
    bench.read('q');
    expect(bench.tickId).toBe(before + 1);
    expect(bench.confirmed()).toEqual(['reply 1 q at 1']);
  });

  test('waits for the own term where one entry before it is not known to be committed', () => {
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1 n2 n3'], 1, 1], commit: 2 });
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    bench.read('q');
    expect(bench.confirmed()).toEqual([]);
    bench.committed(4);
    expect(bench.confirmed()).toEqual(['reply 1 q at 2']);
  });

  test('is refused, and not done, where the leader steps down', () => {
    const bench = leader();
    bench.read('q');
    expect(bench.higherTerm('n2', 9)).toContain('refuse 1 EPERM not_done');
    expect(bench.confirmed()).toEqual([]);
  });

  test('of a tick that was never sent confirms nothing', () => {
    const bench = leader();
    bench.read('q');
    expect(bench.confirmed(bench.tickId + 1)).toEqual([]);
  });

  test('is answered only when the own log-store has said, too, that nobody else has opened it', () => {
    const bench = leader();
    bench.saysInForce = false;
    bench.read('q');
    expect(bench.confirmed(), 'a quorum, with this leader counted in').toEqual([]);
    expect(bench.inForce({ tick_id: bench.tickId - 1 }), 'before the round').toEqual([]);
    expect(bench.inForce({ term: asTerm(bench.term - 1) }), 'in another term').toEqual([]);
    expect(bench.inForce({ session: asSession(2) }), 'of another session').toEqual([]);
    expect(bench.inForce()).toEqual(['reply 1 q at 0']);
    bench.read('r');
    expect(bench.inForce()).toEqual([]);
    expect(bench.confirmed()).toEqual(['reply 2 r at 0']);
  });

  test('asks the own log-store again with each tick until it has answered', () => {
    const bench = leader();
    bench.saysInForce = false;
    bench.read('q');
    bench.confirmed();
    bench.saysInForce = true;
    expect(bench.wait(100)).toContain('reply 1 q at 0');
  });

  test('in a group of one is confirmed by the own log-store alone: a fenced node must not answer', () => {
    const bench = new Bench();
    bench.lead({ term: 1, log: [[1, 'n1']] });
    bench.saysInForce = false;
    expect(bench.read('q')).toEqual([]);
    expect(bench.inForce()).toEqual(['reply 1 q at 0']);
    bench.read('r');
    expect(bench.fencedBy(2)).toContain('refuse 2 EPERM not_done');
  });

  test('of a group of one whose log-store is silent is answered once that answers', () => {
    const bench = new Bench();
    bench.lead({ term: 1, log: [[1, 'n1']] });
    bench.nowMs += electionTimeoutMs + 1;
    expect(bench.read('q')).toEqual([]);
    bench.wait(0);
    expect(bench.read('r')).toContain('reply 2 r at 0');
  });
});

describe('a read by lease', () => {
  /** A leader whose ticks are echoed up to the last but one in sessions, as they are when nothing is lost. */
  function withLease(): Bench {
    const bench = leader();
    bench.wait(100);
    bench.confirmed(bench.tickId, bench.tickId);
    return bench;
  }
  const byLease = { consistency: 'lease' } as const;

  test('is answered at once while the lease holds: nine tenths of an election timeout from when its tick was sent', () => {
    const bench = withLease();
    const before = bench.tickId;
    bench.nowMs = bench.tickMs + electionTimeoutMs * 0.9 - 1;
    expect(bench.read('q', byLease)).toEqual(['reply 1 q at 0']);
    expect(bench.tickId).toBe(before);
    bench.nowMs += 1;
    expect(bench.read('q', byLease), 'a quorum is asked').toEqual([]);
    expect(bench.tickId).toBe(before + 1);
    expect(bench.confirmed()).toEqual(['reply 2 q at 0']);
  });

  test('has no lease from ticks that were only echoed: a second node of the peer may vote sooner', () => {
    const bench = leader();
    bench.wait(100);
    bench.confirmed(bench.tickId);
    expect(bench.read('q', byLease)).toEqual([]);
    expect(bench.confirmed()).toEqual(['reply 1 q at 0']);
  });

  test('runs from the tick that was heard in the sessions, not from when that is known', () => {
    const bench = leader();
    bench.wait(100);
    const tick = bench.tickId;
    const sentMs = bench.tickMs;
    for (const _ of [1, 2, 3]) {
      bench.wait(100);
      bench.confirmed(bench.tickId, tick);
    }
    bench.nowMs = sentMs + electionTimeoutMs * 0.9 - 1;
    expect(bench.read('q', byLease)).toEqual(['reply 1 q at 0']);
    bench.nowMs += 1;
    expect(bench.read('q', byLease)).toEqual([]);
  });

  test('needs the leader’s own log-store to have been in its session, too', () => {
    const bench = leader();
    bench.syncs = false;
    bench.wait(100);
    bench.confirmed(bench.tickId, bench.tickId);
    expect(bench.read('q', byLease)).toEqual([]);
    bench.confirmed();
    bench.syncs = true;
    bench.sync();
    expect(bench.read('r', byLease)).toEqual(['reply 2 r at 0']);
  });

  test('of a tick that a read has caused counts only with the next one of the clock', () => {
    const bench = leader();
    bench.read('q');
    expect(bench.confirmed(bench.tickId, bench.tickId)).toEqual(['reply 1 q at 0']);
    expect(bench.read('r', byLease)).toEqual([]);
  });

  test('waits until all that is committed is applied', () => {
    const bench = new Bench();
    bench.answersReads = false;
    bench.lead({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    bench.wait(100);
    bench.confirmed(bench.tickId, bench.tickId);
    expect(bench.read('q', byLease)).toEqual([]);
    bench.answersReads = true;
    expect(bench.wait(600)).toContain('reply 1 q at 1');
  });

  test('has no lease before an entry of the leader’s own term is committed', () => {
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    bench.wait(100);
    bench.confirmed(bench.tickId, bench.tickId);
    expect(bench.read('q', byLease)).toEqual([]);
    bench.committed(2);
    expect(bench.confirmed()).toEqual(['reply 1 q at 0']);
  });

  test('the leader says in its health which peers have another election timeout', () => {
    const bench = withLease();
    bench.progress(
      { peer: 'n2', match: 2, electionTimeoutMs: electionTimeoutMs / 2 },
      { peer: 'n3', match: 2, electionTimeoutMs },
    );
    const reason = `another election timeout than the leader's ${electionTimeoutMs} ms: n2 (${electionTimeoutMs / 2} ms)`;
    expect(bench.core.health()).toEqual({ healthy: true, reason });
    bench.progress({ peer: 'n2', match: 2, electionTimeoutMs }, { peer: 'n3', match: 2 });
    expect(bench.core.health()).toEqual({ healthy: true, reason: '' });
  });

  test('a follower says its election timeout in each echo', () => {
    const bench = new Bench();
    bench.open({ term: 2, log: [[1, 'n1 n2 n3']] });
    bench.appendEntries({ term: 2, prev: [1, 1], tick: 1 });
    const echo = bench.sent.find(({ message }) => message.name === 'feed.echo')?.message.body;
    expect(echo).toMatchObject({ election_timeout_ms: electionTimeoutMs });
  });

  test('has no lease any more in a term in which somebody was told to stand, also where he did not', () => {
    const bench = withLease();
    bench.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    bench.admin('transfer_leader', { peer_id: 'n2', timeout_ms: 100 });
    bench.wait(200);
    bench.confirmed(bench.tickId, bench.tickId);
    expect(bench.read('q', byLease)).toEqual([]);
    expect(bench.confirmed()).toEqual(['reply 2 q at 0']);
  });

  test('has no lease of an older configuration: of new peers it has heard nothing yet', () => {
    const bench = withLease();
    bench.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    bench.admin('remove_peer', { peer_id: 'n3' });
    bench.confirmed(bench.tickId, bench.tickId);
    expect(bench.read('q', byLease), 'a tick from before the configuration').toEqual([]);
    bench.wait(100);
    bench.confirmed(bench.tickId, bench.tickId);
    expect(bench.read('r', byLease)).toEqual(['reply 3 r at 0']);
  });

  test('has no lease of the joint stage that a leader is confirmed in by those who can take it back', () => {
    const bench = leader();
    bench.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    bench.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    const caughtUp = { match: 2, caughtUp: true };
    bench.progress({ peer: 'n2', match: 2 }, { peer: 'n4', ...caughtUp }, { peer: 'n5', ...caughtUp });
    for (let ms = 0; ms <= electionTimeoutMs; ms += 100) {
      bench.wait(100);
      bench.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    }
    expect(bench.status).toMatchObject({ role: 'leader', stage: 'joint' });
    expect(bench.read('q', byLease)).toEqual([]);
  });

  test('a leader that goes on to the stable stage is not confirmed by the old peers: it steps down without the new ones', () => {
    const bench = leader();
    bench.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    bench.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    const caughtUp = { match: 2, caughtUp: true };
    bench.progress({ peer: 'n2', match: 2 }, { peer: 'n4', ...caughtUp }, { peer: 'n5', ...caughtUp });
    bench.committed(3);
    expect(bench.status).toMatchObject({ role: 'leader', stage: 'stable' });
    for (let ms = 0; ms <= 2 * electionTimeoutMs; ms += 100) {
      bench.wait(100);
      bench.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 });
    }
    expect(bench.summary.role).not.toBe('leader');
  });

  test('of a group of one rests on its own log-store alone', () => {
    const bench = new Bench();
    bench.lead({ term: 1, log: [[1, 'n1']] });
    bench.wait(100);
    expect(bench.read('q', byLease)).toEqual(['reply 1 q at 0']);
    bench.dead.add('log-store');
    bench.syncs = false;
    bench.nowMs += electionTimeoutMs * 0.9;
    expect(bench.read('r', byLease)).toEqual([]);
  });

  test('begins anew with each leadership', () => {
    const bench = withLease();
    bench.higherTerm('n2', 8);
    bench.wait(2 * electionTimeoutMs);
    bench.elected();
    bench.elected();
    bench.committed(bench.summary.last_index);
    expect(bench.summary.role).toBe('leader');
    expect(bench.read('q', byLease)).toEqual([]);
  });
});

describe('a follower that is asked for a read index', () => {
  function follower(): Bench {
    const bench = new Bench();
    bench.open({ term: 2, log: [[1, 'n1 n2 n3'], 2], commit: 2 });
    bench.appendEntries({ term: 2, prev: [2, 2] });
    return bench;
  }

  test('asks its leader, and answers when it has applied all up to there', () => {
    const bench = follower();
    expect(bench.read('q', { door: 'peer', consistency: 'linearizable' })).toEqual(['read_index #1 to n2']);
    expect(bench.readIndexAnswer(1, [4, 2])).toEqual([]);
    bench.appendEntries({ term: 2, prev: [2, 2], entries: [2], commit: 3 });
    expect(bench.wait(10)).toEqual([]);
    bench.appendEntries({ term: 2, prev: [3, 2], entries: [2], commit: 4 });
    expect(bench.wait(10)).toEqual(['reply 1 q at 3']);
  });

  test('takes for committed what it has itself of that index and term, without waiting for the leader’s word', () => {
    const bench = follower();
    bench.appendEntries({ term: 2, prev: [2, 2], entries: [2], commit: 2 });
    bench.read('q', { door: 'peer', consistency: 'linearizable' });
    expect(bench.readIndexAnswer(1, [3, 2])).toEqual([]);
    expect(bench.summary.commit_index).toBe(3);
    expect(bench.wait(10)).toEqual(['reply 1 q at 2']);
  });

  test('does not where its own entry there is of another term', () => {
    const bench = follower();
    bench.appendEntries({ term: 2, prev: [2, 2], entries: [2], commit: 2 });
    bench.read('q', { door: 'peer', consistency: 'linearizable' });
    bench.readIndexAnswer(1, [3, 3]);
    expect(bench.summary.commit_index).toBe(2);
  });

  test('joins what arrives meanwhile, but never to a question that was sent before', () => {
    const bench = follower();
    const own = { door: 'peer', consistency: 'linearizable' } as const;
    expect(bench.read('a', own)).toEqual(['read_index #1 to n2']);
    expect(bench.read('b', own)).toEqual(['read_index #2 to n2']);
    expect(bench.read('c', own)).toEqual([]);
    expect(bench.read('d', own)).toEqual([]);
    expect(bench.read('e', { ...own, consistency: 'lease' })).toEqual(['read_index #3 by lease to n2']);
    expect(bench.readIndexAnswer(1, [2, 2])).toEqual(['reply 1 a at 1', 'read_index #4 to n2']);
    expect(bench.readIndexAnswer(4, [2, 2])).toEqual(['reply 3 c at 1', 'reply 4 d at 1']);
  });

  test('asks again with its ticks, and the next leader too', () => {
    const bench = follower();
    bench.read('q', { door: 'peer', consistency: 'linearizable' });
    expect(bench.wait(100)).toEqual(['read_index #1 to n2']);
    bench.appendEntries({ from: 'n3', term: 3, prev: [2, 2] });
    expect(bench.wait(100)).toContain('read_index #1 to n3');
    expect(bench.readIndexAnswer(1, [2, 3])).toEqual(['reply 1 q at 1']);
  });

  test('refuses, not done, after two election timeouts without an answer', () => {
    const bench = follower();
    bench.read('q', { door: 'peer', consistency: 'linearizable' });
    expect(bench.wait(2 * electionTimeoutMs - 1)).not.toContain('refuse 1 ETIMEDOUT not_done');
    expect(bench.wait(101)).toContain('refuse 1 ETIMEDOUT not_done');
    expect(bench.readIndexAnswer(1, [2, 2])).toEqual([]);
  });

  test('takes no answer of another session or history, and each once', () => {
    const bench = follower();
    bench.read('q', { door: 'peer', consistency: 'linearizable' });
    expect(bench.readIndexAnswer(1, [2, 2], { session: asSession(7) })).toEqual([]);
    expect(bench.readIndexAnswer(1, [2, 2], { group_uid: 'other' as never })).toEqual([]);
    expect(bench.readIndexAnswer(2, [2, 2])).toEqual([]);
    expect(bench.readIndexAnswer(1, [2, 2])).toEqual(['reply 1 q at 1']);
    expect(bench.readIndexAnswer(1, [2, 2])).toEqual([]);
    expect(bench.dropped('read_index_answer_stale')).toBe(4);
  });

  test('is refused when another node takes its log-store', () => {
    const bench = follower();
    bench.read('q', { door: 'peer', consistency: 'linearizable' });
    expect(bench.fencedBy(2)).toContain('refuse 1 EFENCED not_done');
  });
});

describe('a leader that is asked for a read index', () => {
  test('answers when a round that began after that is confirmed', () => {
    const bench = leader();
    const before = bench.tickId;
    expect(bench.readIndex('n2', 7)).toEqual([]);
    expect(bench.tickId).toBe(before + 1);
    expect(bench.confirmed(before)).toEqual([]);
    expect(bench.confirmed()).toEqual(['read_index_answer #7 to n2: 2 of term 2']);
  });

  test('does not wait until it has applied that itself', () => {
    const bench = new Bench();
    bench.answersReads = false;
    bench.lead({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    bench.readIndex('n2', 7);
    expect(bench.confirmed()).toEqual(['read_index_answer #7 to n2: 3 of term 2']);
  });

  test('takes a question that is repeated for the one that waits', () => {
    const bench = leader();
    bench.readIndex('n2', 7);
    bench.readIndex('n2', 7);
    bench.readIndex('n2', 7, { session: asSession(5) });
    expect(bench.dropped('read_index_repeated')).toBe(1);
    expect(bench.confirmed()).toHaveLength(2);
  });

  test('answers at once by lease, where that is asked for', () => {
    const bench = leader();
    bench.wait(100);
    bench.confirmed(bench.tickId, bench.tickId);
    expect(bench.readIndex('n2', 7, { by_lease: true })).toEqual(['read_index_answer #7 to n2: 2 of term 2']);
    expect(bench.readIndex('n2', 8)).toEqual([]);
  });

  test('says nothing where it does not lead, is not confirmed, or is asked in another history', () => {
    const bench = leader();
    bench.readIndex('n2', 7, { group_uid: 'other' as never });
    expect(bench.confirmed()).toEqual([]);
    bench.higherTerm('n2', 9);
    expect(bench.readIndex('n2', 8)).toEqual([]);
    expect(bench.dropped('read_index_to_no_leader')).toBe(2);
  });

  test('reads itself as the leader where it is asked on its own subject', () => {
    const bench = leader();
    expect(bench.read('q', { door: 'peer', consistency: 'linearizable' })).toEqual([]);
    expect(bench.confirmed()).toEqual(['reply 1 q at 0']);
  });
});

describe('a peer outside the group', () => {
  const led = {
    group_id: groupId,
    group_uid: uid,
    peer_id: 'n3',
    term: 4,
    stopped_for: '',
  } as never as HistoryAnnouncement;
  const kinds = ['linearizable', 'lease'] as const;

  function spare(): Bench {
    const bench = new Bench();
    bench.open({ term: 0, log: [], groupUid: '' });
    return bench;
  }

  function removed(): Bench {
    const bench = new Bench();
    bench.open({
      term: 2,
      log: [
        [1, 'n1 n2 n3'],
        [2, 'n2 n3'],
      ],
      commit: 2,
    });
    return bench;
  }

  test.each([
    ['spare', spare],
    ['removed', removed],
  ])('refuses at once what needs to know what is committed, with the leader’s name: %s', (_what, make) => {
    const bench = make();
    expect(bench.step({ type: 'led_history', body: led })).toEqual([]);
    for (const consistency of kinds) {
      expect(bench.read('q', { door: 'peer', consistency })).toEqual([
        expect.stringMatching(/^refuse \d+ EPERM not_done leader n3$/),
      ]);
    }
    expect(bench.status.leader_id).toBe('n3');
    expect(bench.read('q', { door: 'peer', consistency: 'stale' })).toEqual([expect.stringMatching(/^reply/)]);
    bench.wait(3500);
    expect(bench.read('q', { door: 'peer', consistency: 'lease' })).toEqual([
      expect.stringMatching(/^refuse \d+ EPERM not_done$/),
    ]);
  });

  test('hears the leaders of its own history, as long as it is outside', () => {
    const bench = removed();
    bench.step({ type: 'led_history', body: { ...led, group_uid: 'another' as never } });
    expect(bench.status.leader_id).toBe('');
    expect(bench.appendEntries({ term: 3, prev: [2, 2], entries: [[3, 'n1 n2 n3']], commit: 3 })).toBeDefined();
    expect(bench.wait(100)).toContain('hear no leaders');
    bench.step({ type: 'led_history', body: led });
    expect(bench.status.leader_id).toBe('n2');
  });
});

describe('a stale read', () => {
  test('is answered at once, by any peer on its own subject', () => {
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    expect(bench.read('q', { door: 'peer', consistency: 'stale' })).toEqual(['reply 1 q at 0']);
  });

  test('on the group’s subject by a leader', () => {
    expect(leader().read('q', { consistency: 'stale' })).toEqual(['reply 1 q at 0']);
  });
});
