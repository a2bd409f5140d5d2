import { expect, test } from 'vitest';
import { FastestClock } from '../../src/mesh/virtual-clock.js';

test('the fastest clock shows the run’s time if no clock is skewed', () => {
  const clock = new FastestClock();
  expect(clock.passed(100, 350)).toBe(250);
  expect(clock.whenPassed(100, 250)).toBe(350);
});

test('the fastest clock follows the fastest of all clocks, and every jump', () => {
  const clock = new FastestClock();
  clock.skew('n1.node', 1000, 2, 0);
  clock.skew('n2.node', 2000, 0.5, 300);
  expect(clock.passed(500, 1500)).toBe(1500);
  expect(clock.passed(1500, 2500)).toBe(2300);
  expect(clock.whenPassed(500, 1500)).toBe(1500);
  // In the middle of a jump: as it happens.
  expect(clock.whenPassed(1900, 400)).toBe(2000);
  expect(clock.whenPassed(1900, 700)).toBe(2100);
});
