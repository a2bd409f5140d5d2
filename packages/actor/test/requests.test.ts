import { encode, Subjects } from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';
import { connect, headers } from 'nats';
import { expect, it, onTestFinished } from 'vitest';
import { startNats } from '../../../test/support/nats.js';
import { Connection, newEndpointCounts, RequestServer, silentLog } from '../src/index.js';

it('a question is answered by a peer, not by a stream that acknowledges it, nor by a program that subscribes to everything', async () => {
  const server = await startNats();
  onTestFinished(() => server.stop());
  const connection = await Connection.open({
    login: NatsLogin.of({ servers: server.url }),
    name: 'n1',
    log: silentLog,
  });
  onTestFinished(() => connection.close());
  const requests = new RequestServer(connection, new Subjects('conclave'), silentLog);
  expect(await requests.ask('question', {}, 60_000)).toBeUndefined();

  const other = await connect({ servers: server.url });
  onTestFinished(() => other.close());
  other.subscribe('>', { callback: () => undefined });
  const stream = other.subscribe('question', {
    callback: (_, message) => void message.respond('{"stream":"ALL","seq":1}'),
  });
  await other.flush();
  expect(await requests.ask('question', {}, 50)).toBeUndefined();

  stream.unsubscribe();
  other.subscribe('question', {
    callback: (_, message) => {
      message.respond('{"stream":"ALL","seq":1}');
      message.respond(encode({ yes: true }));
    },
  });
  await other.flush();
  expect(await requests.ask('question', {}, 60_000)).toEqual({ yes: true });
});

it('headers count to the size of a request, and too large ones are refused before they are parsed', async () => {
  const server = await startNats();
  onTestFinished(() => server.stop());
  const login = NatsLogin.of({ servers: server.url });
  const connection = await Connection.open({ login, name: 'n1', log: silentLog });
  onTestFinished(() => connection.close());
  const received: number[] = [];
  new RequestServer(connection, new Subjects('conclave'), silentLog).serveSubject(
    'question',
    newEndpointCounts(),
    (request) => {
      received.push(request.bytes);
      request.reply({});
    },
  );
  await connection.settled();
  const client = await connect({ servers: server.url });
  onTestFinished(() => client.close());
  const ask = async (lines: number) => {
    const head = headers();
    for (let line = 0; line < lines; line++) head.append(`Header-${line}`, 'v'.repeat(80));
    return client.request('question', '{}', { timeout: 5000, headers: head });
  };
  expect((await ask(10)).json()).toEqual({});
  const [bytes = 0] = received;
  expect(bytes).toBeGreaterThan(10 * 80);
  expect(bytes).toBeLessThan(10 * 100);
  expect((await ask(5000)).json()).toMatchObject({ error: { code: 'EINVAL', outcome: 'not_done' } });
  expect(received).toHaveLength(1);
});
