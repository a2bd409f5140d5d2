import { asLogIndex } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { commands, echo, identity, idOf, LedGroup, rejected, stored } from './led-group.js';

let group: LedGroup;
beforeEach(() => {
  group = new LedGroup();
});

/** The progress that a step tells at once, or undefined. */
function news(message: Parameters<LedGroup['step']>[0]) {
  for (const effect of group.step(message)) {
    if (effect.type === 'send' && effect.message.name === 'node.progress') return effect.message.body.targets;
  }
  return undefined;
}

describe('a target whose store is not known', () => {
  it('is asked on every tick until it answers, exactly', () => {
    expect(group.step(group.lead('n4:+', 100))).toEqual([
      {
        type: 'send',
        peerId: 'n4',
        message: {
          name: 'node.identify',
          body: { group_id: 'main', peer_id: 'n1', asker: 'replicator', request_id: 1, founding: false },
        },
      },
    ]);
    expect(group.tick()).toEqual(['n4 identify #1']);
    expect(group.tick()).toEqual(['n4 identify #1']);
    expect(group.hear(identity('n4', 1, ''))).toEqual(['n4 after 0/0 #2']);
    expect(group.hear(identity('n4', 1, ''))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_asked: 1 });
    expect(group.progress()).toMatchObject([{ store_id: 's4', state: 'probe', next_index: 1 }]);
  });

  it('may hold this history already, and is probed where its log ends', () => {
    group.hear(group.lead('n4:+', 100));
    expect(group.hear(identity('n4', 1, 'uid', 100))).toEqual(['n4 after 100/5 #2']);
  });

  it('is asked again where it has no store yet', () => {
    group.hear(group.lead('n4:+', 100));
    expect(group.hear(identity('n4:', 1, ''))).toEqual([]);
    expect(group.tick()).toEqual(['n4 identify #2']);
  });

  it('that holds another history is refused, at once, and asked again slowly', () => {
    group.hear(group.lead('n4:+', 100));
    group.nowMs = 20;
    expect(news(identity('n4', 1, 'other'))).toMatchObject([
      { state: 'refused', refusal: 'ENOTEMPTY', caught_up: false },
    ]);
    const asked: number[] = [];
    for (let at = 100; at <= 3000; at += 100) if (group.tick().includes('n4 identify #2')) asked.push(at);
    expect(asked).toEqual([1000, 2000, 3000]);
    expect(news(identity('n4', 2, 'other'))).toBeUndefined();
    for (let n = 0; n < 9; n++) expect(group.tick()).toEqual([]);
    // An operator has wiped it.
    expect(group.tick()).toEqual(['n4 identify #3']);
    expect(group.hear(identity('n4:s9', 3, ''))).toEqual(['n4 after 0/0 #4']);
    expect(group.progress()).toMatchObject([{ state: 'probe', refusal: '', store_id: 's9' }]);
  });

  it('and that gets another while it catches up begins anew', () => {
    group.hear(group.lead('n4:+', 100));
    group.hear(identity('n4', 1, ''));
    group.hear(stored('n4', 0));
    const heartbeat = idOf(group.tick()[0]);
    const lines = group.hear(rejected('n4:s9', heartbeat, 0, [0, 0], { reason: 'store' }));
    expect(lines).toEqual([expect.stringMatching(/^n4 identify/)]);
    expect(group.hear(stored('n4', 0))).toEqual([]);
    expect(group.hear(identity('n4:s9', idOf(lines[0]), ''))).toEqual([expect.stringMatching(/^n4 after 0\/0/)]);
    expect(group.core.dropped).toEqual({ other_store: 1 });
  });
});

