import { describe, expect, it } from 'vitest';
import { AlignedTimers } from '../src/index.js';

describe('AlignedTimers', () => {
  it('lets those of one interval go off together, whenever they were set', async () => {
    const grid = new AlignedTimers();
    const order: string[] = [];
    // From here on it is long until the point between two multiples.
    await new Promise<void>((resolve) => grid.set(40, resolve));
    const done = new Promise<void>((resolve) => {
      grid.set(40, () => order.push('first'));
      // Set half a turn later, and yet in the same callback.
      setImmediate(() => {
        grid.set(40, () => {
          order.push('second');
          setImmediate(resolve);
        });
        setImmediate(() => order.push('between'));
      });
    });
    await done;
    expect(order).toEqual(['between', 'first', 'second']);
  });

  it('waits between a half and one and a half of the interval', async () => {
    const grid = new AlignedTimers();
    const interval = 30;
    for (let round = 0; round < 5; round++) {
      const begun = performance.now();
      await new Promise<void>((resolve) => grid.set(interval, resolve));
      expect(performance.now() - begun).toBeGreaterThanOrEqual(interval / 2 - 1);
    }
  });

  it('does not call back what was cancelled', async () => {
    const grid = new AlignedTimers();
    const received: string[] = [];
    const cancelled = grid.set(20, () => received.push('cancelled'));
    const kept = new Promise<void>((resolve) => {
      grid.set(20, () => {
        received.push('kept');
        resolve();
      });
    });
    cancelled.cancel();
    await kept;
    expect(received).toEqual(['kept']);
  });
});
