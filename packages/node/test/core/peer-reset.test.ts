import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs } from './node-on-a-bench.js';

const log = [[1, 'n1 n2 n3'], 1, 2] as const;

/** A follower of {n1 n2 n3} whose leader has been silent for long; entries 1 and 2 are known committed. */
function survivor(peer = 'n1'): Bench {
  const bench = new Bench(peer);
  bench.open({ term: 4, log, commit: 2 });
  bench.wait(2 * electionTimeoutMs);
  return bench;
}

const kept = (lines: readonly string[]) =>
  lines.filter((line) => !line.includes('pre_vote') && !line.includes('.stop'));

describe('promises 15 and 24: reset_peer', () => {
  test('begins another history with one write, in a term that no election has, and says what may be lost', () => {
    const bench = survivor();
    const lines = kept(bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer'));
    expect(lines.slice(0, 2)).toEqual([
      'log-store.reset term 2000000000: entry 4 of term 1000000002 {n1 epoch 1}',
      'event configuration_appended, n1, -, 4',
    ]);
    expect(lines[2]).toMatch(
      /^event peer_reset, uid, reset-1-[0-9a-f]{40}, 1, n1 n2 n3, n1, 3, 2, whatever was acknowledged/,
    );
    expect(lines[3]).toMatch(/^reply 1 .*"epoch":1,.*"last_index":3,"commit_index":2,.*"may_be_lost":".*n2, n3/);
    expect(lines).toHaveLength(4);
    expect(bench.status).toMatchObject({
      configuration: { epoch: 1, peers: [{ peer_id: 'n1' }] },
      changes: [{ kind: 'reset', old_peers: ['n1', 'n2', 'n3'], new_peers: ['n1'] }],
    });
  });

  test('ends the quarantine of a peer that goes on alone: its state is the group’s now', () => {
    const bench = new Bench();
    Object.assign(bench.machine, { digest: () => 'digest' });
    bench.open({ term: 4, log, commit: 2, divergedAt: 2 });
    expect(bench.core.health().reason).toContain('diverged');
    expect(bench.read('x', { door: 'peer', consistency: 'stale' })).toEqual(['refuse 1 EBUSY not_done']);
    bench.wait(2 * electionTimeoutMs);
    expect(bench.summary.role).toBe('follower');
    bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    expect(bench.core.health().reason).not.toContain('diverged');
    expect(bench.sent.find(({ message }) => message.name === 'log-store.read_only')?.message.body).toMatchObject({
      read_only: false,
      diverged_at: 0,
    });
  });

  test('is answered once it is synced, not before', () => {
    const bench = survivor();
    bench.syncs = false;
    expect(kept(bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer'))).toHaveLength(2);
    expect(bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 2 EBUSY not_done']);
    expect(bench.sync().map((line) => line.split(',')[0])).toContain('event peer_reset');
  });

  test('leads by an ordinary election, above all terms of the old history', () => {
    const bench = survivor();
    bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    bench.wait(2 * electionTimeoutMs);
    bench.elected();
    expect(bench.elected()).toContain(
      'feed.append term 2000000001 of n1: entry 5 of term 2000000001 {n1 epoch 1} verified 5',
    );
  });

  test('the state machine is told of it where it applies the entry that begins it, not before', () => {
    const bench = survivor();
    bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    bench.wait(2 * electionTimeoutMs);
    bench.elected();
    bench.elected();
    expect(bench.machine.epochs).toEqual([]);
    bench.committed(5);
    expect(bench.status.applied_index).toBe(5);
    expect(bench.machine.epochs).toEqual([1, 1]);
  });

  test('messages from before it are refused: of the old leader, and of old voters', () => {
    const bench = survivor();
    bench.admin('reset_peer', { new_peers: ['n1', 'n2'] }, 'peer');
    expect(bench.appendEntries({ term: 2_000_000_005, prev: [3, 2] })).toEqual([]);
    expect(bench.feedAppend({ term: 2_000_000_005, prev: [3, 2], entries: [2] })).toEqual([]);
    expect(bench.requestVote({ term: 2_000_000_005 })).toEqual([]);
    expect(bench.timeoutNow(2_000_000_005)).toEqual([]);
    expect(bench.higherTerm('n2', 2_000_000_005)).toEqual([]);
    expect(bench.term).toBe(2_000_000_000);
    expect(bench.status.dropped).toMatchObject({
      append_entries_of_other_history: 1,
      feed_append_of_other_leader: 1,
      request_vote_of_other_history: 1,
      timeout_now_stale: 1,
      higher_term_stale: 1,
    });
  });

  test('of several alike, with logs that end alike, all write the same; else the more up-to-date stays so', () => {
    const reset = (bench: Bench) => {
      bench.admin('reset_peer', { new_peers: ['n2', 'n1'] }, 'peer');
      return bench.status;
    };
    const one = reset(survivor());
    const ahead = new Bench();
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

  test('survives a restart: what the log-store found is all that it needs', () => {
    const bench = new Bench();
    bench.open({ term: 2_000_000_000, log: [...log, [1_000_000_002, 'n1 n2']], commit: 2, groupUid: 'reset-1-x' });
    expect(bench.appendEntries({ term: 9 })).toEqual([]);
    expect(bench.status.configuration?.peers).toHaveLength(2);
  });

  test('asked for again it changes nothing', () => {
    const bench = survivor();
    bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    bench.wait(2 * electionTimeoutMs);
    const again = bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    expect(again).toEqual([expect.stringContaining('nothing more')]);
  });

  test.each([
    ['a leader is heard', 'EBUSY', (bench: Bench) => bench.appendEntries({ term: 4, prev: [3, 2] })],
    [
      'the log-store is silent',
      'EBUSY',
      (bench: Bench) => {
        bench.dead.add('log-store');
        bench.wait(2 * electionTimeoutMs);
      },
    ],
  ])('not while %s: %s', (_, code, before) => {
    const bench = survivor();
    before(bench);
    expect(bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer').join()).toContain(`refuse 1 ${code} not_done`);
  });

  test('not right after a start, nor by who leads, or has led until now', () => {
    const bench = new Bench();
    bench.open({ term: 4, log, commit: 2 });
    expect(bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    const leader = new Bench();
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

  test('not by who holds nothing, or whose store is no member', () => {
    const empty = new Bench();
    empty.open();
    empty.wait(2 * electionTimeoutMs);
    expect(empty.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 1 EINVAL not_done']);
    const stranger = new Bench();
    stranger.open({ term: 1, log: [[1, 'n1:s9 n2 n3']], commit: 1 });
    stranger.wait(2 * electionTimeoutMs);
    expect(stranger.admin('reset_peer', { new_peers: ['n1'] }, 'peer')).toEqual(['refuse 1 EINVAL not_done']);
  });

  test('that is fenced meanwhile is answered as unknown', () => {
    const bench = survivor();
    bench.syncs = false;
    bench.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    expect(bench.fencedBy(2)).toContain('refuse 1 EFENCED unknown');
  });
});
