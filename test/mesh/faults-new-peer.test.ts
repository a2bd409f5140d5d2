import type { ErrorBody, StatusReply } from '@conclave/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { Writers } from './fault-writers.js';

/** A group of three that is written to all the while; each test has its own new peer. */
const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;
let writers: Writers;
let before: StatusReply;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  const placement = (name: string) => (names.includes(name) ? 'one' : 'four');
  mesh = await Mesh.found({ servers: [server], peers: names, placement }, stops);
  writers = await Writers.start([server.url]);
  stops.add(() => writers.stop());
  await writers.progress();
  before = await mesh.leaderStatus();
});

/** Whatever happened to the new peer: the same leader, in the same term, for the same peers, and every write is done. */
afterEach(async () => {
  await writers.progress();
  const after = await mesh.leaderStatus();
  expect(after).toMatchObject({ peer_id: before.peer_id, term: before.term, stage: 'none' });
  expect(membersOf(after).sort()).toEqual(names);
  expect(writers.failed).toEqual([]);
});

afterAll(() => stops.run());

function membersOf({ configuration }: StatusReply): string[] {
  expect(configuration?.old_peers).toEqual([]);
  return configuration?.peers.map(({ peer_id }) => peer_id) ?? [];
}

async function refusal(command: string, body: unknown): Promise<ErrorBody> {
  const reply = await mesh.plain.ask(`admin.${command}`, body, 30_000);
  expect(reply.errorCode).not.toBe(0);
  return reply.body.error as ErrorBody;
}

/** Nothing of the failed change is left, and the next one is taken at once (promise 1). */
async function expectAsBefore(newPeer: string, error: ErrorBody): Promise<void> {
  // Its replicator has stopped, which the leader notices at the next tick.
  const status = await until(`no replicator serves ${newPeer}`, async () => {
    const now = await mesh.leaderStatus();
    return now.progress.some(({ peer_id }) => peer_id === newPeer) ? undefined : now;
  });
  expect(status.changes.at(-1)).toMatchObject({ state: 'undone', stage: 'catching_up', error: { code: error.code } });
  expect(await mesh.plain.ask('admin.change_peers', { new_peers: names })).toMatchObject({ errorCode: 0 });
  // A change that is really one is not met by EBUSY either; this one is taken back again.
  const next = mesh.plain.ask('admin.add_peer', { peer_id: 'n99', timeout_ms: 60_000 }, 60_000);
  await until('the next change is in progress', async () => {
    const { changes } = await mesh.leaderStatus();
    return changes.at(-1)?.state === 'going_on' ? true : undefined;
  });
  expect(await mesh.plain.ask('admin.cancel_change')).toMatchObject({ errorCode: 0 });
  expect((await next).body).toMatchObject({ error: { code: 'ECANCELED', outcome: 'not_done' } });
}

