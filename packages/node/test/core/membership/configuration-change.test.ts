import { asLogIndex, limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

/** Leads {n1 n2 n3} in term 2; entry 2 is its flush, committed. All members are in reach. */
function leader(): NodeHarness {
  const node = new NodeHarness();
  node.lead();
  node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
  return node;
}

const members = [
  { peer: 'n2', match: 2 },
  { peer: 'n3', match: 2 },
];

/** Keeps the leader confirmed while time passes. */
function waitConfirmed(node: NodeHarness, forMs: number): string[] {
  const lines: string[] = [];
  for (let passed = 0; passed < forMs; passed += 100) {
    lines.push(...node.wait(100));
    node.confirmed();
  }
  return lines.filter((line) => !line.includes('nothing verified'));
}

/** In the joint stage from {n1 n2 n3} to {n1 n4 n5}, with entry 3. */
function joint(): NodeHarness {
  const node = leader();
  node.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
  node.progress(...members, { peer: 'n4', match: 2, caughtUp: true }, { peer: 'n5', match: 2, caughtUp: true });
  return node;
}

describe('writers that outrun a new peer', () => {
  /** A leader under writes whose new peer asks for slower writers. */
  function throttled(): NodeHarness {
    const node = leader();
    node.admin('add_peer', { peer_id: 'n4' });
    for (let tick = 0; tick < 10; tick++) {
      node.propose('x'.repeat(1000));
      node.committed(node.status.last_index);
      waitConfirmed(node, 100);
    }
    node.progress(...members, { peer: 'n4', match: 2, wantsThrottle: true });
    return node;
  }

  /** How many of these writes are appended, one every 10 ms. */
  function appendedOf(node: NodeHarness, writes: number): number {
    const before = node.status.last_index;
    for (let write = 0; write < writes; write++) {
      node.propose('x'.repeat(100));
      node.wait(10);
      node.confirmed();
      node.committed(node.status.last_index);
    }
    return node.status.last_index - before;
  }

  test('are slowed down for half an election timeout, and nothing is refused', () => {
    const node = throttled();
    // One of 1000 bytes every 100 ms has become one of 500.
    const before = node.status.last_index;
    node.propose('y'.repeat(1000));
    const during = node.propose('y'.repeat(1000));
    expect(during).toEqual([]);
    waitConfirmed(node, electionTimeoutMs / 2 + 100);
    expect(node.status.last_index).toBe(before + 2);
    // It does not begin again at once.
    node.progress(...members, { peer: 'n4', match: 2, wantsThrottle: true });
    node.committed(node.status.last_index);
    expect(appendedOf(node, 20)).toBe(20);
  });

  test('the writers are not slowed down any more once the peer is added', () => {
    const node = throttled();
    node.propose('y'.repeat(10_000));
    expect(node.propose('y')).toEqual([]);
    node.progress(...members, { peer: 'n4', match: node.status.last_index, caughtUp: true });
    expect(node.propose('z')).not.toEqual([]);
  });
});

describe('a change by the stages', () => {
  test('catching up: replicators start, and no new peer counts (promise 2)', () => {
    const node = leader();
    expect(node.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] })).toEqual([
      'event stage_changed, catching_up, n1 n2 n3, n1 n4 n5',
      'replicator.targets n4+ n5+ n2 n3',
    ]);
    expect(node.progress(...members, { peer: 'n4', match: 2, caughtUp: true })).toEqual([
      'event catchup_progress, n4, caught_up, 2, 2, 0, 100',
    ]);
    expect(node.status).toMatchObject({ stage: 'catching_up', configuration_index: 2 });
  });

  test('the joint entry is followed by the stable one and the reply; the removed peers are notified', () => {
    const node = leader();
    node.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    expect(
      node.progress(...members, { peer: 'n4', match: 2, caughtUp: true }, { peer: 'n5', match: 1, caughtUp: true }),
    ).toEqual([
      'event catchup_progress, n4, caught_up, 2, 2, 0, 100',
      'event catchup_progress, n5, caught_up, 1, 2, 1, 100',
      'event stage_changed, joint, n1 n2 n3, n1 n4 n5',
      'event configuration_appended, n1 n4 n5, n1 n2 n3, 3',
      'feed.append term 2 of n1: entry 3 of term 2 {n1 n4 n5 | n1 n2 n3} verified 3',
      'replicator.targets n4 n5 n2 n3',
    ]);
    expect(node.committed(3)).toEqual([
      'event configuration_committed, n1 n4 n5, n1 n2 n3, 3',
      'event stage_changed, stable, n1 n2 n3, n1 n4 n5',
      'event configuration_appended, n1 n4 n5, -, 4',
      'feed.append term 2 of n1: entry 4 of term 2 {n1 n4 n5} verified 4',
      'replicator.targets n2 n3 n4 n5',
    ]);
    expect(node.committed(4)).toEqual([
      'event configuration_committed, n1 n4 n5, -, 4',
      'reply 1 {"old_peers":["n1","n2","n3"],"new_peers":["n1","n4","n5"]}',
      'event stage_changed, none, n1 n2 n3, n1 n4 n5',
    ]);
  });

  test('one peer added or removed skips the joint stage', () => {
    const node = leader();
    node.admin('add_peer', { peer_id: 'n4' });
    expect(node.progress(...members, { peer: 'n4', match: 2, caughtUp: true })).toContain(
      'feed.append term 2 of n1: entry 3 of term 2 {n1 n2 n3 n4} verified 3',
    );
    node.committed(3);
    node.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 }, { peer: 'n4', match: 3 });
    expect(node.admin('remove_peer', { peer_id: 'n2' })).toContain(
      'feed.append term 2 of n1: entry 4 of term 2 {n1 n3 n4} verified 4',
    );
  });

  test('the replacement of one peer does not skip the joint stage', () => {
    const node = leader();
    node.admin('change_peers', { new_peers: ['n1', 'n2', 'n4'] });
    expect(node.progress(...members, { peer: 'n4', match: 2, caughtUp: true })).toContain(
      'feed.append term 2 of n1: entry 3 of term 2 {n1 n2 n4 | n1 n2 n3} verified 3',
    );
  });

  test('promise 7: a request for the effective configuration is answered at once, and changes nothing', () => {
    const node = leader();
    expect(node.admin('change_peers', { new_peers: ['n3', 'n2', 'n1'] })).toEqual([
      'reply 1 {"old_peers":["n1","n2","n3"],"new_peers":["n1","n2","n3"]}',
    ]);
    expect(node.admin('add_peer', { peer_id: 'n2' })).toHaveLength(1);
    expect(node.admin('remove_peer', { peer_id: 'n9' })).toHaveLength(1);
  });

  test('a second change is refused while one is in progress', () => {
    const node = joint();
    expect(node.admin('add_peer', { peer_id: 'n6' })).toEqual(['refuse 2 EBUSY not_done']);
    expect(node.admin('transfer_leader')).toEqual(['refuse 3 EBUSY not_done']);
  });

  test('a change is refused before the leader has committed an entry of its own term', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    node.confirmed();
    expect(node.admin('add_peer', { peer_id: 'n4' })).toEqual(['refuse 1 EBUSY not_done']);
  });

  test('promise 11: an empty set is refused, and a request that names another leader', () => {
    const node = new NodeHarness();
    node.lead({ term: 1, log: [[1, 'n1']] });
    expect(node.admin('remove_peer', { peer_id: 'n1' })).toEqual(['refuse 1 EINVAL not_done']);
    expect(node.admin('add_peer', { peer_id: 'n2', leader_id: 'n7' })).toEqual(['refuse 2 EPERM not_done leader n1']);
  });

  test('a peer is not added to a configuration that has as many peers as allowed', () => {
    const node = new NodeHarness();
    const peers = Array.from({ length: limits.configurationPeers }, (_, at) => `n${at + 1}`);
    node.lead({ term: 1, log: [[1, peers.join(' ')]] });
    expect(node.admin('add_peer', { peer_id: 'n99' })).toEqual(['refuse 1 EINVAL not_done']);
    // A peer that is a member already is not another one.
    expect(node.admin('add_peer', { peer_id: 'n31' })[0]).toMatch(/^reply 2 /);
  });
});

