import { asSession, asTerm, type HistoryAnnouncement } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, groupId, NodeHarness, uid } from '../node-harness.js';

function leader(): NodeHarness {
  const node = new NodeHarness();
  node.lead();
  return node;
}

describe('a linearizable read', () => {
  test('begins a round, and is answered when that round is confirmed', () => {
    const node = leader();
    const before = node.tickId;
    expect(node.read('q')).toEqual([]);
    expect(node.tickId).toBe(before + 1);
    expect(node.confirmed(before)).toEqual([]);
    expect(node.confirmed(before + 1)).toEqual(['reply 1 q at 0']);
  });

  test('sends its tick to the members itself once a quorum of them answers such ticks', () => {
    const node = leader();
    /** The ticks of the last step, and to whom those of the node itself went. */
    const ticks = (): string[] => {
      const sent = node.sent.flatMap(({ to, message: { name } }) =>
        name === 'node.read_tick' ? [`${name} ${to}`] : name === 'replicator.tick' ? [name] : [],
      );
      return [...new Set(sent)];
    };
    node.read('q');
    expect(ticks()).toEqual(['replicator.tick']);
    node.confirmed();
    node.progress({ peer: 'n2', match: 1, answersReadTicks: true }, { peer: 'n3', match: 1 });
    node.read('r');
    expect(ticks()).toEqual(['node.read_tick n2']);
    expect(node.confirmed()).toEqual(['reply 2 r at 0']);
    node.progress({ peer: 'n2', match: 1, answersReadTicks: true, store: 's9' }, { peer: 'n3', match: 1 });
    node.read('s');
    expect(ticks()).toEqual(['replicator.tick']);
  });

  test('is served by no round that began before it arrived', () => {
    const node = leader();
    node.read('q');
    node.read('r');
    const [first, second] = [node.tickId - 1, node.tickId];
    node.read('s');
    expect(node.tickId).toBe(second);
    expect(node.confirmed(first)).toEqual(['reply 1 q at 0']);
    // A round has become free: the third read has one of its own.
    expect(node.tickId).toBe(second + 1);
    expect(node.confirmed(second)).toEqual(['reply 2 r at 0']);
    expect(node.confirmed()).toEqual(['reply 3 s at 0']);
  });

  test('sees what was committed when its round began: it waits until that is applied', () => {
    const node = new NodeHarness();
    node.answersReads = false;
    node.lead({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    node.read('q');
    expect(node.confirmed()).toEqual([]);
    expect(node.summary).toMatchObject({ commit_index: 3, applied_index: 0 });
  });

  test('waits for an entry of the leader’s own term to be committed', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    const before = node.tickId;
    node.read('q');
    expect(node.tickId).toBe(before);
    expect(node.confirmed()).toEqual([]);
    node.committed(2);
    expect(node.tickId).toBe(before + 1);
    expect(node.confirmed()).toEqual(['reply 1 q at 0']);
  });

  test('promise 32: needs no entry of the own term if all entries before it are known to be committed', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3'], 1], commit: 2 });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    expect(node.summary).toMatchObject({ role: 'leader', commit_index: 2, last_index: 3 });
    node.confirmed();
    const before = node.tickId;
    node.read('q');
    expect(node.tickId).toBe(before + 1);
    expect(node.confirmed()).toEqual(['reply 1 q at 1']);
  });

  test('waits for the own term if one entry before it is not known to be committed', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3'], 1, 1], commit: 2 });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    node.read('q');
    expect(node.confirmed()).toEqual([]);
    node.committed(4);
    expect(node.confirmed()).toEqual(['reply 1 q at 2']);
  });

  test('is refused, and not done, if the leader steps down', () => {
    const node = leader();
    node.read('q');
    expect(node.higherTerm('n2', 9)).toContain('refuse 1 EPERM not_done');
    expect(node.confirmed()).toEqual([]);
  });

  test('is not confirmed by a tick that was never sent', () => {
    const node = leader();
    node.read('q');
    expect(node.confirmed(node.tickId + 1)).toEqual([]);
  });

  test('is answered only when this peer’s log-store has confirmed, too, that no other node has opened it', () => {
    const node = leader();
    node.confirmsSession = false;
    node.read('q');
    expect(node.confirmed(), 'a quorum, with this leader counted in').toEqual([]);
    expect(node.inForce({ tick_id: node.tickId - 1 }), 'before the round').toEqual([]);
    expect(node.inForce({ term: asTerm(node.term - 1) }), 'in another term').toEqual([]);
    expect(node.inForce({ session: asSession(2) }), 'of another session').toEqual([]);
    expect(node.inForce()).toEqual(['reply 1 q at 0']);
    node.read('r');
    expect(node.inForce()).toEqual([]);
    expect(node.confirmed()).toEqual(['reply 2 r at 0']);
  });

  test('asks the own log-store again with each tick until it has answered', () => {
    const node = leader();
    node.confirmsSession = false;
    node.read('q');
    node.confirmed();
    node.confirmsSession = true;
    expect(node.wait(100)).toContain('reply 1 q at 0');
  });

  test('in a group of one is confirmed by the own log-store alone: a fenced node must not answer', () => {
    const node = new NodeHarness();
    node.lead({ term: 1, log: [[1, 'n1']] });
    node.confirmsSession = false;
    expect(node.read('q')).toEqual([]);
    expect(node.inForce()).toEqual(['reply 1 q at 0']);
    node.read('r');
    expect(node.fencedBy(2)).toContain('refuse 2 EPERM not_done');
  });

  test('of a group of one whose log-store is silent is answered once the log-store answers', () => {
    const node = new NodeHarness();
    node.lead({ term: 1, log: [[1, 'n1']] });
    node.nowMs += electionTimeoutMs + 1;
    expect(node.read('q')).toEqual([]);
    node.wait(0);
    expect(node.read('r')).toContain('reply 2 r at 0');
  });
});

