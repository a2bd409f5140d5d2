import { describe, expect, test } from 'vitest';
import { asGroupId, asPeerId, Subjects } from '../src/index.js';

const groupId = asGroupId('main');
const peerId = asPeerId('n1');
const n2 = asPeerId('n2');
const subjects = new Subjects('a.b');

describe('a subject can be parsed from its text', () => {
  test.each([
    [
      subjects.message({ groupId, peerId, recipient: 'log-store' }, 'append', n2),
      { type: 'message', message: 'append', from: n2 },
    ],
    [subjects.health({ groupId, peerId, recipient: 'node' }), { type: 'health', address: { recipient: 'node' } }],
    [subjects.process(peerId, 'node', 'profile'), { type: 'process', peerId, actor: 'node', name: 'profile' }],
    [subjects.metrics({ groupId, peerId, recipient: 'node' }), { type: 'metrics', address: { recipient: 'node' } }],
    [subjects.groupRequest(groupId, 'kv', 'put'), { type: 'request', groupId, api: 'kv', name: 'put' }],
    [subjects.peerRequest(groupId, peerId, 'admin', 'status'), { type: 'request', peerId, api: 'admin' }],
    [subjects.event(groupId, 'leader_elected', n2), { type: 'event', groupId, event: 'leader_elected', from: n2 }],
    [subjects.watch(groupId, 'w-1'), { type: 'watch', groupId, watchId: 'w-1' }],
    [subjects.watch(groupId, 'owner.w-1'), { type: 'watch', groupId, watchId: 'owner.w-1' }],
    [subjects.historyAnnouncement(groupId, peerId), { type: 'led_history', groupId, peerId }],
    [subjects.host(peerId, 'list_groups'), { type: 'host', peerId, name: 'list_groups' }],
    [subjects.groupList(peerId), { type: 'group_list', peerId, from: peerId }],
    [subjects.bundle(peerId, 'feed', n2), { type: 'bundle', peerId, recipient: 'feed', from: n2 }],
  ])('%s', (subject, parsed) => {
    expect(subjects.parse(subject)).toMatchObject(parsed);
  });

  test.each([
    subjects.message({ groupId, peerId, recipient: 'log-store' }, 'append', n2),
    subjects.event(groupId, 'leader_elected', n2),
    subjects.bundle(peerId, 'feed', n2),
  ])('of the first version, which names no sender: %s', (subject) => {
    const parsed = subjects.parse(subjects.ofFirstVersion(subject));
    const { from, ...rest } = subjects.parse(subject) as { from: string };
    expect(from).toBe('n2');
    expect(parsed).toEqual(rest);
  });

  test.each(['a.b.main.watch.w.x.y', 'a.b.main.watch', 'a.main.watch.w', 'a.b.main.n1.somebody.x'])(
    'none: %s',
    (subject) => {
      expect(subjects.parse(subject)).toBeUndefined();
    },
  );
});

test.each(['admin', 'kv', 'event', 'feed', 'watch'])(
  'promise 25: %s is reserved: no group, no peer has that name',
  (name) => {
    expect(() => asGroupId(name)).toThrow('not reserved');
    expect(() => asPeerId(name)).toThrow('not reserved');
  },
);

test('promise 25: no peer is called history, which a group may be', () => {
  expect(() => asPeerId('history')).toThrow('not reserved');
  expect(asGroupId('history')).toBe('history');
});
