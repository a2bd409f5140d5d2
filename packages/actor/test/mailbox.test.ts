import { describe, expect, it } from 'vitest';
import { Mailbox } from '../src/index.js';

describe('a mailbox', () => {
  it('returns its content in the order in which it was added', () => {
    const mailbox = new Mailbox<number>();
    for (let item = 0; item < 5000; item++) expect(mailbox.offer(item, 1)).toBe(true);
    expect(mailbox.length).toBe(5000);
    for (let item = 0; item < 5000; item++) expect(mailbox.shift()).toBe(item);
    expect(mailbox.shift()).toBeUndefined();
    expect([mailbox.length, mailbox.bytes]).toEqual([0, 0]);
  });

  it('keeps order while it is filled and emptied by turns', () => {
    const mailbox = new Mailbox<number>();
    let next = 0;
    let expected = 0;
    for (let round = 0; round < 2000; round++) {
      for (let more = round % 5; more >= 0; more--) mailbox.push(next++);
      for (let fewer = round % 4; fewer >= 0; fewer--) {
        const item = mailbox.shift();
        if (item !== undefined) expect(item).toBe(expected++);
      }
    }
    while (mailbox.length > 0) expect(mailbox.shift()).toBe(expected++);
    expect(expected).toBe(next);
  });

  it('refuses messages beyond its bound, and accepts more when some have been removed', () => {
    const mailbox = new Mailbox<string>({ messages: 2, bytes: 1000 });
    expect([mailbox.offer('a', 1), mailbox.offer('b', 1), mailbox.offer('c', 1)]).toEqual([true, true, false]);
    mailbox.shift();
    expect(mailbox.offer('d', 1)).toBe(true);
    expect([mailbox.shift(), mailbox.shift()]).toEqual(['b', 'd']);
  });

  it('refuses what is past its bound of bytes', () => {
    const mailbox = new Mailbox<string>({ messages: 10, bytes: 100 });
    expect([mailbox.offer('a', 60), mailbox.offer('b', 60), mailbox.offer('c', 40)]).toEqual([true, false, true]);
    expect(mailbox.bytes).toBe(100);
  });

  it('always accepts what must not be lost', () => {
    const mailbox = new Mailbox<string>({ messages: 1, bytes: 10 });
    mailbox.offer('a', 1);
    mailbox.push('timer');
    expect([mailbox.shift(), mailbox.shift()]).toEqual(['a', 'timer']);
  });
});