describe('a change that cannot be', () => {
  test('promise 1: past its deadline it fails, and the next change is accepted', () => {
    const node = leader();
    node.admin('add_peer', { peer_id: 'n4', timeout_ms: 500 });
    expect(waitConfirmed(node, 500)).toEqual([
      'replicator.targets n2 n3',
      'refuse 1 ECATCHUP not_done',
      'event change_failed, n1 n2 n3, n1 n2 n3 n4, ECATCHUP',
      'event stage_changed, none, n1 n2 n3, n1 n2 n3 n4',
    ]);
    expect(node.admin('add_peer', { peer_id: 'n5' })[0]).toBe(
      'event stage_changed, catching_up, n1 n2 n3, n1 n2 n3 n5',
    );
  });

  test('promise 5: a peer with another history is refused', () => {
    const node = leader();
    node.admin('add_peer', { peer_id: 'n4' });
    expect(node.progress(...members, { peer: 'n4', match: 0, refusal: 'ENOTEMPTY' })).toContain(
      'refuse 1 ENOTEMPTY not_done',
    );
  });

  test('promise 12: a peer that never responded is distinguished from one that lags', () => {
    const node = leader();
    node.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    expect(node.progress(...members, { peer: 'n4', match: 0, silentMs: -1 }, { peer: 'n5', match: 1 })).toEqual([
      'event catchup_progress, n4, never_heard_of, 0, 2, 2, 0',
      'event catchup_progress, n5, lagging, 1, 2, 1, 50',
    ]);
  });

  test('promise 12: the event and the error of a change distinguish a peer that installs a snapshot from one that lags and from one that never answered', () => {
    const node = leader();
    node.admin('change_peers', { new_peers: ['n1', 'n2', 'n3', 'n4'], timeout_ms: 900 });
    const install = { index: asLogIndex(2), chunks: 8, stored: 3, bytes: 999 };
    expect(node.progress(...members, { peer: 'n4', match: 0, install })).toEqual([
      'event catchup_progress, n4, installing, 0, 2, 2, 37',
    ]);
    node.wait(1000);
    const error = { code: 'ECATCHUP', message: 'did not catch up in time: n4 (installing a snapshot at 37 %)' };
    expect(node.status.changes.at(-1)).toMatchObject({ state: 'undone', error });
  });

  test.each([
    [': silent for 2 s', { silentMs: 2500 }],
    [': read-only', { readOnly: true }],
    [': its log-store stores nothing', { storedMs: electionTimeoutMs + 1 }],
    [': its log-store stores nothing', { storedMs: -1 }],
    ['', {}],
  ])('promise 12: the error of a change contains how far a peer is, and what is wrong with it: "%s"', (text, wrong) => {
    const node = leader();
    node.admin('change_peers', { new_peers: ['n1', 'n2', 'n3', 'n4'], timeout_ms: 900 });
    node.progress(...members, { peer: 'n4', match: 0, ...wrong });
    node.wait(1000);
    const distance = 'lags by 2 entries, stored 0 entries/s while the group wrote 0 entries/s';
    const error = { code: 'ECATCHUP', message: `did not catch up in time: n4 (${distance})${text}` };
    expect(node.status.changes.at(-1)).toMatchObject({ state: 'undone', error });
  });

  test('promise 11: a set whose majority is out of reach is refused before it is appended', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 2, silentMs: 5000 }, { peer: 'n3', match: 2 });
    expect(node.admin('remove_peer', { peer_id: 'n3' })).toContain('refuse 1 ECATCHUP not_done');
    expect(node.summary.last_index).toBe(2);
  });

  test('promise 11: a set none of which can lead is not appended: nobody could be elected', () => {
    const node = leader();
    node.admin('change_peers', { new_peers: ['n4'] });
    const n4 = { peer: 'n4', match: 2, caughtUp: true };
    expect(node.progress(...members, { ...n4, cannotLead: true }).join()).not.toContain('joint');
    expect(node.progress(...members, n4)).toContain('event stage_changed, joint, n1 n2 n3, n4');
  });

  test('promise 11: a change to a set none of which can lead fails at its deadline, and the error says so', () => {
    const node = leader();
    node.admin('change_peers', { new_peers: ['n4'], timeout_ms: 1000 });
    node.progress(...members, { peer: 'n4', match: 2, caughtUp: true, cannotLead: true });
    expect(waitConfirmed(node, 1000)).toContain('refuse 1 ECATCHUP not_done');
    expect(node.lastError?.message).toContain('no peer of the new set can lead');
  });

  test('promise 11: a store other than the bound one counts as unreachable', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 2, refusal: 'ESTORE' }, { peer: 'n3', match: 2 });
    expect(node.admin('remove_peer', { peer_id: 'n3' })).toContain('refuse 1 ECATCHUP not_done');
  });

  test('promise 11: a new leader appends no set before it knows which peers are reachable', () => {
    const node = new NodeHarness();
    node.lead();
    expect(node.admin('remove_peer', { peer_id: 'n3' })).toEqual(['event stage_changed, catching_up, n1 n2 n3, n1 n2']);
    expect(node.progress(...members)).toContain('feed.append term 2 of n1: entry 3 of term 2 {n1 n2} verified 3');
  });
});

