import { asLogIndex, asPeerId, asTerm, type Body, encodeBatch, type Message, type StoreId } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { batch, electionTimeoutMs, groupId, heartbeatIntervalMs, NodeHarness, uid } from '../node-harness.js';

const three = [1, 'n1 n2 n3'] as const;

/** A follower in term 2 with three entries: 1 and 2 of term 1, 3 of term 2. */
function follower(commit = 0): NodeHarness {
  const node = new NodeHarness();
  node.answersReads = false;
  node.open({ term: 2, log: [three, 1, 2], commit });
  return node;
}

describe('AppendEntries', () => {
  test('with new entries is passed to the log-store, which acknowledges; the node never does', () => {
    const node = follower();
    expect(node.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 5 })).toEqual([
      'echo of tick 1 in term 2 to n2',
      'log-store.append term 2 of n2: entry 4 of term 2, entry 5 of term 2 verified 5',
    ]);
    expect(node.wait(0), 'what goes to the disk goes first; applying is a step of its own').toEqual([
      'log-store.read from 1',
    ]);
    expect(node.summary).toMatchObject({ commit_index: 5, leader_id: 'n2' });
  });

  test('that are not all of the committed ones are stored, and applied when the others arrive, or do not', () => {
    const node = follower();
    node.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 9 });
    expect(node.wait(0)).toEqual([]);
    node.appendEntries({ prev: [5, 2], entries: [2, 2, 2, 2], commit: 9 });
    expect(node.wait(0)).toContain('log-store.read from 1');
    const alone = follower();
    alone.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 9 });
    expect(alone.wait(heartbeatIntervalMs)).toContain('log-store.read from 1');
  });

  test('are applied in steps of some bytes, as an entry may be a request of thousands of commands', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [three], commit: 1 });
    node.wait(0);
    const payloads = Array.from({ length: 3 }, () => new Uint8Array(40 * 1024));
    const large = encodeBatch('commands', asTerm(2), asLogIndex(2), payloads);
    node.appendEntries({ prev: [1, 1], batches: [large], commit: 4 });
    const applied = () => node.summary.applied_index;
    const after = [1, 2].map(() => {
      node.step({ type: 'timer', timer: 'apply' });
      return applied();
    });
    expect(after).toEqual([3, 4]);
  });

  describe('of a follower that lacks committed entries', () => {
    /** A follower in term 2 that has applied an entry of 40 KiB, and appends of such entries. */
    function large() {
      const node = new NodeHarness();
      node.open({ term: 2, log: [three], commit: 1 });
      node.wait(0);
      let last = 1;
      const append = (lacked: number, entries = 1) => {
        const payloads = Array.from({ length: entries }, () => new Uint8Array(40 * 1024));
        const encoded = encodeBatch('commands', asTerm(2), asLogIndex(last + 1), payloads);
        node.appendEntries({ prev: [last, last === 1 ? 1 : 2], batches: [encoded], commit: last + entries + lacked });
        last += entries;
      };
      append(0);
      node.wait(0);
      expect(node.summary.applied_index).toBe(2);
      return { node, append };
    }

    test('a few missing entries, as in a busy group, do not put off applying', () => {
      const { node, append } = large();
      append(20);
      node.wait(0);
      expect(node.summary.applied_index).toBe(3);
    });

    test('many missing entries put off applying by one heartbeat interval, however many keep coming', () => {
      const { node, append } = large();
      const applied = () => node.summary.applied_index;
      append(1000);
      node.wait(heartbeatIntervalMs / 2);
      expect(applied()).toBe(2);
      append(1000);
      node.wait(heartbeatIntervalMs / 2);
      expect(applied()).toBe(4);
    });

    test('a backlog is applied in larger steps when no committed entry is missing any more', () => {
      const { node, append } = large();
      for (let time = 0; time < 8; time++) append(0, 8);
      node.step({ type: 'timer', timer: 'apply' });
      expect(node.summary.applied_index).toBe(2 + 7);
    });
  });

  test('that are not applied a tick later make its echo say so: it could not answer as a leader', () => {
    const node = follower();
    const echoed = () =>
      node.sent.flatMap(({ message }) => (message.name === 'feed.echo' ? [message.body.unapplied] : []));
    node.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 5 });
    expect(echoed()).toEqual([undefined]);
    for (const tick of [2, 3]) node.appendEntries({ prev: [5, 2], tick });
    expect(echoed()).toEqual([true]);
  });

  describe('a tick for reads', () => {
    const tick = (over: Partial<Body<'node.read_tick'>> = {}): Message<'node.read_tick'> => ({
      name: 'node.read_tick',
      body: {
        group_id: groupId,
        group_uid: uid,
        leader_id: asPeerId('n2'),
        term: asTerm(2),
        target_store_id: 's1' as StoreId,
        tick_id: 9,
        ...over,
      },
    });

    test('of the leader that this peer follows is echoed, and nothing else', () => {
      const node = follower();
      node.appendEntries({ prev: [3, 2] });
      expect(node.receive(tick())).toEqual(['echo of tick 9 in term 2 to n2']);
      expect(node.receive(tick())).toEqual([]);
    });

    test.each([
      ['another leader', { leader_id: asPeerId('n3') }],
      ['an older term', { term: asTerm(1) }],
      ['a newer term', { term: asTerm(3) }],
      ['another history', { group_uid: 'h9' as typeof uid }],
      ['a leader that looks for another store', { target_store_id: 's9' as StoreId }],
    ])('of %s is dropped', (_, over) => {
      const node = follower();
      node.appendEntries({ prev: [3, 2] });
      expect(node.receive(tick(over))).toEqual([]);
      expect(node.dropped('read_tick_of_other_leader')).toBe(1);
      expect(node.status).toMatchObject({ term: 2 });
    });
  });

  test('with known entries, or with none, is passed on, too, up to the last entry of the message', () => {
    const node = follower();
    expect(node.appendEntries({ prev: [1, 1], entries: [1] })).toContain(
      'log-store.append term 2 of n2: nothing verified 2',
    );
    expect(node.appendEntries({ prev: [2, 1] })).toContain('log-store.append term 2 of n2: nothing verified 2');
    expect(node.summary.last_index).toBe(3);
  });

  test('truncates only from a conflict of terms on', () => {
    const node = follower();
    expect(node.appendEntries({ term: 3, prev: [1, 1], entries: [1, 3, 3] })).toContain(
      'log-store.append term 3 of n2: truncate 3 entry 3 of term 3, entry 4 of term 3 verified 4',
    );
    expect(node.status).toMatchObject({ last_index: 4, term: 3 });
  });

  test('a message that ends before the end of the log truncates nothing: it may be late', () => {
    const node = follower();
    node.appendEntries({ prev: [3, 2], entries: [2, 2] });
    node.appendEntries({ prev: [3, 2], entries: [2] });
    expect(node.summary.last_index).toBe(5);
  });

  test('commits at most what is verified, not what the leader has, nor what is here', () => {
    const node = follower();
    node.appendEntries({ prev: [1, 1], entries: [1], commit: 3 });
    expect(node.summary.commit_index).toBe(2);
  });

  test('a commit index that is late never falls', () => {
    const node = follower();
    node.appendEntries({ prev: [3, 2], commit: 3 });
    node.appendEntries({ prev: [3, 2], commit: 1 });
    expect(node.summary.commit_index).toBe(3);
  });

  test('what would truncate a committed entry stops the node', () => {
    const node = follower(3);
    expect(() => node.appendEntries({ term: 3, prev: [2, 1], entries: [3] })).toThrow(/committed/);
  });

  test('that finds no match is rejected with where to try next', () => {
    const node = follower();
    expect(node.appendEntries({ term: 3, prev: [7, 3] })).toEqual([
      'log-store.vote term 3 for nobody',
      'echo of tick 1 in term 3 to n2',
      'rejected mismatch to n2: last 3, conflict 0 of term 0',
    ]);
    expect(node.appendEntries({ term: 3, prev: [2, 2] })).toEqual([
      'rejected mismatch to n2: last 3, conflict 1 of term 1',
    ]);
  });

  test('for another store is rejected, and has no effect', () => {
    const node = follower();
    expect(node.appendEntries({ term: 9, store: 's0' })).toEqual([
      'event store_refused, s1, s0, n2',
      'rejected store to n2: last 3, conflict 0 of term 0',
    ]);
    expect(node.term).toBe(2);
  });

  test('of another history is dropped (promise 5)', () => {
    const node = follower();
    expect(node.appendEntries({ term: 9, group: 'other', prev: [3, 2] })).toEqual([]);
    expect(node.dropped('append_entries_of_other_history')).toBe(1);
  });

  test.each([
    ['terms that fall', [3, 2], [3, 2]],
    ['a term above the message’s', [3, 2], [4]],
    ['a term below the one before', [3, 2], [1]],
  ] as const)('with %s is refused', (_, prev, entries) => {
    const node = follower();
    expect(node.appendEntries({ term: 3, prev: [...prev], entries: [...entries] })).toEqual([]);
    expect(node.dropped('append_entries_malformed')).toBe(1);
    expect(node.term).toBe(2);
  });

  test('of an older term is sent the higher one', () => {
    const node = follower();
    expect(node.appendEntries({ term: 1, prev: [3, 2] })).toEqual(['higher_term 2 to n2']);
    expect(node.summary.leader_id).toBe('');
  });

  test('of an older term is sent the higher one even if the store is empty, so that the leader can exceed it', () => {
    const node = new NodeHarness();
    node.open({ term: 7, votedFor: 'n1' });
    node.appendEntries({ term: 2 });
    expect(node.sent).toMatchObject([{ message: { name: 'node.higher_term', body: { group_uid: 'uid', term: 7 } } }]);
  });

  test('promise 16: a new term is synced before an echo or a rejection contains it', () => {
    const node = follower();
    node.syncs = false;
    expect(node.appendEntries({ term: 3, prev: [7, 3] })).toEqual(['log-store.vote term 3 for nobody']);
    expect(node.sync()).toEqual([
      'echo of tick 1 in term 3 to n2',
      'rejected mismatch to n2: last 3, conflict 0 of term 0',
    ]);
  });

  test('is answered busy while the log-store does not keep up', () => {
    const node = follower();
    node.syncs = false;
    let lines: string[] = [];
    for (let index = 4; index < 2000 && !lines.some((line) => line.includes('busy')); index++) {
      lines = node.appendEntries({ prev: [index - 1, 2], entries: [2] });
    }
    expect(lines).toEqual(['rejected busy to n2: last 899, conflict 0 of term 0']);
    // What must not wait still finds room.
    node.nowMs += 2 * electionTimeoutMs;
    expect(node.requestVote({ from: 'n3', term: 3 })).toEqual(['log-store.vote term 3 for n3']);
  });
});

