// Watches of a state machine whose history is by keys: a write costs the same however many there are.

import { defaultTimes, limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { NodeHarness } from '../node-harness.js';
import { beat, watched, write } from './watch-helpers.js';

/** Of three peers, with a state machine whose history is by keys. */
function leader(...texts: string[]): NodeHarness {
  const node = new NodeHarness();
  node.machine.isKeyed = true;
  node.lead();
  write(node, ...texts);
  return node;
}

describe('watches by keys', () => {
  test('receive what matches, those that are caught up and those that begin earlier', () => {
    const node = leader('a1', 'b1');
    node.watch('o.a', 'a');
    node.watch('o.a1', 'a1');
    expect(watched(node.watch('o.all', '', 1))).toEqual(['publish o.all 0-2 3:a1 4:b1']);
    expect(write(node, 'a2', 'b2', 'a12')).toEqual([
      'publish o.a 2-5 5:a2 7:a12',
      'publish o.all 2-5 5:a2 6:b2 7:a12',
      'publish o.a1 2-5 7:a12',
    ]);
    node.unwatch('o.all');
    expect(write(node, 'b3')).toEqual([]);
    expect(write(node, 'a3')).toEqual(['publish o.a 5-7 9:a3']);
    // Requested again from a revision that was sent before, and from the next one.
    expect(watched(node.watch('o.a', 'a', 7))).toEqual(['publish o.a 6-7 9:a3']);
    expect(watched(node.watch('o.a1', 'a1', 8))).toEqual([]);
    expect(write(node, 'a13', 'a2')).toEqual(['publish o.a1 7-9 10:a13', 'publish o.a 7-9 10:a13 11:a2']);
    expect(write(node, 'a15')).toEqual(['publish o.a1 9-10 12:a15', 'publish o.a 9-10 12:a15']);
  });

  test('promise 35: cost a write one look-up, even if there are thousands of which few match', () => {
    const node = leader();
    const count = 4096;
    for (let at = 0; at < count; at++) node.watch(`o${at % 32}.w${at}`, `k${at}/`);
    node.machine.lookedUp = 0;
    expect(write(node, 'other', 'k7/x', 'other')).toEqual(['publish o7.w7 0-3 4:k7/x']);
    expect(node.machine.lookedUp).toBe(1);
  });

  test('with one prefix share the message that is made for them', () => {
    const node = leader();
    for (let at = 0; at < 256; at++) node.watch(`o.w${at}`, 'a');
    node.machine.lookedUp = 0;
    const effects = write(node, 'a1');
    expect(effects).toHaveLength(256);
    expect(node.machine.lookedUp).toBe(1);
  });

  test('get heartbeats, a bounded number at a time, all within their interval', () => {
    const node = leader('x');
    const count = 2 * limits.watchTickSigns;
    for (let at = 0; at < count; at++) node.watch(`o${at % 32}.w${at}`, 'a');
    const lines = beat(node, defaultTimes.watchHeartbeatMs + 200);
    expect(new Set(lines)).toEqual(
      new Set(Array.from({ length: count }, (_, at) => `publish o${at % 32}.w${at} 1-1 nothing`)),
    );
    expect(lines).toHaveLength(count);
  });

  test('that leave too much unread wait, and continue from there when they are renewed', () => {
    const node = leader();
    node.machine.changeBytes = limits.watchUnreadBytes / 2;
    node.watch('o.slow', '');
    node.watch('o.other', 'c');
    expect(write(node, 'a')).toEqual(['publish o.slow 0-1 3:a']);
    expect(write(node, 'b')).toEqual(['publish o.slow 1-2 4:b']);
    expect(write(node, 'c', 'd')).toEqual(['publish o.other 0-3 5:c']);
    expect(watched(node.watch('o.slow', ''))).toEqual(['publish o.slow 2-4 5:c 6:d']);
  });

  test('share a step with the others if much is to be published, and miss nothing', () => {
    const node = leader();
    node.machine.changeBytes = limits.watchStepBytes;
    for (const watchId of ['o.one', 'o.two', 'o.three']) node.watch(watchId, '');
    const lines = [
      ...write(node, 'a', 'b'),
      ...watched(node.wait(1)),
      ...watched(node.wait(1)),
      ...watched(node.wait(1)),
    ];
    for (const watchId of ['o.one', 'o.two', 'o.three']) {
      const published = lines.filter((line) => line.startsWith(`publish ${watchId} `)).join(' ');
      expect(published.match(/\d+:[ab]/g)).toEqual(['3:a', '4:b']);
    }
  });

  test('end if the requested changes are no longer kept', () => {
    const node = leader('a', 'b', 'c');
    node.watch('o.w', '');
    node.machine.firstKnown = 5;
    expect(write(node, 'd', 'e')).toEqual(['publish o.w 3-3 ECOMPACTED']);
    expect(write(node, 'f')).toEqual([]);
    node.watch('o.w', '');
    expect(write(node, 'g')).toEqual(['publish o.w 6-7 9:g']);
  });

  test('each receive all that matches, once and in order, whatever watches start and end', () => {
    let state = 11;
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((state / 2 ** 31) * below);
    };
    const text = (min: number, max: number): string =>
      Array.from({ length: min + random(max - min + 1) }, () => 'ab'.charAt(random(2))).join('');
    const node = leader();
    node.machine.changeBytes = 40_000;
    const open = new Map<string, { prefix: string; after: number; upTo: number; texts: string[] }>();
    const receive = (lines: string[]): void => {
      for (const line of watched(lines)) {
        const [, watchId = '', range = '', ...rest] = line.split(' ');
        const watch = open.get(watchId);
        if (watch === undefined) throw new Error(`a closed watch was sent ${line}`);
        const [after, upTo] = range.split('-').map(Number) as [number, number];
        expect(after).toBe(watch.upTo);
        watch.upTo = upTo;
        watch.texts.push(...rest.filter((one) => one !== 'nothing'));
      }
    };
    for (let turn = 0; turn < 800; turn++) {
      const watchId = `o.w${random(12)}`;
      const known = open.get(watchId);
      const choice = random(10);
      if (choice < 5) {
        node.propose(...Array.from({ length: 1 + random(4) }, () => text(1, 4)));
        receive(node.committed(node.summary.last_index));
      } else if (choice < 6 && known !== undefined) {
        open.delete(watchId);
        receive(node.unwatch(watchId));
      } else if (choice < 8 && known === undefined) {
        const revision = node.machine.applied.length;
        const from = random(2) === 0 ? undefined : 1 + random(revision + 1);
        const after = from === undefined ? revision : from - 1;
        const watch = { prefix: text(0, 3), after, upTo: after, texts: [] };
        open.set(watchId, watch);
        receive(node.watch(watchId, watch.prefix, from));
      } else if (known !== undefined) {
        receive(node.watch(watchId, known.prefix));
      } else {
        receive(node.wait(1));
      }
      if (turn % 10 === 0) receive(beat(node, 100));
    }
    for (let turn = 0; turn < 25; turn++) {
      for (const [watchId, { prefix }] of open) receive(node.watch(watchId, prefix));
      receive(beat(node, 100));
    }
    receive(beat(node, 1200));
    expect(open.size).toBeGreaterThan(3);
    for (const { prefix, after, upTo, texts } of open.values()) {
      expect(upTo).toBe(node.machine.applied.length);
      const all = node.machine.applied.slice(after, upTo);
      expect(texts).toEqual(all.filter((line) => line.split(':')[1]?.startsWith(prefix)));
    }
  });
});
