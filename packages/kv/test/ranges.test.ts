import { type KvReply, type KvRequest, kvOperations, limits } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { KvStateMachine } from '../src/index.js';
import { Requester } from './support.js';

let requester: Requester;
beforeEach(() => {
  requester = new Requester(new KvStateMachine());
});

function range(request: KvRequest<'range'>): KvReply<'range'> {
  return kvOperations.range.reply.parse(requester.ask('range', request));
}

function put(...keys: readonly string[]): void {
  requester.results({ commands: keys.map((key) => [0, 'put', key, `of ${key}`]) });
}

/** The keys of each page. */
function pages(request: KvRequest<'range'>): string[][] {
  const pages: string[][] = [];
  let start_after: string | undefined;
  for (;;) {
    const { found, more } = range({ ...request, ...(start_after === undefined ? {} : { start_after }) });
    pages.push(found.map(([key]) => key));
    if (!more) return pages;
    start_after = found.at(-1)?.[0];
  }
}

describe('a range', () => {
  it('holds the keys with a prefix, in order, with the revision of the group', () => {
    put('b/2', 'a', 'b/1', 'b', 'c', 'b/10');
    requester.ask('put', { key: 'b/2', value: new Uint8Array([0, 255]) });
    expect(range({ prefix: 'b/' })).toEqual({
      found: [
        ['b/1', 'of b/1', 3],
        ['b/10', 'of b/10', 6],
        ['b/2', new Uint8Array([0, 255]), 7],
      ],
      more: false,
      revision: 7,
    });
    expect(range({ prefix: 'd' })).toEqual({ found: [], more: false, revision: 7 });
    expect(pages({ prefix: '' })).toEqual([['a', 'b', 'b/1', 'b/10', 'b/2', 'c']]);
  });

  it('follows the bytes of UTF-8, not the units of JavaScript', () => {
    put('\u{1f600}', '\uffff', '\ue000', 'z', '\ud7ff', '\u{10000}');
    const expected = ['z', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{1f600}'];
    expect(pages({ prefix: '' })).toEqual([expected]);
    expect(pages({ prefix: '', limit: 1 }).flat()).toEqual(expected);
    expect(expected).not.toEqual(expected.toSorted());
  });

  it('can be of keys alone', () => {
    put('a', 'b');
    expect(range({ prefix: '', keys_only: true }).found).toEqual([
      ['a', null, 1],
      ['b', null, 2],
    ]);
  });

  it('does not contain deleted keys, and contains keys that were written again', () => {
    put('a', 'b', 'c');
    requester.ask('delete', { key: 'b' });
    expect(range({ prefix: '' }).found.map(([key]) => key)).toEqual(['a', 'c']);
    requester.ask('cas', { key: 'b', value: 'again', expected_revision: 0 });
    expect(range({ prefix: '' }).found).toEqual([
      ['a', 'of a', 1],
      ['b', 'again', 5],
      ['c', 'of c', 3],
    ]);
  });
});

describe('a page', () => {
  it('starts after any key, there or not, and ends with the prefix', () => {
    put('a', 'b/1', 'b/2', 'b/3', 'c');
    const after = (start_after: string) => range({ prefix: 'b/', start_after }).found.map(([key]) => key);
    expect(after('a')).toEqual(['b/1', 'b/2', 'b/3']);
    expect(after('b/')).toEqual(['b/1', 'b/2', 'b/3']);
    expect(after('b/1')).toEqual(['b/2', 'b/3']);
    expect(after('b/11')).toEqual(['b/2', 'b/3']);
    expect(after('b/3')).toEqual([]);
    expect(after('c')).toEqual([]);
  });

  it('has as many as were requested, and reports whether there are more', () => {
    put('a', 'b', 'c', 'd', 'e');
    expect(pages({ prefix: '', limit: 2 })).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
    expect(pages({ prefix: '', limit: 5 })).toEqual([['a', 'b', 'c', 'd', 'e']]);
    // The next page is as of its own moment.
    const first = range({ prefix: '', limit: 2 });
    requester.ask('delete', { key: 'c' });
    const second = range({ prefix: '', limit: 2, start_after: 'b' });
    expect([first.revision, second.revision]).toEqual([5, 6]);
    expect(second.found.map(([key]) => key)).toEqual(['d', 'e']);
  });

  it('has at most this many keys and bytes, and at least one key', () => {
    const keys = Array.from({ length: limits.rangeKeys + 1 }, (_, at) => String(at).padStart(5, '0'));
    put(...keys.slice(1));
    put(keys[0] as string);
    expect(pages({ prefix: '' })).toEqual([keys.slice(0, -1), keys.slice(-1)]);
    for (const key of ['x1', 'x2', 'x3']) requester.ask('put', { key, value: 'v'.repeat(limits.valueBytes) });
    expect(pages({ prefix: 'x' })).toEqual([['x1'], ['x2'], ['x3']]);
    expect(pages({ prefix: 'x', keys_only: true })).toEqual([['x1', 'x2', 'x3']]);
  });
});
