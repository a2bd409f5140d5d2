import { asGroupId, asPeerId, asTerm, type GroupUid, InvariantError, type StoreId } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { commands, committed, configurationEntry, echo, OpenBox, own, self, stored } from './open-box.js';

let box: OpenBox;
beforeEach(() => {
  box = new OpenBox();
});

/** Leads term 5 from entry 11 on, with one configuration. */
function leads(text: string, last = 10): void {
  expect(box.receive(box.lead(11, last, [[3, text]]))).toEqual([]);
}

describe('commit', () => {
  it('is the highest index that a majority has stored, and is sent to the leader’s own feed', () => {
    leads('n1 n2 n3');
    expect(box.step(box.register([commands(11, 14)]))).toEqual([]);
    expect(box.step(stored('n1', 14))).toEqual([]);
    expect(box.step(stored('n2', 12))).toEqual([{ type: 'send', peerId: self, message: committed(12) }]);
    expect(box.receive(stored('n3', 14))).toEqual(['committed 14']);
    expect(box.core.dropped).toEqual({});
  });

  it('counts an acknowledgement even if it arrives before the registration, and only up to the registered entries', () => {
    leads('n1 n2 n3');
    expect(box.receive(stored('n2', 20))).toEqual([]);
    expect(box.receive(stored('n3', 20))).toEqual([]);
    expect(box.receive(box.register([commands(11, 13)]))).toEqual(['committed 13']);
    expect(box.receive(box.register([commands(14), commands(15, 16)]))).toEqual(['committed 16']);
  });

  it('entries of an earlier term are committed only together with an entry of the leader’s own term', () => {
    leads('n1 n2 n3');
    expect([box.receive(stored('n1', 10)), box.receive(stored('n2', 10)), box.receive(stored('n3', 10))]).toEqual([
      [],
      [],
      [],
    ]);
    expect(box.receive(box.tick())).toEqual(['ack 1:1', 'ballots 0/10 lacking |']);
  });

  it('counts a repeated acknowledgement once, and never decreases', () => {
    leads('n1 n2 n3 n4 n5', 14);
    box.receive(stored('n1', 14));
    expect([box.receive(stored('n2', 14)), box.receive(stored('n2', 14)), box.receive(stored('n2', 12))]).toEqual([
      [],
      [],
      [],
    ]);
    expect(box.receive(stored('n3', 13))).toEqual(['committed 13']);
    expect(box.receive(stored('n3', 11))).toEqual([]);
    expect(box.receive(stored('n3', 14))).toEqual(['committed 14']);
  });

  it.each([
    ['foreign_group', stored('n2', 14, { group_id: asGroupId('other') })],
    ['foreign_group', stored('n2', 14, { group_uid: 'other' as GroupUid })],
    ['other_leader', stored('n2', 14, { leader_id: asPeerId('n3') })],
    ['other_term', stored('n2', 14, { leader_term: asTerm(4) })],
    ['other_term', stored('n2', 14, { leader_term: asTerm(6) })],
  ])('does not count what is not for it: %s', (reason, message) => {
    leads('n1 n2', 14);
    box.receive(stored('n1', 14));
    expect(box.receive(message)).toEqual([]);
    expect(box.core.dropped).toEqual({ [reason]: 1 });
  });

  it('does not count a store that the configuration does not bind the peer to', () => {
    leads('n1 n2 n3', 14);
    box.receive(stored('n1', 14));
    expect(box.receive(stored('n2:s9', 14))).toEqual([]);
    expect(box.receive(stored('n4', 14))).toEqual([]);
    expect(box.receive(box.tick()).at(-1)).toBe('ballots 0/14 lacking n2,n3|');
    expect(box.receive(stored('n2', 14))).toEqual(['committed 14']);
  });

  it('keeps a bounded number of acknowledgements of unknown stores', () => {
    leads('n1 n2 n3', 14);
    for (let n = 0; n < 200; n++) box.receive(stored('n9', 14, { store_id: `x${n}` as StoreId }));
    expect(box.core.dropped).toEqual({ too_many_members: 72 });
  });

  it('is not counted if this peer does not lead', () => {
    expect(box.receive(stored('n2', 14))).toEqual([]);
    expect(box.receive(echo('n2', 14))).toEqual([]);
    expect(box.receive(box.register([commands(11)]))).toEqual([]);
    expect(box.core.dropped).toEqual({ not_leading: 3 });
  });

  it('repeats on every tick, with the lowest ballot that is not granted', () => {
    leads('n1 n2 n3', 14);
    box.receive(stored('n1', 14));
    box.receive(stored('n2', 12));
    expect(box.step(box.tick()).slice(1)).toEqual([
      { type: 'send', peerId: self, message: committed(12) },
      {
        type: 'send',
        peerId: self,
        message: {
          name: 'node.ballots',
          body: {
            ...own,
            term: 5,
            commit_index: 12,
            registered_index: 14,
            lacking: { peers: ['n2', 'n3'], old_peers: [] },
          },
        },
      },
    ]);
  });

  it('ends with `stop`', () => {
    leads('n1 n2 n3', 14);
    box.receive(box.stop());
    box.receive(stored('n1', 14));
    expect(box.receive(stored('n2', 14))).toEqual([]);
    expect(box.receive(box.tick())).toEqual(['ack 1:2']);
  });
});

