import { asLogIndex } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { CatchUpDetector } from '../src/core/catch-up-detector.js';
import { commands, echo, identity, idOf, LedGroup, rejected, stored } from './replicator-harness.js';

let group: LedGroup;
beforeEach(() => {
  group = new LedGroup();
});

/** The progress that a step sends at once, or undefined. */
function news(message: Parameters<LedGroup['step']>[0]) {
  for (const effect of group.step(message)) {
    if (effect.type === 'send' && effect.message.name === 'node.progress') return effect.message.body.targets;
  }
  return undefined;
}

describe('a target whose store is not known', () => {
  it('a target with an unknown store is asked on every tick until it answers', () => {
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
    expect(group.receive(identity('n4', 1, ''))).toEqual(['n4 after 0/0 #2']);
    expect(group.receive(identity('n4', 1, ''))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_asked: 1 });
    expect(group.progress()).toMatchObject([{ store_id: 's4', state: 'probe', next_index: 1 }]);
  });

  it('may hold this history already, and is probed at the end of its log', () => {
    group.receive(group.lead('n4:+', 100));
    expect(group.receive(identity('n4', 1, 'uid', 100))).toEqual(['n4 after 100/5 #2']);
  });

  it('is asked again if it has no store yet', () => {
    group.receive(group.lead('n4:+', 100));
    expect(group.receive(identity('n4:', 1, ''))).toEqual([]);
    expect(group.tick()).toEqual(['n4 identify #2']);
  });

  it('a target that holds another history is rejected at once, and asked again only after an election timeout', () => {
    group.receive(group.lead('n4:+', 100));
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
    expect(group.receive(identity('n4:s9', 3, ''))).toEqual(['n4 after 0/0 #4']);
    expect(group.progress()).toMatchObject([{ state: 'probe', refusal: '', store_id: 's9' }]);
  });

  it('whose store changes while it catches up starts again', () => {
    group.receive(group.lead('n4:+', 100));
    group.receive(identity('n4', 1, ''));
    group.receive(stored('n4', 0));
    const heartbeat = idOf(group.tick()[0]);
    const lines = group.receive(rejected('n4:s9', heartbeat, 0, [0, 0], { reason: 'store' }));
    expect(lines).toEqual([expect.stringMatching(/^n4 identify/)]);
    expect(group.receive(stored('n4', 0))).toEqual([]);
    expect(group.receive(identity('n4:s9', idOf(lines[0]), ''))).toEqual([expect.stringMatching(/^n4 after 0\/0/)]);
    expect(group.core.dropped).toEqual({ other_store: 1 });
  });
});

