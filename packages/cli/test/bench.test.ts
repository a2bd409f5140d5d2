import { describe, expect, it } from 'vitest';
import { compareMetrics } from '../src/bench/compare-metrics.js';
import { measureIdle, usageOf } from '../src/bench/idle.js';
import { measure } from '../src/bench/measure.js';
import {
  type LoadResult,
  latencyRatio,
  type Result,
  resultRecord,
  resultTables,
  throughputRatio,
} from '../src/bench/results.js';
import { type Row, selectRows } from '../src/bench/rows.js';
import { Latencies, percentile } from '../src/bench/statistics.js';
import { processorSeconds } from '../src/processes/usage.js';

const MiB = 1024 * 1024;

describe('percentiles', () => {
  it('are by the nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
    expect([0.001, 0.5, 0.99, 0.991, 1].map((share) => percentile(hundred, share))).toEqual([1, 50, 99, 100, 100]);
    expect(percentile([7], 0.5)).toBe(7);
    expect(percentile([], 0.5)).toBeNaN();
  });

  it('do not depend on the order of what was measured', () => {
    const latencies = new Latencies();
    for (let value = 10_000; value >= 1; value--) latencies.add(value);
    expect(latencies.count).toBe(10_000);
    expect(latencies.percentiles(0.5, 0.99)).toEqual([5000, 9900]);
  });
});

describe('measuring', () => {
  it('keeps this many operations in flight, and counts failures apart from successes', async () => {
    let inFlight = 0;
    let max = 0;
    const figures = await measure(
      async (number) => {
        inFlight += 1;
        max = Math.max(max, inFlight);
        await new Promise((resolve) => setImmediate(resolve));
        inFlight -= 1;
        if (number % 2 === 0) throw new Error('refused');
      },
      { inFlight: 8, warmUpMs: 0, measureMs: 50 },
    );
    expect(max).toBe(8);
    expect(inFlight).toBe(0);
    expect(figures.failed).toBeGreaterThan(0);
    expect(figures.operations).toBeGreaterThan(0);
    expect(figures.operationsPerSecond).toBeCloseTo(figures.operations / figures.seconds);
    expect(figures.p50Ms).toBeLessThanOrEqual(figures.p99Ms);
  });

  it('ends also when everything is refused at once', async () => {
    const refuse = (): Promise<never> => Promise.reject(new Error('refused'));
    const figures = await measure(refuse, { inFlight: 4, warmUpMs: 0, measureMs: 20 });
    expect(figures.operations).toBe(0);
    expect(figures.p50Ms).toBeNaN();
  });
});

describe('comparing with and without metrics', () => {
  it('alternates, and compares the medians', async () => {
    const rounds: string[] = [];
    const records: unknown[] = [];
    const output = {
      json: true,
      record: (value: unknown) => records.push(value),
      note: () => undefined,
      line: () => undefined,
    };
    await compareMetrics(output, 3, async function* (round) {
      rounds.push(`${round} ${process.env.CONCLAVE_BENCH_METRICS}`);
      yield [{ name: 'four-1' }, { operationsPerSecond: round.endsWith('on') ? 98 : 100 + rounds.length }];
    });
    expect(rounds).toEqual(['0-on on', '0-off off', '1-off off', '1-on on', '2-on on', '2-off off']);
    expect(records.at(-1)).toEqual({ row: 'four-1', with: 98, without: 103, percent: 4.9 });
  });
});

const names = (...selectors: string[]) => selectRows(selectors).map((row) => row.name);