describe('a configuration among the entries', () => {
  it('a configuration applies from its own entry on, and entries under a joint configuration need majorities of both sets', () => {
    leads('n1 n2 n3');
    box.receive(box.register([commands(11, 12)]));
    box.receive(box.register([configurationEntry(13, 'n1 n4 n5 | n1 n2 n3'), commands(14, 15)]));
    box.receive(stored('n1', 15));
    expect(box.receive(stored('n2', 15))).toEqual(['committed 12']);
    expect(box.receive(box.tick()).at(-1)).toBe('ballots 12/15 lacking n4,n5|n3');
    expect(box.receive(stored('n4', 14))).toEqual(['committed 14']);
    expect(box.receive(stored('n3', 15))).toEqual([]);
    expect(box.receive(stored('n5', 15))).toEqual(['committed 15']);
  });

  it('a stable configuration commits the joint one before it', () => {
    leads('n1 n2 n3');
    box.receive(box.register([configurationEntry(11, 'n1 n4 n5 | n1 n2 n3'), configurationEntry(12, 'n1 n4 n5')]));
    box.receive(stored('n1', 12));
    expect(box.receive(stored('n5', 12))).toEqual(['committed 12']);
    expect(box.receive(box.tick()).at(-1)).toBe('ballots 12/12 lacking |');
  });

  it('a configuration that rolls a change back needs the old set alone, and commits the joint one before it', () => {
    leads('n1 n2 n3');
    box.receive(box.register([configurationEntry(11, 'n1 n4 n5 | n1 n2 n3')]));
    box.receive(stored('n1', 11));
    expect(box.receive(stored('n2', 11))).toEqual([]);
    box.receive(box.register([configurationEntry(12, 'n1 n2 n3')]));
    box.receive(stored('n1', 12));
    expect(box.receive(stored('n2', 12))).toEqual(['committed 12']);
  });

  it('a configuration without the leader does not count the leader’s own store', () => {
    leads('n1 n2 n3');
    box.receive(box.register([configurationEntry(11, 'n2 n3')]));
    box.receive(stored('n1', 11));
    expect(box.receive(stored('n2', 11))).toEqual([]);
    expect(box.receive(stored('n3', 11))).toEqual(['committed 11']);
  });

  it('replaces the first configuration, if it is the first entry of the term', () => {
    leads('n1');
    expect(box.receive(box.register([configurationEntry(11, 'n1 n2')]))).toEqual([]);
    expect(box.receive(stored('n1', 11))).toEqual([]);
    expect(box.receive(stored('n2', 11))).toEqual(['committed 11']);
  });

  it('binds a peer to its store, so that its previous store does not count any more', () => {
    leads('n1 n2');
    box.receive(box.register([commands(11), configurationEntry(12, 'n1 n2:s9'), commands(13)]));
    box.receive(stored('n1', 13));
    expect(box.receive(stored('n2', 13))).toEqual(['committed 11']);
    expect(box.receive(stored('n2:s9', 13))).toEqual(['committed 13']);
  });
});