describe('a member', () => {
  it('that has another store is refused at once, and accepted again once it has its own store', () => {
    group.receive(group.lead('n2', 10));
    const refusal = rejected('n2:s9', 1, 0, [0, 0], { reason: 'store' });
    expect(news(refusal)).toMatchObject([{ state: 'refused', refusal: 'ESTORE', store_id: 's2', in_flight: 0 }]);
    expect(group.receive(refusal)).toEqual([]);
    expect(group.core.dropped).toEqual({ not_in_flight: 1 });
    for (let n = 0; n < 9; n++) expect(group.tick()).toEqual([]);
    expect(group.tick()).toEqual(['n2 identify #2']);
    expect(group.receive(identity('n2:s9', 2, ''))).toEqual([]);
    for (let n = 0; n < 9; n++) expect(group.tick()).toEqual([]);
    const again = group.tick();
    expect(group.receive(identity('n2', idOf(again[0]), 'uid', 10))).toEqual(['n2 after 10/5 #4']);
  });

  it('that answers more slowly than the ticks are sent is refused, too', () => {
    group.receive(group.lead('n2', 10));
    group.receive(stored('n2', 10));
    group.tick(1000);
    const [heartbeat] = group.tick();
    group.tick();
    const refusal = rejected('n2:s9', idOf(heartbeat), 0, [0, 0], { reason: 'store' });
    expect(news(refusal)).toMatchObject([{ refusal: 'ESTORE', found: { store_id: 's9', bound_silent_ms: 1200 } }]);
  });

  it('promise 6: is not refused for another store under its name as long as its own store answers; the other store is reported', () => {
    group.receive(group.lead('n2', 10));
    group.receive(stored('n2', 10));
    const [heartbeat] = group.tick();
    expect(group.receive(rejected('n2:s9', idOf(heartbeat), 0, [0, 0], { reason: 'store' }))).toEqual([]);
    // That one may have taken the place of the other.
    expect(group.progress()[0]?.found).toBeUndefined();
    group.tick();
    group.receive(stored('n2', 10));
    expect(group.progress()).toMatchObject([
      { state: 'replicate', refusal: '', store_id: 's2', found: { store_id: 's9', bound_silent_ms: 0 } },
    ]);
    expect(group.core.dropped).toEqual({ second_store: 1 });
    // It has said nothing for long: it is no longer there.
    for (let n = 0; n < 60; n++) {
      group.tick();
      group.receive(stored('n2', 10));
    }
    expect(group.progress()[0]?.found).toBeUndefined();
  });

  it('that is silent is asked for its store: it may hold another history, and ignore this leader', () => {
    group.receive(group.lead('n2', 10));
    for (let n = 0; n < 9; n++) group.tick();
    const asked = group.tick().find((line) => line.includes('identify'));
    expect(group.receive(identity('n2', idOf(asked), 'other', 7))).toEqual([
      'log warn: n2 holds data of another history',
    ]);
    expect(group.progress()).toMatchObject([{ state: 'refused', refusal: 'ENOTEMPTY' }]);
  });

  it('that has another store with another history is refused for that', () => {
    group.receive(group.lead('n2', 10));
    for (let n = 0; n < 9; n++) group.tick();
    const asked = group.tick().find((line) => line.includes('identify'));
    group.receive(identity('n2:s9', idOf(asked), 'other', 7));
    expect(group.progress()).toMatchObject([
      { refusal: 'ENOTEMPTY', store_id: 's2', found: { store_id: 's9', group_uid: 'other', last_index: 7 } },
    ]);
  });

  it('that reports the same store as before is not changed', () => {
    group.receive(group.lead('n2', 10));
    for (let n = 0; n < 9; n++) group.tick();
    const asked = group.tick().find((line) => line.includes('identify'));
    expect(group.receive(identity('n2', idOf(asked), 'uid', 10))).toEqual([]);
    expect(group.progress()).toMatchObject([{ state: 'probe', silent_ms: 0 }]);
  });

  it('that is refused is logged', () => {
    group.receive(group.lead('n2', 10));
    expect(group.receive(rejected('n2:s9', 1, 0, [0, 0], { reason: 'store' }))).toEqual([
      'log warn: n2 has another store than the one in the configuration, or an older copy of it',
    ]);
  });

  it('is not refused because of a late message of its own store', () => {
    group.receive(group.lead('n2', 10));
    expect(group.receive(rejected('n2', 1, 0, [0, 0], { reason: 'store' }))).toEqual([]);
    expect(group.core.dropped).toEqual({ same_store: 1 });
  });
});

describe('the targets', () => {
  it('a target keeps its replication state when the configuration begins to name its store', () => {
    group.receive(group.lead('n2 n4:+', 10));
    group.receive(stored('n2', 10));
    group.receive(identity('n4', 2, '', 0));
    group.receive(stored('n4', 0));
    expect(group.receive(group.targets('n2 n4'))).toEqual([]);
    expect(group.progress()).toMatchObject([
      { peer_id: 'n2', state: 'replicate', match_index: 10 },
      { peer_id: 'n4', state: 'replicate', store_id: 's4', caught_up: false },
    ]);
  });

  it('targets that are not listed are deleted, and their messages are dropped', () => {
    group.receive(group.lead('n2 n3', 10));
    group.receive(group.targets('n3'));
    expect(group.tick().every((line) => line.startsWith('n3 '))).toBe(true);
    expect(group.receive(stored('n2', 10))).toEqual([]);
    expect(group.receive(echo('n2', 1))).toEqual([]);
    expect(group.receive(identity('n2', 1, ''))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_a_target: 3 });
  });

  it('that are bound to another store start again', () => {
    group.receive(group.lead('n2', 10));
    group.receive(stored('n2', 10));
    expect(group.receive(group.targets('n2:s9'))).toEqual(['n2 after 10/5 #2']);
    expect(group.progress()).toMatchObject([{ match_index: 0, store_id: 's9', state: 'probe' }]);
  });

  it('whose store becomes known by the configuration before they answer are probed', () => {
    group.receive(group.lead('n4:', 10));
    expect(group.receive(group.targets('n4'))).toEqual(['n4 after 10/5 #2']);
  });

  it('that were refused for their store and are new again are asked', () => {
    group.receive(group.lead('n2', 10));
    group.receive(rejected('n2:s9', 1, 0, [0, 0], { reason: 'store' }));
    expect(group.receive(group.targets('n2:+'))).toEqual([expect.stringMatching(/^n2 identify/)]);
  });

  it('never hold the leader itself, and only those of the term that is led count', () => {
    group.receive(group.lead('n1', 10));
    expect(group.progress()).toEqual([]);
    group.receive(group.stop());
    group.receive(group.targets('n2'));
    group.receive(group.transfer('n2', 1));
    expect(group.core.dropped).toEqual({ target_is_the_leader: 1, not_leading: 2 });
  });
});

