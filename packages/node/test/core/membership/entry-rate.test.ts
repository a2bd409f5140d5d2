import { expect, test } from 'vitest';
import { EntryRate } from '../../../src/core/membership/entry-rate.js';

test('the rate of a position is that of the last five to ten seconds', () => {
  const rate = new EntryRate();
  expect(rate.perSecond).toBe(0);
  rate.onIndex(100, 0);
  expect(rate.perSecond).toBe(0);
  rate.onIndex(300, 1000);
  expect(rate.perSecond).toBe(200);
  // 1,000 a second until 5 s, then 10 a second.
  for (let second = 2; second <= 5; second++) rate.onIndex(1000 * second, 1000 * second);
  for (let second = 6; second <= 15; second++) rate.onIndex(5000 + 10 * (second - 5), 1000 * second);
  expect(rate.perSecond).toBe(10);
  // A store that was lost begins below: that is no rate.
  rate.onIndex(1, 16_000);
  expect(rate.perSecond).toBe(0);
});
