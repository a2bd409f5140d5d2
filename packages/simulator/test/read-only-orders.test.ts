/**
 * Promise 32: reads continue as long as a majority is reachable, even if no peer accepts writes. Disks fill and are
 * freed in some of the orders; `test/long/` has all.
 */
import { describe, expect, test } from 'vitest';
import { Random } from '../src/mesh/random.js';
import { drawnOrder, followLeaderDeath, followOrder, ordersOf, timeout } from './support/read-only-orders.js';

const three = ['n1', 'n2', 'n3'];
const five = ['n1', 'n2', 'n3', 'n4', 'n5'];

describe('promise 32: reads continue as long as a majority is reachable', () => {
  test('among three peers, in every third order in which disks fill and are freed', { timeout }, () => {
    const orders = ordersOf(three);
    expect(orders).toHaveLength(90);
    for (let at = 0; at < orders.length; at += 3) followOrder(three, orders[at] ?? [], at + 1);
  });

  test('after the leader dies while no peer accepts entries, in some of the orders of three disks', {
    timeout,
  }, () => {
    const fillings = ordersOf(three).filter((order) => order.slice(0, 3).every(({ free }) => free === 1));
    expect(fillings).toHaveLength(36);
    // Seven is coprime to both sixes: each order of filling occurs.
    for (let at = 0; at < fillings.length; at += 7) followLeaderDeath(three, fillings[at] ?? [], at);
  });

  test('among five peers, in a fixed sample of the orders', { timeout }, () => {
    const random = new Random(1);
    for (let at = 0; at < 5; at++) followOrder(five, drawnOrder(five, random), at + 1);
  });
});
