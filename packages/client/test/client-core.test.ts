import { limits, type PeerId } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { Driver } from './driver.js';

const done = (revision: number) => ['done', revision, true];
const putDone = (revision: number) => ({ outcome: 'done', result: { revision } });

function failed(outcome: string, code: string, message: unknown = expect.any(String)): unknown {
  return { outcome, error: { code, message, outcome } };
}

describe('writes', () => {
  it('open a session, go out in one request, and are settled by its results', () => {
    const driver = new Driver();
    expect(driver.step({ type: 'call', callId: 1, call: { operation: 'put', key: 'a', value: 'v' } })).toEqual([
      { type: 'set_timer', timer: 'due', afterMs: 10_000 },
    ]);
    driver.step({ type: 'call', callId: 2, call: { operation: 'delete', key: 'b' } });
    driver.step({ type: 'call', callId: 3, call: { operation: 'cas', key: 'c', value: 'v', expectedRevision: 4 } });
    expect(driver.idle()).toEqual([
      { type: 'request', requestId: 1, target: { api: 'kv', name: 'open_session' }, body: { id: 'text' } },
      { type: 'set_timer', timer: 'due', afterMs: 1000 },
    ]);
    expect(driver.idle()).toEqual([]);
    expect(driver.reply({ client_id: 7 })).toEqual([]);
    const commands = [
      [1, 'put', 'a', 'v'],
      [2, 'delete', 'b'],
      [3, 'cas', 'c', 'v', 4],
    ];
    expect(driver.idle()).toEqual([
      {
        type: 'request',
        requestId: 2,
        target: { api: 'kv', name: 'batch' },
        body: { client_id: 7, acknowledged: 0, commands },
      },
    ]);
    expect(driver.reply({ results: [done(5), ['done', 0, false], ['done', 9, false]] })).toEqual([
      { type: 'settle', callId: 1, settlement: { outcome: 'done', result: { revision: 5 } } },
      { type: 'settle', callId: 2, settlement: { outcome: 'done', result: { deleted: false, revision: 0 } } },
      { type: 'settle', callId: 3, settlement: { outcome: 'done', result: { swapped: false, revision: 9 } } },
    ]);
    driver.put('d');
    driver.idle();
    expect(driver.last.body).toEqual({ client_id: 7, acknowledged: 3, commands: [[4, 'put', 'd', 'v']] });
    expect(driver.core.status()).toEqual({ openCalls: 1, requests: 1 });
  });

  it('acknowledge only what has no gap below it', () => {
    const driver = new Driver();
    driver.put('a');
    driver.openSession();
    const first = driver.last.requestId;
    driver.put('b');
    driver.idle();
    driver.reply({ results: [done(2)] });
    driver.put('c');
    driver.idle();
    expect(driver.last.body).toMatchObject({ acknowledged: 0, commands: [[3, 'put', 'c', 'v']] });
    driver.reply({ results: [done(1)] }, first);
    driver.put('d');
    driver.idle();
    expect(driver.last.body).toMatchObject({ acknowledged: 2, commands: [[4, 'put', 'd', 'v']] });
  });

  it('are resent with their numbers if no reply arrives, and accept a late reply', () => {
    const driver = new Driver();
    const call = driver.put('a');
    driver.openSession();
    const first = driver.last;
    driver.pass(1000);
    expect(driver.last.body).toEqual(first.body);
    expect(driver.last.requestId).toBe(3);
    // Each unanswered attempt is given more time.
    driver.pass(1999);
    expect(driver.requests).toHaveLength(3);
    driver.pass(1);
    expect(driver.requests).toHaveLength(4);
    driver.reply({ results: [done(1)] }, first.requestId);
    expect(driver.settled.get(call)).toEqual(putDone(1));
    driver.reply({ results: [done(1)] });
    expect(driver.core.dropped.late_reply).toBe(1);
    expect(driver.core.status()).toEqual({ openCalls: 0, requests: 0 });
  });

  it('wait a moment, longer each time, if no peer leads', () => {
    const driver = new Driver();
    driver.put('a');
    driver.openSession();
    const pauses = [20, 40, 80, 160, 250, 250];
    for (const [nth, pause] of pauses.entries()) {
      driver.answer({ type: 'no_responders' });
      driver.pass(pause - 1);
      expect(driver.requests).toHaveLength(2 + nth);
      driver.pass(1);
      expect(driver.requests).toHaveLength(3 + nth);
    }
  });

  it.each(['EBUSY', 'EPERM', 'ESHUTDOWN', 'EFENCED'] as const)('are sent again after %s', (code) => {
    const driver = new Driver();
    const call = driver.put('a');
    driver.openSession();
    driver.error({ code });
    driver.pass(20);
    expect(driver.requests).toHaveLength(3);
    driver.error({ code, outcome: 'unknown' });
    driver.pass(40);
    expect(driver.requests).toHaveLength(4);
    driver.reply({ results: [done(1)] });
    expect(driver.settled.get(call)).toEqual(putDone(1));
  });

  it('are sent again alone where the others of their request are done', () => {
    const driver = new Driver();
    const [one, two] = [driver.put('a'), driver.put('b')];
    driver.openSession();
    driver.reply({ results: [['not_done', 'EBUSY', 'full'], done(1)] });
    expect([...driver.settled.keys()]).toEqual([two]);
    driver.pass(20);
    expect(driver.last.body).toEqual({ client_id: 7, acknowledged: 0, commands: [[1, 'put', 'a', 'v']] });
    driver.reply({ results: [done(2)] });
    expect(driver.settled.get(one)).toEqual(putDone(2));
  });

  it('go out in as many requests as they fit into, up to the bound, and in their order', () => {
    const driver = new Driver();
    const value = 'x'.repeat(limits.clientRequestBytes / 2);
    for (const key of ['a', 'b', 'c']) driver.call({ operation: 'put', key, value });
    driver.openSession();
    expect(driver.requests.slice(1).map(({ body }) => body.commands)).toEqual([
      [[1, 'put', 'a', value]],
      [[2, 'put', 'b', value]],
      [[3, 'put', 'c', value]],
    ]);
    for (let more = 0; more < 20; more++) {
      driver.put('d');
      driver.idle();
    }
    expect(driver.requests).toHaveLength(1 + limits.clientRequests);
    driver.reply({ results: [done(1)] });
    driver.idle();
    expect((driver.last.body.commands as unknown[]).length).toBe(20 - (limits.clientRequests - 3));
  });

  it('keep to the numbers whose results the group keeps', () => {
    const driver = new Driver();
    const maxNormal = limits.clientResults - limits.clientUrgentResults;
    for (let more = 0; more < maxNormal; more++) driver.put('k');
    driver.openSession();
    driver.put('beyond');
    driver.idle();
    expect(driver.requests).toHaveLength(2);
    driver.reply({ results: Array.from({ length: maxNormal }, () => done(1)) });
    driver.idle();
    expect(driver.last.body).toEqual({
      client_id: 7,
      acknowledged: maxNormal,
      commands: [[maxNormal + 1, 'put', 'beyond', 'v']],
    });
  });
});