describe('what happens to it', () => {
  it('a lost registration stops the count until it arrives again', () => {
    leads('n1 n2 n3');
    const lost = box.register([commands(11, 12)]);
    const next = box.register([commands(13)]);
    expect(box.receive(next)).toEqual(['ack 1:1']);
    box.receive(stored('n1', 13));
    expect(box.receive(stored('n2', 13))).toEqual([]);
    expect(box.receive(lost)).toEqual(['committed 12']);
    expect(box.receive(next)).toEqual(['committed 13']);
  });

  it('a restarted ballot-box receives the entries of the term again, and the match indexes with the ticks', () => {
    leads('n1 n2 n3', 14);
    box.receive(stored('n1', 14));
    expect(box.receive(stored('n2', 14))).toEqual(['committed 14']);
    box.restart();
    expect(box.receive(box.tick())).toEqual(['ack 1:0']);
    box.beginLink();
    const joint = 'n1 n4 n5 | n1 n2 n3';
    expect(
      box.receive(
        box.lead(11, 16, [
          [3, 'n1 n2 n3'],
          [15, joint],
        ]),
      ),
    ).toEqual([]);
    expect(box.receive(box.tick())).toEqual(['ack 2:1', 'ballots 0/16 lacking n1,n2,n3|']);
    box.receive(stored('n1', 16));
    expect(box.receive(stored('n2', 16))).toEqual(['committed 14']);
    expect(box.receive(stored('n4', 16))).toEqual(['committed 16']);
  });

  it('a new term drops the acknowledgements of the previous one', () => {
    leads('n1 n2 n3', 14);
    box.receive(stored('n1', 14));
    box.receive(box.lead(15, 15, [[3, 'n1 n2 n3']], 6));
    expect(box.receive(stored('n2', 15))).toEqual([]);
    expect(box.receive(stored('n2', 15, { leader_term: asTerm(6) }))).toEqual([]);
    expect(box.core.dropped).toEqual({ other_term: 1 });
  });

  it('entries of another term are not registered', () => {
    leads('n1 n2 n3');
    expect(box.receive(box.register([commands(11)], { term: asTerm(4) }))).toEqual([]);
    expect(box.receive(box.tick()).at(-1)).toBe('ballots 0/10 lacking |');
    expect(box.core.dropped).toEqual({ other_term: 1 });
  });

  it('entries after a gap are never registered: the actor stops', () => {
    leads('n1 n2 n3');
    expect(() => box.receive(box.register([commands(13)]))).toThrow(InvariantError);
  });

  it('registered entries are not registered again', () => {
    leads('n1 n2 n3', 12);
    box.receive(box.register([commands(11, 12), commands(13)]));
    expect(box.receive(box.tick()).at(-1)).toBe('ballots 0/13 lacking n1,n2,n3|');
    expect(box.core.dropped).toEqual({ registered_before: 1 });
  });
});

