import { describe, expect, it } from 'vitest';
import { measureOpen } from '../src/bench/open-loop.js';
import { type OpenResult, resultRecord, resultTables } from '../src/bench/results.js';
import { selectRows } from '../src/bench/rows.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('operations at a fixed rate', () => {
  it('are all those that are due within the window, after those of the warm-up', async () => {
    const numbers: number[] = [];
    const operation = async (number: number): Promise<void> => {
      numbers.push(number);
      await turn();
      if (number % 10 === 0) throw new Error('refused');
    };
    const figures = await measureOpen(operation, { perSecond: 1_000, warmUpMs: 20, measureMs: 100 });
    expect(numbers).toEqual(Array.from({ length: 120 }, (_, number) => number));
    expect(figures).toMatchObject({ perSecond: 1_000, operations: 90, failed: 10 });
  });

  it('have latencies from when they were due, although a delay kept the client from beginning them', async () => {
    const operation = async (number: number): Promise<void> => {
      const until = performance.now() + 60;
      while (number === 10 && performance.now() < until);
    };
    const figures = await measureOpen(operation, { perSecond: 1_000, warmUpMs: 0, measureMs: 200 });
    expect(figures.operations).toBe(200);
    // Two of them, one of the hundred and the next one, were due within the first two milliseconds of the delay.
    expect(figures.p99Ms).toBeGreaterThan(55);
    expect(figures.lateP99Ms).toBeGreaterThan(55);
    expect(figures.p999Ms).toBeGreaterThanOrEqual(figures.p99Ms);
    expect(figures.p50Ms).toBeLessThanOrEqual(figures.p99Ms);
  });

  it('wait for their turn while too many have no result, and lose no time of their latency by that', async () => {
    const open: (() => void)[] = [];
    let max = 0;
    let done = 0;
    const operation = (): Promise<void> =>
      new Promise((resolve) => {
        open.push(() => {
          done += 1;
          resolve();
        });
        max = Math.max(max, open.length);
        const answerAll = (): void => {
          for (const answer of open.splice(0)) answer();
        };
        if (done > 0) answerAll();
        else if (open.length === 8_192) setTimeout(answerAll, 5);
      });
    const figures = await measureOpen(operation, { perSecond: 1e6, warmUpMs: 0, measureMs: 20 });
    expect(max).toBe(8_192);
    expect(figures).toMatchObject({ operations: 20_000, failed: 0 });
    // Most are answered at once after they begin: their latency is the wait before.
    expect(figures.p99Ms).toBeGreaterThanOrEqual(figures.lateP99Ms);
  });

  it('are rows beside the one whose speed sets their rate', () => {
    const rows = selectRows(['open']);
    expect(rows.map(({ name }) => name)).toEqual([
      ...['four-1024', 'one-1024'],
      ...['four-open-50', 'four-open-90', 'one-open-50', 'one-open-90'],
    ]);
    const open = {
      perSecond: 27_000,
      operations: 405_000,
      failed: 0,
      p50Ms: 6,
      p99Ms: 21.5,
      p999Ms: 300,
      lateP99Ms: 2,
    };
    const result: OpenResult = { ...(rows[3] as OpenResult), open };
    expect(resultTables([result]).join()).toMatchInlineSnapshot(`
      "at a fixed rate    processes a peer  writes/s  p50 ms  p99 ms  p99.9 ms  failed  begun late, p99 ms
      90 % of four-1024  four                27,000    6.00   21.50    300.00       0                2.00"
    `);
    expect(resultRecord(result)).toEqual({
      ...{ row: 'four-open-90', operation: 'write', placement: 'four', peers: 3, groups: 1, value_bytes: 128 },
      ...{ compared_with: 'four-1024', rate: 0.9, per_second: 27_000, operations: 405_000, failed: 0 },
      ...{ p50_ms: 6, p99_ms: 21.5, p999_ms: 300, late_p99_ms: 2 },
    });
  });
});