describe('promise 34: what keeps or ends a lease waits for no other call of the client', () => {
  const keep = { operation: 'lease_keep', leaseId: 3 } as const;

  it('A lease is kept in time though the client has as many calls open as it may, and without a number of its session.', () => {
    const driver = new Driver();
    for (let more = 0; more < limits.clientCalls; more++) driver.put('k');
    const [one, other] = [driver.call(keep), driver.call({ ...keep, leaseId: 4 })];
    expect(driver.settled.size).toBe(0);
    driver.idle();
    expect(driver.requests.map(({ target }) => target.name)).toEqual(['batch', 'open_session']);
    const [batch] = driver.requests;
    expect(batch?.body).toEqual({
      commands: [
        [0, 'lease_keep', 3],
        [0, 'lease_keep', 4],
      ],
    });
    driver.reply({ results: [done(1000), ['not_done', 'ENOENT', 'gone']] }, batch?.requestId);
    expect(driver.settled.get(one)).toEqual({ outcome: 'done', result: { lease_id: 3, ttl_ms: 1000 } });
    expect(driver.settled.get(other)).toEqual(failed('not_done', 'ENOENT', 'gone'));
  });

  it('It is sent at once although the client has as many requests in flight as it may, is resent, and does not count among these.', () => {
    const driver = new Driver();
    driver.put('a');
    driver.openSession();
    for (let more = 0; more < 20; more++) {
      driver.put('k');
      driver.idle();
    }
    const before = driver.requests.length;
    const call = driver.call(keep);
    driver.idle();
    expect(driver.requests).toHaveLength(before + 1);
    const { requestId, body } = driver.last;
    driver.error({ code: 'EBUSY' }, requestId);
    driver.pass(20);
    expect(driver.last).toMatchObject({ requestId: requestId + 1, body });
    driver.reply({ results: [done(1000)] });
    expect(driver.settled.get(call)).toMatchObject({ outcome: 'done' });
    driver.idle();
    expect(driver.requests).toHaveLength(before + 2);
  });

  it('A lease is ended and a lock released with numbers that no other call uses, each once.', () => {
    const driver = new Driver();
    for (let more = 0; more < limits.clientResults; more++) driver.put('k');
    driver.openSession();
    expect(driver.requests).toHaveLength(2);
    driver.call({ operation: 'lease_revoke', leaseId: 3 });
    driver.call({ operation: 'unlock', name: 'l', token: 5 });
    driver.idle();
    const first = limits.clientResults - limits.clientUrgentResults + 1;
    expect(driver.last.body).toEqual({
      client_id: 7,
      acknowledged: 0,
      commands: [
        [first, 'lease_revoke', 3],
        [first + 1, 'unlock', 'l', 5],
      ],
    });
  });

  it('A holder asks for its lock at once, whatever else the client has open.', () => {
    const driver = new Driver();
    for (let more = 0; more < limits.clientCalls; more++) driver.get('k');
    driver.idle();
    const before = driver.requests.length;
    const call = driver.call({ operation: 'query', name: 'lock_get', body: { name: 'l' }, urgent: true });
    expect(driver.requests).toHaveLength(before + 1);
    driver.reply({ holder: null, waiting: 0 });
    expect(driver.settled.get(call)).toEqual({ outcome: 'done', result: { holder: null, waiting: 0 } });
  });

  it('Calls that keep leases have a bound of their own.', () => {
    const driver = new Driver();
    for (let more = 0; more < limits.clientUrgentCalls; more++) driver.call(keep);
    expect(driver.settled.get(driver.call(keep))).toEqual(failed('not_done', 'EBUSY'));
    expect(driver.settled.get(driver.put('k'))).toBeUndefined();
  });

  it('Those that were sent in a session that the group does not know are sent again before other writes.', () => {
    const driver = new Driver();
    driver.put('a');
    driver.openSession();
    driver.reply({ results: [done(1)] });
    const call = driver.call({ operation: 'lease_revoke', leaseId: 3 });
    driver.idle();
    driver.put('b');
    driver.reply({ results: [['unknown', 'ESESSION', 'gone']] });
    driver.openSession(8);
    expect(driver.requests.slice(-2).map(({ body }) => body.commands)).toEqual([
      [[1, 'lease_revoke', 3]],
      [[2, 'put', 'b', 'v']],
    ]);
    driver.reply({ results: [[...done(9).slice(0, 2), true]] }, driver.last.requestId - 1);
    expect(driver.settled.get(call)).toEqual({ outcome: 'done', result: { revoked: true, revision: 9 } });
  });
});