describe('a new peer', () => {
  /** `n4` is known and empty; the leader's log ends there. */
  function joins(lastIndex: number, configurationIndex = 1, others = ''): void {
    const targets = `n4:+ ${others}`;
    group.receive(group.lead(targets, lastIndex, 5, { configuration_index: asLogIndex(configurationIndex) }));
    group.receive(identity('n4', 1, ''));
  }

  /** The next tick, after which `n4` reports that it receives the feed. Returns what is sent to the node at once. */
  function hearsFeed() {
    group.tick();
    return news(echo('n4', group.tickId, { hears_feed: true }));
  }

  it('has caught up once it has all entries and receives new ones as members do, which is reported once, at once', () => {
    joins(100);
    expect(news(stored('n4', 99))).toBeUndefined();
    expect(news(stored('n4', 100))).toBeUndefined();
    expect(group.progress(100)).toMatchObject([{ caught_up: false }]);
    expect(news(echo('n4', group.tickId))).toBeUndefined();
    expect(hearsFeed()).toMatchObject([{ peer_id: 'n4', match_index: 100, caught_up: true }]);
    expect(hearsFeed()).toBeUndefined();
    expect(group.progress()).toMatchObject([{ caught_up: true }]);
  });

  it('has not caught up, however few entries it lacks, while it takes longer for them than members do', () => {
    joins(100, 1, 'n2 n3');
    group.receive(stored('n2', 100));
    group.receive(stored('n4', 100));
    hearsFeed();
    group.receive(group.append(commands(101)));
    group.nowMs += 40;
    group.receive(stored('n1', 101));
    group.receive(stored('n2', 101));
    group.nowMs += 45;
    expect(group.progress()).toMatchObject([{ peer_id: 'n4', match_index: 100, caught_up: false }, {}, {}]);
    group.receive(stored('n4', 101));
    group.receive(group.append(commands(102)));
    group.nowMs += 40;
    group.receive(stored('n1', 102));
    group.receive(stored('n2', 102));
    group.nowMs += 40;
    expect(news(stored('n4', 102))).toMatchObject([{ peer_id: 'n4', caught_up: true }, {}, {}]);
  });

  it('has not caught up while it lacks earlier entries, even if nothing new is written', () => {
    joins(100);
    const [asked] = group.receive(stored('n4', 0));
    group.receive(group.entries(idOf(asked), 1, 0, [commands(1, 50), commands(51, 100)]));
    expect(news(stored('n4', 50))).toBeUndefined();
    expect(hearsFeed()).toBeUndefined();
    expect(group.progress()).toMatchObject([{ caught_up: false, match_index: 50, next_index: 101 }]);
    expect(news(stored('n4', 100))).toMatchObject([{ caught_up: true }]);
  });

  it('is not compared with a member that makes no progress', () => {
    joins(100, 1, 'n2 n3');
    for (const peer of ['n2', 'n3', 'n4']) group.receive(stored(peer, 100));
    hearsFeed();
    group.receive(group.append(commands(101)));
    group.receive(stored('n1', 101));
    group.receive(stored('n2', 101));
    group.nowMs += 200;
    group.receive(stored('n4', 101));
    expect(group.progress()).toMatchObject([{ peer_id: 'n4', caught_up: false }, {}, {}]);
  });

  it('a new peer has not caught up before it has acknowledged an entry', () => {
    joins(0, 0);
    expect(hearsFeed()).toBeUndefined();
    expect(group.progress()).toMatchObject([{ caught_up: false, match_index: 0 }]);
  });

  it('a new peer has not caught up before it has the latest configuration entry', () => {
    joins(97, 95);
    group.receive(stored('n4', 97));
    group.receive(group.targets('n4:+', 98));
    expect(hearsFeed()).toBeUndefined();
    group.receive(group.append(commands(98)));
    expect(news(stored('n4', 98))).toMatchObject([{ caught_up: true }]);
  });

  it('a new peer that falls behind again has not caught up', () => {
    joins(10);
    group.receive(stored('n4', 10));
    expect(hearsFeed()).toMatchObject([{ caught_up: true }]);
    group.receive(group.append(commands(11)));
    group.receive(stored('n1', 11));
    expect(group.progress(100)).toMatchObject([{ caught_up: false }]);
    expect(news(stored('n4', 11))).toBeUndefined();
    group.receive(group.append(commands(12)));
    expect(news(stored('n4', 12))).toMatchObject([{ caught_up: true }]);
  });

  it('is measured from the start when it is added again', () => {
    joins(10);
    group.receive(stored('n4', 10));
    expect(hearsFeed()).toMatchObject([{ caught_up: true }]);
    group.receive(group.targets('n4'));
    expect(group.progress()).toMatchObject([{ caught_up: false }]);
    group.receive(group.targets('n4+'));
    expect(group.progress()).toMatchObject([{ caught_up: false }]);
    expect(news(stored('n4', 10))).toMatchObject([{ caught_up: true }]);
  });

  it('that writers outrun requests slower writers, for a moment', () => {
    joins(10);
    group.receive(stored('n4', 0));
    let last = 10;
    // Each round takes as long as the one before.
    for (let round = 0; round < 6; round++) {
      group.receive(group.append(commands(last + 1, last + 10)));
      group.nowMs += 300;
      group.receive(stored('n4', last));
      last += 10;
    }
    expect(group.progress()).toMatchObject([{ caught_up: false, wants_throttle: true }]);
    expect(group.progress(500)[0]).not.toHaveProperty('wants_throttle');
  });

  it('is not reported as caught up if it does not catch up', () => {
    group.receive(group.lead('n2', 10));
    expect(news(stored('n2', 10))).toBeUndefined();
  });
});

