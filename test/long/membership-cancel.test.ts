import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Mesh, Stops } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import {
  cancelChange,
  changePeers,
  changeUntilDone,
  expectAllKept,
  holdCatchingUp,
  holdJoint,
  holdStable,
  lead,
  oldPeersOf,
  PausedStores,
  peersOf,
} from '../mesh/membership-stages.js';
import { startNats } from '../support/nats.js';

const old = ['n1', 'n2', 'n3'];
const all = [...old, 'n4', 'n5'];
const stops = new Stops();
let mesh: Mesh;
let stores: PausedStores;
let writers: Writers;

beforeAll(async () => {
  const server = await startNats();
  stops.add(() => server.stop());
  // A stage that is held open is not to end by itself, however slow the machine is.
  const args = ['--joint-timeout-ms', '60000', '--change-timeout-ms', '60000'];
  mesh = await Mesh.found({ servers: [server], peers: old, placement: 'two', args }, stops);
  stores = new PausedStores(mesh);
  await mesh.start('n4', 'n5');
  writers = await Writers.start([server.url], 16);
  stops.add(() => writers.stop());
  await writers.progress();
});

afterEach(async () => {
  stores.wakeAll();
  await mesh.start(...all);
  await changeUntilDone(mesh, old);
});

afterAll(() => stops.run());

/** The old configuration is effective, and the first request for another change is accepted. */
async function expectAsBefore(): Promise<void> {
  const { body } = await changePeers(mesh, ['n2', 'n3']);
  expect(body).toEqual({ old_peers: old, new_peers: ['n2', 'n3'] });
}

describe('cancel_change', () => {
  test('without a change fails with ENOENT', async () => {
    const { body, errorCode } = await cancelChange(mesh);
    expect(errorCode).toBe(404);
    expect(body.error).toMatchObject({ code: 'ENOENT', outcome: 'not_done' });
  });

  test('promise 1: cancel_change ends a change at once while new peers catch up, and the next change is accepted', async () => {
    const { configuration_index } = await lead(mesh, 'n2');
    const { answer, events } = await holdCatchingUp(mesh, stores);
    const busy = await changePeers(mesh, ['n1', 'n2']);
    expect(busy.body.error).toMatchObject({ code: 'EBUSY', outcome: 'not_done' });

    const { body } = await cancelChange(mesh);

    const cancelled = { old_peers: old, new_peers: ['n1', 'n4', 'n5'], state: 'undone', stage: 'catching_up' };
    expect(body.cancelled).toMatchObject(cancelled);
    expect(await answer).toMatchObject({ errorCode: 409, body: { error: { code: 'ECANCELED', outcome: 'not_done' } } });
    await events.received('change_failed', { peer_id: 'n2', new_peers: ['n1', 'n4', 'n5'] });
    expect(events.storyOf('n2')).toEqual(['stage catching_up', 'failed', 'stage none']);
    const status = await mesh.leaderStatus();
    expect(status).toMatchObject({ stage: 'none', configuration_index });
    expect(peersOf(status)).toEqual(old);
    expect(status.changes.at(-1)).toMatchObject(cancelled);
    await expectAsBefore();
    await writers.progress();
    await expectAllKept(mesh, writers, ['n2', 'n3']);
  });

  test('promise 1: a change whose new peer stays down ends at its deadline, and the next change is accepted', async () => {
    const { answer } = await holdCatchingUp(mesh, stores, { timeout_ms: 1500 });
    const ended = await answer;
    expect(ended).toMatchObject({ errorCode: 504, body: { error: { code: 'ECATCHUP', outcome: 'not_done' } } });
    await expectAsBefore();
    expect(writers.failed).toEqual([]);
  });

  test('promise 13: cancel_change in the joint stage needs only a majority of the old configuration', async () => {
    await lead(mesh, 'n2');
    const { answer, events } = await holdJoint(mesh, stores, writers);
    // All the others that are not needed are gone.
    await mesh.kill('n1', 'n4', 'n5');

    const { body } = await cancelChange(mesh);

    expect(body.cancelled).toMatchObject({ old_peers: old, new_peers: ['n1', 'n4', 'n5'], state: 'undone' });
    expect(await answer).toMatchObject({ errorCode: 409, body: { error: { code: 'ECANCELED', outcome: 'not_done' } } });
    expect(events.storyOf('n2')).toEqual([
      'stage catching_up',
      'stage joint',
      'appended n1,n4,n5 and n1,n2,n3',
      'stage stable',
      'appended n1,n2,n3',
      'committed n1,n4,n5 and n1,n2,n3',
      'committed n1,n2,n3',
      'failed',
      'stage none',
    ]);
    const status = await mesh.leaderStatus();
    expect(peersOf(status)).toEqual(old);
    expect(oldPeersOf(status)).toEqual([]);
    expect(status.changes.at(-1)).toMatchObject({ new_peers: ['n1', 'n4', 'n5'], state: 'undone' });
    await expectAsBefore();
    await writers.progress();
    await expectAllKept(mesh, writers, ['n2', 'n3']);
  });

  test('cancel_change fails with EBUSY in the stable stage, and the change continues', async () => {
    await lead(mesh, 'n1');
    const { answer } = await holdStable(mesh, stores);

    const { body, errorCode } = await cancelChange(mesh);

    expect(errorCode).toBe(429);
    expect(body.error).toMatchObject({ code: 'EBUSY', outcome: 'not_done' });
    stores.wakeAll();
    expect(await answer).toMatchObject({ errorCode: 0, body: { old_peers: old, new_peers: [...old, 'n4'] } });
    await writers.progress();
    await expectAllKept(mesh, writers, [...old, 'n4']);
  });
});

describe('a joint stage that is never committed', () => {
  const own = new Stops();
  afterAll(() => own.run());

  test('promises 1 and 11: a joint stage that is not committed is rolled back at its deadline, and the error names the missing votes', async () => {
    const server = await startNats();
    own.add(() => server.stop());
    const args = ['--joint-timeout-ms', '1000'];
    const placement = (peer: string) => (peer === 'n2' || peer === 'n3' ? 'one' : 'two');
    const stuck = await Mesh.found({ servers: [server], peers: old, placement, args }, own);
    await stuck.start('n4', 'n5');
    await lead(stuck, 'n2');
    const paused = new PausedStores(stuck);
    const { answer, events } = await holdCatchingUp(stuck, paused);
    paused.pause('n1', 'n4');
    paused.wake('n5');

    const ended = await answer;

    expect(ended).toMatchObject({ errorCode: 409, body: { error: { code: 'ECANCELED', outcome: 'not_done' } } });
    expect(JSON.stringify(ended)).toMatch(/missing votes: of the new set (n1 n4|n4 n1), of the old set n1/);
    expect(events.storyOf('n2').slice(0, 3)).toEqual([
      'stage catching_up',
      'stage joint',
      'appended n1,n4,n5 and n1,n2,n3',
    ]);
    expect(peersOf(await stuck.leaderStatus())).toEqual(old);
    const next = await changePeers(stuck, ['n2', 'n3']);
    expect(next.body).toEqual({ old_peers: old, new_peers: ['n2', 'n3'] });
    paused.wakeAll();
  });
});
