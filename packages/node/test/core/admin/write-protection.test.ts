import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

function leader(): NodeHarness {
  const node = new NodeHarness();
  node.lead();
  node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
  return node;
}

function follower(readOnly = false): NodeHarness {
  const node = new NodeHarness();
  node.open({ term: 2, log: [[1, 'n1 n2 n3'], 2], commit: 2, readOnly });
  return node;
}

const echoOf = (node: NodeHarness) => node.sent.find(({ message }) => message.name === 'feed.echo')?.message.body;

describe('a peer that an operator made read-only', () => {
  test('stores that, and replies when it is synced', () => {
    const node = follower();
    node.syncs = false;
    expect(node.admin('read_only', { read_only: true }, 'peer')).toEqual([
      'log-store.read_only true',
      'event read_only_changed, told',
    ]);
    expect(node.sync()).toEqual(['reply 1 {"read_only":true,"reason":"told"}']);
    expect(node.status).toMatchObject({ read_only: 'told', disk_free_bytes: null });
    node.syncs = true;
    expect(node.admin('read_only', { read_only: false }, 'peer')).toEqual([
      'log-store.read_only false',
      'event read_only_changed, ',
      'reply 2 {"read_only":false,"reason":""}',
    ]);
  });

  test('is still read-only when it is started again', () => {
    expect(follower(true).status.read_only).toBe('told');
  });

  test('rejects entries, accepts heartbeats, and reports it in its echo', () => {
    const node = follower(true);
    expect(node.appendEntries({ term: 2, prev: [2, 2], entries: [2], tick: 1 })).toEqual([
      'echo of tick 1 in term 2 to n2',
      'rejected read_only to n2: last 2, conflict 0 of term 0',
    ]);
    expect(node.appendEntries({ term: 2, prev: [2, 2], tick: 2 })).toEqual([
      'echo of tick 2 in term 2 to n2',
      'log-store.append term 2 of n2: nothing verified 2',
    ]);
    expect(echoOf(node)).toMatchObject({ read_only: true });
    expect(node.summary.last_index).toBe(2);
  });

  test('subscribes to no feed: it would not accept the appends', () => {
    const node = follower(true);
    expect(node.appendEntries({ term: 2, prev: [2, 2], hearFeed: true })).not.toContain('subscribe to the feed of n2');
    expect(node.feedAppend({ term: 2, prev: [2, 2], entries: [2] })).toEqual([]);
    expect(node.dropped('feed_append_read_only')).toBe(1);
  });

  test('votes, and is voted for', () => {
    const node = follower(true);
    node.wait(electionTimeoutMs);
    expect(node.requestVote({ from: 'n3', term: 3, last: [2, 2] })).toContain('vote of term 3 granted to n3');
    node.wait(3 * electionTimeoutMs);
    expect(node.summary.role).toBe('pre_candidate');
  });
});

describe('a peer whose disk has less room than the reserve', () => {
  test('stores no entries until there is room again; an operator’s order counts independently', () => {
    const node = follower();
    expect(node.disk(false, 900)).toEqual([]);
    expect(node.disk(true, 100)).toEqual(['event read_only_changed, disk']);
    expect(node.status).toMatchObject({ read_only: 'disk', disk_free_bytes: 100 });
    expect(node.admin('read_only', { read_only: true }, 'peer')).toContain('event read_only_changed, told');
    expect(node.disk(false, 900)).toEqual([]);
    expect(node.admin('read_only', { read_only: false }, 'peer')).toContain('event read_only_changed, ');
    expect(node.disk(true, 100)).toEqual(['event read_only_changed, disk']);
    expect(node.admin('read_only', { read_only: false }, 'peer')).toContain(
      'reply 3 {"read_only":true,"reason":"disk"}',
    );
  });
});

