import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops } from './fault-mesh.js';
import { Writers } from './fault-writers.js';
import { changePeers, EventsSince, expectAllKept, lead, oldPeersOf, peersOf, theLeader } from './membership-stages.js';

const stops = new Stops();
let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
});

afterAll(() => stops.run());

describe('{n1,n2,n3} becomes {n1,n4,n5} while 256 writers write, four processes a peer', () => {
  const own = new Stops();
  afterAll(() => own.run());

  test('in a membership change no write fails, no acknowledged write is lost, and the events show the stages in order', async () => {
    const mesh = await Mesh.found({ servers: [server], peers: ['n1', 'n2', 'n3'], placement: 'four' }, own);
    const writers = await Writers.start([server.url], 256);
    own.add(() => writers.stop());
    await mesh.start('n4', 'n5');
    await lead(mesh, 'n1');
    await writers.progress(2000);

    const events = new EventsSince(mesh);
    const { body } = await changePeers(mesh, ['n1', 'n4', 'n5']);

    expect(body).toEqual({ old_peers: ['n1', 'n2', 'n3'], new_peers: ['n1', 'n4', 'n5'] });
    await writers.progress(2000);
    await writers.stop();
    await expectAllKept(mesh, writers, ['n1', 'n4', 'n5']);
    await events.received('peer_removed', { peer_id: 'n2' });
    await events.received('peer_removed', { peer_id: 'n3' });
    expect(events.storyOf('n1')).toEqual([
      'stage catching_up',
      'stage joint',
      'appended n1,n4,n5 and n1,n2,n3',
      'committed n1,n4,n5 and n1,n2,n3',
      'stage stable',
      'appended n1,n4,n5',
      'committed n1,n4,n5',
      'stage none',
    ]);
    // Nobody counts before it has caught up.
    const names = events.all.map(({ name, body }) => (name === 'stage_changed' ? `${name} ${body.stage}` : name));
    for (const peer of ['n4', 'n5']) {
      const caughtUp = await events.received('catchup_progress', { new_peer: peer, state: 'caught_up' });
      expect(events.all.indexOf(caughtUp)).toBeLessThan(names.indexOf('stage_changed joint'));
    }
    const status = await mesh.leaderStatus();
    expect(status).toMatchObject({ stage: 'none', peer_id: 'n1' });
    expect(peersOf(status)).toEqual(['n1', 'n4', 'n5']);
    expect(oldPeersOf(status)).toEqual([]);
    expect(status.changes.at(-1)).toMatchObject({ new_peers: ['n1', 'n4', 'n5'], state: 'done' });
  });
});

describe('a group grows, loses its leader, and shrinks while 32 writers write', () => {
  const own = new Stops();
  let mesh: Mesh;
  let writers: Writers;
  const all = ['n1', 'n2', 'n3', 'n4', 'n5'];

  beforeAll(async () => {
    mesh = await Mesh.found({ servers: [server], peers: ['n1'], placement: 'one', groups: ['grown'] }, own);
    await mesh.start('n2', 'n3', 'n4', 'n5');
    writers = await Writers.start([server.url], 32, 'grown');
    own.add(() => writers.stop());
    await writers.progress();
  });

  afterAll(() => own.run());

  async function changeTo(newPeers: readonly string[]): Promise<EventsSince> {
    const events = new EventsSince(mesh);
    const { body } = await changePeers(mesh, newPeers);
    expect(body).toMatchObject({ new_peers: newPeers });
    await writers.progress();
    const status = await theLeader(mesh, (peer) => newPeers.includes(peer));
    expect(peersOf(status)).toEqual(newPeers);
    expect(oldPeersOf(status)).toEqual([]);
    expect(writers.failed).toEqual([]);
    return events;
  }

  test('promise 2: growing from one peer to five fails no write', async () => {
    await changeTo(all);
    await expectAllKept(mesh, writers, all);
  });

  test('promise 2: new peers that are dead make no write fail, and are never counted in a quorum', async () => {
    const dead = ['n6', 'n7', 'n8'];
    const { term } = await mesh.leaderStatus();
    const { body, errorCode } = await changePeers(mesh, ['n1', ...dead], { timeout_ms: 1000 });
    expect(errorCode).toBe(504);
    expect(body.error).toMatchObject({ code: 'ECATCHUP', outcome: 'not_done' });
    for (const peer of dead) expect(JSON.stringify(body)).toContain(`${peer} (never answered)`);
    await writers.progress();
    const status = await mesh.leaderStatus();
    expect(status).toMatchObject({ stage: 'none', term });
    expect(peersOf(status)).toEqual(all);
    expect(writers.failed).toEqual([]);
  });

  test('promise 10: in a change to a set without the leader, leadership is transferred and writes continue', async () => {
    await lead(mesh, 'n1');
    const others = ['n2', 'n3', 'n4', 'n5'];
    const events = await changeTo(others);
    await events.received('leader_stepped_down', { peer_id: 'n1' });
    const { term } = await mesh.leaderStatus();
    // The removed peer knows that it is removed, and raises the term of no peer.
    await events.received('peer_removed', { peer_id: 'n1' });
    expect((await mesh.statusOnce('n1')).health).toMatchObject({ healthy: false });
    await writers.progress();
    expect((await mesh.leaderStatus()).term).toBe(term);
    await expectAllKept(mesh, writers, others);
  });

  test('promise 2: shrinking to one peer that does not lead fails no write', async () => {
    await lead(mesh, 'n2');
    await changeTo(['n5']);
    await expectAllKept(mesh, writers, ['n5']);
  });

  test('promise 2: a removed peer is added again, and becomes the only member', async () => {
    await changeTo(['n1', 'n5']);
    await changeTo(['n1']);
    await expectAllKept(mesh, writers, ['n1']);
  });
});
