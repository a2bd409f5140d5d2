import { checkHistory } from '@conclave/simulator/linearizability';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Load } from '../chaos/load.js';
import { Recorder } from '../chaos/recorder.js';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import {
  changePeers,
  changeTo,
  changeUntilDone,
  EventsSince,
  expectAllKept,
  holdCatchingUp,
  holdJoint,
  holdStable,
  lead,
  leaderSays,
  oldPeersOf,
  PausedStores,
  peersOf,
  theLeader,
} from '../mesh/membership-stages.js';
import { type NatsServer, startNats } from '../support/nats.js';

const old = ['n1', 'n2', 'n3'];
const all = [...old, 'n4', 'n5'];
const stops = new Stops();
let mesh: Mesh;
let stores: PausedStores;
let writers: Writers;
let server: NatsServer;
/** Clients that read, swap and delete the same keys all the time, and the replies that they received. */
let load: Load;
const recorder = new Recorder(() => {});

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  // A stage that is held open is not to end by itself, however slow the machine is.
  const args = ['--joint-timeout-ms', '60000', '--change-timeout-ms', '60000'];
  mesh = await Mesh.found({ servers: [server], peers: old, placement: 'two', args }, stops);
  stores = new PausedStores(mesh);
  await mesh.start('n4', 'n5');
  writers = await Writers.start([server.url], 16);
  stops.add(() => writers.stop());
  load = await Load.start({ seed: 1, clients: 8, urls: [server.url], recorder });
  stops.add(() => load.stop());
  await writers.progress();
});

afterEach(async () => {
  stores.wakeAll();
  await mesh.start(...all);
  await changeUntilDone(mesh, old);
});

afterAll(() => stops.run());

/** Kills these peers while calls of the clients are in progress. */
async function killUnderLoad(...names: readonly string[]): Promise<void> {
  await until('a call is in progress', async () => (recorder.open > 0 ? true : undefined));
  await mesh.kill(...names);
}

/** Requests the change again: it is made, or is effective already; and all that was acknowledged is there. */
async function expectDoneOnceMore(newPeers: readonly string[]): Promise<void> {
  await changeUntilDone(mesh, newPeers);
  // A removed leader transfers its leadership, and the next one first confirms the configuration that it has.
  const { term, configuration_index } = await theLeader(mesh, (peer) => newPeers.includes(peer));
  const { body } = await changePeers(mesh, newPeers);
  expect(body).toEqual({ old_peers: newPeers, new_peers: newPeers });
  // Nothing was appended for it.
  expect(await theLeader(mesh)).toMatchObject({ term, configuration_index, stage: 'none' });
  await writers.progress();
  await expectAllKept(mesh, writers, newPeers);
}

describe('kill -9 of the leader, all of its actors', () => {
  test('promises 3 and 7: if the leader is killed while new peers catch up, the change has no effect', async () => {
    const { term } = await lead(mesh, 'n2');
    await holdCatchingUp(mesh, stores);

    await killUnderLoad('n2');

    const status = await mesh.leaderAfter(term, 'n2');
    expect(status.stage).toBe('none');
    expect(peersOf(status)).toEqual(old);
    expect(oldPeersOf(status)).toEqual([]);
    expect(status.changes.filter(({ state }) => state === 'going_on')).toEqual([]);
    // The next leader reports the outcome, although the log had no entry of the change.
    expect(status.changes.at(-1)).toMatchObject({ state: 'undone', stage: 'catching_up', error: { code: 'EPERM' } });
    await writers.progress();
    stores.wake('n5');
    await expectDoneOnceMore(['n1', 'n4', 'n5']);
  });

  test('promises 3 and 7: if the leader is killed in the joint stage, the next leader completes the change', async () => {
    const { term } = await lead(mesh, 'n2');
    await holdJoint(mesh, stores, writers, load);
    const events = new EventsSince(mesh);

    await killUnderLoad('n2');
    stores.wakeAll();

    await mesh.leaderAfter(term, 'n2');
    const status = await leaderSays(mesh, 'the outcome of the change', (said) => {
      const change = changeTo(said, ['n1', 'n4', 'n5']);
      // Until then its present stage is reported.
      expect(change?.state === 'going_on' || said.stage === 'none').toBe(true);
      return change !== undefined && change.state !== 'going_on';
    });
    expect(changeTo(status, ['n1', 'n4', 'n5'])).toMatchObject({ old_peers: old, state: 'done' });
    expect(peersOf(status)).toEqual(['n1', 'n4', 'n5']);
    await events.received('stage_changed', { stage: 'stable', new_peers: ['n1', 'n4', 'n5'] });
    await expectDoneOnceMore(['n1', 'n4', 'n5']);
  });

  test('promise 3: if all peers are killed in the joint stage, the change ends once majorities of both sets have restarted', async () => {
    const { term } = await lead(mesh, 'n2');
    // No write succeeds while no peer runs; what was acknowledged before must exist afterwards.
    const before = writers;
    await before.stop();
    await holdJoint(mesh, stores, load);

    await killUnderLoad(...all);
    // n1 and n3 of the old, n1 and n5 of the new. What the joint stage has is stored by n3 and n5.
    await mesh.start('n1', 'n3', 'n5');

    await mesh.leaderAfter(term, 'n2');
    const status = await leaderSays(mesh, 'the change is done', (said) => {
      return changeTo(said, ['n1', 'n4', 'n5'])?.state === 'done' && said.stage === 'none';
    });
    expect(peersOf(status)).toEqual(['n1', 'n4', 'n5']);
    await mesh.start('n4');
    writers = await Writers.start([server.url], 16);
    await expectAllKept(mesh, before, ['n1', 'n4', 'n5']);
    await expectDoneOnceMore(['n1', 'n4', 'n5']);
  });

  test('promises 3 and 7: if the leader is killed in the stable stage, the change is completed or rolled back, and status reports which', async () => {
    const { term } = await lead(mesh, 'n1');
    await holdStable(mesh, stores);

    await killUnderLoad('n1');
    stores.wakeAll();

    await mesh.leaderAfter(term, 'n1');
    const grown = [...old, 'n4'];
    const status = await leaderSays(mesh, 'the change is over', (said) => {
      return changeTo(said, grown)?.state !== 'going_on' && said.commit_index >= said.configuration_index;
    });
    // Undone is one that is in no log any more.
    const isDone = changeTo(status, grown)?.state === 'done';
    expect(peersOf(status)).toEqual(isDone ? grown : old);
    await mesh.start('n1');
    await expectDoneOnceMore(grown);
  });
});

test('promises 16 and 21: all reads, writes, swaps and deletes of clients meanwhile are linearizable', async () => {
  await load.stop();
  const judgement = checkHistory(recorder.history);
  expect(judgement.verdict, 'report' in judgement ? judgement.report : '').toBe('linearizable');
  expect(recorder.errors).toEqual([]);
  for (const { done } of Object.values(recorder.counts)) expect(done).toBeGreaterThan(0);
});
