import { expect, it } from 'vitest';
import { isInbox } from '../src/index.js';

it.each([
  ['_INBOX.x.1', true],
  ['my.own.inbox', true],
  ['a.bc.main.admin.transfer_leader', true],
  ['a.b.main.admin.transfer_leader', false],
  ['a.b', false],
  ['$SRV.PING', false],
  ['$JS.API.STREAM.DELETE.x', false],
  ['_GR_.cluster.server._INBOX.x', true],
  ['_GR_.cluster.server.a.b.main.admin.transfer_leader', false],
  ['_GR_.c.s._GR_.c.s.$SYS.REQ.SERVER.PING', false],
  ['_R_.x', true],
  ['x*y.z>', true],
  ['_INBOX.*', false],
  ['_INBOX.x.>', false],
  ['*.b.main.admin.transfer_leader', false],
  ['>', false],
  ['_INBOX..x', false],
  ['_INBOX.x.', false],
  ['.x', false],
  ['_GR_.c.s.*.x', false],
  ['_GR_.c.s.', false],
])('%s is an inbox: %s', (subject, expected) => {
  expect(isInbox(subject, 'a.b')).toBe(expected);
});
