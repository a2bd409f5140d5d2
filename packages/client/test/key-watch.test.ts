import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { KvStateMachine } from '@conclave/kv';
import { ConclaveError, type ErrorBody, type ErrorCode, encodeAs, limits } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { ConclaveClient, WatchReader } from '../src/index.js';
import { KeyWatch, type KeyWatchDependencies } from '../src/key-watch.js';
import { Group } from './group.js';

let server: NatsServer;
let connection: NatsConnection;
let group: Group;
let client: ConclaveClient;

beforeAll(async () => {
  server = await startNats();
  connection = await connect({ servers: server.url });
});
afterAll(async () => {
  await connection.close();
  await server.stop();
});
beforeEach(async () => {
  group = new Group(connection);
  await group.lead();
  client = await ConclaveClient.connect({ servers: server.url, groupId: 'main', requestTimeoutMs: 200 });
});
afterEach(async () => {
  await client.close();
  await group.stepDown();
});

type Watch = ReturnType<ConclaveClient['watch']>;

/** The next so many events, in short. */
async function take(watch: Watch, count: number): Promise<string[]> {
  const lines: string[] = [];
  for (let at = 0; at < count; at++) {
    const { value } = await watch.next();
    if (value === undefined) lines.push('end');
    else if (!('key' in value)) lines.push(`${value.type} ${value.revision}`);
    else lines.push(`${value.revision} ${value.type} ${value.key}${value.type === 'put' ? ` ${value.value}` : ''}`);
  }
  return lines;
}

async function put(...keys: string[]): Promise<void> {
  for (const key of keys) await client.kv.put(key, `of ${key}`);
}

