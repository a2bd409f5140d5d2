import { actorKinds, type PeerId } from '@conclave/protocol';
import { expect, test } from 'vitest';
import { Simulation } from '../src/run/simulation.js';

const peers = ['n1', 'n2', 'n3'] as PeerId[];

test('after a reset one peer of the abandoned history may run, and no second one', () => {
  const simulation = new Simulation({ type: 'peers', peers }, 1);
  const { mesh } = simulation;
  mesh.run(500);
  simulation.execute({ type: 'bootstrap', at: 'n1', peers, timeout: 10_000 });
  mesh.run(6000);
  simulation.execute({ type: 'crash', targets: ['n2', 'n3'] });
  // A peer is reset only when it has received nothing of a leader for a while.
  mesh.run(6000);
  simulation.execute({ type: 'reset-survivors', alone: true, now: true });
  // The reset is not answered yet.
  simulation.execute({ type: 'start', targets: ['all'] });
  const isRunning = (peerId: PeerId): boolean => actorKinds.some((kind) => mesh.isUp(peerId, kind));
  expect(peers.filter(isRunning)).toEqual(['n1']);
  expect(mesh.until(() => mesh.leader === 'n1', 10_000)).toBe(true);
  // Their data were discarded, and they run without any.
  expect(mesh.until(() => peers.every(isRunning), 10_000)).toBe(true);
});
