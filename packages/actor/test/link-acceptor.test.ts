import { asGroupId, asPeerId, asSession, limits, type Message, type StoreId } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { LinkAcceptor, type Send } from '../src/core/index.js';

const groupId = asGroupId('main');
const peerId = asPeerId('n1');
const own = (session = 1, store = 's1') => ({ store_id: store as StoreId, session: asSession(session) });

let acceptor: LinkAcceptor;
let sent: Send<Message<'node.ack'>>[];
beforeEach(() => {
  acceptor = new LinkAcceptor({ groupId, peerId, actor: 'replicator', incarnation: 'r1' });
  sent = [];
});

/** What has been acknowledged since the last look: session, link and seq. */
function acknowledged(): string[] {
  return sent.splice(0).map(({ message }) => `${message.body.session} ${message.body.link}:${message.body.seq}`);
}

describe('the acceptor of a link', () => {
  it('begins with the first of a link, and accepts the others in order', () => {
    expect(acceptor.admit(own(), { link: 1, seq: 1 }, sent)).toBe('begun');
    expect(acceptor.admit(own(), { link: 1, seq: 2 }, sent)).toBe('next');
    expect(acknowledged()).toEqual([]);
    expect(acceptor.admit(own(), { link: 1, seq: 2 }, sent)).toBe('repeat');
    expect(acceptor.admit(own(), { link: 1, seq: 4 }, sent)).toBe('gap');
    expect(acknowledged()).toEqual(['1 1:2', '1 1:2']);
    expect(acceptor.admit(own(), { link: 2, seq: 1 }, sent)).toBe('begun');
    expect(acceptor.admit(own(), { link: 1, seq: 3 }, sent)).toBe('stale');
    expect(acknowledged()).toEqual([]);
  });

  it('acknowledges its own incarnation and exactly what it has accepted', () => {
    acceptor.admit(own(), { link: 1, seq: 1 }, sent);
    expect(acceptor.onTick({ ...own(), link: 1, seq: 5 }, sent)).toBe(true);
    const build = { incarnation: 'r1', levels: { lowest: 0, highest: 1 } };
    const lacks = { taken_seq: 1, asked_seq: 5 };
    const body = { group_id: groupId, ...own(), link: 1, seq: 1, actor: 'replicator', ...build, ...lacks };
    expect(sent).toEqual([{ type: 'send', peerId, message: { name: 'node.ack', body } }]);
  });

  it('knows nothing of a newer session whose link has the same number', () => {
    acceptor.admit(own(), { link: 1, seq: 1 }, sent);
    expect(acceptor.onTick({ ...own(2), link: 1, seq: 1 }, sent)).toBe(false);
    expect(acceptor.admit(own(2), { link: 1, seq: 2 }, sent)).toBe('gap');
    expect(acknowledged()).toEqual(['2 1:0', '2 1:0']);
    expect(acceptor.admit(own(2), { link: 1, seq: 1 }, sent)).toBe('begun');
    expect(acceptor.onTick({ ...own(1), link: 1, seq: 1 }, sent)).toBe(false);
    expect(acknowledged()).toEqual([]);
  });

  const tick = (store: string, times = 1) => {
    for (let left = times; left > 0; left--) acceptor.onTick({ ...own(1, store), link: 1, seq: 1 }, sent);
  };

  it('is not changed by another store while the one that it follows is reachable', () => {
    acceptor.admit(own(), { link: 1, seq: 1 }, sent);
    expect(acceptor.admit(own(7, 'stray'), { link: 1, seq: 1 }, sent)).toBe('stale');
    tick('stray', limits.linkOtherStoreTicks - 1);
    tick('s1');
    expect(acknowledged()).toEqual(['1 1:1']);
    tick('stray', limits.linkOtherStoreTicks - 1);
    expect(acceptor.admit(own(1, 'stray'), { link: 1, seq: 1 }, sent)).toBe('stale');
    expect(acceptor.isCurrent(own())).toBe(true);
    expect(acceptor.admit(own(), { link: 1, seq: 2 }, sent)).toBe('next');
  });

  it('follows a new store that ticks instead of the old one, and no late message reverts that', () => {
    acceptor.admit(own(), { link: 1, seq: 1 }, sent);
    tick('s9', limits.linkOtherStoreTicks);
    // Nothing of its link is known: that makes the node send it.
    expect(acknowledged()).toEqual(['1 1:0']);
    expect(acceptor.admit(own(1, 's9'), { link: 1, seq: 1 }, sent)).toBe('begun');
    expect(acceptor.admit(own(7), { link: 1, seq: 1 }, sent)).toBe('stale');
    expect(acceptor.isCurrent(own(1, 's9'))).toBe(true);
  });

  it('acknowledges by itself once it has accepted much, and at idle once it has accepted enough', () => {
    for (let seq = 1; seq < limits.linkAcknowledgeIdle; seq++) acceptor.admit(own(), { link: 1, seq }, sent);
    acceptor.onIdle(sent);
    expect(acknowledged()).toEqual([]);
    acceptor.admit(own(), { link: 1, seq: limits.linkAcknowledgeIdle }, sent);
    acceptor.onIdle(sent);
    acceptor.onIdle(sent);
    expect(acknowledged()).toEqual([`1 1:${limits.linkAcknowledgeIdle}`]);
    const end = limits.linkAcknowledgeIdle + limits.linkAcknowledgeEvery;
    for (let seq = limits.linkAcknowledgeIdle + 1; seq <= end; seq++) acceptor.admit(own(), { link: 1, seq }, sent);
    expect(acknowledged()).toEqual([`1 1:${end}`]);
  });
});
