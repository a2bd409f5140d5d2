import { asTerm, type GroupUid, type StoreId } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { configuration, OpenBox, own, self, vote } from './open-box.js';

let box: OpenBox;
beforeEach(() => {
  box = new OpenBox();
});

describe('the count of an election', () => {
  it('is won with a majority, which is reported to the node', () => {
    expect(box.step(box.elect({ configuration: configuration('n1 n2 n3') }))).toEqual([]);
    const body = { ...own, term: 5, kind: 'vote', election_id: 1 };
    expect(box.step(vote('n2'))).toEqual([{ type: 'send', peerId: self, message: { name: 'node.elected', body } }]);
    expect(box.step(vote('n3'))).toEqual([]);
    expect(box.core.dropped).toEqual({});
  });

  it('is won at once in a group of one', () => {
    expect(box.receive(box.elect({ configuration: configuration('n1') }))).toEqual(['elected vote 5 1']);
  });

  it('the candidate needs a majority without its own vote if the configuration does not contain it, or contains it with another store', () => {
    box.receive(box.elect({ configuration: configuration('n2 n3 n4') }));
    expect(box.receive(vote('n2'))).toEqual([]);
    expect(box.receive(vote('n3'))).toEqual(['elected vote 5 1']);
    expect(box.receive(box.elect({ configuration: configuration('n1:s9') }))).toEqual([]);
  });

  it('counts a vote once, however often it arrives', () => {
    box.receive(box.elect({ configuration: configuration('n1 n2 n3 n4 n5') }));
    expect([box.receive(vote('n2')), box.receive(vote('n2')), box.receive(vote('n2'))]).toEqual([[], [], []]);
    expect(box.receive(vote('n3'))).toEqual(['elected vote 5 1']);
  });

  it('needs a majority of both sets of a joint configuration', () => {
    box.receive(box.elect({ configuration: configuration('n1 n4 n5 | n1 n2 n3') }));
    expect(box.receive(vote('n4'))).toEqual([]);
    expect(box.receive(vote('n5'))).toEqual([]);
    expect(box.receive(vote('n3'))).toEqual(['elected vote 5 1']);
  });

  it.each([
    ['foreign_group', vote('n2', { group_uid: 'other' as GroupUid })],
    ['other_election', vote('n2', { term: asTerm(4) })],
    ['other_election', vote('n2', { kind: 'pre_vote' })],
    ['other_election', vote('n2', { election_id: 2 })],
    ['other_election', vote('n2', { candidate_store_id: 's9' as StoreId })],
    ['not_a_voter', vote('n4')],
    ['not_a_voter', vote('n2', { store_id: 's9' as StoreId })],
  ])('does not count what is not its own: %s', (reason, response) => {
    box.receive(box.elect({ configuration: configuration('n1 n2 n3') }));
    expect(box.receive(response)).toEqual([]);
    expect(box.core.dropped).toEqual({ [reason]: 1 });
  });

  it('does not count a refusal', () => {
    box.receive(box.elect({ configuration: configuration('n1 n2 n3') }));
    expect(box.receive(vote('n2', { granted: false }))).toEqual([]);
    expect(box.receive(box.tick(false))).toEqual(['ack 1:1']);
  });

  it('repeats its result on ticks until another count begins', () => {
    box.receive(box.elect({ configuration: configuration('n1 n2 n3'), kind: 'pre_vote' }));
    box.receive(vote('n2', { kind: 'pre_vote' }));
    expect(box.receive(box.tick(false))).toEqual(['ack 1:1', 'elected pre_vote 5 1']);
    box.receive(box.elect({ configuration: configuration('n1 n2 n3'), election_id: 2 }));
    expect(box.receive(box.tick(false))).toEqual(['ack 1:2']);
    box.receive(vote('n3', { election_id: 2 }));
    expect(box.receive(box.tick(false))).toEqual(['ack 1:2', 'elected vote 5 2']);
    box.receive(box.stop());
    expect(box.receive(box.tick(false))).toEqual(['ack 1:3']);
    expect(box.receive(vote('n2', { election_id: 2 }))).toEqual([]);
    expect(box.core.dropped).toEqual({ no_election: 1 });
  });
});

describe('the link', () => {
  it('answers a tick of an unknown link with 0, so that the node restarts the link', () => {
    box.lose();
    expect(box.step(box.tick())).toEqual([
      {
        type: 'send',
        peerId: self,
        message: {
          name: 'node.ack',
          body: {
            ...own,
            link: 1,
            seq: 0,
            taken_seq: 0,
            asked_seq: 1,
            actor: 'ballot-box',
            incarnation: 'b1',
            levels: { lowest: 0, highest: 1 },
          },
        },
      },
    ]);
    expect(box.core.dropped).toEqual({ tick_of_another_session: 1 });
  });

  it('acknowledges a gap and a repetition at once, and accepts neither', () => {
    const elect = box.elect({ configuration: configuration('n1') });
    box.receive(elect);
    expect(box.receive(elect)).toEqual(['ack 1:1']);
    box.lose();
    expect(box.receive(box.elect({ configuration: configuration('n1') }))).toEqual(['ack 1:1']);
    expect(box.core.dropped).toEqual({ link_repeat: 1, link_gap: 1 });
  });

  it('drops messages of an older session', () => {
    box.beginLink(2);
    box.receive(box.stop());
    box.beginLink(1);
    expect(box.receive(box.elect({ configuration: configuration('n1') }))).toEqual([]);
    expect(box.receive(box.tick())).toEqual([]);
    expect(box.core.dropped).toEqual({ link_stale: 1, tick_of_another_session: 1 });
  });

  it('begins a new link without a count', () => {
    box.receive(box.elect({ configuration: configuration('n1') }));
    box.beginLink();
    box.receive(box.stop());
    expect(box.receive(box.tick(false))).toEqual(['ack 2:1']);
  });

  it('acknowledges every 64th message, and at idle if 16 are not acknowledged', () => {
    for (let n = 1; n < 16; n++) expect(box.receive(box.stop())).toEqual([]);
    expect(box.idle()).toEqual([]);
    expect(box.receive(box.stop())).toEqual([]);
    expect(box.idle()).toMatchObject([{ message: { name: 'node.ack', body: { seq: 16 } } }]);
    expect(box.idle()).toEqual([]);
    for (let n = 1; n < 64; n++) expect(box.receive(box.stop())).toEqual([]);
    expect(box.receive(box.stop())).toEqual(['ack 1:80']);
  });
});