describe('cancelling', () => {
  test('while catching up: nothing has happened', () => {
    const node = leader();
    node.admin('add_peer', { peer_id: 'n4' });
    expect(node.admin('cancel_change').filter((line) => /^(refuse|reply)/.test(line))).toEqual([
      'refuse 1 ECANCELED not_done',
      expect.stringContaining(
        'reply 2 {"cancelled":{"kind":"change","old_peers":["n1","n2","n3"],"new_peers":["n1","n2","n3","n4"],"state":"undone"',
      ),
    ]);
    expect(node.summary.last_index).toBe(2);
  });

  test('in the joint stage the old peers are appended alone, and the peers that were added are notified', () => {
    const node = joint();
    expect(node.admin('cancel_change')).toEqual([
      'event stage_changed, stable, n1 n2 n3, n1 n4 n5',
      'event configuration_appended, n1 n2 n3, -, 4',
      'feed.append term 2 of n1: entry 4 of term 2 {n1 n2 n3} verified 4',
      'replicator.targets n4 n5 n2 n3',
    ]);
    expect(node.committed(4).filter((line) => /^(refuse|reply|event change)/.test(line))).toEqual([
      'refuse 1 ECANCELED not_done',
      expect.stringContaining('reply 2 {"cancelled":'),
      'event change_failed, n1 n2 n3, n1 n4 n5, ECANCELED',
    ]);
  });

  test('is too late once the stable entry is appended', () => {
    const node = joint();
    node.committed(3);
    expect(node.admin('cancel_change')).toEqual(['refuse 2 EBUSY not_done']);
    expect(node.lastError?.message).toBe('it is too late: the new configuration may be in effect already');
  });

  test('is refused while the change is being rolled back: the error says so, and not that the new set is in effect', () => {
    const node = joint();
    node.admin('cancel_change');
    expect(node.admin('cancel_change')).toEqual(['refuse 3 EBUSY not_done']);
    expect(node.lastError?.message).toBe('the change is being rolled back already');
    expect(node.committed(4)).toContain('refuse 1 ECANCELED not_done');
  });

  test('is refused by a leader that found the joint entry: it finishes the change (flush)', () => {
    const node = new NodeHarness();
    node.open({
      term: 1,
      log: [
        [1, 'n1 n2 n3'],
        [1, 'n1 n4 | n1 n2 n3'],
      ],
    });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    expect(node.elected()).toContain('feed.append term 2 of n1: entry 3 of term 2 {n1 n4 | n1 n2 n3} verified 3');
    node.confirmed();
    expect(node.admin('cancel_change')).toEqual(['refuse 1 EBUSY not_done']);
    expect(node.lastError?.message).toBe('an earlier leader began the change, and this leader completes it');
    expect(node.committed(3)).toContain('feed.append term 2 of n1: entry 4 of term 2 {n1 n4} verified 4');
    expect(node.committed(4)).toContain('event stage_changed, none, n1 n2 n3, n1 n4');
  });

  test('is refused with ENOENT if there is no change', () => {
    expect(leader().admin('cancel_change')).toEqual(['refuse 1 ENOENT not_done']);
  });

  test('promise 13: happens by itself when the joint stage is not committed in time; the error names the missing votes', () => {
    const node = joint();
    node.receive({
      name: 'node.ballots',
      body: {
        ...node.own,
        term: 2 as never,
        commit_index: 2 as never,
        registered_index: 3 as never,
        lacking: { peers: ['n4', 'n5'] as never, old_peers: [] },
      },
    });
    expect(waitConfirmed(node, 10_000)).toContain('feed.append term 2 of n1: entry 4 of term 2 {n1 n2 n3} verified 4');
    node.committed(4);
    expect(node.status.changes.at(-1)).toMatchObject({ state: 'undone', error: { code: 'ECANCELED' } });
  });

  test('promise 1: also with both new peers dead: a leader with the old majority stays until then', () => {
    const node = joint();
    const lines: string[] = [];
    for (let passed = 0; passed < 10_000; passed += 100) {
      node.progress(
        { peer: 'n2', match: 3 },
        { peer: 'n3', match: 2, silentMs: passed },
        { peer: 'n4', match: 2, silentMs: passed },
      );
      lines.push(...node.wait(100));
    }
    expect(lines).toContain('feed.append term 2 of n1: entry 4 of term 2 {n1 n2 n3} verified 4');
    expect(lines).not.toContain('event leader_stepped_down, its quorum is silent');
    node.committed(4);
    expect(node.status.changes.at(-1)).toMatchObject({ state: 'undone' });
  });

  test('without the old majority, too, the leader steps down', () => {
    const node = joint();
    const lines: string[] = [];
    for (let passed = 0; passed < 2000; passed += 100) {
      node.progress({ peer: 'n2', match: 3, silentMs: passed }, { peer: 'n4', match: 3 }, { peer: 'n5', match: 3 });
      lines.push(...node.wait(100));
    }
    expect(lines).toContain('event leader_stepped_down, its quorum is silent');
  });

  test('an old report of the replicators does not keep the leader from stepping down', () => {
    const node = joint();
    node.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 }, { peer: 'n4', match: 2, silentMs: 900 });
    expect(node.wait(2 * electionTimeoutMs)).toContain('event leader_stepped_down, its quorum is silent');
  });

  test('a leader that found the joint entry cannot roll it back, and steps down without its quorum', () => {
    const node = new NodeHarness();
    node.open({
      term: 1,
      log: [
        [1, 'n1 n2 n3'],
        [1, 'n1 n4 n5 | n1 n2 n3'],
      ],
    });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    const lines: string[] = [];
    for (let passed = 0; passed < 2000; passed += 100) {
      node.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 });
      lines.push(...node.wait(100));
    }
    expect(lines).toContain('event leader_stepped_down, its quorum is silent');
  });

  test('a stage that is not committed by its deadline continues, and requests that wait are refused as unknown, `cancel_change` too', () => {
    const node = joint();
    node.admin('cancel_change');
    expect(waitConfirmed(node, 10_000).filter((line) => line.startsWith('refuse'))).toEqual([
      'refuse 1 ETIMEDOUT unknown',
      'refuse 2 ETIMEDOUT unknown',
    ]);
    expect(node.committed(4).filter((line) => /^(refuse|reply)/.test(line))).toEqual([]);
  });
});

