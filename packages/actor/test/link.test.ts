import { describe, expect, it } from 'vitest';
import { LinkSender } from '../src/core/index.js';

const afterMs = 200;

/** A sender of `a`, `b`, ... at 0 ms. */
function sender(messages: string): LinkSender<string> {
  const link = new LinkSender<string>();
  for (const message of messages) link.sent(message, 1, 0);
  return link;
}

describe('what a link resends', () => {
  it('is all that is unacknowledged, if the receiver does not report what it has received', () => {
    const link = sender('abc');
    expect(link.takeExpired(afterMs - 1, afterMs)).toEqual([]);
    link.onAcknowledged({ link: 1, seq: 1 });
    expect(link.takeExpired(afterMs, afterMs)).toEqual(['b', 'c']);
    expect(link.takeExpired(afterMs, afterMs)).toEqual([]);
    expect(link.takeExpired(2 * afterMs, afterMs)).toEqual(['b', 'c']);
  });

  it('is nothing that the receiver has received, even if it is not synced, and nothing that was sent after the tick', () => {
    const link = sender('abcd');
    link.onAcknowledged({ link: 1, seq: 1, taken_seq: 4, asked_seq: 4 });
    expect(link.takeExpired(10 * afterMs, afterMs), 'a slow disk').toEqual([]);
    link.sent('e', 1, 0);
    link.sent('f', 1, 0);
    expect(link.takeExpired(10 * afterMs, afterMs), 'not asked for yet').toEqual([]);
    link.onAcknowledged({ link: 1, seq: 2, taken_seq: 4, asked_seq: 5 });
    expect(link.takeExpired(10 * afterMs, afterMs)).toEqual(['e']);
    link.onAcknowledged({ link: 1, seq: 2, taken_seq: 4, asked_seq: 6 });
    expect(link.takeExpired(11 * afterMs, afterMs)).toEqual(['e', 'f']);
    link.onAcknowledged({ link: 1, seq: 6, taken_seq: 6, asked_seq: 6 });
    expect(link.takeExpired(20 * afterMs, afterMs)).toEqual([]);
  });

  it('is at most as much as is asked for, oldest first', () => {
    const link = sender('abcd');
    link.onAcknowledged({ link: 1, seq: 0, taken_seq: 1, asked_seq: 4 });
    expect(link.takeExpired(afterMs, afterMs, 2)).toEqual(['b', 'c']);
  });

  it('restarts with the link', () => {
    const link = sender('ab');
    link.onAcknowledged({ link: 1, seq: 0, taken_seq: 2, asked_seq: 2 });
    link.restart();
    link.sent('c', 1, 0);
    expect(link.onAcknowledged({ link: 1, seq: 0, taken_seq: 2, asked_seq: 2 })).toBe(false);
    expect(link.takeExpired(afterMs, afterMs)).toEqual(['c']);
  });
});
