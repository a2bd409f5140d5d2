import { asLogIndex, asPeerId, asTerm, encodeBatch } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, batch, electionTimeoutMs, heartbeatIntervalMs } from './node-on-a-bench.js';

const three = [1, 'n1 n2 n3'] as const;

/** A follower in term 2 with three entries: 1 and 2 of term 1, 3 of term 2. */
function follower(commit = 0): Bench {
  const bench = new Bench();
  bench.answersReads = false;
  bench.open({ term: 2, log: [three, 1, 2], commit });
  return bench;
}

describe('AppendEntries', () => {
  test('with new entries is handed to the log-store, which acknowledges; the node never does', () => {
    const bench = follower();
    expect(bench.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 5 })).toEqual([
      'echo of tick 1 in term 2 to n2',
      'log-store.append term 2 of n2: entry 4 of term 2, entry 5 of term 2 verified 5',
    ]);
    expect(bench.wait(0), 'what goes to the disk goes first; applying is a step of its own').toEqual([
      'log-store.read from 1',
    ]);
    expect(bench.summary).toMatchObject({ commit_index: 5, leader_id: 'n2' });
  });

  test('that are not all that is committed are stored, and applied when the others are there, or do not come', () => {
    const bench = follower();
    bench.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 9 });
    expect(bench.wait(0)).toEqual([]);
    bench.appendEntries({ prev: [5, 2], entries: [2, 2, 2, 2], commit: 9 });
    expect(bench.wait(0)).toContain('log-store.read from 1');
    const alone = follower();
    alone.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 9 });
    expect(alone.wait(heartbeatIntervalMs)).toContain('log-store.read from 1');
  });

  test('are applied in steps of some bytes, as an entry may be a request of thousands of commands', () => {
    const bench = new Bench();
    bench.open({ term: 2, log: [three], commit: 1 });
    bench.wait(0);
    const payloads = Array.from({ length: 3 }, () => new Uint8Array(40 * 1024));
    const large = encodeBatch('commands', asTerm(2), asLogIndex(2), payloads);
    bench.appendEntries({ prev: [1, 1], batches: [large], commit: 4 });
    const applied = () => bench.summary.applied_index;
    const after = [1, 2].map(() => {
      bench.step({ type: 'timer', timer: 'apply' });
      return applied();
    });
    expect(after).toEqual([3, 4]);
  });

  test('that are not applied a tick later make its echo say so: it could not answer as a leader', () => {
    const bench = follower();
    const echoed = () =>
      bench.sent.flatMap(({ message }) => (message.name === 'feed.echo' ? [message.body.unapplied] : []));
    bench.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 5 });
    expect(echoed()).toEqual([undefined]);
    for (const tick of [2, 3]) bench.appendEntries({ prev: [5, 2], tick });
    expect(echoed()).toEqual([true]);
  });

  test('with entries that are there, or with none, is handed on all the same: up to prev and count', () => {
    const bench = follower();
    expect(bench.appendEntries({ prev: [1, 1], entries: [1] })).toContain(
      'log-store.append term 2 of n2: nothing verified 2',
    );
    expect(bench.appendEntries({ prev: [2, 1] })).toContain('log-store.append term 2 of n2: nothing verified 2');
    expect(bench.summary.last_index).toBe(3);
  });

  test('truncates only where terms conflict, and from there on', () => {
    const bench = follower();
    expect(bench.appendEntries({ term: 3, prev: [1, 1], entries: [1, 3, 3] })).toContain(
      'log-store.append term 3 of n2: truncate 3 entry 3 of term 3, entry 4 of term 3 verified 4',
    );
    expect(bench.status).toMatchObject({ last_index: 4, term: 3 });
  });

  test('a shorter one than the log truncates nothing: it may be late', () => {
    const bench = follower();
    bench.appendEntries({ prev: [3, 2], entries: [2, 2] });
    bench.appendEntries({ prev: [3, 2], entries: [2] });
    expect(bench.summary.last_index).toBe(5);
  });

  test('commits at most what is verified, not what the leader has, nor what is here', () => {
    const bench = follower();
    bench.appendEntries({ prev: [1, 1], entries: [1], commit: 3 });
    expect(bench.summary.commit_index).toBe(2);
  });

  test('a commit index that is late never falls', () => {
    const bench = follower();
    bench.appendEntries({ prev: [3, 2], commit: 3 });
    bench.appendEntries({ prev: [3, 2], commit: 1 });
    expect(bench.summary.commit_index).toBe(3);
  });

  test('what would truncate a committed entry stops the node', () => {
    const bench = follower(3);
    expect(() => bench.appendEntries({ term: 3, prev: [2, 1], entries: [3] })).toThrow(/committed/);
  });

  test('that finds no match is rejected with where to try next', () => {
    const bench = follower();
    expect(bench.appendEntries({ term: 3, prev: [7, 3] })).toEqual([
      'log-store.vote term 3 for nobody',
      'echo of tick 1 in term 3 to n2',
      'rejected mismatch to n2: last 3, conflict 0 of term 0',
    ]);
    expect(bench.appendEntries({ term: 3, prev: [2, 2] })).toEqual([
      'rejected mismatch to n2: last 3, conflict 1 of term 1',
    ]);
  });

  test('for another store is rejected, and followed in nothing', () => {
    const bench = follower();
    expect(bench.appendEntries({ term: 9, store: 's0' })).toEqual([
      'event store_refused, s1, s0, n2',
      'rejected store to n2: last 3, conflict 0 of term 0',
    ]);
    expect(bench.term).toBe(2);
  });

  test('of another history is dropped (promise 5)', () => {
    const bench = follower();
    expect(bench.appendEntries({ term: 9, group: 'other', prev: [3, 2] })).toEqual([]);
    expect(bench.dropped('append_entries_of_other_history')).toBe(1);
  });

  test.each([
    ['terms that fall', [3, 2], [3, 2]],
    ['a term above the message’s', [3, 2], [4]],
    ['a term below the one before', [3, 2], [1]],
  ] as const)('with %s is refused', (_, prev, entries) => {
    const bench = follower();
    expect(bench.appendEntries({ term: 3, prev: [...prev], entries: [...entries] })).toEqual([]);
    expect(bench.dropped('append_entries_malformed')).toBe(1);
    expect(bench.term).toBe(2);
  });

  test('of an older term is told the higher one', () => {
    const bench = follower();
    expect(bench.appendEntries({ term: 1, prev: [3, 2] })).toEqual(['higher_term 2 to n2']);
    expect(bench.summary.leader_id).toBe('');
  });

  test('of an older term tells it also where the store is empty, so that the leader can go above it', () => {
    const bench = new Bench();
    bench.open({ term: 7, votedFor: 'n1' });
    bench.appendEntries({ term: 2 });
    expect(bench.sent).toMatchObject([{ message: { name: 'node.higher_term', body: { group_uid: 'uid', term: 7 } } }]);
  });

  test('promise 16: a new term is synced before an echo or a rejection speaks of it', () => {
    const bench = follower();
    bench.syncs = false;
    expect(bench.appendEntries({ term: 3, prev: [7, 3] })).toEqual(['log-store.vote term 3 for nobody']);
    expect(bench.sync()).toEqual([
      'echo of tick 1 in term 3 to n2',
      'rejected mismatch to n2: last 3, conflict 0 of term 0',
    ]);
  });

  test('is answered busy while the log-store does not keep up', () => {
    const bench = follower();
    bench.syncs = false;
    let lines: string[] = [];
    for (let index = 4; index < 2000 && !lines.some((line) => line.includes('busy')); index++) {
      lines = bench.appendEntries({ prev: [index - 1, 2], entries: [2] });
    }
    expect(lines).toEqual(['rejected busy to n2: last 899, conflict 0 of term 0']);
    // What must not wait still finds room.
    bench.nowMs += 2 * electionTimeoutMs;
    expect(bench.requestVote({ from: 'n3', term: 3 })).toEqual(['log-store.vote term 3 for n3']);
  });
});