describe('ticks', () => {
  test('a new tick is echoed once', () => {
    const node = follower();
    expect(node.appendEntries({ prev: [3, 2], tick: 4 })).toContain('echo of tick 4 in term 2 to n2');
    expect(node.appendEntries({ prev: [3, 2], tick: 4 })).not.toContain('echo of tick 4 in term 2 to n2');
    expect(node.appendEntries({ prev: [3, 2], tick: 3 })).not.toContain('echo of tick 3 in term 2 to n2');
  });

  test('a tick is echoed even if the log does not match', () => {
    expect(follower().appendEntries({ prev: [9, 2], tick: 4 })).toContain('echo of tick 4 in term 2 to n2');
  });

  test('another term begins its own count', () => {
    const node = follower();
    node.appendEntries({ prev: [3, 2], tick: 400 });
    expect(node.appendEntries({ from: 'n3', term: 3, prev: [3, 2], tick: 1 })).toContain(
      'echo of tick 1 in term 3 to n3',
    );
  });

  test('entries without a new tick do not keep a follower from campaigning', () => {
    const node = follower();
    node.appendEntries({ prev: [3, 2], tick: 1 });
    for (let index = 4; index < 14; index++) {
      node.wait(electionTimeoutMs / 10);
      node.appendEntries({ prev: [index - 1, 2], entries: [2], tick: 1 });
    }
    node.wait(electionTimeoutMs);
    expect(node.summary.role).toBe('pre_candidate');
  });
});

