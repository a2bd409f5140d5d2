// Watches of a state machine whose history is by keys: a write costs the same however many there are.

import { defaultTimes, limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench } from './node-on-a-bench.js';

/** Of three peers, with a state machine whose history is by keys. */
function leader(...texts: string[]): Bench {
  const bench = new Bench();
  bench.machine.isKeyed = true;
  bench.lead();
  write(bench, ...texts);
  return bench;
}

function write(bench: Bench, ...texts: string[]): string[] {
  if (texts.length > 0) bench.propose(...texts);
  return watched(bench.committed(bench.summary.last_index));
}

function watched(lines: string[]): string[] {
  return lines.filter((line) => line.startsWith('publish'));
}

function beat(bench: Bench, forMs: number): string[] {
  const lines: string[] = [];
  for (let passed = 0; passed < forMs; passed += 100) {
    lines.push(...watched(bench.wait(100)));
    bench.confirmed();
  }
  return lines;
}

describe('watches by keys', () => {
  test('are told what matches, those that are caught up and those that begin earlier', () => {
    const bench = leader('a1', 'b1');
    bench.watch('o.a', 'a');
    bench.watch('o.a1', 'a1');
    expect(watched(bench.watch('o.all', '', 1))).toEqual(['publish o.all 0-2 3:a1 4:b1']);
    expect(write(bench, 'a2', 'b2', 'a12')).toEqual([
      'publish o.a 2-5 5:a2 7:a12',
      'publish o.all 2-5 5:a2 6:b2 7:a12',
      'publish o.a1 2-5 7:a12',
    ]);
    bench.unwatch('o.all');
    expect(write(bench, 'b3')).toEqual([]);
    expect(write(bench, 'a3')).toEqual(['publish o.a 5-7 9:a3']);
    // Asked for again from a revision that was told before, and from the one that comes next.
    expect(watched(bench.watch('o.a', 'a', 7))).toEqual(['publish o.a 6-7 9:a3']);
    expect(watched(bench.watch('o.a1', 'a1', 8))).toEqual([]);
    expect(write(bench, 'a13', 'a2')).toEqual(['publish o.a1 7-9 10:a13', 'publish o.a 7-9 10:a13 11:a2']);
    expect(write(bench, 'a15')).toEqual(['publish o.a1 9-10 12:a15', 'publish o.a 9-10 12:a15']);
  });

  test('promise 35: thousands of which few match cost a write one look', () => {
    const bench = leader();
    const count = 4096;
    for (let at = 0; at < count; at++) bench.watch(`o${at % 32}.w${at}`, `k${at}/`);
    bench.machine.lookedUp = 0;
    expect(write(bench, 'other', 'k7/x', 'other')).toEqual(['publish o7.w7 0-3 4:k7/x']);
    expect(bench.machine.lookedUp).toBe(1);
  });

  test('of one prefix share what is made for them', () => {
    const bench = leader();
    for (let at = 0; at < 256; at++) bench.watch(`o.w${at}`, 'a');
    bench.machine.lookedUp = 0;
    const effects = write(bench, 'a1');
    expect(effects).toHaveLength(256);
    expect(bench.machine.lookedUp).toBe(1);
  });

  test('get their signs of life a bounded number at a time, all within their time', () => {
    const bench = leader('x');
    const count = 2 * limits.watchTickSigns;
    for (let at = 0; at < count; at++) bench.watch(`o${at % 32}.w${at}`, 'a');
    const lines = beat(bench, defaultTimes.watchHeartbeatMs + 200);
    expect(new Set(lines)).toEqual(
      new Set(Array.from({ length: count }, (_, at) => `publish o${at % 32}.w${at} 1-1 nothing`)),
    );
    expect(lines).toHaveLength(count);
  });

  test('that leave too much unread wait, and go on from there when they are asked for', () => {
    const bench = leader();
    bench.machine.changeBytes = limits.watchUnreadBytes / 2;
    bench.watch('o.slow', '');
    bench.watch('o.other', 'c');
    expect(write(bench, 'a')).toEqual(['publish o.slow 0-1 3:a']);
    expect(write(bench, 'b')).toEqual(['publish o.slow 1-2 4:b']);
    expect(write(bench, 'c', 'd')).toEqual(['publish o.other 0-3 5:c']);
    expect(watched(bench.watch('o.slow', ''))).toEqual(['publish o.slow 2-4 5:c 6:d']);
  });

  test('share a step with the others where much is to be published, and miss nothing', () => {
    const bench = leader();
    bench.machine.changeBytes = limits.watchStepBytes;
    for (const watchId of ['o.one', 'o.two', 'o.three']) bench.watch(watchId, '');
    const lines = [
      ...write(bench, 'a', 'b'),
      ...watched(bench.wait(1)),
      ...watched(bench.wait(1)),
      ...watched(bench.wait(1)),
    ];
    for (const watchId of ['o.one', 'o.two', 'o.three']) {
      const told = lines.filter((line) => line.startsWith(`publish ${watchId} `)).join(' ');
      expect(told.match(/\d+:[ab]/g)).toEqual(['3:a', '4:b']);
    }
  });

  test('end where what they want is no longer known', () => {
    const bench = leader('a', 'b', 'c');
    bench.watch('o.w', '');
    bench.machine.firstKnown = 5;
    expect(write(bench, 'd', 'e')).toEqual(['publish o.w 3-3 ECOMPACTED']);
    expect(write(bench, 'f')).toEqual([]);
    bench.watch('o.w', '');
    expect(write(bench, 'g')).toEqual(['publish o.w 6-7 9:g']);
  });

  test('are each told all that matches, once and in order, whatever comes and goes', () => {
    let state = 11;
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((state / 2 ** 31) * below);
    };
    const text = (least: number, most: number): string =>
      Array.from({ length: least + random(most - least + 1) }, () => 'ab'.charAt(random(2))).join('');
    const bench = leader();
    bench.machine.changeBytes = 40_000;
    const told = new Map<string, { prefix: string; after: number; upTo: number; texts: string[] }>();
    const hear = (lines: string[]): void => {
      for (const line of watched(lines)) {
        const [, watchId = '', range = '', ...rest] = line.split(' ');
        const watch = told.get(watchId);
        if (watch === undefined) throw new Error(`a closed watch was told ${line}`);
        const [after, upTo] = range.split('-').map(Number) as [number, number];
        expect(after).toBe(watch.upTo);
        watch.upTo = upTo;
        watch.texts.push(...rest.filter((one) => one !== 'nothing'));
      }
    };
    for (let turn = 0; turn < 800; turn++) {
      const watchId = `o.w${random(12)}`;
      const known = told.get(watchId);
      const choice = random(10);
      if (choice < 5) {
        bench.propose(...Array.from({ length: 1 + random(4) }, () => text(1, 4)));
        hear(bench.committed(bench.summary.last_index));
      } else if (choice < 6 && known !== undefined) {
        told.delete(watchId);
        hear(bench.unwatch(watchId));
      } else if (choice < 8 && known === undefined) {
        const revision = bench.machine.applied.length;
        const from = random(2) === 0 ? undefined : 1 + random(revision + 1);
        const after = from === undefined ? revision : from - 1;
        const watch = { prefix: text(0, 3), after, upTo: after, texts: [] };
        told.set(watchId, watch);
        hear(bench.watch(watchId, watch.prefix, from));
      } else if (known !== undefined) {
        hear(bench.watch(watchId, known.prefix));
      } else {
        hear(bench.wait(1));
      }
      if (turn % 10 === 0) hear(beat(bench, 100));
    }
    for (let turn = 0; turn < 25; turn++) {
      for (const [watchId, { prefix }] of told) hear(bench.watch(watchId, prefix));
      hear(beat(bench, 100));
    }
    hear(beat(bench, 1200));
    expect(told.size).toBeGreaterThan(3);
    for (const { prefix, after, upTo, texts } of told.values()) {
      expect(upTo).toBe(bench.machine.applied.length);
      const all = bench.machine.applied.slice(after, upTo);
      expect(texts).toEqual(all.filter((line) => line.split(':')[1]?.startsWith(prefix)));
    }
  });
});
