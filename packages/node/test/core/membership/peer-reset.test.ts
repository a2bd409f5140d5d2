import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

const log = [[1, 'n1 n2 n3'], 1, 2] as const;

/** A follower of {n1 n2 n3} whose leader has been silent for long; entries 1 and 2 are known committed. */
function survivor(peer = 'n1'): NodeHarness {
  const node = new NodeHarness(peer);
  node.open({ term: 4, log, commit: 2 });
  node.wait(2 * electionTimeoutMs);
  return node;
}

const kept = (lines: readonly string[]) =>
  lines.filter((line) => !line.includes('pre_vote') && !line.includes('.stop'));

describe('promises 15 and 24: reset_peer', () => {
  test('begins another history with one write, in a term that no election has, and reports what may be lost', () => {
    const node = survivor();
    const lines = kept(node.admin('reset_peer', { new_peers: ['n1'] }, 'peer'));
    expect(lines.slice(0, 2)).toEqual([
      'log-store.reset term 2000000000: entry 4 of term 1000000002 {n1 epoch 1}',
      'event configuration_appended, n1, -, 4',
    ]);
    expect(lines[2]).toMatch(
      /^event peer_reset, uid, reset-1-[0-9a-f]{40}, 1, n1 n2 n3, n1, 3, 2, any acknowledged entries after 3 that only n2, n3 stored are lost/,
    );
    expect(lines[3]).toMatch(/^reply 1 .*"epoch":1,.*"last_index":3,"commit_index":2,.*"may_be_lost":".*n2, n3/);
    expect(lines).toHaveLength(4);
    expect(node.status).toMatchObject({
      configuration: { epoch: 1, peers: [{ peer_id: 'n1' }] },
      changes: [{ kind: 'reset', old_peers: ['n1', 'n2', 'n3'], new_peers: ['n1'] }],
    });
  });

  test('ends the quarantine of a peer that is reset to be alone: its state is the group’s now', () => {
    const node = new NodeHarness();
    Object.assign(node.machine, { digest: () => 'digest' });
    node.open({ term: 4, log, commit: 2, divergedAt: 2 });
    expect(node.core.health().reason).toContain('diverged');
    expect(node.read('x', { addressee: 'peer', consistency: 'stale' })).toEqual(['refuse 1 EBUSY not_done']);
    node.wait(2 * electionTimeoutMs);
    expect(node.summary.role).toBe('follower');
    node.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    expect(node.core.health().reason).not.toContain('diverged');
    expect(node.sent.find(({ message }) => message.name === 'log-store.read_only')?.message.body).toMatchObject({
      read_only: false,
      diverged_at: 0,
    });
  });

  test('is answered once it is synced, not before', () => {
    const node = survivor();
    node.syncs = false;
    expect(kept(node.admin('reset_peer', { new_peers: ['n1'] }, 'peer'))).toHaveLength(2);
    expect(node.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 2 EBUSY not_done']);
    expect(node.sync().map((line) => line.split(',')[0])).toContain('event peer_reset');
  });

  test('leads by an ordinary election, above all terms of the old history', () => {
    const node = survivor();
    node.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    node.wait(2 * electionTimeoutMs);
    node.elected();
    expect(node.elected()).toContain(
      'feed.append term 2000000001 of n1: entry 5 of term 2000000001 {n1 epoch 1} verified 5',
    );
  });

  test('the state machine begins it when it applies the entry that begins it, not before', () => {
    const node = survivor();
    node.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    node.wait(2 * electionTimeoutMs);
    node.elected();
    node.elected();
    expect(node.machine.epochs).toEqual([]);
    node.committed(5);
    expect(node.status.applied_index).toBe(5);
    expect(node.machine.epochs).toEqual([1, 1]);
  });

  test('messages from before it are refused: of the old leader, and of old voters', () => {
    const node = survivor();
    node.admin('reset_peer', { new_peers: ['n1', 'n2'] }, 'peer');
    expect(node.appendEntries({ term: 2_000_000_005, prev: [3, 2] })).toEqual([]);
    expect(node.feedAppend({ term: 2_000_000_005, prev: [3, 2], entries: [2] })).toEqual([]);
    expect(node.requestVote({ term: 2_000_000_005 })).toEqual([]);
    expect(node.timeoutNow(2_000_000_005)).toEqual([]);
    expect(node.higherTerm('n2', 2_000_000_005)).toEqual([]);
    expect(node.term).toBe(2_000_000_000);
    expect(node.status.dropped).toMatchObject({
      append_entries_of_other_history: 1,
      feed_append_of_other_leader: 1,
      request_vote_of_other_history: 1,
      timeout_now_stale: 1,
      higher_term_stale: 1,
    });
  });

  test('of several alike, with logs that end alike, all write the same; else the more up-to-date stays so', () => {
    const reset = (node: NodeHarness) => {
      node.admin('reset_peer', { new_peers: ['n2', 'n1'] }, 'peer');
      return node.status;
    };
    const one = reset(survivor());
    const ahead = new NodeHarness();
    ahead.open({ term: 9, log: [...log, 3], commit: 2 });
    ahead.wait(2 * electionTimeoutMs);
    const other = reset(ahead);
    expect(other.group_uid).toBe(one.group_uid);
    expect([one.last_index, other.last_index]).toEqual([4, 5]);
    const shorter = survivor();
    reset(shorter);
    shorter.wait(electionTimeoutMs);
    const vote = { group: one.group_uid, from: 'n2', term: 2_000_000_001 };
    expect(shorter.requestVote({ ...vote, last: [5, 1_000_000_003] })).toContain(
      'vote of term 2000000001 granted to n2',
    );
    const longer = survivor();
    reset(longer);
    longer.wait(electionTimeoutMs);
    expect(longer.requestVote({ ...vote, last: [9, 1_000_000_001] })).toContain(
      'vote of term 2000000001 refused to n2',
    );
  });

  test('survives a restart: it needs only the state of the log-store', () => {
    const node = new NodeHarness();
    node.open({ term: 2_000_000_000, log: [...log, [1_000_000_002, 'n1 n2']], commit: 2, groupUid: 'reset-1-x' });
    expect(node.appendEntries({ term: 9 })).toEqual([]);
    expect(node.status.configuration?.peers).toHaveLength(2);
  });

  test('a repeated command changes nothing', () => {
    const node = survivor();
    node.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    node.wait(2 * electionTimeoutMs);
    const again = node.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    expect(again).toEqual([expect.stringContaining('nothing more')]);
  });

  test.each([
    ['a leader is reachable', 'EBUSY', (node: NodeHarness) => node.appendEntries({ term: 4, prev: [3, 2] })],
    [
      'the log-store is silent',
      'EBUSY',
      (node: NodeHarness) => {
        node.dead.add('log-store');
        node.wait(2 * electionTimeoutMs);
      },
    ],
  ])('not while %s: %s', (_, code, before) => {
    const node = survivor();
    before(node);
    expect(node.admin('reset_peer', { new_peers: ['n1'] }, 'peer').join()).toContain(`refuse 1 ${code} not_done`);
  });

  test('is refused right after a start, and by a peer that leads, or led until a moment ago', () => {
    const node = new NodeHarness();
    node.open({ term: 4, log, commit: 2 });
    expect(node.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    const leader = new NodeHarness();
    leader.lead();
    leader.confirmed();
    expect(leader.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 1 EBUSY not_done leader n1']);
    leader.wait(1.5 * electionTimeoutMs);
    expect(leader.summary.role).not.toBe('leader');
    expect(leader.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 2 EBUSY not_done']);
  });

  test.each([
    ['strangers', ['n1', 'n9']],
    ['the others alone', ['n2']],
  ])('not to %s: EINVAL', (_, new_peers) => {
    expect(survivor().admin('reset_peer', { new_peers }, 'peer')).toEqual(['refuse 1 EINVAL not_done']);
  });

  test('is refused by a peer that holds nothing, or whose store is no member', () => {
    const empty = new NodeHarness();
    empty.open();
    empty.wait(2 * electionTimeoutMs);
    expect(empty.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 1 EINVAL not_done']);
    const stranger = new NodeHarness();
    stranger.open({ term: 1, log: [[1, 'n1:s9 n2 n3']], commit: 1 });
    stranger.wait(2 * electionTimeoutMs);
    expect(stranger.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 1 EINVAL not_done']);
  });

  test('is answered as unknown if the node is fenced meanwhile', () => {
    const node = survivor();
    node.syncs = false;
    node.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    expect(node.fencedBy(2)).toContain('refuse 1 EFENCED unknown');
  });
});