describe('a session that the group does not know', () => {
  const gone = ['unknown', 'ESESSION', 'gone'];

  it('is replaced, for writes that were sent once', () => {
    const driver = new Driver();
    const calls = [driver.put('a'), driver.put('b')];
    driver.openSession();
    driver.put('c');
    driver.reply({ results: [gone, gone] });
    expect(driver.settled.size).toBe(0);
    driver.openSession(8);
    expect(driver.last.body).toEqual({
      client_id: 8,
      acknowledged: 0,
      commands: ['a', 'b', 'c'].map((key, at) => [at + 1, 'put', key, 'v']),
    });
    driver.reply({ results: [done(1), done(2), done(3)] });
    expect(calls.map((call) => driver.settled.get(call))).toEqual([putDone(1), putDone(2)]);
  });

  it('is replaced for writes whose other attempts did nothing', () => {
    const driver = new Driver();
    const call = driver.put('a');
    driver.openSession();
    driver.error({ code: 'EPERM' });
    driver.pass(20);
    driver.answer({ type: 'no_responders' });
    driver.pass(40);
    driver.reply({ results: [gone] });
    driver.openSession(8);
    driver.reply({ results: [done(1)] });
    expect(driver.settled.get(call)).toEqual(putDone(1));
  });

  it.each([
    ['were not answered', (driver: Driver) => driver.pass(1000)],
    [
      'may have happened',
      (driver: Driver) => {
        driver.error({ code: 'EPERM', outcome: 'unknown' });
        driver.pass(20);
      },
    ],
    [
      'were answered with nonsense',
      (driver: Driver) => {
        driver.answer({ type: 'malformed' });
        driver.pass(20);
      },
    ],
  ])('leaves writes unknown that %s before', (_what, before) => {
    const driver = new Driver();
    const call = driver.put('a');
    driver.openSession();
    before(driver);
    driver.reply({ results: [gone] });
    expect(driver.settled.get(call)).toEqual(failed('unknown', 'ESESSION', 'gone'));
    expect(driver.core.status()).toEqual({ openCalls: 0, requests: 0 });
  });
});