describe('a watch', () => {
  it('reports the changes of the keys with a prefix once it has begun', async () => {
    await put('a/old', 'b/old');
    const watch = client.watch('a/');
    const first = take(watch, 1);
    await began();
    await put('a/1', 'b/1');
    await client.kv.delete('a/1');
    await client.kv.put('a/2', new Uint8Array([49, 50]));
    expect([...(await first), ...(await take(watch, 2))]).toEqual([
      '3 put a/1 of a/1',
      '5 delete a/1',
      '6 put a/2 49,50',
    ]);
    await watch.return?.();
    expect(await watch.next()).toEqual({ done: true, value: undefined });
  });

  it('reports earlier changes, each once, although messages are lost and leaders change', async () => {
    await put('1', '2', '3', '4', '5');
    const watch = client.watch('', { fromRevision: 2 });
    expect(await take(watch, 4)).toEqual(['2 put 2 of 2', '3 put 3 of 3', '4 put 4 of 4', '5 put 5 of 5']);
    group.lose = 1;
    await put('6', '7');
    expect(await take(watch, 2)).toEqual(['6 put 6 of 6', '7 put 7 of 7']);
    // The next leader knows no watch; the old one publishes that it stepped down.
    const [watchId] = group.watches.keys();
    group.lose = 0;
    group.notify(watchId!, { code: 'EPERM', message: 'steps down', outcome: 'not_done' });
    group.watches.clear();
    await put('8');
    expect(await take(watch, 1)).toEqual(['8 put 8 of 8']);
  });

  it('requests again if nothing is received', async () => {
    const watch = client.watch('');
    await began();
    group.watches.clear();
    await put('1');
    expect(await take(watch, 1)).toEqual(['1 put 1 of 1']);
  }, 20_000);

  it('reports the present keys first, if that is requested', async () => {
    await put('a/1', 'b', 'a/2');
    const watch = client.watch('a/', { state: true });
    expect(await take(watch, 4)).toEqual(['reset 3', '1 put a/1 of a/1', '3 put a/2 of a/2', 'current 3']);
    await put('a/3');
    expect(await take(watch, 1)).toEqual(['4 put a/3 of a/3']);
  });

  it('waits while the client has as many open calls as it may, and leaves them their turn', async () => {
    await put('1');
    const calls = Array.from({ length: limits.clientCalls }, () => client.kv.get('1'));
    const watch = client.watch('', { fromRevision: 1 });
    const fromState = client.watch('', { state: true });
    await Promise.all(calls);
    expect(await take(watch, 1)).toEqual(['1 put 1 of 1']);
    expect(await take(fromState, 3)).toEqual(['reset 1', '1 put 1 of 1', 'current 1']);
  });

  it('fails if the revisions that it needs are no longer known, or reports the present keys again', async () => {
    group.stateMachine = new KvStateMachine({ history: { revisions: 2, bytes: 1000 } });
    await put('1', '2', '3', '4');
    await expect(client.watch('', { fromRevision: 2 }).next()).rejects.toMatchObject({ code: 'ECOMPACTED' });
    const watch = client.watch('', { fromRevision: 2, state: true });
    expect(await take(watch, 6)).toEqual([
      'reset 4',
      '1 put 1 of 1',
      '2 put 2 of 2',
      '3 put 3 of 3',
      '4 put 4 of 4',
      'current 4',
    ]);
    await put('5');
    expect(await take(watch, 1)).toEqual(['5 put 5 of 5']);
  });

  it('requests nothing more while it is not read, and continues when it is', async () => {
    const value = 'v'.repeat(limits.valueBytes / 2);
    const watch = client.watch('');
    await began();
    const count = Math.ceil(limits.watchUnreadBytes / value.length) + 4;
    for (let at = 0; at < count; at++) await client.kv.put('k', value);
    const asked = asks();
    expect(asked).toBeLessThanOrEqual(2);
    for (let at = 0; at < count; at++) {
      const next = await watch.next();
      expect(next.value).toMatchObject({ type: 'put', revision: at + 1 });
    }
    await client.kv.put('k', 'last');
    expect(await take(watch, 1)).toEqual([`${count + 1} put k last`]);
    expect(asks()).toBeGreaterThan(asked);
  }, 20_000);

  it('reads again although its earlier request fails meanwhile', async () => {
    const failure = new ConclaveError('ETIMEDOUT', 'nobody answered');
    let failAsked: (error: Error) => void;
    const asked = new Promise((_, reject) => {
      failAsked = reject;
    });
    let readings = 0;
    const range = async () => {
      readings += 1;
      if (readings > 1) return { found: [], more: false, revision: 7 };
      setImmediate(() => failAsked(failure));
      throw failure;
    };
    const subject = 'conclave.other.watch.one';
    const watch = new KeyWatch('', { fromRevision: 1, state: true }, {
      connection,
      owner: 'owner',
      subjectOf: () => subject,
      unwatch: () => undefined,
      call: async () => (readings > 1 ? { after: 7, revision: 7, renew_ms: 15_000 } : asked),
      kv: { range },
      onClosed: () => undefined,
    } as unknown as KeyWatchDependencies);
    const ended = {
      after: 0,
      revision: 0,
      changes: [],
      error: { code: 'ECOMPACTED', message: '', outcome: 'not_done' },
    };
    connection.publish(subject, encodeAs(ended, 'msgpack'));
    expect(await take(watch, 2)).toEqual(['reset 7', 'current 7']);
    watch.close();
  });

  it('promise 35: is dropped by the leader as soon as it is closed, in whichever way', async () => {
    const returned = client.watch('');
    const left = (async () => {
      for await (const _ of client.watch('', { fromRevision: 1 })) break;
    })();
    const aborter = new AbortController();
    const aborted = client.watch('other', { signal: aborter.signal });
    while (group.watches.size < 3) await connection.flush();
    await returned.return?.();
    await put('a');
    await left;
    aborter.abort();
    expect(await aborted.next()).toEqual({ done: true, value: undefined });
    while (group.watches.size > 0) await connection.flush();
    expect(await client.watch('', { signal: aborter.signal }).next()).toEqual({ done: true, value: undefined });
    // With the client, too.
    const other = await ConclaveClient.connect({ servers: server.url, groupId: 'main', owner: 'me' });
    const pending = other.watch('').next();
    while (group.watches.size === 0) await connection.flush();
    expect([...group.watches.keys()][0]).toMatch(/^me\.[\w-]{22}$/);
    const ended = expect(pending).rejects.toMatchObject({ code: 'ESHUTDOWN' });
    await other.close();
    await ended;
    while (group.watches.size > 0) await connection.flush();
  });

  it('promise 35: is dropped when no reference to it is left, and not while a caller waits for it', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const first = client.watch('a').next();
    client.watch('b');
    while (group.watches.size < 2) await connection.flush();
    while (group.watches.size > 1) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
      await connection.flush();
    }
    await client.kv.get('anything');
    await put('a');
    expect(await first).toMatchObject({ done: false, value: { key: 'a' } });
  }, 20_000);

  it('promise 35: fails with the code of a leader that refuses it, after a bounded time', async () => {
    const impatient = await ConclaveClient.connect({
      servers: server.url,
      groupId: 'main',
      timeoutMs: 1_000,
      requestTimeoutMs: 100,
    });
    const refusal = (code: ErrorCode): ErrorBody => ({ code, message: `refused with ${code}`, outcome: 'not_done' });
    for (const code of ['EBUSY', 'EPERM', 'EINVAL', 'EHISTORY', 'EUNSUPPORTED'] as const) {
      group.refuseWatches = refusal(code);
      const failure = await impatient
        .watch('')
        .next()
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(ConclaveError);
      expect(failure).toMatchObject({ code, message: `refused with ${code}` });
    }
    // Where nobody leads, it waits.
    group.refuseWatches = undefined;
    await group.stepDown();
    const patient = impatient.watch('', { fromRevision: 1 }).next();
    await expect(impatient.kv.get('k')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await group.lead();
    await put('k');
    expect(await patient).toMatchObject({ value: { key: 'k' } });
    await impatient.close();
  }, 20_000);

  it.each([{ state: true }, { fromRevision: 1 }])(
    'reports why the group does not reply, once for each reason, and continues (%j)',
    async (options) => {
      const impatient = await ConclaveClient.connect({
        servers: server.url,
        groupId: 'main',
        timeoutMs: 1_000,
        requestTimeoutMs: 100,
      });
      await group.stepDown();
      const problems: string[] = [];
      let events: Watch | undefined;
      const reported = new Promise<void>((resolve) => {
        const onProblem = ({ code, message }: ConclaveError) => {
          problems.push(`${code}: ${message}`);
          resolve();
        };
        events = impatient.watch('', { ...options, onProblem });
      });
      const event = events?.next();
      await reported;
      // The calls of the watch fail again meanwhile.
      await expect(impatient.kv.get('k')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      await expect(impatient.kv.get('k')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      expect(problems).toEqual(['ETIMEDOUT: no reply within 1000 ms: nobody answers']);
      await group.lead();
      await put('k');
      expect(await event).toMatchObject({ done: false });
      await impatient.close();
    },
  );

  it('can be opened at a leader of an older version, which accepts ids of one token', async () => {
    group.takesOwners = false;
    const watch = client.watch('', { fromRevision: 1 });
    await put('1');
    expect(await take(watch, 1)).toEqual(['1 put 1 of 1']);
    expect([...group.watches.keys()].every((watchId) => !watchId.includes('.'))).toBe(true);
  });

  it('ends with the client, and with what is wrong with it', async () => {
    const watch = client.watch('');
    const ended = watch.next();
    await began();
    await expect(client.watch('\ud800').next()).rejects.toMatchObject({ code: 'EINVAL' });
    await client.close();
    await expect(ended).rejects.toMatchObject({ code: 'ESHUTDOWN' });
  });

  it('is read by pages, too', async () => {
    await put('a', 'b');
    await client.kv.put('a', new Uint8Array([1]));
    expect(await client.kv.changes('a', 1)).toEqual({
      changes: [
        [1, 'put', 'a', 'of a'],
        [3, 'put', 'a', new Uint8Array([1])],
      ],
      more: false,
      next_revision: 4,
      revision: 3,
    });
    expect(await client.kv.changes('a', 1, { limit: 1 })).toMatchObject({ more: true, next_revision: 3 });
  });
});

describe('what a watcher makes of messages', () => {
  const change = (revision: number) => [revision, 'put', `k${revision}`, 'v'];
  const message = (after: number, revision: number, ...changes: unknown[]) => ({ after, revision, changes });

  it('leaves out what it has, and sees what is missing', () => {
    const reader = new WatchReader();
    expect(reader.onMessage(message(0, 4, change(4)))).toEqual({ type: 'nothing' });
    expect(reader.onBegun({ after: 4 })).toBe(true);
    expect(reader.onMessage(message(4, 6, change(5), change(6)))).toEqual({
      type: 'changes',
      changes: [change(5), change(6)],
    });
    expect(reader.onMessage(message(2, 6, change(5), change(6)))).toEqual({ type: 'nothing' });
    expect(reader.onMessage(message(5, 7, change(6), change(7)))).toEqual({ type: 'changes', changes: [change(7)] });
    expect(reader.onMessage(message(8, 9, change(9)))).toEqual({ type: 'gap' });
    expect(reader.onMessage(message(8, 8))).toEqual({ type: 'gap' });
    expect(reader.onMessage(message(7, 7))).toEqual({ type: 'nothing' });
    expect(reader.seen).toBe(7);
    // A leader that does not know the watch begins it now.
    expect(reader.onBegun({ after: 9 })).toBe(false);
    expect(
      reader.onMessage({ ...message(3, 3), error: { code: 'EPERM', message: '', outcome: 'not_done' } }),
    ).toMatchObject({
      type: 'ended',
    });
    for (const malformed of [undefined, {}, message(7, 8, [8, 'put', 'k']), message(7, -1)]) {
      expect(reader.onMessage(malformed)).toEqual({ type: 'malformed' });
    }
  });

  it('leaves out what was read later than where it begins', () => {
    const reader = new WatchReader();
    reader.startAfter(10, new Map([['k12', 14]]));
    expect(reader.onMessage(message(10, 15, change(11), change(12), [15, 'delete', 'k12']))).toEqual({
      type: 'changes',
      changes: [change(11), [15, 'delete', 'k12']],
    });
  });
});

function asks(): number {
  return group.operations.filter((name) => name === 'watch').length;
}

/** Resolves when the client has been notified that its watch has begun. */
async function began(): Promise<void> {
  while (asks() === 0) await connection.flush();
  // What the group sends later is received later.
  await client.kv.get('anything');
}
