import { encode } from '@conclave/protocol';
import { connect } from 'nats';
import { expect, it, onTestFinished } from 'vitest';
import { startNats } from '../../../test/support/nats.js';
import { ConclaveClient } from '../src/index.js';

const configured = (allowed: string): string => `authorization { timeout: 60, users: [
  { user: peer, password: p }
  { user: app, password: p, permissions: { publish: ">", subscribe: [${allowed}] } }
] }`;

it('a client whose replies NATS refuses fails its calls with EPERM, and makes them again once NATS permits replies', async () => {
  const server = await startNats({ configuration: configured('"_INBOX.>"') });
  onTestFinished(() => server.stop());
  const peer = await connect({ servers: server.url, user: 'peer', pass: 'p' });
  onTestFinished(() => peer.close());
  peer.subscribe('conclave.main.admin.transfer_leader', { callback: (_, request) => void request.respond(encode({})) });
  await peer.flush();
  const login = { user: 'app', password: 'p' };
  const client = await ConclaveClient.connect({ groupId: 'main', servers: server.url, login });
  onTestFinished(() => client.close());
  const call = () => client.admin.transferLeader(undefined, { timeoutMs: 20_000 });
  expect(await call()).toEqual({});

  await server.reload(configured('"x"'));
  await client.connection.flush();
  await expect(call()).rejects.toMatchObject({ code: 'EPERM', outcome: 'not_done' });

  await server.reload(configured('"_INBOX.>"'));
  // The subscription is made again once a second at most.
  for (;;) {
    const result = await call().catch((error: { code: string }) => error);
    if ('code' in result && result.code === 'EPERM') continue;
    expect(result).toEqual({});
    break;
  }
}, 60_000);

it('a client whose replies would go to a subject of Conclave or of NATS receives an error at once', async () => {
  const server = await startNats();
  onTestFinished(() => server.stop());
  const options = { groupId: 'main', prefix: 'a.b', servers: server.url };
  for (const inboxPrefix of ['a.b', 'a.b.main.admin', '$SYS', '$JS.API']) {
    const refused = { code: 'EINVAL', message: expect.stringContaining(`another inbox prefix than ${inboxPrefix}`) };
    await expect(ConclaveClient.connect({ ...options, login: { inboxPrefix } })).rejects.toMatchObject(refused);
  }
  for (const inboxPrefix of ['a.bc', 'b', '_INBOX.a.b']) {
    await (await ConclaveClient.connect({ ...options, login: { inboxPrefix } })).close();
  }
});