describe('an election', () => {
  it('has what waits to be sent again go to the new leader at once, whatever pause was due', () => {
    const driver = new Driver();
    const call = driver.put('a');
    driver.openSession();
    for (let round = 0; round < 6; round++) {
      driver.answer({ type: 'no_responders' });
      driver.pass(250);
    }
    driver.answer({ type: 'no_responders' });
    const before = driver.requests.length;
    driver.step({ type: 'leader_elected' });
    expect(driver.requests).toHaveLength(before + 1);
    // Should it come too soon, the next pause is a short one again.
    driver.answer({ type: 'no_responders' });
    driver.pass(20);
    expect(driver.requests).toHaveLength(before + 2);
    driver.reply({ results: [done(1)] });
    expect(driver.settled.get(call)).toEqual(putDone(1));
  });

  it('resends to the new leader what the earlier one has not replied to, and accepts the reply of either', () => {
    const driver = new Driver();
    const [first, second] = [driver.put('a'), driver.put('b')];
    driver.openSession();
    const sent = driver.requests.at(-1);
    // Not answered, so that the next attempt would get twice the time.
    driver.pass(1000);
    driver.step({ type: 'leader_elected' });
    const again = driver.requests.at(-1);
    expect(again?.requestId).toBe((sent?.requestId ?? 0) + 2);
    expect(again?.body).toEqual(sent?.body);
    // That one is lost, too: it is sent again after as long as a first attempt.
    driver.pass(1000);
    expect(driver.requests.at(-1)?.requestId).toBe((again?.requestId ?? 0) + 1);
    const reply = { type: 'body', body: { results: [done(1), done(2)] } } as const;
    driver.step({ type: 'reply', requestId: sent?.requestId ?? 0, reply });
    expect([first, second].map((call) => driver.settled.get(call))).toEqual([putDone(1), putDone(2)]);
  });

  it('sends no command again that changes something', () => {
    const driver = new Driver();
    driver.call({ operation: 'admin', command: 'transfer_leader', body: {}, peerId: undefined });
    driver.idle();
    const before = driver.requests.length;
    driver.step({ type: 'leader_elected' });
    expect(driver.requests).toHaveLength(before);
  });
});

