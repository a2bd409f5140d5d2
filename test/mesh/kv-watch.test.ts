// Watching keys with nothing but NATS and JSON, and with the command, while a leader is killed.

import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { Subscription } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCommand } from '../support/command.js';
import { type NatsServer, startNats } from '../support/nats.js';
import type { PlainClient } from '../support/plain-client.js';
import { Mesh, Stops, until } from './fault-mesh.js';

type Change = readonly [revision: number, what: 'put' | 'delete', key: string, value?: string];

interface WatchMessage {
  readonly after: number;
  readonly revision: number;
  readonly changes: readonly Change[];
  readonly error?: { readonly code: string };
}

/** A watcher as docs/subjects.md describes it, in JSON. */
class PlainWatch {
  readonly changes: Change[] = [];
  /** How often it had to ask from where it was. */
  resumed = 0;
  private heardMs = performance.now();
  private isAsking = false;
  private seen: number;
  private readonly subscription: Subscription;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly plain: PlainClient,
    private readonly watchId: string,
    private readonly prefix: string,
    fromRevision: number,
  ) {
    this.seen = fromRevision - 1;
    this.subscription = plain.nats.subscribe(`conclave.main.watch.${watchId}`, {
      callback: (_error, message) => this.onMessage(message.json()),
    });
    this.timer = setInterval(() => {
      if (performance.now() - this.heardMs > 3000) void this.ask();
    }, 200);
    void this.ask();
  }

  private async ask(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    this.resumed += 1;
    const body = { watch_id: this.watchId, prefix: this.prefix, from_revision: this.seen + 1 };
    await this.plain.insist('kv.watch', body, 60_000);
    this.isAsking = false;
    this.heardMs = performance.now();
  }

  private onMessage({ after, revision, changes, error }: WatchMessage): void {
    this.heardMs = performance.now();
    if (error !== undefined || after > this.seen) return void this.ask();
    this.changes.push(...changes.filter(([at]) => at > this.seen));
    this.seen = Math.max(this.seen, revision);
  }

  stop(): void {
    clearInterval(this.timer);
    this.subscription.unsubscribe();
  }
}

const peers = ['n1', 'n2', 'n3'];
const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;
let plain: PlainClient;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers, placement: 'one' }, stops);
  plain = mesh.plain;
  await plain.insist('kv.put', { key: 'first', value: 'v' });
});
afterAll(() => stops.run());

/** All changes as the leader sends them. */
async function changesFrom(from: number, prefix: string): Promise<Change[]> {
  const changes: Change[] = [];
  for (let next = from; ; ) {
    const page = await plain.insist('kv.changes', { prefix, from_revision: next, limit: 50 });
    changes.push(...(page.changes as Change[]));
    next = page.next_revision as number;
    if (page.more !== true) return changes;
  }
}