describe('a read by lease', () => {
  /** A leader whose ticks are echoed up to the last but one in sessions, as they are when nothing is lost. */
  function withLease(): NodeHarness {
    const node = leader();
    node.useLease();
    node.wait(100);
    node.confirmed(node.tickId, node.tickId);
    return node;
  }
  const byLease = { consistency: 'lease' } as const;

  test('is answered at once while the lease holds: nine tenths of an election timeout from when its tick was sent', () => {
    const node = withLease();
    const before = node.tickId;
    node.nowMs = node.tickMs + electionTimeoutMs * 0.9 - 1;
    expect(node.read('q', byLease)).toEqual(['reply 1 q at 0']);
    expect(node.tickId).toBe(before);
    node.nowMs += 1;
    expect(node.read('q', byLease), 'a quorum is asked').toEqual([]);
    expect(node.tickId).toBe(before + 1);
    expect(node.confirmed()).toEqual(['reply 2 q at 0']);
  });

  test('has no lease from ticks that were only echoed: a second node of the peer may vote sooner', () => {
    const node = leader();
    node.wait(100);
    node.confirmed(node.tickId);
    expect(node.read('q', byLease)).toEqual([]);
    expect(node.confirmed()).toEqual(['reply 1 q at 0']);
  });

  test('is based on ticks after the first read that asks for the lease: the voters know that they must wait', () => {
    const node = leader();
    node.wait(100);
    node.confirmed(node.tickId, node.tickId);
    expect(node.replaceableAfterMs).toBe(250);
    expect(node.read('q', byLease), 'a quorum is asked').toEqual([]);
    expect(node.replaceableAfterMs).toBeUndefined();
    expect(node.confirmed()).toEqual(['reply 1 q at 0']);
    node.wait(100);
    expect(node.replaceableAfterMs).toBeUndefined();
    expect(node.read('r', byLease)).toEqual([]);
    node.confirmed(node.tickId, node.tickId);
    expect(node.read('s', byLease)).toEqual(['reply 3 s at 0']);
  });

  test('ends the lease after ten election timeouts without another one: voters may replace the leader early again', () => {
    const node = withLease();
    for (let ms = 0; ms < 9.8 * electionTimeoutMs; ms += 100) {
      node.wait(100);
      node.confirmed(node.tickId, node.tickId);
    }
    expect(node.replaceableAfterMs).toBeUndefined();
    for (let ms = 0; ms < 300; ms += 100) {
      node.wait(100);
      node.confirmed(node.tickId, node.tickId);
    }
    expect(node.replaceableAfterMs).toBeDefined();
    expect(node.read('q', byLease)).toEqual([]);
    expect(node.replaceableAfterMs).toBeUndefined();
  });

  test('runs from the tick that arrived in the sessions, not from when that is known', () => {
    const node = leader();
    node.useLease();
    node.wait(100);
    const tick = node.tickId;
    const sentMs = node.tickMs;
    for (const _ of [1, 2, 3]) {
      node.wait(100);
      node.confirmed(node.tickId, tick);
    }
    node.nowMs = sentMs + electionTimeoutMs * 0.9 - 1;
    expect(node.read('q', byLease)).toEqual(['reply 1 q at 0']);
    node.nowMs += 1;
    expect(node.read('q', byLease)).toEqual([]);
  });

  test('needs the leader’s own log-store to have been in its session, too', () => {
    const node = leader();
    node.useLease();
    node.syncs = false;
    node.wait(100);
    node.confirmed(node.tickId, node.tickId);
    expect(node.read('q', byLease)).toEqual([]);
    node.confirmed();
    node.syncs = true;
    node.sync();
    expect(node.read('r', byLease)).toEqual(['reply 2 r at 0']);
  });

  test('of a tick that a read has caused counts only with the next tick of the clock', () => {
    const node = leader();
    node.read('q');
    expect(node.confirmed(node.tickId, node.tickId)).toEqual(['reply 1 q at 0']);
    expect(node.read('r', byLease)).toEqual([]);
  });

  test('waits until all that is committed is applied', () => {
    const node = new NodeHarness();
    node.answersReads = false;
    node.lead({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    node.useLease();
    node.wait(100);
    node.confirmed(node.tickId, node.tickId);
    expect(node.read('q', byLease)).toEqual([]);
    node.answersReads = true;
    expect(node.wait(600)).toContain('reply 1 q at 1');
  });

  test('has no lease before an entry of the leader’s own term is committed', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    node.wait(100);
    node.confirmed(node.tickId, node.tickId);
    expect(node.read('q', byLease)).toEqual([]);
    node.committed(2);
    expect(node.confirmed()).toEqual(['reply 1 q at 0']);
  });

  test('the leader reports in its health which peers have another election timeout', () => {
    const node = withLease();
    node.progress(
      { peer: 'n2', match: 2, electionTimeoutMs: electionTimeoutMs / 2 },
      { peer: 'n3', match: 2, electionTimeoutMs },
    );
    const reason = `another election timeout than the leader's ${electionTimeoutMs} ms: n2 (${electionTimeoutMs / 2} ms)`;
    expect(node.core.health()).toEqual({ healthy: true, reason });
    node.progress({ peer: 'n2', match: 2, electionTimeoutMs }, { peer: 'n3', match: 2 });
    expect(node.core.health()).toEqual({ healthy: true, reason: '' });
  });

  test('a follower reports its election timeout in each echo', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [[1, 'n1 n2 n3']] });
    node.appendEntries({ term: 2, prev: [1, 1], tick: 1 });
    const echo = node.sent.find(({ message }) => message.name === 'feed.echo')?.message.body;
    expect(echo).toMatchObject({ election_timeout_ms: electionTimeoutMs });
  });

  test('has no lease any more in a term in which a peer was ordered to campaign, even if it did not', () => {
    const node = withLease();
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    node.admin('transfer_leader', { peer_id: 'n2', timeout_ms: 100 });
    node.wait(200);
    node.confirmed(node.tickId, node.tickId);
    expect(node.read('q', byLease)).toEqual([]);
    expect(node.confirmed()).toEqual(['reply 2 q at 0']);
  });

  test('has no lease of an older configuration: no new peer has echoed it yet', () => {
    const node = withLease();
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    node.admin('remove_peer', { peer_id: 'n3' });
    node.confirmed(node.tickId, node.tickId);
    expect(node.read('q', byLease), 'a tick from before the configuration').toEqual([]);
    node.wait(100);
    node.confirmed(node.tickId, node.tickId);
    expect(node.read('r', byLease)).toEqual(['reply 3 r at 0']);
  });

  test('has no lease in the joint stage if a leader is confirmed only by the peers that can roll it back', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    node.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    const caughtUp = { match: 2, caughtUp: true };
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n4', ...caughtUp }, { peer: 'n5', ...caughtUp });
    for (let ms = 0; ms <= electionTimeoutMs; ms += 100) {
      node.wait(100);
      node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    }
    expect(node.status).toMatchObject({ role: 'leader', stage: 'joint' });
    expect(node.read('q', byLease)).toEqual([]);
  });

  test('a leader that enters the stable stage is not confirmed by the old peers: it steps down without the new ones', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    node.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    const caughtUp = { match: 2, caughtUp: true };
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n4', ...caughtUp }, { peer: 'n5', ...caughtUp });
    node.committed(3);
    expect(node.status).toMatchObject({ role: 'leader', stage: 'stable' });
    for (let ms = 0; ms <= 2 * electionTimeoutMs; ms += 100) {
      node.wait(100);
      node.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 });
    }
    expect(node.summary.role).not.toBe('leader');
  });

  test('in a group of one needs only its own log-store', () => {
    const node = new NodeHarness();
    node.lead({ term: 1, log: [[1, 'n1']] });
    node.wait(100);
    expect(node.read('q', byLease)).toEqual(['reply 1 q at 0']);
    node.dead.add('log-store');
    node.syncs = false;
    node.nowMs += electionTimeoutMs * 0.9;
    expect(node.read('r', byLease)).toEqual([]);
  });

  test('a lease does not outlive a leadership', () => {
    const node = withLease();
    node.higherTerm('n2', 8);
    node.wait(2 * electionTimeoutMs);
    node.elected();
    node.elected();
    node.committed(node.summary.last_index);
    expect(node.summary.role).toBe('leader');
    expect(node.read('q', byLease)).toEqual([]);
  });
});