describe('a leadership that ends in a change', () => {
  test('while new peers catch up, the change is undone', () => {
    const node = leader();
    node.admin('add_peer', { peer_id: 'n4' });
    expect(node.higherTerm('n2', 9)).toContain('refuse 1 EPERM not_done');
    expect(node.status.changes.at(-1)).toMatchObject({ state: 'undone' });
  });

  test('in the joint stage the outcome of the change is unknown', () => {
    expect(joint().higherTerm('n2', 9)).toContain('refuse 1 EPERM unknown');
  });
});

describe('a leader that is out', () => {
  test('transfers leadership to the most up-to-date peer, once the entry is committed, and steps down', () => {
    const node = leader();
    node.admin('remove_peer', { peer_id: 'n1' });
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 3 });
    expect(node.committed(3)).toEqual([
      'event configuration_committed, n2 n3, -, 3',
      'event peer_removed, 3',
      'reply 1 {"old_peers":["n1","n2","n3"],"new_peers":["n2","n3"]}',
      'event stage_changed, none, n1 n2 n3, n2 n3',
      'replicator.transfer to n3 with 3',
    ]);
    expect(node.requestVote({ from: 'n3', term: 3, transfer: true }).at(-1)).toBe('vote of term 3 granted to n3');
  });

  test('promise 10: steps down by itself if no peer takes over', () => {
    const node = leader();
    node.admin('remove_peer', { peer_id: 'n1' });
    node.committed(3);
    expect(waitConfirmed(node, electionTimeoutMs)).toContain(
      'event leader_stepped_down, it is not in the configuration',
    );
    expect(node.wait(5 * electionTimeoutMs).filter((line) => line.includes('vote'))).toEqual([]);
  });
});

describe('removed peers', () => {
  test('removed peers are replicated to for some ticks after they have the entry, and dropped', () => {
    const node = leader();
    node.admin('remove_peer', { peer_id: 'n3' });
    node.committed(3);
    node.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 3 });
    expect(waitConfirmed(node, 500)).toEqual([]);
    expect(waitConfirmed(node, 100)).toEqual(['replicator.targets n2']);
  });

  test('removed peers that never answer are dropped after a while', () => {
    const node = leader();
    node.admin('remove_peer', { peer_id: 'n3' });
    node.committed(3);
    expect(waitConfirmed(node, 9900)).toEqual([]);
    expect(waitConfirmed(node, 200)).toEqual(['replicator.targets n2']);
  });
});