describe('ticks', () => {
  test('a new tick is echoed once', () => {
    const bench = follower();
    expect(bench.appendEntries({ prev: [3, 2], tick: 4 })).toContain('echo of tick 4 in term 2 to n2');
    expect(bench.appendEntries({ prev: [3, 2], tick: 4 })).not.toContain('echo of tick 4 in term 2 to n2');
    expect(bench.appendEntries({ prev: [3, 2], tick: 3 })).not.toContain('echo of tick 3 in term 2 to n2');
  });

  test('also where the log does not match', () => {
    expect(follower().appendEntries({ prev: [9, 2], tick: 4 })).toContain('echo of tick 4 in term 2 to n2');
  });

  test('another term begins its own count', () => {
    const bench = follower();
    bench.appendEntries({ prev: [3, 2], tick: 400 });
    expect(bench.appendEntries({ from: 'n3', term: 3, prev: [3, 2], tick: 1 })).toContain(
      'echo of tick 1 in term 3 to n3',
    );
  });

  test('entries without a new tick do not keep a follower from standing', () => {
    const bench = follower();
    bench.appendEntries({ prev: [3, 2], tick: 1 });
    for (let index = 4; index < 14; index++) {
      bench.wait(electionTimeoutMs / 10);
      bench.appendEntries({ prev: [index - 1, 2], entries: [2], tick: 1 });
    }
    bench.wait(electionTimeoutMs);
    expect(bench.summary.role).toBe('pre_candidate');
  });
});

