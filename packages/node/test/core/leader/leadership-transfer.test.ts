import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

function leader(): NodeHarness {
  const node = new NodeHarness();
  node.lead();
  node.progress({ peer: 'n2', match: 1 }, { peer: 'n3', match: 2 });
  return node;
}

describe('transfer_leader', () => {
  test('orders the named peer to campaign once it has all entries, and replies when it leads', () => {
    const node = leader();
    expect(node.admin('transfer_leader', { peer_id: 'n2' })).toEqual(['replicator.transfer to n2 with 2']);
    node.requestVote({ from: 'n2', term: 3, transfer: true });
    expect(node.appendEntries({ from: 'n2', term: 3, prev: [2, 2] }).filter((line) => line.startsWith('re'))).toEqual([
      'reply 1 {}',
    ]);
  });

  test('picks the most up-to-date peer if none is named', () => {
    expect(leader().admin('transfer_leader')).toEqual(['replicator.transfer to n3 with 2']);
  });

  test('succeeds at once if the leader names itself, and is refused for a stranger', () => {
    const node = leader();
    expect(node.admin('transfer_leader', { peer_id: 'n1' })).toEqual(['reply 1 {}']);
    expect(node.admin('transfer_leader', { peer_id: 'n9' })).toEqual(['refuse 2 EINVAL not_done']);
  });

  test('a second transfer is refused while one is in progress', () => {
    const node = leader();
    node.admin('transfer_leader');
    // The next leader may have received the same, and lead already.
    expect(node.admin('transfer_leader')).toEqual(['refuse 2 EBUSY unknown']);
  });

  test('holds other commands back until it is known which peer leads, and executes them if this leader still does', () => {
    const node = leader();
    node.admin('transfer_leader', { timeout_ms: 500 });
    expect(node.admin('cancel_change')).toEqual([]);
    const lines = node.wait(500);
    expect(lines).toContain('refuse 1 ETIMEDOUT unknown');
    expect(lines).toContain('refuse 2 ENOENT not_done');
  });

  test('commands that were held are refused as unknown if another peer leads', () => {
    const node = leader();
    node.admin('transfer_leader', { peer_id: 'n2' });
    expect(node.admin('add_peer', { peer_id: 'n4' })).toEqual([]);
    expect(node.requestVote({ from: 'n2', term: 3, transfer: true })).toContain('refuse 2 EPERM unknown');
  });

  test('picks no peer that is silent, refused or read-only, and refuses such a peer as the target', () => {
    const node = leader();
    const all = (...others: Parameters<NodeHarness['progress']>) => node.progress(...others);
    all({ peer: 'n2', match: 1 }, { peer: 'n3', match: 2, readOnly: true });
    expect(node.admin('transfer_leader', { peer_id: 'n3' })).toEqual(['refuse 1 EREADONLY not_done']);
    expect(node.admin('transfer_leader', { timeout_ms: 50 })).toEqual(['replicator.transfer to n2 with 2']);
    node.wait(50);
    all({ peer: 'n2', match: 1 }, { peer: 'n3', match: 2, silentMs: electionTimeoutMs + 1 });
    expect(node.admin('transfer_leader', { peer_id: 'n3' })).toEqual(['refuse 3 EUNREACHABLE not_done']);
    expect(node.admin('transfer_leader', { timeout_ms: 50 })).toEqual(['replicator.transfer to n2 with 2']);
    node.wait(50);
    all({ peer: 'n2', match: 1, silentMs: -1 }, { peer: 'n3', match: 2, refusal: 'ESTORE' });
    expect(node.admin('transfer_leader', { peer_id: 'n3' })).toEqual(['refuse 5 EUNREACHABLE not_done']);
    node.progress(
      { peer: 'n2', match: 1, silentMs: electionTimeoutMs + 1 },
      { peer: 'n3', match: 2, refusal: 'ESTORE' },
    );
    expect(node.admin('transfer_leader')).toEqual(['refuse 6 EUNREACHABLE not_done']);
    expect(node.lastError?.message).toBe('no other member can lead: n2 is silent; n3 has another store');
  });

  test('refuses a peer whose lost store is being replaced as the target: its new store has no vote yet', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 2, store: 's9' }, { peer: 'n3', match: 1 });
    expect(node.admin('transfer_leader', { peer_id: 'n2' })).toEqual(['refuse 1 EUNREACHABLE not_done']);
    expect(node.lastError?.message).toBe('n2 has another store');
    expect(node.admin('transfer_leader')).toEqual(['replicator.transfer to n3 with 2']);
  });

  test('picks no peer whose log-store stores nothing, and refuses it as the target: it could not store a vote', () => {
    const node = leader();
    const storedMs = electionTimeoutMs + 1;
    node.progress({ peer: 'n2', match: 1 }, { peer: 'n3', match: 2, storedMs });
    expect(node.admin('transfer_leader', { peer_id: 'n3' })).toEqual(['refuse 1 EUNREACHABLE not_done']);
    expect(node.lastError?.message).toBe('n3 cannot lead: its log-store stores nothing');
    expect(node.admin('transfer_leader', { timeout_ms: 50 })).toEqual(['replicator.transfer to n2 with 2']);
    node.wait(50);
    // With n3, too few store entries; an older build does not report it; a new leader does not know it yet.
    node.progress({ peer: 'n2', match: 2, storedMs }, { peer: 'n3', match: 2, storedMs: -1 });
    expect(node.admin('transfer_leader')).toEqual(['replicator.transfer to n3 with 2']);
    node.keepConfirmed(2 * electionTimeoutMs);
    expect(node.admin('transfer_leader')).toEqual(['refuse 4 EUNREACHABLE not_done']);
  });

  test('writes wait for a target that has caught up for at most two election timeouts, and continue if it was not elected', () => {
    const node = leader();
    node.admin('transfer_leader', { peer_id: 'n3', timeout_ms: 60_000 });
    expect(node.propose('a')).toEqual([]);
    const lines = node.keepConfirmed(2 * electionTimeoutMs);
    expect(lines).toContain('refuse 1 ETIMEDOUT unknown');
    expect(lines).toContain('replicator.transfer to nobody');
    expect(lines).toContain('feed.append term 2 of n1: entry 3 of term 2 verified 3');
  });

  test('a transfer by a leader that was just elected and has no report yet is refused: ask again', () => {
    const node = new NodeHarness();
    node.lead();
    expect(node.admin('transfer_leader', { peer_id: 'n2' })).toEqual(['refuse 1 EBUSY not_done']);
    expect(node.lastError?.message).toContain('does not know yet');
    expect(node.admin('transfer_leader')).toEqual(['refuse 2 EBUSY not_done']);
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2, silentMs: -1 });
    expect(node.admin('transfer_leader', { peer_id: 'n2' })).toEqual(['replicator.transfer to n2 with 2']);
  });

  test('reports that no quorum is reachable if that is so, and that none stores entries if that is so', () => {
    const five = new NodeHarness();
    five.lead({ term: 1, log: [[1, 'n1 n2 n3 n4 n5']] });
    const others = ['n3', 'n4', 'n5'];
    const gone = others.map((peer) => ({ peer, match: 2, silentMs: electionTimeoutMs + 1 }));
    five.progress({ peer: 'n2', match: 2 }, ...gone);
    expect(five.admin('transfer_leader', { peer_id: 'n2' })).toEqual(['refuse 1 EUNREACHABLE not_done']);
    five.progress({ peer: 'n2', match: 2 }, ...others.map((peer) => ({ peer, match: 2, readOnly: true })));
    expect(five.admin('transfer_leader', { peer_id: 'n2' })).toEqual(['refuse 2 EREADONLY not_done']);
  });

  test('holds writes back meanwhile, and appends them if the target is not elected in time', () => {
    const node = leader();
    node.admin('transfer_leader', { timeout_ms: 500 });
    expect(node.propose('a')).toEqual([]);
    const lines = node.wait(500);
    expect(lines).toContain('refuse 1 ETIMEDOUT unknown');
    expect(lines).toContain('replicator.transfer to nobody');
    expect(lines).toContain('feed.append term 2 of n1: entry 3 of term 2 verified 3');
  });

  test('appends writes while the target is behind, and orders it to campaign when it is caught up', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 1, behind: true }, { peer: 'n3', match: 2 });
    expect(node.admin('transfer_leader', { peer_id: 'n2', timeout_ms: 10_000 })).toEqual([]);
    expect(node.propose('a')).toContain('feed.append term 2 of n1: entry 3 of term 2 verified 3');
    // One at a time, also until then.
    expect(node.admin('transfer_leader')).toEqual(['refuse 3 EBUSY unknown']);
    node.progress({ peer: 'n2', match: 2, behind: true }, { peer: 'n3', match: 3 });
    expect(node.propose('b')).toContain('feed.append term 2 of n1: entry 4 of term 2 verified 4');
    expect(node.progress({ peer: 'n2', match: 3 }, { peer: 'n3', match: 4 })).toContain(
      'replicator.transfer to n2 with 4',
    );
    expect(node.propose('c')).toEqual([]);
  });

  test('orders a target that is behind to campaign after half of the time, and revokes nothing that was not ordered', () => {
    const node = leader();
    const report = () => node.progress({ peer: 'n2', match: 1, behind: true }, { peer: 'n3', match: 2 });
    report();
    node.admin('transfer_leader', { peer_id: 'n2', timeout_ms: 400 });
    node.wait(150);
    expect(report()).toEqual([]);
    node.wait(50);
    expect(report()).toContain('replicator.transfer to n2 with 2');
    expect(node.wait(200)).toContain('replicator.transfer to nobody');
    const other = leader();
    other.progress({ peer: 'n2', match: 1, behind: true }, { peer: 'n3', match: 2 });
    other.admin('transfer_leader', { peer_id: 'n2', timeout_ms: 400 });
    const lines = other.wait(400);
    expect(lines).toContain('refuse 1 ETIMEDOUT not_done');
    expect(lines).not.toContain('replicator.transfer to nobody');
  });

  test('promise 32: orders no target to campaign that has fallen silent while it caught up, and continues to lead', () => {
    const node = leader();
    node.progress({ peer: 'n2', match: 1, behind: true }, { peer: 'n3', match: 2 });
    node.admin('transfer_leader', { peer_id: 'n2', timeout_ms: 1000 });
    const silent = { peer: 'n2', match: 2, silentMs: 1500 };
    expect(node.progress(silent, { peer: 'n3', match: 2 })).toEqual(['event peer_unreachable, n2, 1500']);
    expect(node.propose('a')).toContain('feed.append term 2 of n1: entry 3 of term 2 verified 3');
    expect(node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 3 })).toContain(
      'replicator.transfer to n2 with 3',
    );
  });

  test('waiting requests are unknown if another peer leads: it may have received them, too', () => {
    const node = leader();
    node.admin('transfer_leader');
    node.propose('a');
    expect(node.requestVote({ from: 'n3', term: 3, transfer: true })).toContain('refuse 2 EPERM unknown');
  });

  test('promise 21: an order may arrive late: requests that are refused after its deadline are unknown', () => {
    const node = leader();
    node.admin('transfer_leader', { peer_id: 'n2', timeout_ms: 100 });
    expect(node.wait(100)).toContain('refuse 1 ETIMEDOUT unknown');
    node.progress({ peer: 'n2', match: 2, readOnly: true }, { peer: 'n3', match: 2, readOnly: true });
    expect(node.propose('a')).toEqual(['refuse 2 EREADONLY unknown']);
  });

  test('promise 21: a leader refuses nothing before a quorum has echoed it: another may have been elected at the same time', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3']], readOnly: true });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    expect(node.summary.role).toBe('leader');
    expect(node.propose('a')).toEqual([]);
    expect(node.confirmed()).toEqual(['refuse 1 EREADONLY not_done']);
  });

  test('promise 21: a leader that was ordered to lead refuses nothing as not done before its first entry is committed', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [[1, 'n1 n2 n3']], commit: 1 });
    node.wait(electionTimeoutMs + 1);
    node.appendEntries({ from: 'n2', term: 3, prev: [1, 1] });
    node.timeoutNow(3);
    node.elected();
    expect(node.summary.role).toBe('leader');
    node.confirmed();
    node.progress({ peer: 'n2', match: 1, readOnly: true }, { peer: 'n3', match: 1, readOnly: true });
    expect(node.propose('a')).toEqual(['refuse 1 EREADONLY unknown']);
    node.committed(2);
    expect(node.propose('b')).toEqual(['refuse 2 EREADONLY not_done']);
  });

  test('a transfer is refused if another peer takes over', () => {
    const node = leader();
    node.admin('transfer_leader', { peer_id: 'n2' });
    expect(node.appendEntries({ from: 'n3', term: 3, prev: [2, 2] })).toContain(
      'refuse 1 ECANCELED not_done leader n3',
    );
  });

  test('replicators that have restarted receive the order again', () => {
    const node = leader();
    node.admin('transfer_leader');
    node.restart('replicator');
    expect(node.wait(100)).toContain('replicator.transfer to n3 with 2');
  });

  test('is answered even if the leadership ends in another way', () => {
    const node = leader();
    node.admin('transfer_leader');
    node.higherTerm('n2', 9);
    expect(node.wait(2 * electionTimeoutMs)).toContain('refuse 1 ETIMEDOUT unknown');
  });
});