describe('a member', () => {
  it('that has another store is refused at once, and taken back once it has its own again', () => {
    group.hear(group.lead('n2', 10));
    const refusal = rejected('n2:s9', 1, 0, [0, 0], { reason: 'store' });
    expect(news(refusal)).toMatchObject([{ state: 'refused', refusal: 'ESTORE', store_id: 's2', in_flight: 0 }]);
    expect(group.hear(refusal)).toEqual([]);
    expect(group.core.dropped).toEqual({ not_in_flight: 1 });
    for (let n = 0; n < 9; n++) expect(group.tick()).toEqual([]);
    expect(group.tick()).toEqual(['n2 identify #2']);
    expect(group.hear(identity('n2:s9', 2, ''))).toEqual([]);
    for (let n = 0; n < 9; n++) expect(group.tick()).toEqual([]);
    const again = group.tick();
    expect(group.hear(identity('n2', idOf(again[0]), 'uid', 10))).toEqual(['n2 after 10/5 #4']);
  });

  it('that answers more slowly than the ticks come is refused all the same', () => {
    group.hear(group.lead('n2', 10));
    group.hear(stored('n2', 10));
    group.tick(1000);
    const [heartbeat] = group.tick();
    group.tick();
    const refusal = rejected('n2:s9', idOf(heartbeat), 0, [0, 0], { reason: 'store' });
    expect(news(refusal)).toMatchObject([{ refusal: 'ESTORE', found: { store_id: 's9', bound_silent_ms: 1200 } }]);
  });

  it('promise 6: is not refused for another store under its name, as long as its own is heard; that one is told of', () => {
    group.hear(group.lead('n2', 10));
    group.hear(stored('n2', 10));
    const [heartbeat] = group.tick();
    expect(group.hear(rejected('n2:s9', idOf(heartbeat), 0, [0, 0], { reason: 'store' }))).toEqual([]);
    // That one may have taken the place of the other.
    expect(group.progress()[0]?.found).toBeUndefined();
    group.tick();
    group.hear(stored('n2', 10));
    expect(group.progress()).toMatchObject([
      { state: 'replicate', refusal: '', store_id: 's2', found: { store_id: 's9', bound_silent_ms: 0 } },
    ]);
    expect(group.core.dropped).toEqual({ second_store: 1 });
    // It has said nothing for long: it is no longer there.
    for (let n = 0; n < 60; n++) {
      group.tick();
      group.hear(stored('n2', 10));
    }
    expect(group.progress()[0]?.found).toBeUndefined();
  });

  it('that is silent is asked who it is: it may hold another history, and take no notice of ours', () => {
    group.hear(group.lead('n2', 10));
    for (let n = 0; n < 9; n++) group.tick();
    const asked = group.tick().find((line) => line.includes('identify'));
    expect(group.hear(identity('n2', idOf(asked), 'other', 7))).toEqual(["log warn: n2 holds another group's log"]);
    expect(group.progress()).toMatchObject([{ state: 'refused', refusal: 'ENOTEMPTY' }]);
  });

  it('that has another store with another history is refused for that', () => {
    group.hear(group.lead('n2', 10));
    for (let n = 0; n < 9; n++) group.tick();
    const asked = group.tick().find((line) => line.includes('identify'));
    group.hear(identity('n2:s9', idOf(asked), 'other', 7));
    expect(group.progress()).toMatchObject([
      { refusal: 'ENOTEMPTY', store_id: 's2', found: { store_id: 's9', group_uid: 'other', last_index: 7 } },
    ]);
  });

  it('that says who it is without having changed is left alone', () => {
    group.hear(group.lead('n2', 10));
    for (let n = 0; n < 9; n++) group.tick();
    const asked = group.tick().find((line) => line.includes('identify'));
    expect(group.hear(identity('n2', idOf(asked), 'uid', 10))).toEqual([]);
    expect(group.progress()).toMatchObject([{ state: 'probe', silent_ms: 0 }]);
  });

  it('that is refused says so in the log', () => {
    group.hear(group.lead('n2', 10));
    expect(group.hear(rejected('n2:s9', 1, 0, [0, 0], { reason: 'store' }))).toEqual([
      'log warn: n2 has another store than the configuration says',
    ]);
  });

  it('is not refused by a late word of its own store', () => {
    group.hear(group.lead('n2', 10));
    expect(group.hear(rejected('n2', 1, 0, [0, 0], { reason: 'store' }))).toEqual([]);
    expect(group.core.dropped).toEqual({ same_store: 1 });
  });
});