describe('configurations of a follower', () => {
  test('are in force when they are accepted, and rolled back when truncated', () => {
    const bench = follower();
    expect(bench.appendEntries({ prev: [3, 2], entries: [[2, 'n1 n4 | n1 n2 n3']] })).toContain(
      'event configuration_appended, n1 n4, n1 n2 n3, 4',
    );
    expect(bench.status.configuration_index).toBe(4);
    expect(bench.appendEntries({ from: 'n3', term: 3, prev: [3, 2], entries: [3] })).toContain(
      'event configuration_truncated, n1 n2 n3, -, 1',
    );
    expect(bench.status.configuration_index).toBe(1);
  });

  test('are an event when they happen, and not when a peer is sent what it has missed', () => {
    const bench = follower();
    const told = (input: Parameters<typeof bench.appendEntries>[0]) =>
      bench.appendEntries(input).filter((text) => text.startsWith('event configuration_'));
    // Its leader has committed that already.
    expect(told({ prev: [3, 2], entries: [[2, 'n1 n4 | n1 n2 n3']], commit: 4 })).toEqual([]);
    expect(told({ prev: [4, 2], entries: [[2, 'n2 n4']], commit: 4, tick: 2 })).toEqual([
      'event configuration_appended, n2 n4, -, 5',
    ]);
    expect(told({ prev: [5, 2], commit: 5, tick: 3 })).toEqual(['event configuration_committed, n2 n4, -, 5']);
    expect(told({ prev: [5, 2], commit: 5, tick: 4 })).toEqual([]);
  });

  test('promise 22: a removed peer says once that it is out, when that is committed, and is not healthy', () => {
    const bench = follower();
    expect(bench.appendEntries({ prev: [3, 2], entries: [[2, 'n2 n3']] })).not.toContain('event peer_removed, 4');
    expect(bench.appendEntries({ prev: [4, 2], commit: 4, tick: 2 })).toContain('event peer_removed, 4');
    expect(bench.appendEntries({ prev: [4, 2], commit: 4, tick: 3 })).not.toContain('event peer_removed, 4');
    expect(bench.core.health()).toEqual({ healthy: false, reason: 'removed: this peer is out of the group' });
  });

  describe('promise 22: a removed peer that restarts with an entry that it does not know to be committed', () => {
    const removed = 'removed: this peer is out of the group';
    const restarted = (last: string) => {
      const bench = new Bench();
      const opened = bench.open({ term: 3, log: [three, 2, [2, 'n2 n4'], 2, [3, last]], commit: 4 });
      return { bench, opened };
    };

    test('which does not have it either, the flush of a leader: says that it is out, and does not stand, but votes', () => {
      const { bench, opened } = restarted('n2 n4');
      expect(opened).toContain('event peer_removed, 3');
      expect(bench.wait(10 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
      expect(bench.core.health()).toEqual({ healthy: false, reason: removed });
      expect(bench.requestVote({ from: 'n2', term: 4 }).at(-1)).toBe('vote of term 4 granted to n2');
      expect(bench.appendEntries({ term: 4, prev: [5, 3], commit: 5 })).not.toContain('event peer_removed, 5');
    });

    test('which takes it in again, in either set: stands, and is not out', () => {
      for (const last of ['n1 n2 n4', 'n1 n2 | n2 n4', 'n2 n4 | n1 n2']) {
        const { bench, opened } = restarted(last);
        expect(opened).not.toContain('event peer_removed, 3');
        expect(bench.core.health().reason).toBe('knows no leader');
        expect(bench.wait(electionTimeoutMs + 1)).toContain('pre_vote of term 4 asked of n2');
      }
    });
  });

  test('an empty store takes the history on with the first entries', () => {
    const bench = new Bench('n4');
    bench.open();
    expect(bench.status.group_uid).toBe('');
    expect(bench.appendEntries({ term: 2, entries: [three, 2] })).toContain(
      'log-store.append term 2 of n2: entry 1 of term 1 {n1 n2 n3}, entry 2 of term 2 verified 2',
    );
    expect(bench.status.group_uid).toBe('uid');
  });
});

describe('applying', () => {
  test('in order and once, what is committed', () => {
    const bench = follower(3);
    bench.hear({
      name: 'node.entries',
      body: {
        ...bench.own,
        request_id: 1,
        from_index: 1 as never,
        prev_term: 0 as never,
        batches: [batch(1, three), batch(2, 1), batch(3, 2)],
        refusal: '',
      },
    });
    expect(bench.machine.applied).toEqual(['2:e2', '3:e3']);
    bench.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 4 });
    bench.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 5, tick: 2 });
    expect(bench.machine.applied).toEqual(['2:e2', '3:e3']);
    bench.wait(0);
    expect(bench.machine.applied).toEqual(['2:e2', '3:e3', '4:e4', '5:e5']);
  });

  test('of what is read back only what is committed: the log-store may hold what was replaced meanwhile', () => {
    const bench = follower(2);
    bench.syncs = false;
    bench.appendEntries({ term: 3, prev: [2, 1], entries: [3], commit: 3 });
    bench.hear({
      name: 'node.entries',
      body: {
        ...bench.own,
        request_id: 1,
        from_index: 1 as never,
        prev_term: 0 as never,
        batches: [batch(1, three), batch(2, 1), batch(3, 2)],
        refusal: '',
      },
    });
    expect(bench.machine.applied).toEqual(['2:e2', '3:e3']);
    expect(bench.dropped('entries_replaced_meanwhile')).toBe(1);
  });

  test('a read that is not answered is asked again', () => {
    const bench = follower(3);
    expect(bench.wait(electionTimeoutMs / 2 + 100)).toEqual(['log-store.read from 1']);
  });
});

