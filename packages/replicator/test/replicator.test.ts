import { asGroupId, asLogIndex, asPeerId, asTerm, type GroupUid, limits } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { commands, echo, idOf, LedGroup, own, readBytes, rejected, self, stored, uid } from './replicator-harness.js';

let group: LedGroup;
beforeEach(() => {
  group = new LedGroup();
});

describe('the probe', () => {
  it('begins at the last entry', () => {
    expect(group.step(group.lead('n2', 10, 4, { commit_index: asLogIndex(7) }))).toEqual([
      {
        type: 'send',
        peerId: 'n2',
        message: {
          name: 'node.append_entries',
          body: {
            group_id: 'main',
            group_uid: uid,
            leader_id: self,
            term: 5,
            target_store_id: 's2',
            request_id: 1,
            prev_index: 10,
            prev_term: 4,
            leader_commit: 7,
            tick_id: 0,
            hear_feed: false,
            batches: [],
          },
        },
      },
    ]);
  });

  it('is one at a time: the first entries go with it, once, and the later ones wait until it is answered', () => {
    group.receive(group.lead('n2', 10));
    expect(group.receive(group.append(commands(11, 12)))).toEqual(['n2 11..12 after 10/5 #1 subscribe to the feed']);
    expect(group.receive(group.append(commands(13)))).toEqual([]);
    expect(group.receive(group.append(commands(14)))).toEqual([]);
    expect(group.receive(stored('n2', 10))).toEqual(['n2 13..14 after 12/5 #2 subscribe to the feed']);
    expect(group.progress()[0]).toMatchObject({ state: 'replicate', in_flight: 2, next_index: 15, match_index: 10 });
  });

  it('is answered by the acknowledgement of the entries that were sent with it', () => {
    group.receive(group.lead('n2', 10));
    group.receive(group.append(commands(11, 12)));
    expect(group.receive(stored('n2', 12))).toEqual([]);
    expect(group.progress()[0]).toMatchObject({ state: 'replicate', match_index: 12, in_flight: 0 });
    expect(group.receive(group.append(commands(13)))).toEqual(['n2 13..13 after 12/5 #3 subscribe to the feed']);
  });

  it('is resent without the entries, and these are resent once the match is known', () => {
    group.receive(group.lead('n2', 10));
    group.receive(group.append(commands(11)));
    expect(group.tick(250)).toContain('n2 after 10/5 #1 subscribe to the feed');
    expect(group.receive(rejected('n2', 1, 9))).toEqual(['read from 10, 1 bytes #3']);
    // The entries that went with the probe are rejected with it: that says nothing new.
    expect(group.receive(rejected('n2', 1, 9))).toEqual([]);
    expect(group.receive(group.entries(3, 10, 5, [commands(10)]))).toEqual(['n2 after 9/5 #4 subscribe to the feed']);
    expect(group.receive(stored('n2', 9))[0]).toContain('n2 10..10 after 9/5');
  });

  it('carries no entries if the logs may differ', () => {
    group.receive(group.lead('n2', 10));
    expect(group.receive(rejected('n2', 1, 0))).toEqual(['n2 after 0/0 #2']);
    expect(group.receive(group.append(commands(11)))).toEqual([]);
  });

  it('carries nothing to a target that has lost entries of this leader', () => {
    group.inStep();
    for (let n = 11; n <= 13; n++) group.receive(group.append(commands(n)));
    expect(group.receive(rejected('n2', 4, 11))).toEqual(['n2 after 11/5 #5 subscribe to the feed']);
    expect(group.receive(group.append(commands(14)))).toEqual([]);
  });

  it('backs off past the end of a shorter log, and asks the log-store for the term there', () => {
    group.receive(group.lead('n2', 10));
    expect(group.receive(rejected('n2', 1, 6))).toEqual(['read from 7, 1 bytes #2']);
    expect(group.receive(group.entries(2, 7, 3, [commands(7, 8, 4)]))).toEqual(['n2 after 6/3 #3']);
    // The batch that was read for the term goes out first; the rest is read.
    expect(group.receive(stored('n2', 6))).toEqual(['n2 7..8 after 6/3 #4', `read from 9, ${readBytes} bytes #5`]);
    expect(group.receive(group.entries(5, 9, 4, [commands(9, 10)]))).toEqual(['n2 9..10 after 8/4 #6']);
    expect(group.receive(stored('n2', 10))).toEqual([]);
    expect(group.core.dropped).toEqual({});
  });

  it('backs off before the conflicting term', () => {
    group.receive(group.lead('n2', 10));
    group.receive(group.append(commands(11)));
    expect(group.receive(rejected('n2', 1, 20, [3, 4]))).toEqual(['read from 4, 1 bytes #2']);
    // The batch that holds entry 4 begins before it: the term of entry 3 is its own.
    expect(group.receive(group.entries(2, 4, 1, [commands(2, 6, 2)]))).toEqual([
      'n2 after 3/2 #3 subscribe to the feed',
    ]);
    expect(group.receive(stored('n2', 3))[0]).toBe('n2 2..6 after 1/1 #4 subscribe to the feed');
  });

  it('needs no read at the very beginning', () => {
    group.receive(group.lead('n2', 10));
    expect(group.receive(rejected('n2', 1, 0))).toEqual(['n2 after 0/0 #2']);
  });

  it('ignores rejections of requests that are not in flight, and repeated replies', () => {
    group.receive(group.lead('n2', 10));
    expect(group.receive(rejected('n2', 7, 3))).toEqual([]);
    group.receive(rejected('n2', 1, 0));
    expect(group.receive(rejected('n2', 1, 0))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_in_flight: 2 });
  });

  it('is resent with the same id, more and more rarely while there is no reply', () => {
    group.receive(group.lead('n2', 10));
    const probes: number[] = [];
    for (let at = 100; at <= 4000; at += 100) {
      // Who is silent for long is also asked who it is.
      const lines = group.tick().filter((line) => !line.includes('identify'));
      const [heartbeat, probe, ...more] = lines;
      expect(heartbeat).toMatch(/^n2 after 0\/0/);
      expect(more).toEqual([]);
      if (probe === undefined) continue;
      expect(probe).toBe('n2 after 10/5 #1');
      probes.push(at);
    }
    expect(probes).toEqual([300, 800, 1800, 2800, 3800]);
  });

  it('waits for the next tick if the target is busy', () => {
    group.receive(group.lead('n2', 10));
    expect(group.receive(rejected('n2', 1, 0, [0, 0], { reason: 'busy' }))).toEqual([]);
    expect(group.tick()).toEqual(['n2 after 0/0 #2', 'n2 after 10/5 #3']);
  });

  it('is answered by whatever shows that the log agrees up to there', () => {
    group.receive(group.lead('n2', 10));
    group.receive(group.append(commands(11)));
    expect(group.receive(stored('n2', 4))).toEqual([]);
    expect(group.receive(stored('n2', 11))).toEqual([]);
    expect(group.receive(group.append(commands(12)))).toEqual(['n2 12..12 after 11/5 #2 subscribe to the feed']);
  });
});

