import { asLogIndex } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs } from './node-on-a-bench.js';

/** Leads {n1 n2 n3} in term 2; entry 2 is its flush, committed. All members are in reach. */
function leader(): Bench {
  const bench = new Bench();
  bench.lead();
  bench.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
  return bench;
}

const members = [
  { peer: 'n2', match: 2 },
  { peer: 'n3', match: 2 },
];

/** Keeps the leader confirmed while time passes. */
function waitConfirmed(bench: Bench, forMs: number): string[] {
  const lines: string[] = [];
  for (let passed = 0; passed < forMs; passed += 100) {
    lines.push(...bench.wait(100));
    bench.confirmed();
  }
  return lines.filter((line) => !line.includes('nothing verified'));
}

/** In the joint stage from {n1 n2 n3} to {n1 n4 n5}, with entry 3. */
function joint(): Bench {
  const bench = leader();
  bench.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
  bench.progress(...members, { peer: 'n4', match: 2, caughtUp: true }, { peer: 'n5', match: 2, caughtUp: true });
  return bench;
}

describe('writers that outrun a new peer', () => {
  /** A leader under writes whose new peer asks for slower writers. */
  function throttled(): Bench {
    const bench = leader();
    bench.admin('add_peer', { peer_id: 'n4' });
    for (let tick = 0; tick < 10; tick++) {
      bench.propose('x'.repeat(1000));
      bench.committed(bench.status.last_index);
      waitConfirmed(bench, 100);
    }
    bench.progress(...members, { peer: 'n4', match: 2, wantsThrottle: true });
    return bench;
  }

  /** How many of these writes are appended, one every 10 ms. */
  function appendedOf(bench: Bench, writes: number): number {
    const before = bench.status.last_index;
    for (let write = 0; write < writes; write++) {
      bench.propose('x'.repeat(100));
      bench.wait(10);
      bench.confirmed();
      bench.committed(bench.status.last_index);
    }
    return bench.status.last_index - before;
  }

  test('are slowed down for half an election timeout, and nothing is refused', () => {
    const bench = throttled();
    // One of 1000 bytes every 100 ms has become one of 500.
    const before = bench.status.last_index;
    bench.propose('y'.repeat(1000));
    const during = bench.propose('y'.repeat(1000));
    expect(during).toEqual([]);
    waitConfirmed(bench, electionTimeoutMs / 2 + 100);
    expect(bench.status.last_index).toBe(before + 2);
    // It does not begin again at once.
    bench.progress(...members, { peer: 'n4', match: 2, wantsThrottle: true });
    bench.committed(bench.status.last_index);
    expect(appendedOf(bench, 20)).toBe(20);
  });

  test('are free again once the peer is taken in', () => {
    const bench = throttled();
    bench.propose('y'.repeat(10_000));
    expect(bench.propose('y')).toEqual([]);
    bench.progress(...members, { peer: 'n4', match: bench.status.last_index, caughtUp: true });
    expect(bench.propose('z')).not.toEqual([]);
  });
});

