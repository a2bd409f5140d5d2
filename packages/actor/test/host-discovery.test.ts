import { asGroupId, Subjects } from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';
import { connect } from 'nats';
import { expect, it, onTestFinished } from 'vitest';
import { startNats } from '../../../test/support/nats.js';
import { Connection, RequestServer, silentLog } from '../src/index.js';

it('no host is found if no process replies, even if a program subscribes to everything; without NATS it is unknown', async () => {
  const server = await startNats();
  onTestFinished(() => server.stop());
  const connection = await Connection.open({
    login: NatsLogin.of({ servers: server.url }),
    name: 'n1',
    log: silentLog,
  });
  onTestFinished(() => connection.close());
  const requests = new RequestServer(connection, new Subjects('conclave'), silentLog);
  const hosts = () => requests.hostsOf(asGroupId('main'));
  /** On a busy machine the server may take longer than one sweep waits. */
  const known = async () => {
    for (let sweep = 1; sweep <= 10; sweep++) {
      const found = await hosts();
      if (found !== null) return found;
    }
    return null;
  };
  expect(await known()).toEqual([]);

  const observer = await connect({ servers: server.url });
  onTestFinished(() => observer.close());
  observer.subscribe('>', { callback: () => undefined });
  await observer.flush();
  expect(await known()).toEqual([]);

  server.signal('SIGSTOP');
  expect(await hosts()).toBeNull();
  server.signal('SIGCONT');
  expect(await known()).toEqual([]);

  // Lost and established again while it waits for replies.
  const asked = hosts();
  await server.restart();
  expect(await asked).toBeNull();
}, 30_000);
