import { describe, expect, it } from 'vitest';
import { SnapshotThrottle } from '../src/core/index.js';

describe('a throttle of 1,000 bytes a second', () => {
  const throttle = () => new SnapshotThrottle({ bytesPerSecond: 1000, burstMs: 100 });

  it('permits a burst at first, and no more than that however long nothing was sent', () => {
    const bucket = throttle();
    for (const nowMs of [0, 60_000]) {
      expect(bucket.take(60, nowMs)).toBe(true);
      expect(bucket.take(40, nowMs)).toBe(true);
      expect(bucket.take(1, nowMs)).toBe(false);
    }
  });

  it('permits one that is larger than its capacity, and waits longer afterwards', () => {
    const bucket = throttle();
    expect(bucket.take(500, 0)).toBe(true);
    expect(bucket.take(1, 399)).toBe(false);
    expect(bucket.take(1, 400)).toBe(false);
    expect(bucket.take(1, 401)).toBe(true);
  });

  it('keeps its rate for chunks of all sizes', () => {
    const bucket = throttle();
    let taken = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 7) {
      for (const bytes of [13, 250, 1]) if (bucket.take(bytes, nowMs)) taken += bytes;
    }
    expect(taken).toBeGreaterThan(9_900);
    expect(taken).toBeLessThanOrEqual(10_000 + 100 + 250);
  });

  it('is not filled by a clock that stops or moves back', () => {
    const bucket = throttle();
    bucket.take(100, 1000);
    expect(bucket.take(1, 1000)).toBe(false);
    expect(bucket.take(1, 500)).toBe(false);
    expect(bucket.take(1, 1001)).toBe(true);
  });
});