describe('a change by the stages', () => {
  test('catching up: replicators start, and nobody new counts (promise 2)', () => {
    const bench = leader();
    expect(bench.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] })).toEqual([
      'event stage_changed, catching_up, n1 n2 n3, n1 n4 n5',
      'replicator.targets n4+ n5+ n2 n3',
    ]);
    expect(bench.progress(...members, { peer: 'n4', match: 2, caughtUp: true })).toEqual([
      'event catchup_progress, n4, caught_up, 2, 2, 0, 100',
    ]);
    expect(bench.status).toMatchObject({ stage: 'catching_up', configuration_index: 2 });
  });

  test('joint, then stable, then the answer; the removed are told', () => {
    const bench = leader();
    bench.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    expect(
      bench.progress(...members, { peer: 'n4', match: 2, caughtUp: true }, { peer: 'n5', match: 1, caughtUp: true }),
    ).toEqual([
      'event catchup_progress, n4, caught_up, 2, 2, 0, 100',
      'event catchup_progress, n5, caught_up, 1, 2, 1, 100',
      'event stage_changed, joint, n1 n2 n3, n1 n4 n5',
      'event configuration_appended, n1 n4 n5, n1 n2 n3, 3',
      'feed.append term 2 of n1: entry 3 of term 2 {n1 n4 n5 | n1 n2 n3} verified 3',
      'replicator.targets n4 n5 n2 n3',
    ]);
    expect(bench.committed(3)).toEqual([
      'event configuration_committed, n1 n4 n5, n1 n2 n3, 3',
      'event stage_changed, stable, n1 n2 n3, n1 n4 n5',
      'event configuration_appended, n1 n4 n5, -, 4',
      'feed.append term 2 of n1: entry 4 of term 2 {n1 n4 n5} verified 4',
      'replicator.targets n2 n3 n4 n5',
    ]);
    expect(bench.committed(4)).toEqual([
      'event configuration_committed, n1 n4 n5, -, 4',
      'reply 1 {"old_peers":["n1","n2","n3"],"new_peers":["n1","n4","n5"]}',
      'event stage_changed, none, n1 n2 n3, n1 n4 n5',
    ]);
  });

  test('one peer added or removed skips the joint stage', () => {
    const bench = leader();
    bench.admin('add_peer', { peer_id: 'n4' });
    expect(bench.progress(...members, { peer: 'n4', match: 2, caughtUp: true })).toContain(
      'feed.append term 2 of n1: entry 3 of term 2 {n1 n2 n3 n4} verified 3',
    );
    bench.committed(3);
    bench.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 }, { peer: 'n4', match: 3 });
    expect(bench.admin('remove_peer', { peer_id: 'n2' })).toContain(
      'feed.append term 2 of n1: entry 4 of term 2 {n1 n3 n4} verified 4',
    );
  });

  test('one peer replaced does not', () => {
    const bench = leader();
    bench.admin('change_peers', { new_peers: ['n1', 'n2', 'n4'] });
    expect(bench.progress(...members, { peer: 'n4', match: 2, caughtUp: true })).toContain(
      'feed.append term 2 of n1: entry 3 of term 2 {n1 n2 n4 | n1 n2 n3} verified 3',
    );
  });

  test('promise 7: what is in force is answered at once, and changes nothing', () => {
    const bench = leader();
    expect(bench.admin('change_peers', { new_peers: ['n3', 'n2', 'n1'] })).toEqual([
      'reply 1 {"old_peers":["n1","n2","n3"],"new_peers":["n1","n2","n3"]}',
    ]);
    expect(bench.admin('add_peer', { peer_id: 'n2' })).toHaveLength(1);
    expect(bench.admin('remove_peer', { peer_id: 'n9' })).toHaveLength(1);
  });

  test('one change at a time', () => {
    const bench = joint();
    expect(bench.admin('add_peer', { peer_id: 'n6' })).toEqual(['refuse 2 EBUSY not_done']);
    expect(bench.admin('transfer_leader')).toEqual(['refuse 3 EBUSY not_done']);
  });

  test('none before the leader has committed an entry of its own term', () => {
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    bench.confirmed();
    expect(bench.admin('add_peer', { peer_id: 'n4' })).toEqual(['refuse 1 EBUSY not_done']);
  });

  test('promise 11: no empty set, and no other leader than the one named', () => {
    const bench = new Bench();
    bench.lead({ term: 1, log: [[1, 'n1']] });
    expect(bench.admin('remove_peer', { peer_id: 'n1' })).toEqual(['refuse 1 EINVAL not_done']);
    expect(bench.admin('add_peer', { peer_id: 'n2', leader_id: 'n7' })).toEqual(['refuse 2 EPERM not_done leader n1']);
  });
});

