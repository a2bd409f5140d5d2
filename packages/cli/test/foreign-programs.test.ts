/**
 * Programs that are no peers reply to requests: a JetStream stream that takes all subjects acknowledges them, in JSON and before the
 * peer replies.
 */
import { Connection, silentLog } from '@conclave/actor';
import { ConclaveClient } from '@conclave/client';
import { actorKinds, asGroupId, asPeerId, encode, Subjects } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { AdminClient } from '../src/admin-client.js';
import { checkHealth } from '../src/health-check.js';
import { openLogin } from '../src/login.js';
import { refuseDuplicateProcess } from '../src/run/duplicate-process.js';

const acknowledgement = '{"stream":"ALL","seq":1}';
const health = {
  ...{ group_id: 'main', peer_id: 'n1', actor: 'log-store', incarnation: 'i-1' },
  ...{ healthy: true, reason: '', dropped: {} },
};
const cleanUps: (() => unknown)[] = [];
let server: NatsServer;
let nats: NatsConnection;

beforeAll(async () => {
  server = await startNats();
  nats = await connect({ servers: server.url });
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});
afterAll(async () => {
  await nats.close();
  await server.stop();
});

/** Replies to each request on a subject with all of these. */
async function replies(subject: string, ...bodies: readonly (Uint8Array | string)[]): Promise<void> {
  const callback = (_: unknown, request: { respond(data: Uint8Array | string): boolean }) => {
    for (const body of bodies) request.respond(body);
  };
  const subscription = nats.subscribe(subject, { callback });
  cleanUps.push(() => subscription.unsubscribe());
  await nats.flush();
}

it('the client library uses the reply of the peer, and counts that of another program', async () => {
  await replies('conclave.main.admin.transfer_leader', acknowledgement, encode({}));
  const client = await ConclaveClient.connect({ servers: server.url, groupId: 'main' });
  cleanUps.push(() => client.close());
  expect(await client.admin.transferLeader()).toEqual({});
  expect(client.status().dropped.foreign_reply).toBe(1);
});

it('a command uses the reply of the peer; without one, its outcome is unknown and the error names the other program', async () => {
  const adminClient = new AdminClient(nats, asGroupId('main'), 'conclave');
  await replies('conclave.main.admin.transfer_leader', acknowledgement, encode({}));
  expect(await adminClient.admin('transfer_leader', {}, { timeoutMs: 60_000 })).toEqual({});
  await replies('conclave.main.admin.cancel_change', acknowledgement);
  await expect(adminClient.admin('cancel_change', {}, { timeoutMs: 50 })).rejects.toMatchObject({
    code: 'ETIMEDOUT',
    outcome: 'unknown',
    message: expect.stringContaining('from another program: does a JetStream stream take'),
  });
});

it('a health check uses the first reply that is about health', async () => {
  const asked = {
    ...{ peer: 'n1', actors: ['log-store'], groups: ['main'], prefix: 'conclave', timeoutMs: 60_000 },
    ...{ allGroups: false, allPeers: false, json: false, login: [{ servers: server.url }] },
  };
  await replies('conclave.main.n1.log-store.health', acknowledgement, 'no JSON', JSON.stringify(health));
  expect(await checkHealth(asked)).toMatchObject({ healthy: true, actors: [{ actor: 'log-store', reason: '' }] });
  // The members are those that a peer reports, not other programs that reply to NATS's service discovery.
  const infoOf = (peer: unknown) => JSON.stringify({ name: 'conclave', metadata: { group_id: 'main', peer_id: peer } });
  await replies('$SRV.INFO.conclave', acknowledgement, 'no JSON', 'null', infoOf(7), infoOf('a b'), infoOf('n1'));
  const ofAll = await checkHealth({ ...asked, peer: '', allPeers: true, timeoutMs: 2000 });
  expect(ofAll).toMatchObject({ healthy: true, problem: '', actors: [{ peer_id: 'n1' }] });
  const login = [{ servers: server.url, inboxPrefix: 'conclave.main' }];
  const problem = expect.stringContaining('choose another inbox prefix');
  expect(await checkHealth({ ...asked, login })).toMatchObject({ healthy: false, problem });
});

it('a peer starts although other programs reply for it, and not where one replies as the actor that it is', async () => {
  const connection = await Connection.open({ login: openLogin(server.url), name: 'n1', log: silentLog });
  cleanUps.push(() => connection.close());
  const subjects = new Subjects('conclave');
  const options = {
    ...{ actors: actorKinds, groups: [asGroupId('main')], peer: asPeerId('n1'), prefix: 'conclave', takeOver: false },
  };
  const ofOthers = [{ peer_id: 'n2' }, { group_id: 'other' }, { actor: 'node' }].map((other) =>
    JSON.stringify({ ...health, ...other }),
  );
  await replies('conclave.main.n1.log-store.health', acknowledgement, ...ofOthers);
  (await refuseDuplicateProcess(options, connection, subjects)).close();
  await replies('conclave.main.n1.log-store.health', JSON.stringify(health));
  await expect(refuseDuplicateProcess(options, connection, subjects)).rejects.toMatchObject({ code: 'EBUSY' });
});