describe('promise 28: many reads that are confirmed at once', () => {
  test('are answered a page a turn by a leader: ticks and votes need not wait for all of them', () => {
    const node = leader();
    node.machine.rows = { page: 1000 };
    node.read('first');
    node.read('second');
    const read = () =>
      node.step({ type: 'read', requestId: 9, addressee: 'group', consistency: 'linearizable', query: 'page' });
    for (const _ of [1, 2, 3]) read();
    // Two rounds are in flight; the pages share the next one.
    expect(node.confirmed(node.tickId - 1)).toEqual(['reply 1 first at 0']);
    expect(node.confirmed()).toEqual(['reply 2 second at 0', 'reply 9 page at 0']);
    // Two more turns.
    expect(node.wait(0)).toEqual(['reply 9 page at 0', 'reply 9 page at 0']);
  });

  test('are answered 59 a turn if each is of one key', () => {
    const node = leader();
    node.read('first');
    node.read('second');
    for (let number = 0; number < 100; number++) node.read('key');
    node.confirmed(node.tickId - 1);
    // With the second one.
    expect(node.confirmed().length).toBe(59);
    expect(node.wait(0).length).toBe(42);
  });

  test('are answered a page a turn by a follower', () => {
    const node = new NodeHarness();
    node.machine.rows = { page: 1000 };
    node.open({ term: 2, log: [[1, 'n1 n2 n3'], 2], commit: 2 });
    node.appendEntries({ term: 2, prev: [2, 2] });
    const over = { addressee: 'peer', consistency: 'linearizable' } as const;
    expect(node.read('page', over)).toEqual(['read_index #1 to n2']);
    expect(node.read('page', over)).toEqual(['read_index #2 to n2']);
    node.read('page', over);
    node.read('page', over);
    expect(node.readIndexAnswer(1, [2, 2])).toEqual(['reply 1 page at 1', 'read_index #3 to n2']);
    expect(node.readIndexAnswer(3, [2, 2])).toEqual(['reply 3 page at 1']);
    expect(node.wait(0)).toEqual(['reply 4 page at 1']);
  });

  test('are refused if they have waited for two election timeouts, and not before', () => {
    const node = leader();
    node.machine.rows = { page: 1000 };
    node.confirmsSession = false;
    node.read('page');
    expect(node.keepConfirmed(2 * electionTimeoutMs - 100).filter((line) => line.startsWith('refuse'))).toEqual([]);
    expect(node.keepConfirmed(200)).toContain('refuse 1 EBUSY not_done');
    node.confirmsSession = true;
    expect(node.inForce()).toEqual([]);
  });

  test('are not refused by a leader whose process was paused, until a quorum confirms it: another one may answer them', () => {
    const node = leader();
    node.read('q');
    node.nowMs += 3 * electionTimeoutMs;
    expect(node.wait(0).filter((line) => line.startsWith('refuse'))).toEqual([]);
    expect(node.confirmed()).toEqual(['reply 1 q at 0']);
  });
});

