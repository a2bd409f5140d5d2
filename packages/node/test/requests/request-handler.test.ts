import type { Request } from '@conclave/actor';
import { KvService } from '@conclave/kv';
import { type ErrorBody, type GroupUid, limits } from '@conclave/protocol';
import { expect, it } from 'vitest';
import type { NodeInput } from '../../src/core/index.js';
import { RequestHandler } from '../../src/requests/request-handler.js';

/** A handler whose node takes requests one at a time, and what was refused. */
class Group {
  nowMs = 0;
  readonly refused: (ErrorBody & { readonly name: string })[] = [];
  decoded = 0;
  private readonly turns: (() => NodeInput | undefined)[] = [];
  private lastId = 0;
  private readonly handler = new RequestHandler({
    service: new KvService(),
    core: () => ({
      outcomeOfOverload: () => 'unknown',
      summary: () => ({ level: 1, leader_id: 'n1', group_uid: 'uid' as GroupUid }),
    }),
    now: () => ({ nowMs: this.nowMs, wallTimeMs: 0, random: 0 }),
    generateId: () => 'a'.repeat(22),
    nextRequestId: () => ++this.lastId,
    publish: () => undefined,
    isCongested: () => false,
    messageBytes: () => 1_000_000,
    onParseFailed: (_, error) => {
      throw error;
    },
  });

  receive(name: string, body: unknown): void {
    const request: Request = {
      name,
      bytes: 10,
      decode: () => {
        this.decoded += 1;
        return body;
      },
      encoding: 'json',
      caller: { name: '', source: 'unknown' },
      reply: () => true,
      replyEncoded: () => true,
      refuse: (error) => void this.refused.push({ name, ...error }),
      drop: () => undefined,
    };
    this.handler.receive('group', 'kv', request, (parse) => void this.turns.push(parse));
  }

  /** The next request has its turn. */
  turn(): NodeInput | undefined {
    return this.turns.shift()?.();
  }

  get open(): number {
    return this.handler.open.ids.length;
  }
}

it('promise 28: a request whose turn comes too late is refused, and is not decoded', () => {
  const group = new Group();
  for (const name of ['get', 'put', 'get']) group.receive(name, { key: 'k', value: 'v' });
  group.nowMs = limits.requestTurnMs + 1;
  group.receive('get', { key: 'k' });
  expect([group.turn(), group.turn(), group.turn()]).toEqual([undefined, undefined, undefined]);
  expect(group.refused).toMatchObject([
    { name: 'get', code: 'EBUSY', outcome: 'not_done' },
    // Another leader may have received it.
    { name: 'put', code: 'EBUSY', outcome: 'unknown' },
    { name: 'get', code: 'EBUSY', outcome: 'not_done' },
  ]);
  expect(group.decoded).toBe(0);
  expect(group.turn()).toMatchObject({ type: 'read' });
  expect(group.open).toBe(1);
});

it('a request in time is parsed', () => {
  const group = new Group();
  group.receive('get', { key: 'k' });
  group.nowMs = limits.requestTurnMs;
  expect(group.turn()).toMatchObject({ type: 'read' });
});