describe('the deadline', () => {
  it('leaves a write undone that never went out', () => {
    const driver = new Driver();
    const call = driver.put('a', 500);
    driver.idle();
    for (let round = 0; round < 10; round++) {
      driver.answer({ type: 'no_responders' });
      driver.pass(100);
    }
    const error = failed('not_done', 'ETIMEDOUT', 'no reply within 500 ms: nobody answers');
    expect(driver.settled.get(call)).toEqual(error);
    // Nobody needs the session any more.
    driver.pass(10_000);
    expect(driver.core.status()).toEqual({ openCalls: 0, requests: 0 });
  });

  it('names the rejected login, and leaves undone what was never sent since', () => {
    const rejected = { type: 'not_sent', message: 'NATS rejects the login', code: 'ELOGIN' } as const;
    const untilSettled = (driver: Driver, call: number): unknown => {
      driver.idle();
      while (!driver.settled.has(call)) {
        driver.answer(rejected);
        driver.pass(20);
      }
      return driver.settled.get(call);
    };
    const undone = failed('not_done', 'ELOGIN', rejected.message);
    // Without a session, in a request, and alone in its request.
    const waiting = new Driver();
    expect(untilSettled(waiting, waiting.put('a', 300))).toEqual(undone);
    const first = new Driver();
    const write = first.put('a', 300);
    first.openSession();
    expect(untilSettled(first, write)).toEqual(undone);
    // An attempt without a reply may have run.
    const second = new Driver({ requestTimeoutMs: 100 });
    const sent = second.put('a', 300);
    second.openSession();
    second.pass(100);
    const unknown = failed('unknown', 'ETIMEDOUT', `no reply within 300 ms: ${rejected.message}`);
    expect(untilSettled(second, sent)).toEqual(unknown);
  });

  it('leaves a write undone of which every attempt did nothing', () => {
    const driver = new Driver();
    const call = driver.put('a', 300);
    driver.openSession();
    while (!driver.settled.has(call)) {
      driver.error({ code: 'EBUSY' });
      driver.pass(20);
    }
    expect(driver.settled.get(call)).toEqual(failed('not_done', 'ETIMEDOUT', expect.stringContaining('EBUSY: why')));
    expect(driver.core.status()).toEqual({ openCalls: 0, requests: 0 });
  });

  it('leaves a write unknown of which one attempt was not answered', () => {
    const driver = new Driver();
    const call = driver.put('a', 1500);
    driver.openSession();
    driver.pass(1000);
    for (let round = 0; round < 10; round++) {
      driver.answer({ type: 'no_responders' });
      driver.pass(100);
    }
    expect(driver.settled.get(call)).toEqual(failed('unknown', 'ETIMEDOUT'));
  });

  it('remembers an unanswered attempt however many follow', () => {
    const driver = new Driver();
    const call = driver.put('a', 60_000);
    driver.openSession();
    driver.pass(50_000);
    driver.pass(10_000);
    expect(driver.settled.get(call)).toEqual(failed('unknown', 'ETIMEDOUT'));
    expect(driver.core.status()).toEqual({ openCalls: 0, requests: 0 });
  });

  it('ends one call, and not the others of its request', () => {
    const driver = new Driver();
    const [short, long] = [driver.put('a', 500), driver.put('b')];
    driver.openSession();
    driver.pass(1000);
    expect(driver.settled.get(short)).toEqual(failed('unknown', 'ETIMEDOUT'));
    // The call that is given up is acknowledged: should it still be on its way, it is not carried out later.
    expect(driver.last.body).toEqual({ client_id: 7, acknowledged: 1, commands: [[2, 'put', 'b', 'v']] });
    driver.reply({ results: [done(1), done(2)] }, driver.requests[1]?.requestId);
    expect(driver.settled.get(long)).toEqual(putDone(2));
  });

  it('leaves a read undone', () => {
    const driver = new Driver();
    const call = driver.get('a');
    driver.idle();
    driver.pass(10_000);
    expect(driver.settled.get(call)).toEqual(failed('not_done', 'ETIMEDOUT'));
  });
});

describe('reads', () => {
  it('go out in one request for each kind, without a session', () => {
    const driver = new Driver();
    const calls = [driver.get('a'), driver.get('b')];
    driver.call({ operation: 'get', key: 'c', consistency: 'stale' });
    driver.call({ operation: 'get', key: 'd', peerId: 'n2' as never });
    driver.idle();
    expect(driver.requests.map(({ target, body }) => [target, body])).toEqual([
      [{ api: 'kv', name: 'batch_get' }, { keys: ['a', 'b'] }],
      [
        { api: 'kv', name: 'batch_get' },
        { keys: ['c'], consistency: 'stale' },
      ],
      [
        { api: 'kv', name: 'batch_get', peerId: 'n2' },
        { keys: ['d'], consistency: 'stale' },
      ],
    ]);
    const bytes = Buffer.from('xyz').subarray(1);
    driver.reply(
      {
        found: [
          [null, 0],
          [bytes, 4],
        ],
      },
      1,
    );
    expect(driver.settled.get(calls[0] as number)).toEqual({
      outcome: 'done',
      result: { key: 'a', value: null, revision: 0 },
    });
    expect(driver.settled.get(calls[1] as number)).toEqual({
      outcome: 'done',
      result: { key: 'b', value: new Uint8Array([121, 122]), revision: 4 },
    });
  });

  it('ask for the rest where the answer holds fewer', () => {
    const driver = new Driver();
    const calls = ['a', 'b', 'c'].map((key) => driver.get(key));
    driver.idle();
    driver.reply({ found: [['1', 1]] });
    expect(driver.last.body).toEqual({ keys: ['b', 'c'] });
    driver.reply({
      found: [
        ['2', 2],
        ['3', 3],
      ],
    });
    expect(calls.every((call) => driver.settled.has(call))).toBe(true);
  });

  it('are asked again freely, and fail as not done', () => {
    const driver = new Driver();
    const call = driver.get('a');
    driver.idle();
    driver.pass(1000);
    driver.error({ code: 'EPERM', outcome: 'unknown' });
    driver.pass(20);
    driver.error({ code: 'EINVAL', outcome: 'not_done' });
    expect(driver.settled.get(call)).toEqual(failed('not_done', 'EINVAL', 'why'));
  });
});