describe('configurations of a follower', () => {
  test('take effect when they are accepted, and are rolled back when truncated', () => {
    const node = follower();
    expect(node.appendEntries({ prev: [3, 2], entries: [[2, 'n1 n4 | n1 n2 n3']] })).toContain(
      'event configuration_appended, n1 n4, n1 n2 n3, 4',
    );
    expect(node.status.configuration_index).toBe(4);
    expect(node.appendEntries({ from: 'n3', term: 3, prev: [3, 2], entries: [3] })).toContain(
      'event configuration_truncated, n1 n2 n3, -, 1',
    );
    expect(node.status.configuration_index).toBe(1);
  });

  test('are published when they are appended, and not when a peer receives entries that it has missed', () => {
    const node = follower();
    const events = (input: Parameters<typeof node.appendEntries>[0]) =>
      node.appendEntries(input).filter((text) => text.startsWith('event configuration_'));
    // Its leader has committed that already.
    expect(events({ prev: [3, 2], entries: [[2, 'n1 n4 | n1 n2 n3']], commit: 4 })).toEqual([]);
    expect(events({ prev: [4, 2], entries: [[2, 'n2 n4']], commit: 4, tick: 2 })).toEqual([
      'event configuration_appended, n2 n4, -, 5',
    ]);
    expect(events({ prev: [5, 2], commit: 5, tick: 3 })).toEqual(['event configuration_committed, n2 n4, -, 5']);
    expect(events({ prev: [5, 2], commit: 5, tick: 4 })).toEqual([]);
  });

  test('promise 22: a removed peer reports once that it was removed, when that is committed, and is not healthy', () => {
    const node = follower();
    expect(node.appendEntries({ prev: [3, 2], entries: [[2, 'n2 n3']] })).not.toContain('event peer_removed, 4');
    expect(node.appendEntries({ prev: [4, 2], commit: 4, tick: 2 })).toContain('event peer_removed, 4');
    expect(node.appendEntries({ prev: [4, 2], commit: 4, tick: 3 })).not.toContain('event peer_removed, 4');
    expect(node.core.health()).toEqual({
      healthy: false,
      reason: 'removed: this peer is no longer a member of the group',
    });
  });

  describe('promise 22: a removed peer that restarts with an entry that it does not know to be committed', () => {
    const removed = 'removed: this peer is no longer a member of the group';
    const restarted = (last: string) => {
      const node = new NodeHarness();
      const opened = node.open({ term: 3, log: [three, 2, [2, 'n2 n4'], 2, [3, last]], commit: 4 });
      return { node, opened };
    };

    test('which does not have it either, the flush of a leader: reports its removal, and does not campaign, but votes', () => {
      const { node, opened } = restarted('n2 n4');
      expect(opened).toContain('event peer_removed, 3');
      expect(node.wait(10 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
      expect(node.core.health()).toEqual({ healthy: false, reason: removed });
      expect(node.requestVote({ from: 'n2', term: 4 }).at(-1)).toBe('vote of term 4 granted to n2');
      expect(node.appendEntries({ term: 4, prev: [5, 3], commit: 5 })).not.toContain('event peer_removed, 5');
    });

    test('which adds it again, in either set: campaigns, and is not removed', () => {
      for (const last of ['n1 n2 n4', 'n1 n2 | n2 n4', 'n2 n4 | n1 n2']) {
        const { node, opened } = restarted(last);
        expect(opened).not.toContain('event peer_removed, 3');
        expect(node.core.health().reason).toBe('knows no leader');
        expect(node.wait(electionTimeoutMs + 1)).toContain('pre_vote of term 4 asked of n2');
      }
    });
  });

  test('an empty store adopts the history with the first entries', () => {
    const node = new NodeHarness('n4');
    node.open();
    expect(node.status.group_uid).toBe('');
    expect(node.appendEntries({ term: 2, entries: [three, 2] })).toContain(
      'log-store.append term 2 of n2: entry 1 of term 1 {n1 n2 n3}, entry 2 of term 2 verified 2',
    );
    expect(node.status.group_uid).toBe('uid');
  });
});

describe('applying', () => {
  test('committed entries are applied in order and once', () => {
    const node = follower(3);
    node.receive({
      name: 'node.entries',
      body: {
        ...node.own,
        request_id: 1,
        from_index: 1 as never,
        prev_term: 0 as never,
        batches: [batch(1, three), batch(2, 1), batch(3, 2)],
        refusal: '',
      },
    });
    expect(node.machine.applied).toEqual(['2:e2', '3:e3']);
    node.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 4 });
    node.appendEntries({ prev: [3, 2], entries: [2, 2], commit: 5, tick: 2 });
    expect(node.machine.applied).toEqual(['2:e2', '3:e3']);
    node.wait(0);
    expect(node.machine.applied).toEqual(['2:e2', '3:e3', '4:e4', '5:e5']);
  });

  test('of the entries that are read back, only committed ones are applied: the log-store may hold entries that were replaced meanwhile', () => {
    const node = follower(2);
    node.syncs = false;
    node.appendEntries({ term: 3, prev: [2, 1], entries: [3], commit: 3 });
    node.receive({
      name: 'node.entries',
      body: {
        ...node.own,
        request_id: 1,
        from_index: 1 as never,
        prev_term: 0 as never,
        batches: [batch(1, three), batch(2, 1), batch(3, 2)],
        refusal: '',
      },
    });
    expect(node.machine.applied).toEqual(['2:e2', '3:e3']);
    expect(node.dropped('entries_replaced_meanwhile')).toBe(1);
  });

  test('a read that is not answered is asked again', () => {
    const node = follower(3);
    expect(node.wait(electionTimeoutMs / 2 + 100)).toEqual(['log-store.read from 1']);
  });
});