describe('the leader’s feed', () => {
  /** In step with n2 in term 2, and hearing its feed. */
  function hearing(): Bench {
    const bench = follower();
    expect(bench.appendEntries({ prev: [3, 2], hearFeed: true })).toContain('hear the feed of n2');
    bench.step({ type: 'hearing_feed', peerId: asPeerId('n2') });
    return bench;
  }

  test('is heard when the leader’s replicator asks for it, which the echo tells once it is so', () => {
    const bench = follower();
    bench.appendEntries({ prev: [3, 2], hearFeed: true });
    bench.appendEntries({ prev: [3, 2], hearFeed: true, tick: 2 });
    expect(echo(bench)).toMatchObject({ tick_id: 2, hears_feed: false });
    bench.step({ type: 'hearing_feed', peerId: asPeerId('n2') });
    expect(bench.appendEntries({ prev: [3, 2], hearFeed: true, tick: 3 })).not.toContain('hear the feed of n2');
    expect(echo(bench)).toMatchObject({ tick_id: 3, hears_feed: true });
  });

  test('is no longer heard when the replicator says so, and when its leader has fallen silent', () => {
    expect(hearing().appendEntries({ prev: [3, 2], tick: 2 })).toContain('hear nobody’s feed');
    expect(hearing().wait(2 * electionTimeoutMs)).toContain('hear nobody’s feed');
  });

  test('is no longer heard by who leads itself', () => {
    const bench = hearing();
    bench.timeoutNow(2);
    bench.elected();
    expect(bench.summary.role).toBe('leader');
    expect(bench.wait(100)).toContain('hear nobody’s feed');
  });

  test('that was asked for before another is not taken for the other', () => {
    const bench = hearing();
    bench.appendEntries({ from: 'n3', term: 3, prev: [3, 2], hearFeed: true });
    bench.step({ type: 'hearing_feed', peerId: asPeerId('n2') });
    bench.appendEntries({ from: 'n3', term: 3, prev: [3, 2], hearFeed: true, tick: 2 });
    expect(echo(bench)).toMatchObject({ leader_id: 'n3', hears_feed: false });
    expect(bench.dropped('hearing_stale')).toBe(1);
  });

  test('brings entries that are taken like those of AppendEntries, but for the election timer', () => {
    const bench = hearing();
    expect(bench.feedAppend({ prev: [3, 2], entries: [2, 2], commit: 4 })).toEqual([
      'log-store.append term 2 of n2: entry 4 of term 2, entry 5 of term 2 verified 5',
    ]);
    expect(bench.summary).toMatchObject({ commit_index: 4, last_index: 5 });
    for (let time = 0; time < 20; time++) {
      bench.wait(electionTimeoutMs / 10);
      bench.feedAppend({ prev: [5, 2], entries: [2] });
    }
    expect(bench.summary.leader_id, 'the leader’s ticks are silent').toBe('');
  });

  test('brings nothing where an entry is missing before, or conflicts: that is the replicator’s to mend', () => {
    const bench = hearing();
    expect(bench.feedAppend({ prev: [4, 2], entries: [2] })).toEqual([]);
    expect(bench.feedAppend({ prev: [3, 1], entries: [2] })).toEqual([]);
    expect(bench.dropped('feed_append_not_in_step')).toBe(2);
    expect(bench.summary.last_index).toBe(3);
  });

  test.each([
    ['another peer', { from: 'n3' }],
    ['an earlier term', { term: 1 }],
    ['a later term', { term: 3 }],
    ['another history', { group: 'other' }],
  ])('brings nothing from %s, and raises no term', (_name, over) => {
    const bench = hearing();
    expect(bench.feedAppend({ prev: [3, 2], entries: [1], ...over })).toEqual([]);
    expect(bench.dropped('feed_append_of_other_leader')).toBe(1);
    expect(bench.summary).toMatchObject({ term: 2, last_index: 3, leader_id: 'n2' });
  });

  test('brings nothing that has no entries, or entries of a later term than its own', () => {
    const bench = hearing();
    expect(bench.feedAppend({ prev: [3, 2] })).toEqual([]);
    expect(bench.feedAppend({ prev: [3, 2], entries: [3] })).toEqual([]);
    expect(bench.dropped('feed_append_malformed')).toBe(2);
  });

  function echo(bench: Bench): unknown {
    return bench.sent.find(({ message }) => message.name === 'feed.echo')?.message.body;
  }
});

