import { expect, test } from 'vitest';
import { EventQueue } from '../../src/mesh/event-queue.js';
import { Random } from '../../src/mesh/random.js';

test('events happen by their time, and those of one time in the order in which they were added', () => {
  const queue = new EventQueue();
  const random = new Random(1);
  const expected: { atMs: number; order: number }[] = [];
  const happened: number[] = [];
  for (let order = 0; order < 2000; order++) {
    const atMs = random.below(100);
    expected.push({ atMs, order });
    queue.push(atMs, () => happened.push(order));
  }
  expected.sort((one, other) => one.atMs - other.atMs || one.order - other.order);
  for (const { atMs } of expected) {
    expect(queue.nextMs).toBe(atMs);
    queue.pop()?.();
  }
  expect(happened).toEqual(expected.map(({ order }) => order));
  expect(queue.nextMs).toBeUndefined();
  expect(queue.pop()).toBeUndefined();
});

test('an event that is added while others happen is placed by its time', () => {
  const queue = new EventQueue();
  const happened: string[] = [];
  queue.push(1, () => {
    happened.push('first');
    queue.push(1, () => happened.push('third'));
  });
  queue.push(1, () => happened.push('second'));
  queue.push(0, () => happened.push('before'));
  while (queue.length > 0) queue.pop()?.();
  expect(happened).toEqual(['before', 'first', 'second', 'third']);
});