describe('the leader’s feed', () => {
  /** Caught up with n2 in term 2, and subscribed to its feed. */
  function subscribed(): NodeHarness {
    const node = follower();
    expect(node.appendEntries({ prev: [3, 2], hearFeed: true })).toContain('subscribe to the feed of n2');
    node.step({ type: 'feed_subscribed', peerId: asPeerId('n2') });
    return node;
  }

  test('is subscribed to when the leader’s replicator requests it, which the echo reports once it is so', () => {
    const node = follower();
    node.appendEntries({ prev: [3, 2], hearFeed: true });
    node.appendEntries({ prev: [3, 2], hearFeed: true, tick: 2 });
    expect(echo(node)).toMatchObject({ tick_id: 2, hears_feed: false });
    node.step({ type: 'feed_subscribed', peerId: asPeerId('n2') });
    expect(node.appendEntries({ prev: [3, 2], hearFeed: true, tick: 3 })).not.toContain('subscribe to the feed of n2');
    expect(echo(node)).toMatchObject({ tick_id: 3, hears_feed: true });
  });

  test('is unsubscribed from when the replicator requests it, and when its leader has fallen silent', () => {
    expect(subscribed().appendEntries({ prev: [3, 2], tick: 2 })).toContain('unsubscribe from the feed');
    expect(subscribed().wait(2 * electionTimeoutMs)).toContain('unsubscribe from the feed');
  });

  test('is unsubscribed from by a peer that leads itself', () => {
    const node = subscribed();
    node.timeoutNow(2);
    node.elected();
    expect(node.summary.role).toBe('leader');
    expect(node.wait(100)).toContain('unsubscribe from the feed');
  });

  test('an earlier subscription is not mistaken for a later one', () => {
    const node = subscribed();
    node.appendEntries({ from: 'n3', term: 3, prev: [3, 2], hearFeed: true });
    node.step({ type: 'feed_subscribed', peerId: asPeerId('n2') });
    node.appendEntries({ from: 'n3', term: 3, prev: [3, 2], hearFeed: true, tick: 2 });
    expect(echo(node)).toMatchObject({ leader_id: 'n3', hears_feed: false });
    expect(node.dropped('feed_subscription_stale')).toBe(1);
  });

  test('a feed append is accepted like AppendEntries, but does not restart the election timer', () => {
    const node = subscribed();
    expect(node.feedAppend({ prev: [3, 2], entries: [2, 2], commit: 4 })).toEqual([
      'log-store.append term 2 of n2: entry 4 of term 2, entry 5 of term 2 verified 5',
    ]);
    expect(node.summary).toMatchObject({ commit_index: 4, last_index: 5 });
    for (let time = 0; time < 20; time++) {
      node.wait(electionTimeoutMs / 10);
      node.feedAppend({ prev: [5, 2], entries: [2] });
    }
    expect(node.summary.leader_id, 'the leader’s ticks are silent').toBe('');
  });

  test('a feed append is dropped if an earlier entry is missing or conflicts: the replicator resolves that', () => {
    const node = subscribed();
    expect(node.feedAppend({ prev: [4, 2], entries: [2] })).toEqual([]);
    expect(node.feedAppend({ prev: [3, 1], entries: [2] })).toEqual([]);
    expect(node.dropped('feed_append_without_previous')).toBe(2);
    expect(node.summary.last_index).toBe(3);
  });

  test.each([
    ['another peer', { from: 'n3' }],
    ['an earlier term', { term: 1 }],
    ['a later term', { term: 3 }],
    ['another history', { group: 'other' }],
  ])('brings nothing from %s, and raises no term', (_name, over) => {
    const node = subscribed();
    expect(node.feedAppend({ prev: [3, 2], entries: [1], ...over })).toEqual([]);
    expect(node.dropped('feed_append_of_other_leader')).toBe(1);
    expect(node.summary).toMatchObject({ term: 2, last_index: 3, leader_id: 'n2' });
  });

  test('a feed append is dropped if it has no entries, or entries of a later term than its own', () => {
    const node = subscribed();
    expect(node.feedAppend({ prev: [3, 2] })).toEqual([]);
    expect(node.feedAppend({ prev: [3, 2], entries: [3] })).toEqual([]);
    expect(node.dropped('feed_append_malformed')).toBe(2);
  });

  function echo(node: NodeHarness): unknown {
    return node.sent.find(({ message }) => message.name === 'feed.echo')?.message.body;
  }
});

