import { ConclaveError, type PeerId } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../src/mesh/virtual-clock.js';
import { DirectMesh } from '../support/direct-mesh.js';

const [n1, n2, n3] = ['n1', 'n2', 'n3'] as [PeerId, PeerId, PeerId];

function founded(): DirectMesh {
  const mesh = new DirectMesh([n1, n2, n3]);
  mesh.run(500);
  mesh.answered(mesh.admin(n1, 'peer', 'bootstrap', { peers: [n1, n2, n3] }));
  return mesh;
}

describe('a clock', () => {
  test('runs fast and jumps forward, never back', () => {
    const clock = new VirtualClock();
    expect(clock.at(100)).toBe(100);
    clock.skew(100, 2, 50);
    expect([clock.at(100), clock.at(200), clock.taken(10)]).toEqual([150, 350, 5]);
    clock.skew(200, 0.5, 0);
    expect([clock.at(200), clock.at(300), clock.taken(10)]).toEqual([350, 400, 20]);
    expect(() => clock.skew(300, 1, -1)).toThrow('does not go back');
  });
});

describe('a process', () => {
  test('that is paused receives nothing until it is resumed, and then everything', () => {
    const mesh = founded();
    mesh.pause(n1, 'node');
    const { term } = mesh.node(n1).summary();
    const before = mesh.node(n1).summary();
    mesh.run(4000);
    expect(mesh.node(n1).summary()).toEqual(before);
    expect(mesh.node(n2).summary().term).toBeGreaterThan(term);
    mesh.resume(n1, 'node');
    mesh.run(500);
    expect(mesh.node(n1).summary()).toMatchObject({ role: 'follower', leader_id: mesh.leader });
  });

  test('that is crashed leaves its requests unanswered', () => {
    const mesh = founded();
    mesh.network.cut([[n1], [n2, n3]], false);
    mesh.put(n1, 'a', '1');
    expect(mesh.requests.unanswered()).toHaveLength(1);
    mesh.crash(n1, 'node');
    expect(mesh.requests.unanswered()).toEqual([]);
  });
});

describe('a disk', () => {
  test('with a flipped bit is detected when the bit is read, and only then', () => {
    const mesh = founded();
    mesh.answered(mesh.put(n1, 'a', '1'));
    mesh.run(300);
    expect(mesh.disks.flip(n2, 'entry', 2, 0.5)).toBe(true);
    expect(mesh.disks.isDamaged(n2)).toBe(true);
    mesh.run(1000);
    expect(mesh.logStore(n2).health().healthy).toBe(true);
    mesh.crash(n2, 'node');
    mesh.start(n2, 'node');
    mesh.run(1000);
    expect(mesh.logStore(n2).health().reason).toContain('ECORRUPT');
    // Checks read the true bytes.
    expect(mesh.disks.entries(n2)).toEqual(mesh.disks.entries(n1));
    mesh.disks.wipe(n2);
    expect(mesh.disks.isDamaged(n2)).toBe(false);
    expect(mesh.disks.flip(n2, 'entry', 2, 0.5)).toBe(false);
  });

  test('whose write fails ends the log-store', () => {
    const mesh = founded();
    mesh.diskDriver.failNext(n2);
    mesh.put(n1, 'a', '1');
    mesh.run(1000);
    expect(mesh.isUp(n2, 'log-store')).toBe(false);
    expect(mesh.coverage.get('write failed')).toBe(1);
    mesh.start(n2, 'log-store');
    mesh.run(3000);
    expect(mesh.valueAt(n2, 'a')).toBe('1');
  });

  test('cannot cut a batch that is damaged', () => {
    const mesh = founded();
    mesh.put(n1, 'a', '1');
    mesh.put(n1, 'b', '2');
    mesh.run(500);
    const last = mesh.disks.entries(n1).length;
    mesh.disks.flip(n1, 'entry', last - 1, 0.9);
    const truncation = { type: 'truncate', groupId: 'main', from: last } as never;
    expect(() => mesh.disks.write(n1, [truncation])).toThrow(ConclaveError);
  });
});
