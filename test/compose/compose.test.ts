// The compose file for real: its image is built, its services run, its members change while a client writes,
// containers die, and nothing that was acknowledged is lost. The tests are one story and run in order.

import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFailed, test } from 'vitest';
import { ComposeProject, freePorts } from './docker.js';
import { findLost, PlainClient, Writer } from './plain-client.js';
import { until } from './until.js';

const name = `conclave-test-${randomBytes(4).toString('hex')}`;

// Generous: two dozen containers may share two cores with other work.
const bootstrapTimeoutMs = 300_000;
const changeTimeoutMs = 60_000;
const electionTimeoutMs = 240_000;
const healthTimeoutMs = 300_000;
/** So many more acknowledged writes show that the group is at work. */
const someWrites = 50;

let project: ComposeProject;
let ports: number[];
let client: PlainClient | undefined;
let operator: PlainClient | undefined;
let writer: Writer | undefined;
let failed = false;

const connected = (): PlainClient => {
  if (client === undefined) throw new Error('the client is not connected');
  return client;
};

const commanding = (): PlainClient => {
  if (operator === undefined) throw new Error('the operator is not connected');
  return operator;
};

const writing = (): Writer => {
  if (writer === undefined) throw new Error('nothing is being written');
  return writer;
};

const untilBootstrapped = (): Promise<unknown> =>
  until('bootstrap has exited with 0', bootstrapTimeoutMs, async () => {
    const { Status, ExitCode } = await project.stateOf('bootstrap');
    return Status === 'exited' && ExitCode === 0 ? true : undefined;
  });

const untilWritten = (): Promise<unknown> => {
  const goal = writing().acknowledged.size + someWrites;
  return until(`${someWrites} more writes are acknowledged`, electionTimeoutMs, async () =>
    writing().acknowledged.size >= goal ? true : undefined,
  );
};

const untilLed = (by: (leaderId: string) => boolean): Promise<string> =>
  until('the group has such a leader', electionTimeoutMs, async () => {
    const { leader_id: leaderId } = await commanding().request('conclave.main.admin.status');
    return typeof leaderId === 'string' && by(leaderId) ? leaderId : undefined;
  });

/** Asks again when nobody leads at the moment or the answer was lost: asking twice is safe. */
const changePeers = (peers: readonly string[]): Promise<unknown> =>
  until(`the group is ${peers}`, 5 * changeTimeoutMs, async () => {
    const reply = await commanding().request(
      'conclave.main.admin.change_peers',
      { new_peers: peers, timeout_ms: changeTimeoutMs },
      changeTimeoutMs + 5_000,
    );
    if (reply.error !== undefined) throw new Error(`${reply.error.code}: ${reply.error.message}`);
    return reply.new_peers;
  });

beforeAll(async () => {
  ports = await freePorts(3);
  project = await ComposeProject.make(name, {
    CONCLAVE_IMAGE: inject('image'),
    CONCLAVE_NATS1_PORT: String(ports[0]),
    CONCLAVE_NATS2_PORT: String(ports[1]),
    CONCLAVE_NATS3_PORT: String(ports[2]),
    CONCLAVE_HEALTH_INTERVAL: '10s',
  });
});

afterAll(async () => {
  await writer?.stop();
  await client?.close();
  await operator?.close();
  await project?.remove();
});

