/** A lasting fault that leaves a connected quorum neither deposes the leader nor stops writes. */
import type { PeerId } from '@conclave/protocol';
import { expect, test } from 'vitest';
import { LastingFault } from '../src/run/lasting-fault.js';
import { Simulation } from '../src/run/simulation.js';

const peers = ['n1', 'n2', 'n3', 'n4', 'n5'] as PeerId[];

/** @returns the faults that were reached in groups of this size, and the violations */
function faultsIn(members: readonly PeerId[], seeds: number): { reached: Set<string>; broken: string[] } {
  const reached = new Set<string>();
  const broken: string[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const simulation = new Simulation({ type: 'peers', peers: members }, seed);
    const { mesh } = simulation;
    mesh.run(500);
    simulation.execute({ type: 'bootstrap', at: 'n1', peers: members, timeout: 10_000 });
    mesh.run(6000);
    const leader = mesh.leader as PeerId;
    const keep = (name: string, condition: () => boolean, withinMs: number): void => {
      if (!mesh.until(condition, withinMs)) broken.push(`seed ${seed}: ${name}`);
    };
    new LastingFault(simulation, keep, leader, members).run();
    for (const what of Object.keys(mesh.coverage.toJSON())) if (what.startsWith('lasting fault')) reached.add(what);
  }
  return { reached, broken };
}

test('a leader of three members stays and commits writes during each lasting fault', {
  timeout: 240_000,
}, () => {
  const { reached, broken } = faultsIn(peers.slice(0, 3), 16);
  expect(broken).toEqual([]);
  expect(reached.size).toBe(5);
});

test('a leader of five members stays and commits writes during each lasting fault', {
  timeout: 240_000,
}, () => {
  const { reached, broken } = faultsIn(peers, 16);
  expect(broken).toEqual([]);
  expect(reached.size).toBe(5);
});
