/** Promise 32 in every order of three disks, and in more of the orders of five, than `npm test` has time for. */
import { Random } from '@conclave/simulator';
import { describe, expect, test } from 'vitest';
import {
  drawnOrder,
  followLeaderDeath,
  followOrder,
  ordersOf,
  timeout,
} from '../../packages/simulator/test/support/read-only-orders.js';

const three = ['n1', 'n2', 'n3'];
const five = ['n1', 'n2', 'n3', 'n4', 'n5'];

describe('promise 32: reads continue as long as a majority is reachable', () => {
  test('among three peers, in every order in which disks fill and are freed', { timeout }, () => {
    const orders = ordersOf(three);
    expect(orders).toHaveLength(90);
    for (const [at, order] of orders.entries()) followOrder(three, order, at + 1);
  });

  test('after the leader dies while no peer accepts entries, in every order of three disks', {
    timeout,
  }, () => {
    const fillings = ordersOf(three).filter((order) => order.slice(0, 3).every(({ free }) => free === 1));
    for (const [at, order] of fillings.entries()) followLeaderDeath(three, order, at);
  });

  test('among five peers, in a fixed sample of the orders', { timeout }, () => {
    const random = new Random(1);
    for (let at = 0; at < 20; at++) followOrder(five, drawnOrder(five, random), at + 1);
  });
});
