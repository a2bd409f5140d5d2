import { describe, expect, it } from 'vitest';
import { compareMetrics } from '../src/bench/compare-metrics.js';
import { measure } from '../src/bench/measure.js';
import { type MeasuredRow, rowRecord, rowsTables, selectRows } from '../src/bench/rows.js';
import { Latencies, percentile } from '../src/bench/statistics.js';

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
  it('keeps so many in flight, and tells what failed from what was done', async () => {
    let inFlight = 0;
    let most = 0;
    const figures = await measure(
      async (number) => {
        inFlight += 1;
        most = Math.max(most, inFlight);
        await new Promise((resolve) => setImmediate(resolve));
        inFlight -= 1;
        if (number % 2 === 0) throw new Error('refused');
      },
      { inFlight: 8, warmUpMs: 0, measureMs: 50 },
    );
    expect(most).toBe(8);
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
  it('takes turns, and compares the medians', async () => {
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

describe('rows', () => {
  it('are selected by name, placement or how many are in flight', () => {
    expect(selectRows([])).toHaveLength(16);
    expect(selectRows(['reads'])).toHaveLength(8);
    expect(selectRows(['lease', 'stale-1']).map((row) => row.name)).toEqual(['lease-1', 'lease-256', 'stale-1']);
    expect(selectRows(['one-64', 'four-1']).map((row) => row.name)).toEqual(['four-1', 'one-64']);
    expect(selectRows(['four']).map((row) => row.inFlight)).toEqual([1, 64, 256, 1024]);
    expect(selectRows(['1024']).map((row) => row.placement)).toEqual(['four', 'one']);
    expect(() => selectRows(['five'])).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  const measured = { operations: 100, failed: 0, seconds: 2, operationsPerSecond: 50_000, p50Ms: 1.5, p99Ms: 9.25 };
  const row: MeasuredRow = {
    name: 'four-64',
    operation: 'write',
    placement: 'four',
    inFlight: 64,
    measured,
    baselinePerSecond: 25_000,
  };

  it('stand beside their baseline', () => {
    expect(rowsTables([row]).join()).toMatchInlineSnapshot(`
      "processes a peer  in flight  writes/s  p50 ms  p99 ms  failed  bare requests/s  ratio
      four                     64    50,000    1.50    9.25       0           25,000  2.00x"
    `);
  });

  it('are one line of JSON each', () => {
    expect(rowRecord(row)).toEqual({
      row: 'four-64',
      operation: 'write',
      placement: 'four',
      in_flight: 64,
      seconds: 2,
      operations: 100,
      failed: 0,
      operations_per_second: 50_000,
      p50_ms: 1.5,
      p99_ms: 9.25,
      baseline_operations_per_second: 25_000,
      ratio: 2,
    });
  });
});