describe('promise 38: a store that is an older copy', () => {
  function opened(): NodeHarness {
    const node = new NodeHarness();
    node.open({
      term: 2,
      log: [
        [1, 'n1 n2 n3'],
        [1, 'a'],
        [2, 'b'],
      ],
    });
    node.wait(electionTimeoutMs + 1);
    return node;
  }

  test('accepts nothing from a leader that reports how much it had acknowledged, and neither votes nor campaigns any more', () => {
    const node = opened();
    expect(node.appendEntries({ prev: [3, 2], tick: 1, acknowledged: 4 })).toEqual([
      'event store_refused, s1, s1, n2',
      'rejected store to n2: last 3, conflict 0 of term 0',
    ]);
    expect(node.core.health()).toEqual({
      healthy: false,
      reason: expect.stringMatching(
        /ECORRUPT: this store ends at entry 3, and had acknowledged entry 4.*To repair it: stop/,
      ),
    });
    expect(node.appendEntries({ prev: [3, 2], tick: 2 })).toEqual([
      'rejected store to n2: last 3, conflict 0 of term 0',
    ]);
    expect(node.requestVote({ term: 9 })).toEqual([]);
    expect(node.wait(5 * electionTimeoutMs).filter((line) => line.includes('elect'))).toEqual([]);
  });

  test('does not vote for a candidate that knows how much it had acknowledged', () => {
    const node = opened();
    expect(node.requestVote({ term: 9, acknowledged: 4 })).toEqual(['event store_refused, s1, s1, n2']);
  });

  test('a store with all that it had acknowledged is not considered an older copy', () => {
    const node = opened();
    expect(node.appendEntries({ prev: [3, 2], tick: 1, acknowledged: 3 })).toContain(
      'log-store.append term 2 of n2: nothing verified 3',
    );
    expect(node.core.health().reason).not.toContain('ECORRUPT');
  });
});