describe('a question', () => {
  const page = { found: [['a', 'v', 3]], more: false, revision: 9 };

  it('is a separate request, and settled by its reply', () => {
    const driver = new Driver();
    const range = driver.call({ operation: 'query', name: 'range', body: { prefix: 'a' } });
    driver.get('k');
    const peerId = 'n2' as PeerId;
    driver.call({ operation: 'query', name: 'range', body: { prefix: '' }, peerId });
    driver.idle();
    expect(driver.requests.map(({ target, body }) => [target.name, target.peerId, body])).toEqual([
      ['range', undefined, { prefix: 'a' }],
      ['batch_get', undefined, { keys: ['k'] }],
      ['range', peerId, { prefix: '', consistency: 'stale' }],
    ]);
    driver.reply(page, 1);
    expect(driver.settled.get(range)).toEqual({ outcome: 'done', result: page });
  });

  it('is asked again freely, and fails as not done', () => {
    const driver = new Driver();
    const range = driver.call({ operation: 'query', name: 'range', body: { prefix: 'a' } }, 3000);
    driver.idle();
    driver.reply({ found: 'nothing' });
    driver.pass(20);
    driver.answer({ type: 'no_responders' });
    driver.pass(40);
    expect(driver.requests).toHaveLength(3);
    driver.pass(3000);
    expect(driver.settled.get(range)).toMatchObject({ outcome: 'not_done', error: { code: 'ETIMEDOUT' } });
    expect(driver.core.dropped.malformed_reply).toBe(1);
  });

  it('waits for its turn among the requests in flight', () => {
    const driver = new Driver();
    for (let more = 0; more <= limits.clientRequests; more++) {
      driver.call({ operation: 'query', name: 'range', body: { prefix: `${more}` } });
    }
    driver.idle();
    expect(driver.requests).toHaveLength(limits.clientRequests);
    driver.reply(page);
    driver.idle();
    expect(driver.requests).toHaveLength(limits.clientRequests + 1);
  });

  it('that must not be asked is refused', () => {
    const driver = new Driver();
    const wrong = { operation: 'query', name: 'range', body: { prefix: '\ud800' } } as const;
    expect(driver.settled.get(driver.call(wrong))).toMatchObject({ outcome: 'not_done', error: { code: 'EINVAL' } });
  });

  it('goes out with the consistency that it names, to the leader or to a peer', () => {
    const driver = new Driver();
    const peerId = 'n2' as PeerId;
    driver.call({ operation: 'get', key: 'a', consistency: 'lease' });
    driver.call({ operation: 'get', key: 'b', consistency: 'linearizable', peerId });
    driver.call({ operation: 'get', key: 'c', consistency: 'lease', peerId });
    driver.call({ operation: 'get', key: 'd', peerId });
    driver.idle();
    expect(driver.requests.map(({ target, body }) => [target.peerId, body])).toEqual([
      [undefined, { keys: ['a'], consistency: 'lease' }],
      [peerId, { keys: ['b'], consistency: 'linearizable' }],
      [peerId, { keys: ['c'], consistency: 'lease' }],
      [peerId, { keys: ['d'], consistency: 'stale' }],
    ]);
  });
});

describe('an answer that makes no sense', () => {
  it.each([
    ['no results', {}],
    ['too few results', { results: [] }],
    ['no outcome', { results: [['maybe', 1, true]] }],
    ['no revision', { results: [['done', -1, true]] }],
    ['an error that is none', { error: { code: 'EWHATEVER' } }],
    ['no map', 'hello'],
  ])('is counted, and the request sent again: %s', (_what, body) => {
    const driver = new Driver();
    const call = driver.put('a');
    driver.openSession();
    expect(driver.reply(body)).toEqual([{ type: 'set_timer', timer: 'due', afterMs: 20 }]);
    expect(driver.core.dropped.malformed_reply).toBe(1);
    driver.pass(20);
    driver.reply({ results: [done(1)] });
    expect(driver.settled.get(call)).toEqual(putDone(1));
  });

  it('to an unknown request is counted', () => {
    const driver = new Driver();
    expect(driver.reply({}, 99)).toEqual([]);
    expect(driver.reply({}, Number.NaN)).toEqual([]);
    expect(driver.core.dropped.late_reply).toBe(2);
  });
});

