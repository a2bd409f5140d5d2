import { asPeerId, asTerm, type GroupUid, type HistoryAnnouncement, limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, groupId } from './node-on-a-bench.js';

/** A leader of n1, n2 and n3 in the history `uid`, confirmed. */
function leader(): Bench {
  const bench = new Bench();
  bench.lead();
  bench.committed(bench.status.last_index);
  return bench;
}

function hears(bench: Bench, over: Partial<HistoryAnnouncement> = {}): string[] {
  const body: HistoryAnnouncement = {
    group_id: groupId,
    group_uid: 'other' as GroupUid,
    peer_id: asPeerId('n4'),
    term: asTerm(2),
    stopped_for: '' as GroupUid,
    ...over,
  };
  return bench.step({ type: 'led_history', body });
}

const own = 'uid' as GroupUid;
const seen = 'event other_history_seen, uid, other, n4';

describe('promise 29: two histories under one name stop each other', () => {
  test('a leader publishes which history it leads, at once and about once a second, and no follower does', () => {
    const bench = leader();
    expect(bench.ledHistories.map(({ group_uid, stopped_for }) => [group_uid, stopped_for])).toEqual([['uid', '']]);
    bench.keepConfirmed(limits.historyAnnouncementMs + 100);
    expect(bench.ledHistories.length).toBe(2);
    const follower = new Bench();
    follower.open();
    follower.wait(500);
    expect(follower.ledHistories).toEqual([]);
  });

  test('a leader that hears of a later leader of its own history steps down, and refuses what waits as unknown', () => {
    const bench = leader();
    bench.propose('a');
    expect(hears(bench, { group_uid: own, term: asTerm(bench.summary.term) })).toEqual([]);
    expect(hears(bench, { group_uid: own, term: asTerm(1) })).toEqual([]);
    expect(bench.summary.role).toBe('leader');
    const lines = hears(bench, { group_uid: own, term: asTerm(bench.summary.term + 1) });
    expect(lines).toContain('event leader_stepped_down, n4 leads term 3');
    expect(lines).toContain('refuse 1 EPERM unknown');
    expect(bench.summary.role).toBe('follower');
  });

  test('a leader that hears of another history says so, once, and tells the other at once that it has stopped', () => {
    const bench = leader();
    expect(hears(bench)).toEqual([seen]);
    expect(bench.ledHistories.at(-1)).toMatchObject({ group_uid: 'uid', stopped_for: 'other' });
    expect(hears(bench)).toEqual([]);
    expect(bench.status.other_history).toEqual({ group_uid: 'other', leader_id: 'n4' });
    expect(bench.core.health()).toMatchObject({
      healthy: false,
      reason: expect.stringMatching(/two histories.*uid, led by n1.*other, led by n4/),
    });
  });

  test('it serves neither writes, reads, watches nor changes on the group’s subjects; status is answered', () => {
    const bench = leader();
    hears(bench, { stopped_for: own });
    expect(bench.propose('a')).toContain('refuse 1 EHISTORY not_done');
    expect(bench.read('a')).toContain('refuse 2 EHISTORY not_done');
    expect(bench.watch('w', 'a')).toContain('refuse 3 EHISTORY not_done');
    expect(bench.admin('remove_peer', { peer_id: 'n3' })).toContain('refuse 4 EHISTORY not_done');
    expect(bench.lastError?.message).toMatch(/uid, led by n1, and other, led by n4/);
    expect(bench.admin('status')).toContainEqual(expect.stringContaining('reply 5'));
  });

  test('a write is not said to be not done while the other leader may do it', () => {
    const bench = leader();
    hears(bench);
    expect(bench.propose('a')).toContain('refuse 1 EHISTORY unknown');
    hears(bench, { stopped_for: own });
    expect(bench.propose('b')).toContain('refuse 2 EHISTORY not_done');
  });

  test('it serves again when the other has not been heard for a while', () => {
    const bench = leader();
    hears(bench);
    bench.keepConfirmed(limits.otherHistoryMs - 200);
    expect(bench.propose('a')).toContain('refuse 1 EHISTORY unknown');
    bench.keepConfirmed(400);
    expect(bench.status.other_history).toBe(null);
    expect(bench.propose('b').some((line) => line.startsWith('refuse'))).toBe(false);
  });

  test('its own history stops nobody, nor does anything stop a follower', () => {
    const bench = leader();
    expect(hears(bench, { group_uid: own, peer_id: asPeerId('n2') })).toEqual([]);
    expect(bench.status.other_history).toBe(null);
    const follower = new Bench();
    follower.open();
    expect(hears(follower)).toEqual([]);
    expect(follower.status.other_history).toBe(null);
  });
});
