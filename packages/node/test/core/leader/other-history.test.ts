import { asPeerId, asTerm, type GroupUid, type HistoryAnnouncement, limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { groupId, NodeHarness } from '../node-harness.js';

/** A leader of n1, n2 and n3 in the history `uid`, confirmed. */
function leader(): NodeHarness {
  const node = new NodeHarness();
  node.lead();
  node.committed(node.status.last_index);
  return node;
}

function receive(node: NodeHarness, over: Partial<HistoryAnnouncement> = {}): string[] {
  const body: HistoryAnnouncement = {
    group_id: groupId,
    group_uid: 'other' as GroupUid,
    peer_id: asPeerId('n4'),
    term: asTerm(2),
    stopped_for: '' as GroupUid,
    ...over,
  };
  return node.step({ type: 'led_history', body });
}

const own = 'uid' as GroupUid;
const seen = 'event other_history_seen, uid, other, n4';

describe('promise 29: two histories under one name stop each other', () => {
  test('a leader publishes which history it leads, at once and about once a second, and no follower does', () => {
    const node = leader();
    expect(node.ledHistories.map(({ group_uid, stopped_for }) => [group_uid, stopped_for])).toEqual([['uid', '']]);
    node.keepConfirmed(limits.historyAnnouncementMs + 100);
    expect(node.ledHistories.length).toBe(2);
    const follower = new NodeHarness();
    follower.open();
    follower.wait(500);
    expect(follower.ledHistories).toEqual([]);
  });

  test('a leader that learns of a later leader of its own history steps down, and refuses waiting requests as unknown', () => {
    const node = leader();
    node.propose('a');
    expect(receive(node, { group_uid: own, term: asTerm(node.summary.term) })).toEqual([]);
    expect(receive(node, { group_uid: own, term: asTerm(1) })).toEqual([]);
    expect(node.summary.role).toBe('leader');
    const lines = receive(node, { group_uid: own, term: asTerm(node.summary.term + 1) });
    expect(lines).toContain('event leader_stepped_down, n4 leads term 3');
    expect(lines).toContain('refuse 1 EPERM unknown');
    expect(node.summary.role).toBe('follower');
  });

  test('a leader that learns of another history reports it once, and announces to the other at once that it has stopped', () => {
    const node = leader();
    expect(receive(node)).toEqual([seen]);
    expect(node.ledHistories.at(-1)).toMatchObject({ group_uid: 'uid', stopped_for: 'other' });
    expect(receive(node)).toEqual([]);
    expect(node.status.other_history).toEqual({ group_uid: 'other', leader_id: 'n4' });
    expect(node.core.health()).toMatchObject({
      healthy: false,
      reason: expect.stringMatching(/two histories.*uid, led by n1.*other, led by n4/),
    });
  });

  test('it serves neither writes, reads, watches nor changes on the group’s subjects; status is answered', () => {
    const node = leader();
    receive(node, { stopped_for: own });
    expect(node.propose('a')).toContain('refuse 1 EHISTORY not_done');
    expect(node.read('a')).toContain('refuse 2 EHISTORY not_done');
    expect(node.watch('w', 'a')).toContain('refuse 3 EHISTORY not_done');
    expect(node.admin('remove_peer', { peer_id: 'n3' })).toContain('refuse 4 EHISTORY not_done');
    expect(node.lastError?.message).toMatch(/uid, led by n1, and other, led by n4/);
    expect(node.admin('status')).toContainEqual(expect.stringContaining('reply 5'));
  });

  test('a write is not reported as not done while the other leader may do it', () => {
    const node = leader();
    receive(node);
    expect(node.propose('a')).toContain('refuse 1 EHISTORY unknown');
    receive(node, { stopped_for: own });
    expect(node.propose('b')).toContain('refuse 2 EHISTORY not_done');
  });

  test('it serves again when the other has been silent for a while', () => {
    const node = leader();
    receive(node);
    node.keepConfirmed(limits.otherHistoryMs - 200);
    expect(node.propose('a')).toContain('refuse 1 EHISTORY unknown');
    node.keepConfirmed(400);
    expect(node.status.other_history).toBe(null);
    expect(node.propose('b').some((line) => line.startsWith('refuse'))).toBe(false);
  });

  test('its own history stops no leader, and no announcement stops a follower', () => {
    const node = leader();
    expect(receive(node, { group_uid: own, peer_id: asPeerId('n2') })).toEqual([]);
    expect(node.status.other_history).toBe(null);
    const follower = new NodeHarness();
    follower.open();
    expect(receive(follower)).toEqual([]);
    expect(follower.status.other_history).toBe(null);
  });
});
