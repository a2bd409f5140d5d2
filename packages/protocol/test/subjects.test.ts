import { describe, expect, test } from 'vitest';
import { asGroupId, asPeerId, Subjects } from '../src/index.js';

const groupId = asGroupId('main');
const peerId = asPeerId('n1');
const subjects = new Subjects('a.b');

describe('a subject comes back from its text', () => {
  test.each([
    [subjects.message({ groupId, peerId, recipient: 'log-store' }, 'append'), { type: 'message', message: 'append' }],
    [subjects.groupRequest(groupId, 'kv', 'put'), { type: 'request', groupId, door: 'kv', name: 'put' }],
    [subjects.peerRequest(groupId, peerId, 'admin', 'status'), { type: 'request', peerId, door: 'admin' }],
    [subjects.event(groupId, 'leader_elected'), { type: 'event', groupId, event: 'leader_elected' }],
    [subjects.watch(groupId, 'w-1'), { type: 'watch', groupId, watchId: 'w-1' }],
    [subjects.watch(groupId, 'owner.w-1'), { type: 'watch', groupId, watchId: 'owner.w-1' }],
    [subjects.host(peerId, 'groups'), { type: 'host', peerId, name: 'groups' }],
    [subjects.bundle(peerId, 'feed'), { type: 'bundle', peerId, recipient: 'feed' }],
  ])('%s', (subject, parsed) => {
    expect(subjects.parse(subject)).toMatchObject(parsed);
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