describe('a follower that is asked for a read index', () => {
  function follower(): NodeHarness {
    const node = new NodeHarness();
    node.open({ term: 2, log: [[1, 'n1 n2 n3'], 2], commit: 2 });
    node.appendEntries({ term: 2, prev: [2, 2] });
    return node;
  }

  test('asks its leader, and answers when it has applied all entries up to the read index', () => {
    const node = follower();
    expect(node.read('q', { addressee: 'peer', consistency: 'linearizable' })).toEqual(['read_index #1 to n2']);
    expect(node.readIndexAnswer(1, [4, 2])).toEqual([]);
    node.appendEntries({ term: 2, prev: [2, 2], entries: [2], commit: 3 });
    expect(node.wait(10)).toEqual([]);
    node.appendEntries({ term: 2, prev: [3, 2], entries: [2], commit: 4 });
    expect(node.wait(10)).toEqual(['reply 1 q at 3']);
  });

  test('considers its own entry of that index and term committed, without waiting for the leader’s commit index', () => {
    const node = follower();
    node.appendEntries({ term: 2, prev: [2, 2], entries: [2], commit: 2 });
    node.read('q', { addressee: 'peer', consistency: 'linearizable' });
    expect(node.readIndexAnswer(1, [3, 2])).toEqual([]);
    expect(node.summary.commit_index).toBe(3);
    expect(node.wait(10)).toEqual(['reply 1 q at 2']);
  });

  test('does not consider it committed if its own entry there is of another term', () => {
    const node = follower();
    node.appendEntries({ term: 2, prev: [2, 2], entries: [2], commit: 2 });
    node.read('q', { addressee: 'peer', consistency: 'linearizable' });
    node.readIndexAnswer(1, [3, 3]);
    expect(node.summary.commit_index).toBe(2);
  });

  test('joins what arrives meanwhile, but never to a question that was sent before', () => {
    const node = follower();
    const own = { addressee: 'peer', consistency: 'linearizable' } as const;
    expect(node.read('a', own)).toEqual(['read_index #1 to n2']);
    expect(node.read('b', own)).toEqual(['read_index #2 to n2']);
    expect(node.read('c', own)).toEqual([]);
    expect(node.read('d', own)).toEqual([]);
    expect(node.read('e', { ...own, consistency: 'lease' })).toEqual(['read_index #3 by lease to n2']);
    expect(node.readIndexAnswer(1, [2, 2])).toEqual(['reply 1 a at 1', 'read_index #4 to n2']);
    expect(node.readIndexAnswer(4, [2, 2])).toEqual(['reply 3 c at 1', 'reply 4 d at 1']);
  });

  test('asks again with its ticks, and the next leader too', () => {
    const node = follower();
    node.read('q', { addressee: 'peer', consistency: 'linearizable' });
    expect(node.wait(100)).toEqual(['read_index #1 to n2']);
    node.appendEntries({ from: 'n3', term: 3, prev: [2, 2] });
    expect(node.wait(100)).toContain('read_index #1 to n3');
    expect(node.readIndexAnswer(1, [2, 3])).toEqual(['reply 1 q at 1']);
  });

  test('refuses its reads as not done after two election timeouts without an answer', () => {
    const node = follower();
    node.read('q', { addressee: 'peer', consistency: 'linearizable' });
    expect(node.wait(2 * electionTimeoutMs - 1)).not.toContain('refuse 1 ETIMEDOUT not_done');
    expect(node.wait(101)).toContain('refuse 1 ETIMEDOUT not_done');
    expect(node.readIndexAnswer(1, [2, 2])).toEqual([]);
  });

  test('accepts no answer of another session or history, and each answer once', () => {
    const node = follower();
    node.read('q', { addressee: 'peer', consistency: 'linearizable' });
    expect(node.readIndexAnswer(1, [2, 2], { session: asSession(7) })).toEqual([]);
    expect(node.readIndexAnswer(1, [2, 2], { group_uid: 'other' as never })).toEqual([]);
    expect(node.readIndexAnswer(2, [2, 2])).toEqual([]);
    expect(node.readIndexAnswer(1, [2, 2])).toEqual(['reply 1 q at 1']);
    expect(node.readIndexAnswer(1, [2, 2])).toEqual([]);
    expect(node.dropped('read_index_answer_stale')).toBe(4);
  });

  test('is refused when another node opens its log-store', () => {
    const node = follower();
    node.read('q', { addressee: 'peer', consistency: 'linearizable' });
    expect(node.fencedBy(2)).toContain('refuse 1 EFENCED not_done');
  });
});