describe('a peer whose log-store is unhealthy, though it replies', () => {
  test('is unhealthy in its status, with the reason, until the log-store is healthy or has restarted', () => {
    const node = follower();
    node.appendEntries({ from: 'n2', term: 2, prev: [2, 2] });
    const healthy = { healthy: true, reason: '' };
    expect(node.status.health).toEqual(healthy);
    node.disk(false, 900, 'EMFILE: no free file descriptors');
    const sick = { healthy: false, reason: 'log-store: EMFILE: no free file descriptors' };
    expect(node.status.health).toEqual(sick);
    node.disk(false, 900);
    expect(node.status.health).toEqual(healthy);
  });
});

describe('a leader', () => {
  test('accepts writes while a majority of each set stores entries', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 2, readOnly: true }, { peer: 'n3', match: 2 });
    expect(node.propose('a')).toEqual(['feed.append term 2 of n1: entry 3 of term 2 verified 3']);
    node.progress({ peer: 'n2', match: 2, readOnly: true }, { peer: 'n3', match: 2, readOnly: true });
    expect(node.propose('b')).toEqual(['refuse 2 EREADONLY not_done']);
    expect(node.admin('add_peer', { peer_id: 'n4' })).toEqual(['refuse 3 EREADONLY not_done']);
    node.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 2, readOnly: true });
    expect(node.propose('c')).toEqual(['feed.append term 2 of n1: entry 4 of term 2 verified 4']);
  });

  test('of four accepts no writes with two writable peers, which are no majority', () => {
    const node = new NodeHarness();
    node.lead({ term: 1, log: [[1, 'n1 n2 n3 n4']] });
    node.progress(
      { peer: 'n2', match: 2, readOnly: true },
      { peer: 'n3', match: 2, readOnly: true },
      { peer: 'n4', match: 2 },
    );
    expect(node.propose('a')).toEqual(['refuse 1 EREADONLY not_done']);
  });

  test('that is read-only itself transfers leadership to the best peer that is not, and holds writes back meanwhile', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 1 });
    node.admin('read_only', { read_only: true }, 'peer');
    expect(node.propose('a'), 'until it hands over').toEqual(['refuse 2 EREADONLY not_done']);
    expect(node.wait(100)).toContain('replicator.transfer to n2 with 2');
    expect(node.propose('b')).toEqual([]);
    expect(node.requestVote({ from: 'n2', term: 3, transfer: true })).toContain('refuse 3 EPERM unknown');
  });

  test('promise 32: that is read-only itself stays if no other peer could commit entries, and reads', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2, readOnly: true });
    node.admin('read_only', { read_only: true }, 'peer');
    expect(node.wait(100).filter((line) => line.startsWith('replicator.transfer'))).toEqual([]);
    expect(node.admin('transfer_leader', { peer_id: 'n2' }), 'nor on command').toEqual(['refuse 2 EREADONLY not_done']);
    expect(node.admin('transfer_leader'), 'nor to nobody in particular').toEqual(['refuse 3 EREADONLY not_done']);
    expect(node.propose('a')).toEqual(['refuse 4 EREADONLY not_done']);
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    expect(node.wait(100), 'until another takes entries again').toContain('replicator.transfer to n2 with 2');
  });

  test('without a peer to transfer to refuses writes, also those that it has held back', () => {
    const node = leader();
    node.admin('read_only', { read_only: true }, 'peer');
    expect(node.wait(100)).toContain('replicator.transfer to n2 with 2');
    node.propose('a');
    const silent = { match: 2, silentMs: electionTimeoutMs + 1 };
    node.progress({ peer: 'n2', ...silent }, { peer: 'n3', ...silent });
    for (let ms = 0; ms < 2 * electionTimeoutMs; ms += 100) {
      node.wait(100);
      node.confirmed();
    }
    // n2 may have received the order meanwhile, and the same request.
    expect(node.propose('b')).toEqual(['refuse 3 EREADONLY unknown']);
    expect(node.summary.last_index).toBe(2);
  });

  test('does not count a read-only new peer as reachable', () => {
    const node = leader();
    node.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'], timeout_ms: 500 });
    const caughtUp = { match: 2, caughtUp: true, readOnly: true };
    expect(node.progress({ peer: 'n4', ...caughtUp }, { peer: 'n5', ...caughtUp })).toContain(
      'refuse 1 ECATCHUP not_done',
    );
  });
});
