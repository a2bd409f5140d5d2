import { encode, Subjects } from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';
import { connect } from 'nats';
import { expect, it, onTestFinished } from 'vitest';
import { startNats } from '../../../test/support/nats.js';
import { Connection, RequestServer, silentLog } from '../src/index.js';

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
