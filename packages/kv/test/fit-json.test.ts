// Promise 35: whatever was written can be read in JSON, where text may take six times what it takes in msgpack.

import { encodeJson, limits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { KvService, KvStateMachine } from '../src/index.js';
import { Requester } from './support.js';

const service = new KvService();
const controls = '\u0001'.repeat(limits.valueBytes);
const quotes = '"'.repeat(limits.valueBytes);

/** What is sent in JSON: the reply, or one that fits into a message. */
function inJson(operation: string, reply: unknown): Record<string, unknown> {
  const isTooLarge = encodeJson(reply).length > limits.messageBytes;
  const sent = encodeJson(isTooLarge ? service.fitReply(operation, reply, limits.messageBytes) : reply);
  expect(sent.length).toBeLessThanOrEqual(limits.messageBytes);
  return JSON.parse(Buffer.from(sent).toString()) as Record<string, unknown>;
}

const text = (base64: unknown): string => Buffer.from(base64 as string, 'base64').toString();

function filled(values: Record<string, string>): Requester {
  const requester = new Requester(new KvStateMachine());
  for (const [key, value] of Object.entries(values)) requester.ask('put', { key, value });
  return requester;
}

describe('promise 35: what is too large for JSON as it is', () => {
  it('is read by `get` as base64, and never as another value', () => {
    const requester = filled({ controls, quotes, small: 'é' });
    const { value, value_base64 } = inJson('get', requester.ask('get', { key: 'controls' }));
    expect([value, text(value_base64) === controls]).toEqual([null, true]);
    expect(inJson('get', requester.ask('get', { key: 'quotes' }))).toMatchObject({ value: quotes });
    expect(inJson('get', requester.ask('get', { key: 'small' }))).toMatchObject({ value: 'é' });
  });

  it('is read by `batch_get` and `range` page by page, until it is complete', () => {
    const values = { a: controls, b: quotes, c: 'c', d: '\u0002'.repeat(100_000), e: `"é${controls.slice(9)}` };
    const requester = filled(values);
    const keys = Object.keys(values);
    const found = new Map<string, string>();
    while (found.size < keys.length) {
      const asked = keys.slice(found.size);
      const page = inJson('batch_get', requester.ask('batch_get', { keys: asked }));
      const texts = new Map(page.base64 as [number, string][] | undefined);
      for (const [place, [value]] of (page.found as [string | null, number][]).entries()) {
        found.set(asked[place] as string, value ?? text(texts.get(place)));
      }
    }
    expect(Object.fromEntries(found)).toEqual(values);
    const ranged = new Map<string, string>();
    for (let more = true, start_after: string | undefined; more; ) {
      const page = inJson(
        'range',
        requester.ask('range', { prefix: '', ...(start_after === undefined ? {} : { start_after }) }),
      );
      const texts = new Map(page.base64 as [number, string][] | undefined);
      for (const [place, [key, value]] of (page.found as [string, string | null, number][]).entries()) {
        ranged.set(key, value ?? text(texts.get(place)));
        start_after = key;
      }
      more = page.more as boolean;
    }
    expect(Object.fromEntries(ranged)).toEqual(values);
  });

  it('is read by a transaction', () => {
    const requester = filled({ a: controls });
    const reply = inJson(
      'txn',
      requester.ask('txn', {
        compare: [],
        then: [
          ['get', 'a'],
          ['delete', 'a'],
        ],
      }),
    );
    expect(reply.results).toMatchObject([
      ['get', null, 1],
      ['delete', 2, true],
    ]);
    const [[place, base64]] = reply.base64 as [[number, string]];
    expect([place, text(base64) === controls]).toEqual([0, true]);
  });

  it('is passed by `changes`, which names the revisions that are sent without their values', () => {
    const requester = filled({ a: controls, b: 'b', c: controls });
    const seen: unknown[] = [];
    const omitted: unknown[] = [];
    for (let more = true, from_revision = 1; more; ) {
      const page = inJson('changes', requester.ask('changes', { prefix: '', from_revision }));
      seen.push(...(page.changes as unknown[]));
      omitted.push(...((page.omitted as unknown[]) ?? []));
      from_revision = page.next_revision as number;
      more = page.more as boolean;
    }
    expect(seen).toEqual([
      [1, 'put', 'a', null],
      [2, 'put', 'b', 'b'],
      [3, 'put', 'c', null],
    ]);
    expect(omitted).toEqual([1, 3]);
  });

  it('is passed by a watch without its value', () => {
    expect(service.fitChange([7, 'put', 'a', controls])).toEqual([7, 'put', 'a', null]);
    expect(service.fitChange([7, 'put', 'a', controls, 3])).toEqual([7, 'put', 'a', null, 3]);
    expect(service.fitChange([7, 'delete', 'a'])).toEqual([7, 'delete', 'a']);
  });

  it('is listed by pages where keys are what grows', () => {
    const requester = new Requester(new KvStateMachine());
    const keys = Array.from({ length: 400 }, (_, at) => `${at}`.padEnd(limits.keyBytes, '\u0003'));
    for (const key of keys) requester.ask('put', { key, value: '' });
    const found: string[] = [];
    for (let more = true; more; ) {
      const start = found.length === 0 ? {} : { start_after: found.at(-1) };
      const page = inJson('range', requester.ask('range', { prefix: '', keys_only: true, ...start }));
      found.push(...(page.found as [string][]).map(([key]) => key));
      more = page.more as boolean;
    }
    expect(found.sort()).toEqual([...keys].sort());
  });
});