describe('docker compose', () => {
  beforeEach((context) => {
    context.skip(failed, 'an earlier step failed');
    onTestFailed(async () => {
      failed = true;
      console.error(await project.describe());
    });
  });

  test('starts three peers and creates their group', async () => {
    await project.compose('up', '-d');
    await untilBootstrapped();

    client = await PlainClient.connect(ports, await project.login('client'));
    operator = await PlainClient.connect(ports, await project.login('operator'));
    await until('a write is acknowledged', electionTimeoutMs, async () => {
      await connected().put('first', '1');
      return true;
    });
    expect(await connected().get('first')).toBe('1');
    // The nodes of n2 and n3 too, so that they are seen to turn unhealthy later.
    const some = ['nats1', 'nats2', 'nats3', 'n1-node', 'n2-node', 'n3-node', 'n2-log-store', 'n3-ballot-box'];
    for (const service of some) {
      await project.untilHealth(service, 'healthy', healthTimeoutMs);
    }
  });

  test('rejects connections without a login, and commands of a client', async () => {
    await expect(PlainClient.connect(ports)).rejects.toThrow();
    const reply = project.compose('run', '--rm', '-T', 'client', 'peers', 'remove', 'n3', '--yes');
    await expect(reply).rejects.toThrow('EPERM');
    expect(await project.compose('run', '--rm', '-T', 'operator', 'status')).toMatch(/n3 +follower|n3 +leader/);
  });

  test('changes {n1,n2,n3} to {n1,n4,n5} while a client writes', async () => {
    writer = new Writer(connected());
    await untilWritten();

    await project.compose('--profile', 'spare', 'up', '-d');
    await untilBootstrapped();
    const peers = await changePeers(['n1', 'n4', 'n5']);

    expect([...(peers as string[])].sort()).toEqual(['n1', 'n4', 'n5']);
    await untilLed((leaderId) => ['n1', 'n4', 'n5'].includes(leaderId));
    await untilWritten();
  });

  test('reports the health of members and of removed peers (promise 22)', async () => {
    for (const service of ['n2-node', 'n3-node']) {
      await project.untilHealth(service, 'unhealthy', healthTimeoutMs);
      // On a machine without time to spare a check may also fail for that.
      await until(`${service} reports that it was removed`, healthTimeoutMs, async () =>
        (await project.lastHealthOutput(service)).includes('removed') ? true : undefined,
      );
    }
    for (const service of ['n1-node', 'n4-node', 'n5-node', 'n4-log-store', 'n5-replicator']) {
      await project.untilHealth(service, 'healthy', healthTimeoutMs);
    }
  });

  test("continues when the leader's node is killed, and the node returns", async () => {
    const old = await untilLed(() => true);
    await project.kill(`${old}-node`);

    await untilLed((leaderId) => leaderId !== old);
    await untilWritten();

    await project.startAgain(`${old}-node`);
    await project.untilHealth(`${old}-node`, 'healthy', healthTimeoutMs);
  });

  test('continues when a NATS server is killed', async () => {
    await project.kill('nats1');
    await untilWritten();

    await project.startAgain('nats1');
    await project.untilHealth('nats1', 'healthy', healthTimeoutMs);
    await untilWritten();
  });

  test('keeps every acknowledged write, also after down and up', async () => {
    await writing().stop();
    const { acknowledged } = writing();
    expect(await findLost(connected(), acknowledged)).toEqual([]);

    await project.down();
    await project.compose('--profile', 'spare', 'up', '-d');
    await untilBootstrapped();

    await untilLed((leaderId) => ['n1', 'n4', 'n5'].includes(leaderId));
    expect(await findLost(connected(), acknowledged)).toEqual([]);
  });

  test('creates no second group after a `down -v` that left the running spare peers their data (promises 6 and 29)', async () => {
    const { acknowledged } = writing();
    // Without their profile, n4 and n5 keep running, with their volumes: a majority of the group {n1,n4,n5}.
    await project.removeExcept(['n4', 'n5']);
    expect((await project.stateOf('n4-log-store')).Status).toBe('running');
    expect((await project.stateOf('n5-log-store')).Status).toBe('running');
    await client?.close();
    await operator?.close();
    await project.compose('up', '-d');
    await until('bootstrap has ended', bootstrapTimeoutMs, async () =>
      (await project.stateOf('bootstrap')).Status === 'exited' ? true : undefined,
    );

    client = await PlainClient.connect(ports, await project.login('client'));
    operator = await PlainClient.connect(ports, await project.login('operator'));
    await untilLed((leaderId) => ['n4', 'n5'].includes(leaderId));
    expect(await findLost(connected(), acknowledged)).toEqual([]);
    // The lost volume of n1 is replaced from the others.
    await project.untilHealth('n1-node', 'healthy', healthTimeoutMs);
  });
});