describe('replication', () => {
  it('is pipelined', () => {
    group.inStep();
    expect(group.receive(group.append(commands(11, 14)))).toEqual(['n2 11..14 after 10/5 #2 subscribe to the feed']);
    expect(group.receive(group.append(commands(15), commands(16, 17)))).toEqual([
      'n2 15..17 after 14/5 #3 subscribe to the feed',
    ]);
    expect(group.receive(stored('n2', 14))).toEqual([]);
    expect(group.progress()).toMatchObject([{ state: 'replicate', match_index: 14, next_index: 18, in_flight: 1 }]);
    expect(group.receive(stored('n2', 17))).toEqual([]);
    expect(group.progress()).toMatchObject([{ match_index: 17, next_index: 18, in_flight: 0 }]);
  });

  it('carries the latest commit index and tick, and sends nothing by itself when they rise', () => {
    group.inStep();
    group.tick(100, { commit_index: asLogIndex(8) });
    const committed = (index: number) => {
      const { name, body } = group.append();
      return { name, body: { ...body, commit_index: asLogIndex(index) } };
    };
    expect(group.receive(committed(10))).toEqual([]);
    group.receive(committed(9));
    const [effect] = group.step(group.append(commands(11)));
    expect(effect).toMatchObject({ message: { body: { leader_commit: 10, tick_id: 1 } } });
  });

  it('keeps within the window of messages, and joins what has waited', () => {
    group.inStep();
    const sent: string[] = [];
    for (let n = 0; n < 70; n++) sent.push(...group.receive(group.append(commands(11 + n))));
    expect(sent.length).toBe(limits.replicatorWindowMessages);
    expect(sent.at(-1)).toBe('n2 74..74 after 73/5 #65 subscribe to the feed');
    expect(group.receive(stored('n2', 11))).toEqual(['n2 75..80 after 74/5 #66 subscribe to the feed']);
  });

  it('keeps within the window of bytes', () => {
    group.inStep();
    const batch = (n: number) => commands(11 + n, 11 + n, 5, 500_000);
    const sent: string[] = [];
    for (let n = 0; n < 20; n++) sent.push(...group.receive(group.append(batch(n))));
    expect(sent.length).toBe(Math.floor(limits.replicatorWindowBytes / batch(0).length));
    expect(group.receive(stored('n2', 12)).length).toBe(2);
  });

  it('keeps a message within its bounds, in bytes and in batches', () => {
    group.receive(group.lead('n2', 10));
    const large = Array.from({ length: 4 }, (_, n) => commands(11 + n, 11 + n, 5, 300_000));
    expect(group.receive(group.append(...large))).toEqual(['n2 11..12 after 10/5 #1 subscribe to the feed']);
    expect(group.receive(stored('n2', 10))).toEqual(['n2 13..14 after 12/5 #2 subscribe to the feed']);
    group.receive(stored('n2', 14));
    const small = Array.from({ length: limits.appendBatches + 1 }, (_, n) => commands(15 + n));
    expect(group.receive(group.append(...small))).toEqual([
      'n2 15..270 after 14/5 #3 subscribe to the feed',
      'n2 271..271 after 270/5 #4 subscribe to the feed',
    ]);
  });

  it('goes back to probing on a rejection, from what the target has; the others in flight are void', () => {
    group.inStep();
    for (let n = 11; n <= 14; n++) group.receive(group.append(commands(n)));
    // The message with 12 was lost: those with 13 and 14 are refused.
    group.receive(stored('n2', 11));
    expect(group.receive(rejected('n2', 4, 11))).toEqual(['n2 after 11/5 #6 subscribe to the feed']);
    expect(group.receive(rejected('n2', 5, 11))).toEqual([]);
    expect(group.receive(stored('n2', 11))).toEqual(['n2 12..14 after 11/5 #7 subscribe to the feed']);
    expect(group.core.dropped).toEqual({ not_in_flight: 1 });
  });

  it('never goes back below what is known to match', () => {
    group.inStep();
    group.receive(group.append(commands(11)));
    group.receive(group.append(commands(12)));
    group.receive(stored('n2', 11));
    expect(group.receive(rejected('n2', 3, 30, [4, 2]))).toEqual([]);
    expect(group.core.dropped).toEqual({ acknowledged_entries_missing: 1 });
    expect(group.tick()).toEqual(['n2 after 11/5 #4 subscribe to the feed']);
  });

  it('continues sending to a target that acknowledges nothing for a while, and asks whether all messages have arrived', () => {
    group.inStep();
    group.receive(group.append(commands(11)));
    for (let n = 0; n < 4; n++) group.tick();
    expect(group.tick()[1]).toMatch(/^n2 after 11\/5 #\d+ subscribe to the feed$/);
    expect(group.progress()[0]).toMatchObject({ state: 'replicate', in_flight: 1 });
    expect(group.receive(group.append(commands(12)))[0]).toContain('n2 12..12 after 11/5');
    // Once, and again only after as long.
    for (let n = 0; n < 4; n++) expect(group.tick()).toHaveLength(1);
    expect(group.tick()[1]).toContain('n2 after 12/5');
    expect(group.receive(stored('n2', 12))).toEqual([]);
  });

  it('asks whether all messages have arrived after half an election timeout without progress', () => {
    group.inStep();
    group.receive(group.append(commands(11)));
    group.receive(group.append(commands(12)));
    for (let n = 0; n < 4; n++) expect(group.tick()).toHaveLength(1);
    expect(group.tick()[1]).toBe('n2 after 12/5 #9 subscribe to the feed');
    // A slow disk: all is there, and nothing is sent again.
    expect(group.receive(stored('n2', 12))).toEqual([]);
    expect(group.receive(group.append(commands(13)))).toEqual(['n2 13..13 after 12/5 #10 subscribe to the feed']);
    for (let n = 0; n < 4; n++) group.tick();
    expect(group.tick()[1]).toBe('n2 after 13/5 #16 subscribe to the feed');
    // A loss: the rejection contains where the gap begins.
    expect(group.receive(rejected('n2', 16, 12))).toEqual(['n2 after 12/5 #17 subscribe to the feed']);
    expect(group.receive(stored('n2', 12))).toEqual(['n2 13..13 after 12/5 #18 subscribe to the feed']);
  });

  it('waits for the next tick if the target is busy, and resumes before what was refused', () => {
    group.inStep();
    group.receive(group.append(commands(11)));
    group.receive(group.append(commands(12)));
    group.receive(rejected('n2', 3, 11, [0, 0], { reason: 'busy' }));
    expect(group.receive(group.append(commands(13)))).toEqual([]);
    expect(group.receive(stored('n2', 11))).toEqual([]);
    expect(group.tick()).toEqual([
      'n2 after 11/5 #4 subscribe to the feed',
      'n2 12..13 after 11/5 #5 subscribe to the feed',
    ]);
  });

  it.each([
    ['foreign_group', stored('n2', 11, { group_uid: 'other' as GroupUid })],
    ['foreign_group', stored('n2', 11, { group_id: asGroupId('other') })],
    ['other_leader', stored('n2', 11, { leader_id: asPeerId('n3') })],
    ['other_term', stored('n2', 11, { leader_term: asTerm(4) })],
    ['other_store', stored('n2:s9', 11)],
    ['not_a_target', stored('n9', 11)],
    ['beyond_last_index', stored('n2', 99)],
    ['other_term', echo('n2', 1, { leader_term: asTerm(4) })],
    ['other_store', echo('n2:s9', 1)],
    ['other_term', rejected('n2', 2, 3, [0, 0], { term: asTerm(4) })],
    ['foreign_group', rejected('n2', 2, 3, [0, 0], { group_uid: 'other' as GroupUid })],
    ['other_store', rejected('n2:s9', 2, 3)],
    ['not_a_target', rejected('n9', 2, 3)],
  ])('drops what is not for it: %s', (reason, message) => {
    group.inStep();
    group.receive(group.append(commands(11)));
    expect(group.receive(message)).toEqual([]);
    expect(group.core.dropped).toEqual({ [reason]: 1 });
    expect(group.progress()).toMatchObject([{ match_index: 10, in_flight: 1, state: 'replicate', silent_ms: 0 }]);
  });

  it("ignores the leader's own store, which is no target", () => {
    group.inStep();
    expect(group.receive(stored('n1', 10))).toEqual([]);
    expect(group.core.dropped).toEqual({});
  });
});

describe('the ticks of the node', () => {
  it('send one heartbeat each, at the position that is known to match', () => {
    group.inStep('n2 n3');
    group.receive(group.append(commands(11, 12)));
    const effects = group.step(group.tickMessage(100, { commit_index: asLogIndex(10) }));
    expect(effects.map((effect) => (effect.type === 'send' ? effect.message.name : ''))).toEqual([
      'node.ack',
      'node.append_entries',
      'node.append_entries',
      'node.progress',
    ]);
    expect(effects[1]).toMatchObject({
      peerId: 'n2',
      message: { body: { prev_index: 10, prev_term: 5, batches: [] } },
    });
    expect(effects[1]).toMatchObject({ message: { body: { leader_commit: 10, tick_id: 1 } } });
    expect(effects[2]).toMatchObject({ peerId: 'n3', message: { body: { prev_index: 0, prev_term: 0, batches: [] } } });
  });

  it('only a new tick of the node sends a heartbeat: a repeated or older one sends nothing', () => {
    group.inStep();
    const tick = group.tickMessage();
    expect(group.receive(tick)).toHaveLength(1);
    expect(group.receive(tick)).toEqual([]);
    expect(group.core.dropped).toEqual({ old_tick: 1 });
  });

  it('of another term, or of a node that does not lead, send nothing', () => {
    group.inStep();
    expect(group.tick(100, { term: asTerm(4) })).toEqual([]);
    expect(group.tick(100, { leading: false })).toEqual([]);
    group.receive(group.stop());
    expect(group.tick()).toEqual([]);
    expect(group.receive(stored('n2', 10))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_leading: 1 });
  });

  it('an election timeout after the last tick of the node, the replicator sends nothing any more', () => {
    group.inStep();
    group.tick();
    group.nowMs += 999;
    expect(group.receive(group.append(commands(11)))).toHaveLength(1);
    group.nowMs += 1;
    expect(group.receive(group.append(commands(12)))).toEqual([]);
    expect(group.receive(stored('n2', 11))).toEqual([]);
    expect(group.receive(rejected('n2', 3, 9))).toEqual([]);
    expect(group.receive(group.targets('n2 n3 n4:'))).toEqual([]);
    expect(group.receive(group.transfer('n2', 11))).toEqual([]);
    expect(group.tick().map((line) => line.replace(/ #\d+/, ''))).toEqual([
      'n2 after 11/5 subscribe to the feed',
      'n2 12..12 after 11/5 subscribe to the feed',
      'n3 after 0/0',
      'n3 after 12/5',
      'n4 identify',
      'n2 timeout_now s2',
    ]);
  });

  it('promise 27: show how long ago each target has stored, whatever else it has sent since', () => {
    group.receive(group.lead('n2 n3', 10));
    group.receive(stored('n2', 10));
    group.tick(600);
    group.receive(echo('n2', 1));
    expect(group.progress(50)).toMatchObject([{ silent_ms: 50, stored_ms: 650 }, { stored_ms: -1 }]);
    group.receive(stored('n2', 10));
    expect(group.progress(100)).toMatchObject([{ silent_ms: 100, stored_ms: 100 }, {}]);
    group.receive(stored('n2', 10, { store_id: 's9' as never }));
    expect(group.progress(50)).toMatchObject([{ stored_ms: 150 }, {}]);
  });

  it('show which targets do not campaign, because one of their own actors is silent', () => {
    group.receive(group.lead('n2 n3', 10));
    group.receive(echo('n2', 1, { lacks_actor: true }));
    group.receive(echo('n3', 1));
    const lacking = () => group.progress().map(({ lacks_actor }) => lacks_actor);
    expect(lacking()).toEqual([true, undefined]);
    group.receive(echo('n2', 2));
    expect(lacking()).toEqual([undefined, undefined]);
  });

  it('show that a target is behind although it has the whole log, while it has not applied that', () => {
    group.receive(group.lead('n2 n3', 10));
    for (const peer of ['n2', 'n3']) group.receive(stored(peer, 10));
    const behind = () => group.progress().map((target) => target.behind);
    expect(behind()).toEqual([undefined, undefined]);
    group.receive(echo('n2', 1, { unapplied: true }));
    expect(behind()).toEqual([true, undefined]);
    group.receive(echo('n2', 2));
    expect(behind()).toEqual([undefined, undefined]);
  });

  it('promise 31: show which commands the state machine of each target reads', () => {
    group.receive(group.lead('n2 n3', 10));
    group.receive(echo('n2', 1, { command_version: 4 }));
    group.receive(echo('n3', 1));
    expect(group.progress().map(({ command_version }) => command_version)).toEqual([4, undefined]);
  });

  it('show how long each target has been silent', () => {
    group.receive(group.lead('n2 n3', 10));
    group.receive(echo('n2', 0));
    expect(group.progress(250).map(({ silent_ms }) => silent_ms)).toEqual([250, -1]);
    expect(group.step(group.tickMessage(0)).at(-1)).toEqual({
      type: 'send',
      peerId: self,
      message: {
        name: 'node.progress',
        body: {
          ...own,
          term: 5,
          targets: [
            {
              peer_id: 'n2',
              store_id: 's2',
              state: 'probe',
              match_index: 0,
              next_index: 11,
              in_flight: 1,
              silent_ms: 250,
              stored_ms: -1,
              read_only: false,
              caught_up: false,
              behind: true,
              refusal: '',
              install: null,
              // It says nothing of levels, as the first version does not.
              levels: { lowest: 0, highest: 0 },
            },
            expect.objectContaining({ peer_id: 'n3', silent_ms: -1 }),
          ],
          tick_id: 2,
          wants_content: true,
        },
      },
    });
  });
});

describe('a target that receives the leader’s feed', () => {
  /** `n2` has caught up at entry 10, and is subscribed to the feed since tick 1. */
  function subscribed(): void {
    group.inStep();
    expect(group.tick()).toEqual(['n2 after 10/5 #2 subscribe to the feed']);
    group.receive(echo('n2', 1, { hears_feed: true }));
  }

  it('a target near the end of the log is asked to subscribe to the feed, and is sent the entries until its echo confirms that', () => {
    group.inStep();
    expect(group.tick()).toEqual(['n2 after 10/5 #2 subscribe to the feed']);
    expect(group.receive(group.append(commands(11)))).toEqual(['n2 11..11 after 10/5 #3 subscribe to the feed']);
    group.receive(echo('n2', 1));
    expect(group.receive(group.append(commands(12)))).toEqual(['n2 12..12 after 11/5 #4 subscribe to the feed']);
    group.receive(echo('n2', 1, { hears_feed: true }));
    expect(group.receive(group.append(commands(13)))).toEqual([]);
  });

  it('a target is asked to subscribe with the first entries near the end of the log, so that its next echo confirms it', () => {
    group.receive(group.lead('n2', 10));
    expect(group.receive(group.append(commands(11)))).toEqual(['n2 11..11 after 10/5 #1 subscribe to the feed']);
    group.receive(stored('n2', 10));
    group.tick();
    group.receive(echo('n2', 1, { hears_feed: true }));
    expect(group.receive(group.append(commands(12)))).toEqual([]);
  });

  it('a target is not asked to subscribe with entries that are far from the end of the log', () => {
    group.receive(group.lead('n2', 10));
    const large = Array.from({ length: 10 }, (_, n) => commands(11 + n, 11 + n, 5, 500_000));
    expect(group.receive(group.append(...large))).toEqual(['n2 11..11 after 10/5 #1']);
    const [first, ...rest] = group.receive(stored('n2', 10));
    expect(first).toBe('n2 12..12 after 11/5 #2');
    expect(rest.at(-1)).not.toContain('subscribe to the feed');
    // What is left is no more than one read would bring.
    group.receive(stored('n2', 20));
    expect(group.receive(group.append(commands(21)))).toEqual([
      expect.stringMatching(/^n2 21..21 .* subscribe to the feed$/),
    ]);
  });

  it('a target that lags far behind is not asked to subscribe', () => {
    group.receive(group.lead('n2', 10));
    expect(group.tick()).toEqual(['n2 after 0/0 #2']);
  });

  it('a subscribed target is sent only heartbeats while it acknowledges the entries of the feed', () => {
    subscribed();
    for (const index of [11, 12, 13]) {
      expect(group.receive(group.append(commands(index)))).toEqual([]);
      group.receive(stored('n2', index));
      expect(group.tick().map((line) => line.replace(/ #\d+/, ''))).toEqual([
        `n2 after ${index}/5 subscribe to the feed`,
      ]);
    }
  });

  it('a subscribed target that acknowledges nothing for two heartbeats is asked what it lacks, and is sent that', () => {
    subscribed();
    group.receive(group.append(commands(11)));
    group.receive(group.append(commands(12)));
    expect(group.tick()).toHaveLength(1);
    const [heartbeat, probe] = group.tick();
    expect(heartbeat).toContain('n2 after 10/5');
    expect(probe).toMatch(/^n2 after 12\/5 #\d+ subscribe to the feed$/);
    const repaired = group.receive(rejected('n2', idOf(probe), 10));
    expect(repaired[0]).toContain('n2 after 10/5');
    expect(group.receive(stored('n2', 10))[0]).toContain('n2 11..12 after 10/5');
  });

  it('a subscribed target that has all entries is not sent them again, because the probe matches', () => {
    subscribed();
    group.receive(group.append(commands(11)));
    group.tick();
    expect(group.tick()).toHaveLength(2);
    expect(group.receive(stored('n2', 11))).toEqual([]);
    expect(group.progress()[0]).toMatchObject({ state: 'replicate', match_index: 11, next_index: 12 });
  });

  it('a target is sent the entries again when it is no longer subscribed to the feed', () => {
    subscribed();
    group.receive(echo('n2', 2));
    expect(group.receive(group.append(commands(11)))).toHaveLength(1);
  });

  it('a target is requested to unsubscribe when more messages are unacknowledged than the window allows', () => {
    subscribed();
    for (let index = 11; index < 11 + limits.replicatorWindowMessages; index++) {
      expect(group.receive(group.append(commands(index)))).toEqual([]);
    }
    const last = 11 + limits.replicatorWindowMessages;
    expect(group.receive(group.append(commands(last)))).toEqual([]);
    expect(group.tick()[0]).not.toContain('subscribe to the feed');
    expect(group.receive(stored('n2', 11))[0]).toContain(`n2 ${last}..${last} after ${last - 1}/5`);
  });

  it('a subscribed target needs no payload from the node, as the progress of a tick reports; when it falls behind, that is reported at once', () => {
    subscribed();
    expect(wanted(group.step(group.tickMessage()))).toBe(false);
    expect(wanted(group.step(group.appendPlaces(commands(11), commands(12))))).toBeUndefined();
    group.receive(stored('n2', 11));
    expect(wanted(group.step(echo('n2', 2)))).toBe(true);
    expect(group.receive(group.append(commands(13)))).toEqual([expect.stringMatching(/^n2 13..13 after 12\/5/)]);
  });

  it('a target far from the end of the log needs no payload from the node, because earlier entries are read first', () => {
    group.receive(group.lead('n2', 10));
    group.receive(rejected('n2', 1, 0));
    group.receive(stored('n2', 0));
    expect(wanted(group.step(group.tickMessage()))).toBe(false);
    const large = Array.from({ length: 10 }, (_, n) => commands(11 + n, 11 + n, 5, 500_000));
    for (const batch of large) group.receive(group.appendPlaces(batch));
    expect(wanted(group.step(group.tickMessage()))).toBe(false);
    const near = 20 - Math.floor(limits.replicatorReadBytes / 500_100);
    expect(wanted(group.step(stored('n2', near - 1)))).toBeUndefined();
    expect(wanted(group.step(stored('n2', near)))).toBe(true);
  });

  it('entries that the replicators received without payload are read from the log-store', () => {
    subscribed();
    group.receive(group.appendPlaces(commands(11), commands(12)));
    group.tick();
    const [, probe] = group.tick();
    group.receive(rejected('n2', idOf(probe), 10));
    const [read] = group.receive(stored('n2', 10));
    expect(read).toContain('read from 11');
    const sent = group.receive(group.entries(idOf(read), 11, 5, [commands(11), commands(12)]));
    expect(sent).toEqual([expect.stringMatching(/^n2 11..12 after 10\/5/)]);
    // Then from memory again.
    expect(group.receive(group.append(commands(13)))).toEqual([expect.stringMatching(/^n2 13..13 after 12\/5/)]);
  });

  /** Returns whether the node was asked for the payload of entries; undefined: it was not asked. */
  function wanted(effects: ReturnType<LedGroup['step']>): boolean | undefined {
    for (const effect of effects) {
      if (effect.type === 'send' && effect.message.name === 'node.progress') return effect.message.body.wants_content;
    }
    return undefined;
  }
});

describe('a read-only target', () => {
  const readOnly = { read_only: true } as const;

  it('a read-only target receives only heartbeats, and all entries that it lacks once it accepts entries again', () => {
    group.inStep();
    group.receive(echo('n2', 1, readOnly));
    expect(group.receive(group.append(commands(11)))).toEqual([]);
    expect(group.tick()).toHaveLength(1);
    expect(group.progress()[0]).toMatchObject({ read_only: true, match_index: 10 });
    expect(wants(group.tick())).toEqual([]);
    expect(group.receive(echo('n2', 2))[0]).toContain('n2 11..11 after 10/5');
    group.receive(stored('n2', 10));
    expect(group.progress()[0]).toMatchObject({ read_only: false });
  });

  it('a target is considered read-only even if it only rejects messages that were in flight', () => {
    group.inStep();
    const [sent] = group.receive(group.append(commands(11)));
    expect(group.receive(rejected('n2', idOf(sent), 10, [0, 0], { reason: 'read_only' }))).toEqual([]);
    expect(wants(group.tick())).toEqual([]);
    expect(group.progress()[0]).toMatchObject({ read_only: true });
  });
});

/** What of it are entries. */
function wants(lines: readonly string[]): string[] {
  return lines.filter((line) => /\.\./.test(line));
}