describe('promise 38: a store whose side file was missing', () => {
  test('neither votes nor campaigns before its leader has verified the log, and reports it from then on', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [three, 1, 2], unverified: true });
    expect(node.wait(5 * electionTimeoutMs).filter((line) => line.includes('elect'))).toEqual([]);
    expect(node.requestVote({ term: 9 })).toEqual([]);
    expect(node.core.health()).toEqual({
      healthy: false,
      reason: expect.stringMatching(/^unverified: the side file/),
    });
    // It has all that it says it has, but not all that is committed.
    node.appendEntries({ prev: [3, 2], tick: 1, commit: 4 });
    expect(node.core.health().healthy).toBe(false);
    node.appendEntries({ prev: [3, 2], entries: [2], tick: 2, commit: 4 });
    expect(node.sent.at(-1)?.message).toMatchObject({ name: 'log-store.append', body: { verified: true } });
    expect(node.core.health()).toEqual({ healthy: true, reason: expect.stringMatching(/side file.*verified since$/) });
    node.wait(electionTimeoutMs + 1);
    expect(node.requestVote({ term: 9 })).not.toEqual([]);
  });

  test('need not be verified if the group has no other member', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1']], unverified: true });
    expect(node.wait(3 * electionTimeoutMs).join()).toContain('elect');
  });
});
