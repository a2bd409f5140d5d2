import { setImmediate as immediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Runnable, RunQueue } from '../src/run-queue.js';

test('what a runnable publishes is written before runnables run that it has queued', async () => {
  const queue = new RunQueue();
  const order: string[] = [];
  const logStore: Runnable = {
    runOnce: () => {
      order.push('the log-store works');
      return false;
    },
  };
  const node: Runnable = {
    runOnce: () => {
      order.push('the node publishes');
      // The NATS client writes in a microtask what is published meanwhile.
      queueMicrotask(() => order.push('the message is written'));
      queue.enqueue(logStore);
      return false;
    },
  };
  queue.enqueue(node);
  await immediate();
  expect(order).toEqual(['the node publishes', 'the message is written', 'the log-store works']);
});

test('runnables that were queued together run in one round, each once, in their order', async () => {
  const queue = new RunQueue();
  const order: string[] = [];
  const make = (name: string): Runnable => ({
    runOnce: () => {
      order.push(name);
      queueMicrotask(() => order.push(`${name} is written`));
      return false;
    },
  });
  const [first, second] = [make('first'), make('second')];
  for (const runnable of [first, second, first]) queue.enqueue(runnable);
  await immediate();
  expect(order).toEqual(['first', 'second', 'first is written', 'second is written']);
});

test('runnables that always have more to do leave time for I/O', async () => {
  const queue = new RunQueue();
  let runs = 0;
  let isEnough = false;
  queue.enqueue({
    runOnce: () => {
      runs += 1;
      return !isEnough;
    },
  });
  // Neither of them would resolve if the queue never returned to the event loop.
  await immediate();
  const before = runs;
  await immediate();
  expect(before).toBeGreaterThan(0);
  expect(runs).toBeGreaterThan(before);
  isEnough = true;
  await immediate();
  const atEnd = runs;
  await immediate();
  expect(runs).toBe(atEnd);
});