describe('a new peer that does not catch up does not harm the group:', () => {
  it('if a new peer is dead, the change fails with ECATCHUP at its deadline, and the error names the peer (promises 1, 2 and 12)', async () => {
    const error = await refusal('add_peer', { peer_id: 'n4', timeout_ms: 1000 });
    expect(error).toMatchObject({ code: 'ECATCHUP', outcome: 'not_done' });
    expect(error.message).toContain('n4 (never answered)');
    await expectAsBefore('n4', error);
  });

  it('if two new peers that would be a majority of the new set are dead, nothing is appended (promises 2 and 11)', async () => {
    const { configuration_index } = await mesh.leaderStatus();
    const error = await refusal('change_peers', { new_peers: ['n1', 'n4', 'n5'], timeout_ms: 1000 });
    expect(error).toMatchObject({ code: 'ECATCHUP', outcome: 'not_done' });
    expect(error.message).toContain('n4 (never answered)');
    expect(error.message).toContain('n5 (never answered)');
    expect((await mesh.leaderStatus()).configuration_index).toBe(configuration_index);
  });

  it('paused from the start (SIGSTOP): never reachable, and added once it resumes', async () => {
    await mesh.start('n6');
    for (const process of mesh.peer('n6').processes) process.signal('SIGSTOP');
    const error = await refusal('add_peer', { peer_id: 'n6', timeout_ms: 1000 });
    expect(error).toMatchObject({ code: 'ECATCHUP', outcome: 'not_done' });
    expect(error.message).toContain('n6 (never answered)');
    await expectAsBefore('n6', error);

    for (const process of mesh.peer('n6').processes) process.signal('SIGCONT');
    await expectAdmitted('n6');
  });

  it('if a new peer is paused while it catches up, the error contains the number of entries that it lacks, and the reason (promise 12)', async () => {
    await mesh.start('n7');
    await mesh.healthy('n7');
    mesh.peer('n7').process('log-store').signal('SIGSTOP');
    const asked = refusal('add_peer', { peer_id: 'n7', timeout_ms: 2000 });
    await mesh.plain.event('catchup_progress', (body) => body.new_peer === 'n7' && body.state === 'lagging');
    const error = await asked;
    expect(error).toMatchObject({ code: 'ECATCHUP', outcome: 'not_done' });
    expect(error.message).toMatch(
      /n7 \(lags by [1-9][0-9]* entries, stored 0 entries\/s while the group wrote [0-9]+ entries\/s\): (silent for [1-9]|its log-store stores nothing)/,
    );
    await expectAsBefore('n7', error);

    mesh.peer('n7').process('log-store').signal('SIGCONT');
    await expectAdmitted('n7');
  });
});

describe('a new peer that is late', () => {
  it('a new peer may be started after the request: the change waits for it and succeeds (promise 8)', async () => {
    const asked = mesh.plain.ask('admin.add_peer', { peer_id: 'n8', timeout_ms: 60_000 }, 60_000);
    await mesh.plain.event('catchup_progress', (body) => body.new_peer === 'n8' && body.state === 'never_heard_of');
    await mesh.start('n8');
    expect(await asked).toMatchObject({ errorCode: 0, body: { new_peers: [...names, 'n8'] } });
    await expectToHaveAll('n8');
    await removeAndStop('n8');
  });
});

describe('a new peer with another history', () => {
  it('a new peer with another history is rejected with ENOTEMPTY before it receives an entry (promise 5)', async () => {
    // It was a member of another group of the same name, elsewhere.
    const elsewhere = await startNats();
    stops.add(() => elsewhere.stop());
    const other = await Mesh.found({ servers: [elsewhere], peers: ['n9', 'n10', 'n11'], placement: 'one' }, stops);
    await other.plain.insist('kv.put', { key: 'of', value: 'the other group' });
    await other.caughtUp('n9');
    const held = await other.status('n9');
    await other.kill('n9', 'n10', 'n11');

    const moved = mesh.peer('n9', other.peer('n9').dataDir);
    await moved.start();
    const error = await refusal('add_peer', { peer_id: 'n9', timeout_ms: 30_000 });
    expect(error).toMatchObject({ code: 'ENOTEMPTY', outcome: 'not_done', message: expect.stringContaining('n9') });
    await mesh.plain.event('catchup_progress', (body) => body.new_peer === 'n9' && body.state === 'refused');
    await expectAsBefore('n9', error);
    const { group_uid, last_index, store_id } = await mesh.status('n9');
    expect({ group_uid, last_index, store_id }).toEqual({
      group_uid: held.group_uid,
      last_index: held.last_index,
      store_id: held.store_id,
    });
    expect(group_uid).not.toBe(before.group_uid);
  });
});

async function expectAdmitted(newPeer: string): Promise<void> {
  const { new_peers } = await mesh.plain.insist('admin.add_peer', { peer_id: newPeer });
  expect(new_peers).toEqual([...names, newPeer]);
  await expectToHaveAll(newPeer);
  await removeAndStop(newPeer);
}

async function expectToHaveAll(newPeer: string): Promise<void> {
  expect(await mesh.missing(newPeer, new Map(writers.acknowledged))).toEqual([]);
}

async function removeAndStop(newPeer: string): Promise<void> {
  await mesh.plain.insist('admin.remove_peer', { peer_id: newPeer });
  await mesh.plain.event('peer_removed', (body) => body.peer_id === newPeer);
  await mesh.kill(newPeer);
}