describe('a refusal that does not pass', () => {
  it('settles what did not happen', () => {
    const driver = new Driver();
    const calls = [driver.put('a'), driver.put('b')];
    driver.openSession();
    driver.error({ code: 'EINVAL' });
    for (const call of calls) expect(driver.settled.get(call)).toEqual(failed('not_done', 'EINVAL', 'why'));
    const one = driver.put('c');
    driver.idle();
    driver.reply({ results: [['not_done', 'EINVAL', 'nonsense']] });
    expect(driver.settled.get(one)).toEqual(failed('not_done', 'EINVAL', 'nonsense'));
  });

  it('leaves unknown what an attempt before may have done', () => {
    const driver = new Driver();
    const call = driver.put('a');
    driver.openSession();
    driver.pass(1000);
    driver.error({ code: 'EINVAL' });
    expect(driver.settled.get(call)).toEqual(failed('unknown', 'EINVAL', 'why'));
  });

  it('of the session settles what waits for it', () => {
    const driver = new Driver();
    const call = driver.put('a');
    driver.idle();
    driver.error({ code: 'ENOENT' });
    expect(driver.settled.get(call)).toEqual(failed('not_done', 'ENOENT', 'why'));
    expect(driver.core.status()).toEqual({ openCalls: 0, requests: 0 });
  });
});

describe('a call that must not be made', () => {
  it.each([
    ['no key', { operation: 'put', key: '', value: 'v' }],
    ['a long key', { operation: 'get', key: 'k'.repeat(1025) }],
    ['half a surrogate pair', { operation: 'put', key: 'k', value: '\ud800' }],
    ['a large value', { operation: 'put', key: 'k', value: new Uint8Array(limits.valueBytes + 1) }],
    ['no revision', { operation: 'cas', key: 'k', value: 'v', expectedRevision: 0.5 }],
    ['a value that is none', { operation: 'put', key: 'k', value: 7 as never }],
    ['a peer that is none', { operation: 'admin', command: 'add_peer', body: { peer_id: 'a.b' } }],
  ] as const)('is refused at once: %s', (_what, call) => {
    const driver = new Driver();
    expect(driver.settled.get(driver.call(call))).toEqual(failed('not_done', 'EINVAL'));
    expect(driver.idle()).toEqual([]);
  });

  it('is refused beyond the bound of open calls', () => {
    const driver = new Driver();
    for (let more = 0; more < limits.clientCalls; more++) driver.put('k');
    expect(driver.settled.get(driver.put('k'))).toEqual(failed('not_done', 'EBUSY'));
  });

  it('is refused once the client is closed', () => {
    const driver = new Driver();
    const waiting = driver.put('a');
    driver.openSession();
    const [sent, read, later] = [waiting, driver.get('b'), driver.put('c')];
    const effects = driver.step({ type: 'close' });
    expect(effects.at(-1)).toEqual({ type: 'cancel_timer', timer: 'due' });
    expect(driver.settled.get(sent)).toEqual(failed('unknown', 'ESHUTDOWN'));
    expect(driver.settled.get(read)).toEqual(failed('not_done', 'ESHUTDOWN'));
    expect(driver.settled.get(later)).toEqual(failed('not_done', 'ESHUTDOWN'));
    expect(driver.settled.get(driver.put('d'))).toEqual(failed('not_done', 'ESHUTDOWN', 'the client is closed'));
    expect(driver.idle()).toEqual([]);
  });
});

