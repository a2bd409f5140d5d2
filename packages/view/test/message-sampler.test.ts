import { describe, expect, it } from 'vitest';
import type { MessageRecord } from '../src/index.js';
import { MessageSampler } from '../src/live/message-sampler.js';
import { message } from './samples.js';

function take(budget: number, messages: readonly MessageRecord[]) {
  const sampler = new MessageSampler(budget);
  for (const one of messages) sampler.add(one);
  return sampler.take();
}

/** What a busy leader sends: an append, acknowledgements, a commit, again and again. */
function busy(writes: number): MessageRecord[] {
  return Array.from({ length: writes }, (_, index) => [
    message(index, 'feed.append', 'n1.node', 'n1.feed', { verified_index: index }),
    message(index, 'feed.stored', 'n1.log-store', 'n1.feed', { match_index: index }),
    message(index, 'feed.stored', 'n2.log-store', 'n1.feed', { match_index: index }),
    message(index, 'feed.committed', 'n1.ballot-box', 'n1.feed', { index }),
  ]).flat();
}

describe('the sample of messages', () => {
  it('is all of them where they are few', () => {
    expect(take(40, busy(10))).toEqual({ shown: busy(10), sent: 40 });
  });

  it('has at most its budget, in their order, and counts all', () => {
    const { shown, sent } = take(30, busy(500));
    expect(sent).toBe(2000);
    expect(shown.length).toBeLessThanOrEqual(30);
    expect(shown.map(({ at }) => at)).toEqual(shown.map(({ at }) => at).toSorted((one, other) => one - other));
  });

  it('has the newest acknowledgement of each log', () => {
    const { shown } = take(30, busy(500));
    const stored = shown.filter(({ name }) => name === 'feed.stored');
    expect(stored.map(({ from, fields }) => [from.peer, fields.match_index])).toEqual([
      ['n1', 499],
      ['n2', 499],
    ]);
  });

  it('has all votes and announcements of leaders', () => {
    const vote = message(7, 'node.request_vote', 'n2.node', 'n1.node', { term: 4 });
    expect(take(30, [...busy(500), vote]).shown).toContainEqual(vote);
  });

  it('has each append that it shows together with its commit', () => {
    const { shown } = take(30, busy(500));
    const appended = shown.filter(({ name }) => name === 'feed.append').map(({ fields }) => fields.verified_index);
    const committed = shown.filter(({ name }) => name === 'feed.committed').map(({ fields }) => fields.index);
    expect(appended.length).toBeGreaterThan(1);
    expect(committed).toEqual(appended);
  });

  it('takes the kinds in turn where even one of each is too much', () => {
    const sampler = new MessageSampler(5);
    const seen = new Set<string>();
    for (let window = 0; window < 10; window++) {
      for (let peer = 0; peer < 20; peer++) {
        sampler.add(message(window, 'node.ack', `p${peer}.log-store`, `p${peer}.node`, {}));
      }
      for (const { from } of sampler.take().shown) seen.add(from.peer);
    }
    expect(seen.size).toBe(20);
  });
});
