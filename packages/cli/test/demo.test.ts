import { describe, expect, it } from 'vitest';
import { type DemoSummary, failures } from '../src/demo/demo.js';
import { valueFor, Writers } from '../src/demo/writers.js';

describe('the writers', () => {
  it('write each key once, and remember exactly what was acknowledged', async () => {
    const stored = new Map<string, string>();
    let enough: () => void = () => undefined;
    const written = new Promise<void>((resolve) => {
      enough = resolve;
    });
    const put = async (key: string, value: string): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      expect(stored.has(key)).toBe(false);
      stored.set(key, value);
      if (stored.size >= 200) enough();
      if (key.endsWith('-3')) throw new Error('ETIMEDOUT: unknown');
    };
    const writers = new Writers(4, put, 128);
    await written;
    await writers.stop();
    expect(writers.failures).toHaveLength(4);
    expect(writers.acknowledged.length + writers.failures.length).toBe(stored.size);
    expect(writers.acknowledged.every((key) => stored.get(key) === valueFor(key, 128))).toBe(true);
    expect(writers.acknowledged).not.toContain('writer-0-3');
    expect(writers.latencies.count).toBe(writers.acknowledged.length);
  });

  it('know the longest time between two acknowledgements', async () => {
    let acknowledged = 0;
    let enough: () => void = () => undefined;
    const written = new Promise<void>((resolve) => {
      enough = resolve;
    });
    const put = async (): Promise<void> => {
      acknowledged += 1;
      if (acknowledged === 3) await new Promise((resolve) => setTimeout(resolve, 20));
      if (acknowledged === 5) enough();
    };
    const writers = new Writers(1, put, 128);
    await written;
    await writers.stop();
    // A timer of Node may go off a millisecond early.
    expect(writers.longestGapMs).toBeGreaterThanOrEqual(19);
  });

  it('write values of the size that is asked for', () => {
    expect(valueFor('writer-1-1', 128)).toHaveLength(128);
  });
});

describe('the judgement', () => {
  const good: DemoSummary = {
    acknowledged: 10,
    failed: 0,
    operationsPerSecond: 5,
    p50Ms: 1,
    p99Ms: 2,
    longestGapMs: 3,
    changeMs: 3,
    stages: [],
    peers: { n1: { read: 10, missing: 0 }, n4: { read: 10, missing: 0 } },
  };

  it('is without errors if no write is missing', () => {
    expect(failures(good, [])).toEqual([]);
  });

  it('names what is not as promised', () => {
    expect(failures({ ...good, acknowledged: 0 }, [])).toEqual(['no write was acknowledged']);
    expect(failures({ ...good, failed: 2 }, ['late', 'later'])).toEqual(['2 writes failed, the first with: late']);
    const peers = { ...good.peers, n5: { read: 10, missing: 3 } };
    expect(failures({ ...good, peers }, [])).toEqual(['3 acknowledged writes are missing on n5']);
  });
});