describe('a change that cannot be', () => {
  test('promise 1: past its deadline it fails, and the next one is taken', () => {
    const bench = leader();
    bench.admin('add_peer', { peer_id: 'n4', timeout_ms: 500 });
    expect(waitConfirmed(bench, 500)).toEqual([
      'replicator.targets n2 n3',
      'refuse 1 ECATCHUP not_done',
      'event change_failed, n1 n2 n3, n1 n2 n3 n4, ECATCHUP',
      'event stage_changed, none, n1 n2 n3, n1 n2 n3 n4',
    ]);
    expect(bench.admin('add_peer', { peer_id: 'n5' })[0]).toBe(
      'event stage_changed, catching_up, n1 n2 n3, n1 n2 n3 n5',
    );
  });

  test('promise 5: a peer with another history is refused', () => {
    const bench = leader();
    bench.admin('add_peer', { peer_id: 'n4' });
    expect(bench.progress(...members, { peer: 'n4', match: 0, refusal: 'ENOTEMPTY' })).toContain(
      'refuse 1 ENOTEMPTY not_done',
    );
  });

  test('promise 12: who was never heard of is told from who lags', () => {
    const bench = leader();
    bench.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    expect(bench.progress(...members, { peer: 'n4', match: 0, silentMs: -1 }, { peer: 'n5', match: 1 })).toEqual([
      'event catchup_progress, n4, never_heard_of, 0, 2, 2, 0',
      'event catchup_progress, n5, lagging, 1, 2, 1, 50',
    ]);
  });

  test('promise 12: who installs a snapshot is told from both, in the event and in the reply', () => {
    const bench = leader();
    bench.admin('change_peers', { new_peers: ['n1', 'n2', 'n3', 'n4'], timeout_ms: 900 });
    const install = { index: asLogIndex(2), chunks: 8, stored: 3, bytes: 999 };
    expect(bench.progress(...members, { peer: 'n4', match: 0, install })).toEqual([
      'event catchup_progress, n4, installing, 0, 2, 2, 37',
    ]);
    bench.wait(1000);
    const error = { code: 'ECATCHUP', message: 'in time did not catch up: n4 (installing a snapshot at 37 %)' };
    expect(bench.status.changes.at(-1)).toMatchObject({ state: 'undone', error });
  });

  test('promise 11: a set whose majority is out of reach is refused before it is appended', () => {
    const bench = leader();
    bench.progress({ peer: 'n2', match: 2, silentMs: 5000 }, { peer: 'n3', match: 2 });
    expect(bench.admin('remove_peer', { peer_id: 'n3' })).toContain('refuse 1 ECATCHUP not_done');
    expect(bench.summary.last_index).toBe(2);
  });

  test('promise 11: a store that is another than the set binds it to counts as out of reach', () => {
    const bench = leader();
    bench.progress({ peer: 'n2', match: 2, refusal: 'ESTORE' }, { peer: 'n3', match: 2 });
    expect(bench.admin('remove_peer', { peer_id: 'n3' })).toContain('refuse 1 ECATCHUP not_done');
  });

  test('promise 11: a new leader appends no set before it knows who is in reach', () => {
    const bench = new Bench();
    bench.lead();
    expect(bench.admin('remove_peer', { peer_id: 'n3' })).toEqual([
      'event stage_changed, catching_up, n1 n2 n3, n1 n2',
    ]);
    expect(bench.progress(...members)).toContain('feed.append term 2 of n1: entry 3 of term 2 {n1 n2} verified 3');
  });
});