describe('the watch over a new peer', () => {
  const inStep = { followsFeed: true, hasConfiguration: true, marginMs: 25 };

  /** Three rounds that are no shorter than the one before. */
  function stuckWatch(): CatchUpDetector {
    const watch = new CatchUpDetector(1000);
    watch.onAcknowledged();
    for (let round = 0; round < 4; round++) watch.onRound(400);
    return watch;
  }

  it('has the writers slowed down for half an election timeout at most, then for ten times as long not', () => {
    const watch = stuckWatch();
    const slowed: number[] = [];
    for (let nowMs = 0; nowMs <= 12_000; nowMs += 100) {
      watch.onRound(400);
      if (watch.wantsThrottle(nowMs)) slowed.push(nowMs);
    }
    const first = [0, 100, 200, 300, 400];
    expect(slowed).toEqual([...first, ...first.map((ms) => ms + 5500), ...first.map((ms) => ms + 11_000)]);
  });

  it('does not slow writers down while the rounds become shorter, or if the peer is far too slow', () => {
    const shrinking = new CatchUpDetector(1000);
    for (const roundMs of [900, 600, 400, 250, 160]) shrinking.onRound(roundMs);
    expect(shrinking.wantsThrottle(0)).toBe(false);
    const slow = new CatchUpDetector(1000);
    for (let round = 0; round < 9; round++) slow.onRound(1001);
    expect(slow.wantsThrottle(0)).toBe(false);
  });

  it('admits a peer that is slow by itself, once slower writers have not made it faster', () => {
    const watch = stuckWatch();
    expect(watch.update({ ...inStep, lagMs: 200 }, 0)).toBe(false);
    expect(watch.wantsThrottle(0)).toBe(true);
    expect(watch.update({ ...inStep, lagMs: 200 }, 499)).toBe(false);
    expect(watch.update({ ...inStep, lagMs: 251 }, 500)).toBe(false);
    expect(watch.update({ ...inStep, lagMs: 250 }, 500)).toBe(true);
    expect(watch.update({ ...inStep, followsFeed: false, lagMs: 0 }, 500)).toBe(false);
  });
});