describe('the confirmation of ticks', () => {
  /** Of what was sent: the ticks that are confirmed, and by which the leader counts its lease. */
  function ticksOf(sent: readonly unknown[]): unknown[] {
    return sent.map((effect) => {
      const { tick_id, session_tick_id } = (effect as { message: { body: Record<string, unknown> } }).message.body;
      return [tick_id, session_tick_id];
    });
  }

  it('counts no session of a voter with a shorter election timeout: the voter may vote for another peer before the lease ends', () => {
    box.step(box.lead(11, 10, [[3, 'n1 n2 n3']], 5, 1000));
    expect(ticksOf(box.step(echo('n2', 4, { session_tick_id: 4, election_timeout_ms: 999 })))).toEqual([[4, 0]]);
    expect(ticksOf(box.step(echo('n3', 4, { session_tick_id: 4, election_timeout_ms: 1000 })))).toEqual([[4, 4]]);
  });

  it('counts the session of a voter that does not report its election timeout, as an older version does not', () => {
    box.step(box.lead(11, 10, [[3, 'n1 n2 n3']], 5, 1000));
    expect(ticksOf(box.step(echo('n2', 4, { session_tick_id: 4 })))).toEqual([[4, 4]]);
  });

  it('needs echoes of a quorum that includes the leader', () => {
    leads('n1 n2 n3');
    expect(box.step(echo('n2', 4))).toEqual([
      {
        type: 'send',
        peerId: self,
        message: { name: 'node.confirmed', body: { ...own, term: 5, tick_id: 4, session_tick_id: 0 } },
      },
    ]);
    expect(box.receive(echo('n3', 3))).toEqual([]);
    expect(box.receive(echo('n3', 4))).toEqual([]);
    expect(box.receive(echo('n3', 6))).toEqual(['confirmed 6']);
    expect(box.receive(echo('n2', 5))).toEqual([]);
  });

  it('in a group of five needs echoes of two others, and counts a repeated echo once', () => {
    leads('n1 n2 n3 n4 n5');
    expect([box.receive(echo('n2', 4)), box.receive(echo('n2', 4)), box.receive(echo('n9', 4))]).toEqual([[], [], []]);
    expect(box.receive(echo('n5', 3))).toEqual(['confirmed 3']);
  });

  it('the confirmation of a tick needs majorities of both sets of the latest configuration', () => {
    leads('n1 n2 n3');
    box.receive(box.register([configurationEntry(11, 'n1 n4 n5 | n1 n2 n3')]));
    expect(box.receive(echo('n2', 4))).toEqual([]);
    expect(box.receive(echo('n4', 3))).toEqual(['confirmed 3']);
  });

  it('is sent when a new configuration makes the received echoes sufficient', () => {
    leads('n1 n2 n3');
    box.receive(box.register([configurationEntry(11, 'n1 n4 n5 | n1 n2 n3')]));
    expect(box.receive(echo('n2', 4))).toEqual([]);
    expect(box.receive(box.register([configurationEntry(12, 'n1 n2 n3')]))).toEqual(['confirmed 4']);
    expect(box.receive(box.register([configurationEntry(13, 'n1 n2 n3')]))).toEqual([]);
  });

  it('does not count a leader that is not in the configuration', () => {
    leads('n2 n3');
    expect(box.receive(echo('n2', 4))).toEqual([]);
    expect(box.receive(echo('n3', 4))).toEqual(['confirmed 4']);
  });

  it('is never sent to a leader that needs no other peer', () => {
    leads('n1');
    expect(box.receive(echo('n2', 4))).toEqual([]);
  });

  it.each([
    ['foreign_group', echo('n2', 4, { group_uid: 'other' as GroupUid })],
    ['other_leader', echo('n2', 4, { leader_id: asPeerId('n3') })],
    ['other_term', echo('n2', 4, { leader_term: asTerm(4) })],
  ])('does not count what is not for it: %s', (reason, message) => {
    leads('n1 n2 n3');
    expect(box.receive(message)).toEqual([]);
    expect(box.core.dropped).toEqual({ [reason]: 1 });
  });

  it('also names the tick for which a quorum has confirmed the sessions of their log-stores', () => {
    leads('n1 n2 n3 n4 n5');
    expect(box.receive(echo('n2', 4, { session_tick_id: 3 }))).toEqual([]);
    expect(box.receive(echo('n3', 5, { session_tick_id: 2 }))).toEqual(['confirmed 4, sessions 2']);
    expect(box.receive(echo('n4', 4, { session_tick_id: 4 })), 'of the tick nothing new').toEqual([
      'confirmed 4, sessions 3',
    ]);
    expect(box.receive(echo('n9', 6, { session_tick_id: 6 })), 'not a member').toEqual([]);
  });

  it('of sessions needs both sets of the latest configuration, and never falls', () => {
    leads('n1 n2 n3');
    expect(box.receive(echo('n2', 4, { session_tick_id: 4 }))).toEqual(['confirmed 4, sessions 4']);
    box.receive(box.register([configurationEntry(11, 'n1 n4 n5 | n1 n2 n3')]));
    expect(box.receive(echo('n2', 9, { session_tick_id: 9 }))).toEqual([]);
    expect(box.receive(echo('n4', 6, { session_tick_id: 5 }))).toEqual(['confirmed 6, sessions 5']);
  });

  it('does not count another store', () => {
    leads('n1 n2');
    expect(box.receive(echo('n2:s9', 4))).toEqual([]);
  });
});
