import type { PeerId } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { DirectMesh } from './support/direct-mesh.js';

const ids = (...names: string[]) => names as PeerId[];
const [n1, n2, n3] = ids('n1', 'n2', 'n3') as [PeerId, PeerId, PeerId];

function founded(peers: PeerId[], spare: PeerId[] = [], seed = 1): DirectMesh {
  const mesh = new DirectMesh([...peers, ...spare], seed);
  mesh.run(500);
  const answer = mesh.answered(mesh.admin(peers[0] as PeerId, 'peer', 'bootstrap', { peers }), 20_000);
  expect(answer).toMatchObject({ result: { founded: true, peers } });
  return mesh;
}

describe('a mesh of the four cores', () => {
  test('bootstraps a group of one', () => {
    const mesh = founded([n1]);
    expect(mesh.leader).toBe(n1);
  });

  test('bootstraps a group although all other peers answer before the founder’s own actors do', () => {
    const mesh = new DirectMesh([n1, n2, n3]);
    for (const kind of ['node', 'ballot-box', 'log-store']) mesh.network.cut([['n1.replicator'], [`n1.${kind}`]], true);
    mesh.run(50);
    const asked = mesh.admin(n1, 'peer', 'bootstrap', { peers: [n1, n2, n3] });
    mesh.run(4000);
    mesh.network.endCuts();
    expect(mesh.answered(asked, 2000)).toMatchObject({ result: { founded: true } });
  });

  test('lets nobody else bootstrap the group while its founder waits for another peer', () => {
    const mesh = new DirectMesh([n1, n2, n3]);
    mesh.run(500);
    mesh.network.cut([[n3], [n1, n2]], false);
    const asked = mesh.admin(n1, 'peer', 'bootstrap', { peers: [n1, n2, n3] });
    mesh.run(7000);
    const other = mesh.answered(mesh.admin(n2, 'peer', 'bootstrap', { peers: [n2] }), 2000);
    expect(other).toMatchObject({ error: { code: 'EBUSY', outcome: 'not_done' } });
    mesh.network.endCuts();
    expect(mesh.answered(asked, 2000)).toMatchObject({ result: { founded: true, peers: [n1, n2, n3] } });
  });

  test('bootstraps a group of three, which writes and reads', () => {
    const mesh = founded([n1, n2, n3]);
    expect(mesh.answered(mesh.put(n1, 'a', '1'))).toMatchObject({
      result: { results: [['done', expect.any(Number), true]] },
    });
    expect(mesh.answered(mesh.get(n1, 'a'))).toMatchObject({ result: expect.anything() });
    mesh.run(300);
    for (const peer of [n1, n2, n3]) expect(mesh.valueAt(peer, 'a')).toBe('1');
  });

  test('changes {n1,n2,n3} to {n1,n4,n5} through all stages', () => {
    const [n4, n5] = ids('n4', 'n5') as [PeerId, PeerId];
    const mesh = founded([n1, n2, n3], [n4, n5]);
    mesh.answered(mesh.put(n1, 'a', '1'));
    const answer = mesh.answered(mesh.adminOfGroup('change_peers', { new_peers: [n1, n4, n5] }));
    expect(answer).toMatchObject({ result: { new_peers: [n1, n4, n5] } });
    mesh.run(1000);
    for (const peer of [n1, n4, n5]) expect(mesh.valueAt(peer, 'a')).toBe('1');
    const removed = mesh.events.filter(({ event }) => event.name === 'peer_removed').map(({ peerId }) => peerId);
    expect(removed.sort()).toEqual([n2, n3]);
  });

  test('makes a new peer a member within a tick after it was added, on average, while clients write', () => {
    const [n4] = ids('n4') as [PeerId];
    const tookMs = Array.from({ length: 10 }, (_, at) => {
      const mesh = founded([n1, n2, n3], [n4], at + 1);
      // At any time between two ticks.
      mesh.run(10 * at);
      const beganMs = mesh.nowMs;
      const asked = mesh.adminOfGroup('add_peer', { peer_id: n4 });
      for (let written = 0; !mesh.hasReply(asked) && written < 1000; written++) {
        mesh.put(mesh.leader as PeerId, `key-${written}`, 'value');
        mesh.run(5);
      }
      expect(mesh.answered(asked)).toMatchObject({ result: { new_peers: [n1, n2, n3, n4] } });
      return mesh.nowMs - beganMs;
    });
    const tickMs = 100;
    expect(tookMs.reduce((sum, ms) => sum + ms) / tookMs.length).toBeLessThan(tickMs);
  });

  test('transfers leadership when a leader removes itself', () => {
    const mesh = founded([n1, n2, n3]);
    const answer = mesh.answered(mesh.adminOfGroup('remove_peer', { peer_id: n1 }));
    expect(answer).toMatchObject({ result: { new_peers: [n2, n3] } });
    // During the transfer it sends no more ticks of the configuration: its lease is void. Then it no longer leads.
    expect(mesh.answered(mesh.admin(n1, 'group', 'change_peers', { new_peers: [n3, n2] }))).toMatchObject({
      error: { code: 'EPERM', outcome: 'unknown' },
    });
    mesh.wait('another leads', () => mesh.leader !== undefined && mesh.leader !== n1, 1000);
  });

  test.each([1, 2, 3, 4, 5])(
    'changes members at once with a new leader that has not received messages from all peers, seed %i',
    (seed) => {
      const mesh = founded([n1, n2, n3], [], seed);
      mesh.crashPeer(n1);
      mesh.wait('another leads', () => mesh.leader !== undefined && mesh.leader !== n1, 5000);
      mesh.startPeer(n1);
      const leader = mesh.leader as PeerId;
      mesh.wait(
        'its flush is committed',
        () => mesh.status(leader).commit_index === mesh.status(leader).last_index,
        1000,
      );
      const answer = mesh.answered(mesh.adminOfGroup('change_peers', { new_peers: [n1] }), 5000);
      expect(answer).toMatchObject({ result: { new_peers: [n1] } });
    },
  );

  test('elects another leader when the leader is lost', () => {
    const mesh = founded([n1, n2, n3]);
    mesh.answered(mesh.put(n1, 'a', '1'));
    mesh.crashPeer(n1);
    mesh.wait('another leads', () => mesh.leader !== undefined && mesh.leader !== n1, 5000);
    expect(mesh.answered(mesh.put(mesh.leader as PeerId, 'b', '2'))).toMatchObject({ result: expect.anything() });
    mesh.startPeer(n1);
    mesh.run(3000);
    expect(mesh.valueAt(n1, 'b')).toBe('2');
    expect(mesh.valueAt(n1, 'a')).toBe('1');
  });

  test.each(['node', 'replicator', 'ballot-box', 'log-store'] as const)(
    'elects another leader when the %s of the leader is lost',
    (kind) => {
      const mesh = founded([n1, n2, n3]);
      mesh.answered(mesh.put(n1, 'a', '1'));
      mesh.crash(n1, kind);
      mesh.wait('another leads', () => mesh.leader !== undefined && mesh.leader !== n1, 6000);
      expect(mesh.answered(mesh.put(mesh.leader as PeerId, 'b', '2'))).toMatchObject({ result: expect.anything() });
      mesh.start(n1, kind);
      mesh.run(3000);
      for (const peer of [n1, n2, n3]) expect(mesh.valueAt(peer, 'b')).toBe('2');
    },
  );

  test.each(['node', 'replicator', 'ballot-box', 'log-store'] as const)(
    'keeps serving when the %s of the leader restarts at once',
    (kind) => {
      const mesh = founded([n1, n2, n3]);
      mesh.answered(mesh.put(n1, 'a', '1'));
      mesh.crash(n1, kind);
      mesh.start(n1, kind);
      mesh.run(5000);
      mesh.wait('there is a leader', () => mesh.leader !== undefined, 6000);
      expect(mesh.answered(mesh.put(mesh.leader as PeerId, 'b', '2'))).toMatchObject({ result: expect.anything() });
      mesh.run(1000);
      for (const peer of [n1, n2, n3]) expect(mesh.valueAt(peer, 'b')).toBe('2');
    },
  );
});