describe('a leader that is asked for a read index', () => {
  test('answers when a round that began after the question is confirmed', () => {
    const node = leader();
    const before = node.tickId;
    expect(node.readIndex('n2', 7)).toEqual([]);
    expect(node.tickId).toBe(before + 1);
    expect(node.confirmed(before)).toEqual([]);
    expect(node.confirmed()).toEqual(['read_index_answer #7 to n2: 2 of term 2']);
  });

  test('does not wait until it has applied the entries itself', () => {
    const node = new NodeHarness();
    node.answersReads = false;
    node.lead({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    node.readIndex('n2', 7);
    expect(node.confirmed()).toEqual(['read_index_answer #7 to n2: 3 of term 2']);
  });

  test('treats a repeated question as the one that waits', () => {
    const node = leader();
    node.readIndex('n2', 7);
    node.readIndex('n2', 7);
    node.readIndex('n2', 7, { session: asSession(5) });
    expect(node.dropped('read_index_repeated')).toBe(1);
    expect(node.confirmed()).toHaveLength(2);
  });

  test('answers at once by lease, if that is requested', () => {
    const node = leader();
    node.useLease();
    node.wait(100);
    node.confirmed(node.tickId, node.tickId);
    expect(node.readIndex('n2', 7, { by_lease: true })).toEqual(['read_index_answer #7 to n2: 2 of term 2']);
    expect(node.readIndex('n2', 8)).toEqual([]);
  });

  test('does not answer if it does not lead, is not confirmed, or is asked in another history', () => {
    const node = leader();
    node.readIndex('n2', 7, { group_uid: 'other' as never });
    expect(node.confirmed()).toEqual([]);
    node.higherTerm('n2', 9);
    expect(node.readIndex('n2', 8)).toEqual([]);
    expect(node.dropped('read_index_to_no_leader')).toBe(2);
  });

  test('reads itself as the leader if it is asked on its own subject', () => {
    const node = leader();
    expect(node.read('q', { addressee: 'peer', consistency: 'linearizable' })).toEqual([]);
    expect(node.confirmed()).toEqual(['reply 1 q at 0']);
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

  function spare(): NodeHarness {
    const node = new NodeHarness();
    node.open({ term: 0, log: [], groupUid: '' });
    return node;
  }

  function removed(): NodeHarness {
    const node = new NodeHarness();
    node.open({
      term: 2,
      log: [
        [1, 'n1 n2 n3'],
        [2, 'n2 n3'],
      ],
      commit: 2,
    });
    return node;
  }

  test.each([
    ['spare', spare],
    ['removed', removed],
  ])('refuses at once what needs to know what is committed, with the leader’s name: %s', (_what, make) => {
    const node = make();
    expect(node.step({ type: 'led_history', body: led })).toEqual([]);
    for (const consistency of kinds) {
      expect(node.read('q', { addressee: 'peer', consistency })).toEqual([
        expect.stringMatching(/^refuse \d+ EPERM not_done leader n3$/),
      ]);
    }
    expect(node.status.leader_id).toBe('n3');
    expect(node.read('q', { addressee: 'peer', consistency: 'stale' })).toEqual([expect.stringMatching(/^reply/)]);
    node.wait(3500);
    expect(node.read('q', { addressee: 'peer', consistency: 'lease' })).toEqual([
      expect.stringMatching(/^refuse \d+ EPERM not_done$/),
    ]);
  });

  test('receives the announcements of leaders of its own history, as long as it is outside', () => {
    const node = removed();
    node.step({ type: 'led_history', body: { ...led, group_uid: 'another' as never } });
    expect(node.status.leader_id).toBe('');
    expect(node.appendEntries({ term: 3, prev: [2, 2], entries: [[3, 'n1 n2 n3']], commit: 3 })).toBeDefined();
    expect(node.wait(100)).toContain('unsubscribe from leaders');
    node.step({ type: 'led_history', body: led });
    expect(node.status.leader_id).toBe('n2');
  });
});

describe('a stale read', () => {
  test('is answered at once, by any peer on its own subject', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    expect(node.read('q', { addressee: 'peer', consistency: 'stale' })).toEqual(['reply 1 q at 0']);
  });

  test('is answered on the group’s subject by the leader', () => {
    expect(leader().read('q', { consistency: 'stale' })).toEqual(['reply 1 q at 0']);
  });
});
