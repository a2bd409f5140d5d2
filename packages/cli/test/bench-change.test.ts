import { asPeerId } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import {
  type ChangeFigures,
  changeRecord,
  changeRows,
  changeTable,
  membersBefore,
  selectChangeRows,
  stepOf,
} from '../src/bench/change-rows.js';
import { GapMeter } from '../src/bench/gap-meter.js';
import { Latencies } from '../src/bench/statistics.js';

const [n1, n2, n3, n4, n5] = ['n1', 'n2', 'n3', 'n4', 'n5'].map(asPeerId) as [
  ReturnType<typeof asPeerId>,
  ReturnType<typeof asPeerId>,
  ReturnType<typeof asPeerId>,
  ReturnType<typeof asPeerId>,
  ReturnType<typeof asPeerId>,
];
const all = [n1, n2, n3, n4, n5];
const three = { leader: n2, members: [n1, n2, n3], all };

describe('the gap meter', () => {
  it('counts the gap that was open when the window began, and the one that is open when it ends', () => {
    const latencies = new Latencies();
    const meter = new GapMeter(0);
    meter.onAcknowledged(1, 100);
    meter.begin(latencies);
    meter.onAcknowledged(2, 170);
    meter.onAcknowledged(3, 180);
    meter.onFailed();
    expect(meter.end(200)).toEqual({ longestGapMs: 70, failed: 1 });
    expect(latencies.count).toBe(2);
    meter.begin(latencies);
    expect(meter.end(1180)).toEqual({ longestGapMs: 1000, failed: 0 });
  });

  it('ignores what happens between two windows', () => {
    const meter = new GapMeter(0);
    meter.onAcknowledged(1, 5000);
    meter.onFailed();
    meter.begin(new Latencies());
    expect(meter.end(5001)).toEqual({ longestGapMs: 1, failed: 0 });
  });
});

describe('the rows of a change', () => {
  it('are all of them, or those that are named beside the one without a change', () => {
    expect(selectChangeRows([])).toEqual(changeRows);
    expect(selectChangeRows(['leader-killed', 'replace-two'])).toEqual(['no-change', 'replace-two', 'leader-killed']);
    expect(() => selectChangeRows(['replace-all'])).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  it('begin with the members that they need, the leader among them', () => {
    expect(membersBefore('replace-two', three)).toEqual([n1, n2, n3]);
    expect(membersBefore('one-to-three', three)).toEqual([n2]);
    expect(membersBefore('three-to-five', { ...three, members: all })).toEqual([n2, n1, n3]);
    expect(membersBefore('leader-killed', { ...three, members: [n2] })).toEqual([n2, n1, n3]);
  });

  it('do what they are called', () => {
    expect(stepOf('no-change', three, 0)).toEqual({ type: 'nothing' });
    expect(stepOf('replace-one', three, 0)).toEqual({ type: 'change', newPeers: [n2, n3, n4] });
    expect(stepOf('replace-one', three, 1)).toEqual({ type: 'change', newPeers: [n2, n1, n4] });
    expect(stepOf('replace-two', three, 0)).toEqual({ type: 'change', newPeers: [n2, n4, n5] });
    expect(stepOf('without-leader', three, 0)).toEqual({ type: 'change', newPeers: [n1, n4, n5] });
    expect(stepOf('one-to-three', { ...three, members: [n2] }, 0)).toEqual({ type: 'change', newPeers: [n2, n1, n3] });
    expect(stepOf('three-to-five', three, 0)).toEqual({ type: 'change', newPeers: all });
    expect([0, 1, 2].map((round) => stepOf('transfer', three, round))).toEqual([
      { type: 'transfer', to: n1 },
      { type: 'transfer', to: n3 },
      { type: 'transfer', to: n1 },
    ]);
    expect(stepOf('follower-killed', three, 1)).toEqual({ type: 'kill', peerId: n3 });
    expect(stepOf('leader-killed', three, 1)).toEqual({ type: 'kill', peerId: n2 });
  });

  const unchanged = { gapsMs: [40, 60, 50], p99Ms: 20, failed: 0 };
  const figures: ChangeFigures[] = [
    { row: 'replace-two', writers: 1024, gapsMs: [90, 80, 300], p99Ms: 33.25, failed: 0, unchanged },
    { row: 'leader-killed', writers: 1024, gapsMs: [1300, 1501], p99Ms: 1200, failed: 2, unchanged },
  ];

  it('are in the row next to the one without a change', () => {
    expect(changeTable(figures)).toMatchInlineSnapshot(`
      "writers  row                 times  gap ms  unchanged   ratio  worst ms  p99 ms  unchanged  failed  unchanged  within 1500 ms
        1,024  {1,2,3} to {1,4,5}      3    90.0       50.0   1.80x     300.0    33.3       20.0       0          0
        1,024  the leader killed       2  1300.0       50.0  26.00x    1501.0  1200.0       20.0       2          0          1 of 2"
    `);
  });

  it('are one line of JSON each', () => {
    expect(changeRecord(figures[1] as ChangeFigures)).toEqual({
      row: 'leader-killed',
      writers: 1024,
      gaps_ms: [1300, 1501],
      gap_median_ms: 1300,
      gap_worst_ms: 1501,
      gap_ratio: 26,
      p99_ms: 1200,
      failed: 2,
      unchanged_gap_median_ms: 50,
      unchanged_p99_ms: 20,
      unchanged_failed: 0,
      within_goal: 1,
      goal_ms: 1500,
    });
  });
});