describe('commands', () => {
  const change = { operation: 'admin', command: 'add_peer', body: { peer_id: 'n4' } } as const;
  const reply = { old_peers: ['n1'], new_peers: ['n1', 'n4'] };

  it('go out at once, each by itself, and are settled by their reply', () => {
    const driver = new Driver();
    expect(driver.step({ type: 'call', callId: 1, call: change })).toEqual([
      { type: 'request', requestId: 1, target: { api: 'admin', name: 'add_peer' }, body: { peer_id: 'n4' } },
      { type: 'set_timer', timer: 'due', afterMs: 50_000 },
    ]);
    driver.reply(reply);
    expect(driver.settled.get(1)).toEqual({ outcome: 'done', result: reply });
  });

  it('report the error of the group unchanged', () => {
    const driver = new Driver();
    const call = driver.call(change);
    driver.error({ code: 'EBUSY', message: 'a change is in progress' });
    expect(driver.settled.get(call)).toEqual(failed('not_done', 'EBUSY', 'a change is in progress'));
    const other = driver.call(change);
    driver.error({ code: 'ETIMEDOUT', outcome: 'unknown' });
    expect(driver.settled.get(other)).toEqual(failed('unknown', 'ETIMEDOUT', 'why'));
  });

  it('look for the leader, but not for ever', () => {
    const driver = new Driver();
    const call = driver.call(change);
    driver.error({ code: 'EPERM' });
    driver.pass(20);
    expect(driver.requests).toHaveLength(2);
    while (!driver.settled.has(call)) {
      driver.answer({ type: 'no_responders' });
      driver.pass(250);
    }
    expect(driver.nowMs).toBeLessThan(11_000);
    expect(driver.settled.get(call)).toEqual(failed('not_done', 'EUNREACHABLE', 'nobody answers'));
  });

  it('that want one leader do not look for another', () => {
    const driver = new Driver();
    const call = driver.call({ ...change, body: { peer_id: 'n4', leader_id: 'n1' } });
    driver.reply({ error: { code: 'EPERM', message: 'why', outcome: 'not_done', leader_id: 'n2' } });
    expect(driver.settled.get(call)).toEqual({
      outcome: 'not_done',
      error: { code: 'EPERM', message: 'why', outcome: 'not_done', leader_id: 'n2' },
    });
  });

  it('that change something are sent once, and unknown without an answer', () => {
    const driver = new Driver();
    const call = driver.call({ ...change, body: { peer_id: 'n4', timeout_ms: 5000 } });
    driver.pass(25_000);
    expect(driver.requests).toHaveLength(1);
    expect(driver.settled.get(call)).toEqual(failed('unknown', 'ETIMEDOUT'));
  });

  it('that only ask are sent again, and not done without an answer', () => {
    const driver = new Driver();
    const call = driver.call({ operation: 'admin', command: 'status', body: {} });
    driver.pass(10_000);
    expect(driver.requests.length).toBeGreaterThan(2);
    expect(driver.settled.get(call)).toEqual(failed('not_done', 'ETIMEDOUT'));
  });

  it('with a reply that makes no sense are unknown', () => {
    const driver = new Driver();
    const call = driver.call(change);
    driver.reply({ old_peers: 7 });
    expect(driver.settled.get(call)).toEqual(failed('unknown', 'EINVAL'));
  });
});

describe('what NATS does not permit', () => {
  const message = 'NATS does not permit this login to publish to x';

  it('fails the last request to that target at once, not done; the others wait for their answers', () => {
    const driver = new Driver();
    const [first, second] = [1, 2].map(() =>
      driver.call({ operation: 'admin', command: 'add_peer', body: { peer_id: 'n4' as PeerId } }),
    );
    driver.step({ type: 'not_permitted', target: { api: 'admin', name: 'status' }, message });
    expect(driver.settled.size).toBe(0);
    driver.step({ type: 'not_permitted', target: { api: 'admin', name: 'add_peer' }, message });
    expect([...driver.settled]).toEqual([[second, failed('not_done', 'EPERM', message)]]);
    driver.step({ type: 'not_permitted', target: { api: 'admin', name: 'add_peer' }, message });
    expect(driver.settled.get(first as number)).toEqual(failed('not_done', 'EPERM', message));
    expect(driver.core.status()).toEqual({ openCalls: 0, requests: 0 });
  });

  it('fails the writes that wait for a session', () => {
    const driver = new Driver();
    const put = driver.put('a');
    driver.idle();
    driver.step({ type: 'not_permitted', target: { api: 'kv', name: 'open_session' }, message });
    expect(driver.settled.get(put)).toEqual(failed('not_done', 'EPERM', message));
  });

  it('leaves a write unknown that an earlier attempt may have carried out', () => {
    const driver = new Driver();
    const put = driver.put('a');
    driver.openSession();
    driver.pass(1000);
    driver.step({ type: 'not_permitted', target: { api: 'kv', name: 'batch' }, message });
    expect(driver.settled.get(put)).toEqual(failed('unknown', 'EPERM', message));
  });

  it('leaves writes unknown whose replies are not permitted, and reads not done', () => {
    const driver = new Driver();
    const put = driver.put('a');
    driver.openSession();
    const get = driver.get('a');
    driver.idle();
    driver.step({ type: 'not_permitted', message });
    expect(driver.settled.get(put)).toEqual(failed('unknown', 'EPERM', message));
    expect(driver.settled.get(get)).toEqual(failed('not_done', 'EPERM', message));
  });
});