describe('cancelling', () => {
  test('while catching up: nothing has happened', () => {
    const bench = leader();
    bench.admin('add_peer', { peer_id: 'n4' });
    expect(bench.admin('cancel_change').filter((line) => /^(refuse|reply)/.test(line))).toEqual([
      'refuse 1 ECANCELED not_done',
      expect.stringContaining(
        'reply 2 {"cancelled":{"kind":"change","old_peers":["n1","n2","n3"],"new_peers":["n1","n2","n3","n4"],"state":"undone"',
      ),
    ]);
    expect(bench.summary.last_index).toBe(2);
  });

  test('in the joint stage: the old peers are appended alone, and those that were taken in are told', () => {
    const bench = joint();
    expect(bench.admin('cancel_change')).toEqual([
      'event stage_changed, stable, n1 n2 n3, n1 n4 n5',
      'event configuration_appended, n1 n2 n3, -, 4',
      'feed.append term 2 of n1: entry 4 of term 2 {n1 n2 n3} verified 4',
      'replicator.targets n4 n5 n2 n3',
    ]);
    expect(bench.committed(4).filter((line) => /^(refuse|reply|event change)/.test(line))).toEqual([
      'refuse 1 ECANCELED not_done',
      expect.stringContaining('reply 2 {"cancelled":'),
      'event change_failed, n1 n2 n3, n1 n4 n5, ECANCELED',
    ]);
  });

  test('is too late once the stable entry is appended', () => {
    const bench = joint();
    bench.committed(3);
    expect(bench.admin('cancel_change')).toEqual(['refuse 2 EBUSY not_done']);
  });

  test('is not for a leader that found the joint entry: it finishes the change (flush)', () => {
    const bench = new Bench();
    bench.open({
      term: 1,
      log: [
        [1, 'n1 n2 n3'],
        [1, 'n1 n4 | n1 n2 n3'],
      ],
    });
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    expect(bench.elected()).toContain('feed.append term 2 of n1: entry 3 of term 2 {n1 n4 | n1 n2 n3} verified 3');
    bench.confirmed();
    expect(bench.admin('cancel_change')).toEqual(['refuse 1 EBUSY not_done']);
    expect(bench.committed(3)).toContain('feed.append term 2 of n1: entry 4 of term 2 {n1 n4} verified 4');
    expect(bench.committed(4)).toContain('event stage_changed, none, n1 n2 n3, n1 n4');
  });

  test('of nothing is ENOENT', () => {
    expect(leader().admin('cancel_change')).toEqual(['refuse 1 ENOENT not_done']);
  });

  test('promise 13: by itself, when the joint stage is not committed in time; it names the votes that it lacks', () => {
    const bench = joint();
    bench.hear({
      name: 'node.ballots',
      body: {
        ...bench.own,
        term: 2 as never,
        commit_index: 2 as never,
        registered_index: 3 as never,
        lacking: { peers: ['n4', 'n5'] as never, old_peers: [] },
      },
    });
    expect(waitConfirmed(bench, 10_000)).toContain('feed.append term 2 of n1: entry 4 of term 2 {n1 n2 n3} verified 4');
    bench.committed(4);
    expect(bench.status.changes.at(-1)).toMatchObject({ state: 'undone', error: { code: 'ECANCELED' } });
  });

  test('promise 1: also with both new peers dead: who hears the old majority stays until then', () => {
    const bench = joint();
    const lines: string[] = [];
    for (let passed = 0; passed < 10_000; passed += 100) {
      bench.progress(
        { peer: 'n2', match: 3 },
        { peer: 'n3', match: 2, silentMs: passed },
        { peer: 'n4', match: 2, silentMs: passed },
      );
      lines.push(...bench.wait(100));
    }
    expect(lines).toContain('feed.append term 2 of n1: entry 4 of term 2 {n1 n2 n3} verified 4');
    expect(lines).not.toContain('event leader_stepped_down, its quorum is silent');
    bench.committed(4);
    expect(bench.status.changes.at(-1)).toMatchObject({ state: 'undone' });
  });

  test('without the old majority, too, the leader steps down', () => {
    const bench = joint();
    const lines: string[] = [];
    for (let passed = 0; passed < 2000; passed += 100) {
      bench.progress({ peer: 'n2', match: 3, silentMs: passed }, { peer: 'n4', match: 3 }, { peer: 'n5', match: 3 });
      lines.push(...bench.wait(100));
    }
    expect(lines).toContain('event leader_stepped_down, its quorum is silent');
  });

  test('nor does an old report of the replicators keep it in office', () => {
    const bench = joint();
    bench.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 }, { peer: 'n4', match: 2, silentMs: 900 });
    expect(bench.wait(2 * electionTimeoutMs)).toContain('event leader_stepped_down, its quorum is silent');
  });

  test('a leader that found the joint entry cannot take it back, and steps down without its quorum', () => {
    const bench = new Bench();
    bench.open({
      term: 1,
      log: [
        [1, 'n1 n2 n3'],
        [1, 'n1 n4 n5 | n1 n2 n3'],
      ],
    });
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    const lines: string[] = [];
    for (let passed = 0; passed < 2000; passed += 100) {
      bench.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 });
      lines.push(...bench.wait(100));
    }
    expect(lines).toContain('event leader_stepped_down, its quorum is silent');
  });

  test('what is not committed by its deadline goes on, and who waits is told so, the canceller too', () => {
    const bench = joint();
    bench.admin('cancel_change');
    expect(waitConfirmed(bench, 10_000).filter((line) => line.startsWith('refuse'))).toEqual([
      'refuse 1 ETIMEDOUT unknown',
      'refuse 2 ETIMEDOUT unknown',
    ]);
    expect(bench.committed(4).filter((line) => /^(refuse|reply)/.test(line))).toEqual([]);
  });
});