describe('promise 38: a store that is an older copy', () => {
  function opened(): Bench {
    const bench = new Bench();
    bench.open({
      term: 2,
      log: [
        [1, 'n1 n2 n3'],
        [1, 'a'],
        [2, 'b'],
      ],
    });
    bench.wait(electionTimeoutMs + 1);
    return bench;
  }

  test('takes nothing from a leader that says how much it had acknowledged, and neither votes nor stands any more', () => {
    const bench = opened();
    expect(bench.appendEntries({ prev: [3, 2], tick: 1, acknowledged: 4 })).toEqual([
      'event store_refused, s1, s1, n2',
      'rejected store to n2: last 3, conflict 0 of term 0',
    ]);
    expect(bench.core.health()).toEqual({
      healthy: false,
      reason: expect.stringMatching(
        /ECORRUPT: this store ends at entry 3, and had acknowledged entry 4.*To heal it: stop/,
      ),
    });
    expect(bench.appendEntries({ prev: [3, 2], tick: 2 })).toEqual([
      'rejected store to n2: last 3, conflict 0 of term 0',
    ]);
    expect(bench.requestVote({ term: 9 })).toEqual([]);
    expect(bench.wait(5 * electionTimeoutMs).filter((line) => line.includes('elect'))).toEqual([]);
  });

  test('does not vote for a candidate that knows how much it had acknowledged', () => {
    const bench = opened();
    expect(bench.requestVote({ term: 9, acknowledged: 4 })).toEqual(['event store_refused, s1, s1, n2']);
  });

  test('is none with all that it had acknowledged', () => {
    const bench = opened();
    expect(bench.appendEntries({ prev: [3, 2], tick: 1, acknowledged: 3 })).toContain(
      'log-store.append term 2 of n2: nothing verified 3',
    );
    expect(bench.core.health().reason).not.toContain('ECORRUPT');
  });
});

describe('promise 38: a store whose side file was missing', () => {
  test('neither votes nor stands before its leader has verified the log, and says so from then on', () => {
    const bench = new Bench();
    bench.open({ term: 2, log: [three, 1, 2], unverified: true });
    expect(bench.wait(5 * electionTimeoutMs).filter((line) => line.includes('elect'))).toEqual([]);
    expect(bench.requestVote({ term: 9 })).toEqual([]);
    expect(bench.core.health()).toEqual({
      healthy: false,
      reason: expect.stringMatching(/^unverified: the side file/),
    });
    // It has all that it says it has, but not all that is committed.
    bench.appendEntries({ prev: [3, 2], tick: 1, commit: 4 });
    expect(bench.core.health().healthy).toBe(false);
    bench.appendEntries({ prev: [3, 2], entries: [2], tick: 2, commit: 4 });
    expect(bench.sent.at(-1)?.message).toMatchObject({ name: 'log-store.append', body: { verified: true } });
    expect(bench.core.health()).toEqual({ healthy: true, reason: expect.stringMatching(/side file.*verified since$/) });
    bench.wait(electionTimeoutMs + 1);
    expect(bench.requestVote({ term: 9 })).not.toEqual([]);
  });

  test('is not asked to be verified where the group has nobody else', () => {
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1']], unverified: true });
    expect(bench.wait(3 * electionTimeoutMs).join()).toContain('elect');
  });
});
