import { connect, wsconnect } from 'nats';
import { expect, it, onTestFinished } from 'vitest';
import { freePorts, startNats } from '../../../test/support/nats.js';
import { ConclaveClient } from '../src/index.js';
import { Group } from './group.js';

it('a URL of a WebSocket is refused at once', async () => {
  for (const servers of ['ws://127.0.0.1:1', 'wss://a:secret-4@127.0.0.1:1']) {
    const error = await ConclaveClient.connect({ groupId: 'main', servers }).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'EINVAL', message: expect.stringContaining('is a WebSocket') });
    expect(String(error)).not.toContain('secret-4');
  }
});

// Node.js has WebSockets of its own from version 22 on.
it.runIf('WebSocket' in globalThis)('a connection by WebSocket can be passed in: calls and watches work', async () => {
  const [port] = await freePorts(1);
  const server = await startNats({ configuration: `websocket { listen: "127.0.0.1:${port}", no_tls: true }` });
  onTestFinished(() => server.stop());
  const plain = await connect({ servers: server.url });
  onTestFinished(() => plain.close());
  await new Group(plain).lead();
  const connection = await wsconnect({ servers: `ws://127.0.0.1:${port}` });
  onTestFinished(() => connection.close());
  const client = await ConclaveClient.connect({ groupId: 'main', connection });
  expect(await client.kv.put('k', 'v')).toEqual({ revision: 1 });
  expect(await client.kv.get('k')).toEqual({ key: 'k', value: 'v', revision: 1 });
  const watch = client.watch('', { state: true });
  expect((await watch.next()).value).toMatchObject({ type: 'reset' });
  expect((await watch.next()).value).toMatchObject({ type: 'put', key: 'k' });
  await client.close();
  expect(connection.isClosed()).toBe(false);
});