describe('a watch with plain NATS and JSON', () => {
  test('receives every change once and in order, although the leader is killed', async () => {
    const first = (await plain.insist('kv.get', { key: 'first' })).revision as number;
    const watch = new PlainWatch(plain, 'over-kill', 'w/', first + 1);
    const { client_id } = await plain.insist('kv.open_session');
    let sequence = 0;
    const write = async (key: string): Promise<void> => {
      sequence += 1;
      await plain.insist('kv.put', { key, value: `v${sequence}`, client_id, sequence, acknowledged: sequence - 1 });
    };
    const writeMany = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at++) await write(at % 3 === 0 ? `x/${at}` : `w/${at % 7}`);
    };
    await writeMany(60);
    await until('the watch has begun', async () => (watch.changes.length > 10 ? true : undefined));
    const { peer_id, term } = await mesh.leaderStatus();
    const writing = writeMany(120);
    await mesh.kill(peer_id);
    await mesh.leaderAfter(term, peer_id);
    await writing;
    await mesh.start(peer_id);
    await write('w/last');

    await until('the last write is seen', async () => (watch.changes.at(-1)?.[2] === 'w/last' ? true : undefined));
    expect(watch.changes).toEqual(await changesFrom(first + 1, 'w/'));
    expect(watch.changes).toHaveLength(40 + 80 + 1);
    expect(watch.resumed).toBeGreaterThan(1);
    watch.stop();
    // The peer that was killed applies the same, and remembers it.
    await mesh.caughtUp(...peers);
    for (const peer of peers) {
      const page = await plain.insist(`${peer}.kv.changes`, { prefix: 'w/', from_revision: first + 1 });
      expect(page.changes).toEqual(watch.changes);
    }
  });

  test('is rejected for forgotten revisions, and continues after a new read', async () => {
    const commands = Array.from({ length: 4096 }, (_, at) => [0, 'put', `many/${at % 10}`, `v${at}`]);
    for (let times = 0; times < 9; times++) await plain.insist('kv.batch', { commands });
    for (const operation of ['kv.changes', 'kv.watch']) {
      const watch = operation === 'kv.watch' ? { watch_id: 'late' } : {};
      const { body, errorCode } = await plain.ask(operation, { prefix: 'many/', from_revision: 2, ...watch });
      expect(errorCode).toBe(411);
      expect(body.error).toMatchObject({ code: 'ECOMPACTED', outcome: 'not_done' });
    }
    const { revision, found } = await plain.insist('kv.range', { prefix: 'many/' });
    expect(found).toHaveLength(10);
    const watch = new PlainWatch(plain, 'me.late', 'many/', Number(revision) + 1);
    await plain.insist('kv.delete', { key: 'many/3' });
    await until('it is seen', async () => (watch.changes.length > 0 ? true : undefined));
    expect(watch.changes).toEqual([[Number(revision) + 1, 'delete', 'many/3']]);
    watch.stop();
  });

  test.each([
    ['no name of a watch', { watch_id: 'a.b.c', prefix: '' }],
    ['a revision that is none', { watch_id: 'w', prefix: '', from_revision: 0 }],
  ])('is refused %s', async (_what, body) => {
    const answer = await plain.ask('kv.watch', body);
    expect(answer).toMatchObject({ errorCode: 400, body: { error: { code: 'EINVAL', outcome: 'not_done' } } });
  });

  test('promise 35: ends at once when it is closed, or its client disconnects', async () => {
    const { revision } = await plain.insist('kv.put', { key: 'closed/k', value: 'v' });
    const watch = new PlainWatch(plain, 'me.closed', 'closed/', Number(revision));
    await until('it has begun', async () => (watch.changes.length > 0 ? true : undefined));
    expect(await plain.insist('kv.unwatch', { watch_id: 'me.closed' })).toEqual({ closed: true });
    expect(await plain.insist('kv.unwatch', { watch_id: 'me.closed' })).toEqual({ closed: false });
    watch.stop();
    // These have no subscriber: NATS reports that to the leader.
    await plain.insist('kv.watch', { watch_id: 'me.gone', prefix: 'w/' });
    await until('the leader has dropped it', async () => {
      const { body } = await plain.ask('kv.watch', { watch_id: 'me.gone', prefix: 'another/' });
      if (body.error === undefined) return true;
      expect(body.error).toMatchObject({ code: 'EINVAL', outcome: 'not_done' });
      return undefined;
    });
  });

  test('promise 35: one client cannot use up all watches, and another cannot take its watches over', async () => {
    const ids = Array.from({ length: 256 }, (_, at) => `greedy.w${at}`);
    // With a subscriber the leader keeps the watches however long this takes; at once, as each ends after its time.
    const subscription = plain.nats.subscribe('conclave.main.watch.greedy.*', { callback: () => undefined });
    await Promise.all(ids.map((watch_id) => plain.insist('kv.watch', { watch_id, prefix: 'greedy/' })));
    const { body } = await plain.ask('kv.watch', { watch_id: 'greedy.more', prefix: 'greedy/' });
    expect(body.error).toMatchObject({ code: 'EBUSY', outcome: 'not_done', message: expect.stringContaining('256') });
    const { revision } = await plain.insist('kv.put', { key: 'modest/first', value: 'v' });
    const other = new PlainWatch(plain, 'modest.w', 'modest/', Number(revision));
    await until('it has begun', async () => (other.changes.length > 0 ? true : undefined));
    const taken = await plain.ask('kv.watch', { watch_id: 'modest.w', prefix: '' });
    expect(taken.body.error).toMatchObject({ code: 'EINVAL', outcome: 'not_done' });
    await plain.insist('kv.put', { key: 'modest/k', value: 'v' });
    await until('the other one is notified', async () => (other.changes.at(-1)?.[2] === 'modest/k' ? true : undefined));
    await Promise.all(ids.map((watch_id) => plain.insist('kv.unwatch', { watch_id })));
    subscription.unsubscribe();
    other.stop();
  });

  test('is rejected on a peer’s own subject', async () => {
    const { body } = await plain.ask('n2.kv.watch', { watch_id: 'w', prefix: '' });
    expect(body.error).toMatchObject({ code: 'EPERM', outcome: 'not_done' });
  });
});

describe('conclave kv watch', () => {
  test('prints changes', async () => {
    const { revision } = await plain.insist('kv.put', { key: 'cli/a', value: 'one' });
    const from = Number(revision);
    await plain.insist('kv.delete', { key: 'cli/a' });
    await plain.insist('kv.put', { key: 'cli/b', value: 'two' });
    const args = ['kv', 'watch', 'cli/', '--count', '3'];
    expect(await startCommand(server.url, [...args, '--from', String(from)]).ended).toMatchObject({
      code: 0,
      out: `${from}\tput\tcli/a\tone\n${from + 1}\tdelete\tcli/a\n${from + 2}\tput\tcli/b\ttwo\n`,
    });
    const { code, out } = await startCommand(server.url, [...args, '--state', '--json']).ended;
    expect(code).toBe(0);
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { type: 'reset', revision: from + 2 },
      { type: 'put', revision: from + 2, key: 'cli/b', value: 'two' },
      { type: 'current', revision: from + 2 },
    ]);
  });

  test('exits with 0 when it is stopped', async () => {
    const run = startCommand(server.url, ['kv', 'watch', 'cli/', '--state']);
    await once(run.child.stdout as Readable, 'data');
    run.child.kill('SIGTERM');
    expect((await run.ended).code).toBe(0);
  });
});