describe('a leadership that ends in a change', () => {
  test('while catching up nothing has happened, nor will it', () => {
    const bench = leader();
    bench.admin('add_peer', { peer_id: 'n4' });
    expect(bench.higherTerm('n2', 9)).toContain('refuse 1 EPERM not_done');
    expect(bench.status.changes.at(-1)).toMatchObject({ state: 'undone' });
  });

  test('in the joint stage it is unknown what becomes of it', () => {
    expect(joint().higherTerm('n2', 9)).toContain('refuse 1 EPERM unknown');
  });
});

describe('a leader that is out', () => {
  test('hands over to the most up-to-date peer, once that is committed, and steps down', () => {
    const bench = leader();
    bench.admin('remove_peer', { peer_id: 'n1' });
    bench.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 3 });
    expect(bench.committed(3)).toEqual([
      'event configuration_committed, n2 n3, -, 3',
      'event peer_removed, 3',
      'reply 1 {"old_peers":["n1","n2","n3"],"new_peers":["n2","n3"]}',
      'event stage_changed, none, n1 n2 n3, n2 n3',
      'replicator.transfer to n3 with 3',
    ]);
    expect(bench.requestVote({ from: 'n3', term: 3, transfer: true }).at(-1)).toBe('vote of term 3 granted to n3');
  });

  test('promise 10: steps down by itself where nobody takes over', () => {
    const bench = leader();
    bench.admin('remove_peer', { peer_id: 'n1' });
    bench.committed(3);
    expect(waitConfirmed(bench, electionTimeoutMs)).toContain(
      'event leader_stepped_down, it is out of the configuration',
    );
    expect(bench.wait(5 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
  });
});

describe('removed peers', () => {
  test('are told for some ticks after they know, and let go', () => {
    const bench = leader();
    bench.admin('remove_peer', { peer_id: 'n3' });
    bench.committed(3);
    bench.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 });
    expect(waitConfirmed(bench, 500)).toEqual([]);
    expect(waitConfirmed(bench, 100)).toEqual(['replicator.targets n2']);
  });

  test('that never answer are let go after a while', () => {
    const bench = leader();
    bench.admin('remove_peer', { peer_id: 'n3' });
    bench.committed(3);
    expect(waitConfirmed(bench, 9900)).toEqual([]);
    expect(waitConfirmed(bench, 200)).toEqual(['replicator.targets n2']);
  });
});