describe('rows', () => {
  it('are selected by name, placement, how many are in flight, or set-up', () => {
    expect(selectRows([])).toHaveLength(22);
    expect(selectRows(['reads'])).toHaveLength(14);
    expect(names('lease', 'stale-1')).toEqual([
      ...['lease-1', 'lease-256', 'lease-1024', 'one-lease-1', 'one-lease-1024'],
      'stale-1',
    ]);
    expect(names('one-64', 'four-1')).toEqual(['four-1', 'one-64']);
    expect(selectRows(['four']).map((row) => row.inFlight)).toEqual([1, 64, 256, 1024]);
    expect(selectRows(['1024']).map((row) => row.placement)).toEqual(['four', 'one']);
    expect(names('idle')).toEqual(['four-idle', 'one-idle']);
    expect(names('16-kib')).toEqual(['four-16-kib', 'one-16-kib']);
    expect(() => selectRows(['five'])).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  it('are selected with the rows that they are compared with', () => {
    expect(names('one-five-peers')).toEqual(['one-1024', 'one-five-peers']);
    expect(names('100-groups')).toEqual(['four-1024', 'one-1024', 'four-100-groups', 'one-100-groups']);
  });

  it('of the goals have writes and reads of both placements, and every set-up', () => {
    expect(names('goals')).toEqual([
      ...['four-1', 'four-1024', 'one-1', 'one-1024'],
      ...['linearizable-1', 'linearizable-1024', 'one-linearizable-1', 'one-linearizable-1024'],
      ...['lease-1', 'lease-1024', 'one-lease-1', 'one-lease-1024'],
      ...['four-five-peers', 'four-100-groups', 'four-16-kib', 'four-idle'],
      ...['one-five-peers', 'one-100-groups', 'one-16-kib', 'one-idle'],
    ]);
  });
});

describe('results', () => {
  const rowNamed = (name: string): Row => selectRows([name]).find((row) => row.name === name) as Row;
  const measured = { operations: 100, failed: 0, seconds: 2, operationsPerSecond: 50_000, p50Ms: 1.5, p99Ms: 9.25 };
  const writes: LoadResult = { ...rowNamed('four-64'), measured, baseline: { perSecond: 25_000, p50Ms: 2 } };
  const slow = { ...measured, operationsPerSecond: 400, p50Ms: 2.4 };
  const baseline = { perSecond: 1_000, p50Ms: 0.4, syncP50Ms: 0.2 };
  const write: LoadResult = { ...rowNamed('four-1'), measured: slow, baseline };
  const read: LoadResult = { ...rowNamed('one-lease-1'), measured: slow, baseline: { perSecond: 1_000, p50Ms: 0.4 } };
  const five: LoadResult = {
    ...rowNamed('four-five-peers'),
    measured,
    compared: { ...measured, operationsPerSecond: 62_500 },
  };
  const large: LoadResult = { ...rowNamed('one-16-kib'), measured: slow, baseline };
  const idle: Result = {
    ...rowNamed('one-idle'),
    usage: [
      { name: 'n1', cores: 0.025, residentBytes: 80 * MiB },
      { name: 'nats-server', cores: 0.01, residentBytes: 20 * MiB },
    ],
  };

  it('are divided by bare requests, or by the row that they are compared with', () => {
    expect(throughputRatio(writes)).toBe(2);
    expect(throughputRatio(five)).toBe(0.8);
  });

  it('with one in flight are divided by a bare round trip, and those of writes by one and a sync', () => {
    expect(latencyRatio(write)).toBeCloseTo(4);
    expect(latencyRatio(read)).toBeCloseTo(6);
    expect(latencyRatio(writes)).toBeUndefined();
    expect(latencyRatio({ ...write, baseline: { perSecond: 1, p50Ms: 1 } })).toBeUndefined();
  });

  it('are next to their baselines, in a table for each kind', () => {
    expect(resultTables([writes]).join()).toMatchInlineSnapshot(`
      "processes a peer  in flight  writes/s  p50 ms  p99 ms  failed  bare requests/s  ratio
      four                     64    50,000    1.50    9.25       0           25,000  2.00x"
    `);
    expect(resultTables([write, writes, read, five, large, idle]).join('\n\n')).toMatchInlineSnapshot(`
      "processes a peer  in flight  writes/s  p50 ms  p99 ms  failed  bare requests/s  ratio  bare + sync ms  p50 ratio
      four                      1       400    2.40    9.25       0            1,000  0.40x            0.60      4.00x
      four                     64    50,000    1.50    9.25       0           25,000  2.00x

      read   processes a peer  in flight  reads/s  p50 ms  p99 ms  failed  bare requests/s  ratio  bare p50 ms  p50 ratio
      lease  one                       1      400    2.40    9.25       0            1,000  0.40x         0.40      6.00x

      row         processes a peer  in flight  writes/s  p50 ms  p99 ms  failed  three peers, one group  ratio
      five-peers  four                   1024    50,000    1.50    9.25       0                  62,500  0.80x

      row     processes a peer  in flight  MB/s  p50 ms  p99 ms  failed  bare MB/s  ratio
      16-kib  one                     256   6.6    2.40    9.25       0       16.4  0.40x

      idle, processes a peer: one  % of a core  memory MiB
      n1                                   2.5          80
      nats-server                          1.0          20
      all                                  3.5"
    `);
  });

  it('are one line of JSON each', () => {
    const of = { operation: 'write', peers: 3, groups: 1, value_bytes: 128 };
    const figures = {
      seconds: 2,
      operations: 100,
      failed: 0,
      operations_per_second: 50_000,
      p50_ms: 1.5,
      p99_ms: 9.25,
    };
    expect(resultRecord(writes)).toEqual({
      ...{ row: 'four-64', placement: 'four', in_flight: 64, ...of, ...figures },
      ...{ baseline_operations_per_second: 25_000, ratio: 2 },
    });
    expect(resultRecord(write)).toMatchObject({ row: 'four-1', ratio: 0.4, least_ms: 0.6, p50_ratio: 4 });
    expect(resultRecord(five)).toEqual({
      ...{ row: 'four-five-peers', placement: 'four', in_flight: 1024, ...of, peers: 5, ...figures },
      ...{ compared_with: 'four-1024', ratio: 0.8 },
    });
    expect(resultRecord(idle)).toEqual({
      ...{ row: 'one-idle', placement: 'one', ...of, operation: 'idle', cores: 0.035 },
      processes: [
        { name: 'n1', cores: 0.025, memory_bytes: 80 * MiB },
        { name: 'nats-server', cores: 0.01, memory_bytes: 20 * MiB },
      ],
    });
  });
});

describe('the usage of processes', () => {
  it('is what they used between two readings, and the memory of the second one', () => {
    const before = [{ name: 'n1', seconds: 10, residentBytes: 5 }];
    const after = [{ name: 'n1', seconds: 10.5, residentBytes: 7 }];
    expect(usageOf(before, after, 2)).toEqual([{ name: 'n1', cores: 0.25, residentBytes: 7 }]);
  });

  it.skipIf(process.platform !== 'linux')('is measured of a process that runs, and of no other', async () => {
    let spinning = true;
    const spin = (): void => {
      const until = performance.now() + 5;
      while (performance.now() < until);
      if (spinning) setImmediate(spin);
    };
    spin();
    const [usage] = await measureIdle([{ name: 'this', pid: process.pid }], 300);
    spinning = false;
    expect(usage).toMatchObject({ name: 'this', cores: expect.any(Number) });
    expect(usage?.cores).toBeGreaterThan(0.02);
    expect(usage?.residentBytes).toBeGreaterThan(MiB);
    await expect(measureIdle([{ name: 'gone', pid: 2 ** 30 }], 0)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(processorSeconds(2 ** 30)).toBeUndefined();
  });
});