describe('the targets', () => {
  it('that stay keep what is known of them, also once the configuration binds them', () => {
    group.hear(group.lead('n2 n4:+', 10));
    group.hear(stored('n2', 10));
    group.hear(identity('n4', 2, '', 0));
    group.hear(stored('n4', 0));
    expect(group.hear(group.targets('n2 n4'))).toEqual([]);
    expect(group.progress()).toMatchObject([
      { peer_id: 'n2', state: 'replicate', match_index: 10 },
      { peer_id: 'n4', state: 'replicate', store_id: 's4', caught_up: false },
    ]);
  });

  it('that are not listed are let go, and what comes of them is dropped', () => {
    group.hear(group.lead('n2 n3', 10));
    group.hear(group.targets('n3'));
    expect(group.tick().every((line) => line.startsWith('n3 '))).toBe(true);
    expect(group.hear(stored('n2', 10))).toEqual([]);
    expect(group.hear(echo('n2', 1))).toEqual([]);
    expect(group.hear(identity('n2', 1, ''))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_a_target: 3 });
  });

  it('that are bound to another store begin anew', () => {
    group.hear(group.lead('n2', 10));
    group.hear(stored('n2', 10));
    expect(group.hear(group.targets('n2:s9'))).toEqual(['n2 after 10/5 #2']);
    expect(group.progress()).toMatchObject([{ match_index: 0, store_id: 's9', state: 'probe' }]);
  });

  it('that get known by the configuration before they answer are probed', () => {
    group.hear(group.lead('n4:', 10));
    expect(group.hear(group.targets('n4'))).toEqual(['n4 after 10/5 #2']);
  });

  it('that were refused for their store and are new again are asked', () => {
    group.hear(group.lead('n2', 10));
    group.hear(rejected('n2:s9', 1, 0, [0, 0], { reason: 'store' }));
    expect(group.hear(group.targets('n2:+'))).toEqual([expect.stringMatching(/^n2 identify/)]);
  });

  it('never hold the leader itself, and only those of the term that is led count', () => {
    group.hear(group.lead('n1', 10));
    expect(group.progress()).toEqual([]);
    group.hear(group.stop());
    group.hear(group.targets('n2'));
    group.hear(group.transfer('n2', 1));
    expect(group.core.dropped).toEqual({ target_is_the_leader: 1, not_leading: 2 });
  });
});

describe('who has caught up', () => {
  /** `n4` is known and empty; the leader's log ends there. */
  function joins(lastIndex: number, configurationIndex = 1): void {
    group.hear(group.lead('n4:+', lastIndex, 5, { configuration_index: asLogIndex(configurationIndex) }));
    group.hear(identity('n4', 1, ''));
  }

  it('is within the margin, told at once and once', () => {
    joins(100);
    expect(news(stored('n4', 0))).toBeUndefined();
    group.nowMs = 5000;
    expect(news(stored('n4', 89))).toBeUndefined();
    expect(news(stored('n4', 90))).toMatchObject([{ peer_id: 'n4', match_index: 90, caught_up: true }]);
    expect(news(stored('n4', 91))).toBeUndefined();
    expect(group.progress()).toMatchObject([{ caught_up: true }]);
  });

  it('has acknowledged: an empty log within the margin is not enough', () => {
    joins(5);
    expect(group.progress()).toMatchObject([{ caught_up: false, match_index: 0 }]);
    expect(news(stored('n4', 0))).toBeUndefined();
    expect(news(stored('n4', 1))).toMatchObject([{ caught_up: true }]);
  });

  it('is beyond the latest configuration entry', () => {
    joins(100, 95);
    expect(news(stored('n4', 94))).toBeUndefined();
    group.hear(group.targets('n4:+', 97));
    expect(news(stored('n4', 96))).toBeUndefined();
    expect(news(stored('n4', 97))).toMatchObject([{ caught_up: true }]);
  });

  it('may be behind the margin, where a round took less than an election timeout', () => {
    joins(100);
    expect(news(stored('n4', 0))).toBeUndefined();
    // The first round, up to 100, takes too long; meanwhile the log has grown.
    group.hear(group.append(commands(101, 300)));
    group.nowMs = 1000;
    expect(news(stored('n4', 100))).toBeUndefined();
    group.hear(group.append(commands(301, 400)));
    // The second, up to 300, is fast.
    group.nowMs = 1998;
    expect(news(stored('n4', 299))).toBeUndefined();
    group.nowMs = 1999;
    expect(news(stored('n4', 300))).toMatchObject([{ match_index: 300, caught_up: true }]);
  });

  it('is watched anew when it is added again', () => {
    joins(10);
    expect(news(stored('n4', 10))).toMatchObject([{ caught_up: true }]);
    group.hear(group.targets('n4'));
    expect(group.progress()).toMatchObject([{ caught_up: false }]);
    group.hear(group.targets('n4+'));
    expect(group.progress()).toMatchObject([{ caught_up: false }]);
    expect(news(stored('n4', 10))).toMatchObject([{ caught_up: true }]);
  });

  it('is not told of those who are not watched', () => {
    group.hear(group.lead('n2', 10));
    expect(news(stored('n2', 10))).toBeUndefined();
  });
});
