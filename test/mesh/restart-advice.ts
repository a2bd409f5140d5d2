/**
 * Promise 27 on real processes: one actor of a peer is paused or dead, and each peer that may be restarted according to
 * `status` is stopped in turn. The group must commit without it.
 */
import type { Progress, StatusReply } from '@conclave/protocol';
import { expect } from 'vitest';
import type { ActorKind } from '../support/peers.js';
import { type Mesh, until } from './fault-mesh.js';

export interface AdviceCase {
  readonly actor: ActorKind;
  readonly of: 'leader' | 'follower';
  readonly fault: 'paused' | 'dead';
}

export const adviceCases: readonly AdviceCase[] = (['node', 'log-store', 'replicator', 'ballot-box'] as const).flatMap(
  (actor) =>
    (['leader', 'follower'] as const).flatMap((of) =>
      (['paused', 'dead'] as const).map((fault) => ({ actor, of, fault })),
    ),
);

/** So long a group may take to commit a write after a peer has stopped: it may have to elect a leader. */
const commitMs = 20_000;

export function mayRestart({ restart }: StatusReply): string[] {
  return restart.filter(({ may }) => may).map(({ peer_id }) => peer_id);
}

/** What a group of three or five with one faulty actor is expected to allow. The broken peer does not lead. */
function allowed(names: readonly string[], { actor }: AdviceCase, broken: string, leader: string): string[] {
  if (names.length > 3) return [...names];
  // One that stores nothing leaves no spare but itself; one that does not campaign is no spare for the leader alone.
  const storesNothing = actor === 'node' || actor === 'log-store';
  return names.filter((name) => (storesNothing ? name === broken : name !== leader));
}

function hasNoticed(progress: Progress | undefined, { actor }: AdviceCase): boolean {
  if (actor === 'replicator' || actor === 'ballot-box') return progress?.lacks_actor === true;
  return progress !== undefined && (progress.stored_ms === -1 || (progress.stored_ms ?? 0) > 500);
}

/** Runs one case; the group is whole before and after it. @returns the peers that could be stopped, for a report */
export async function runAdviceCase(mesh: Mesh, names: readonly string[], asked: AdviceCase): Promise<string[]> {
  const { peer_id: leader } = await allMay(mesh, names);
  const broken = asked.of === 'leader' ? leader : (names.find((name) => name !== leader) as string);
  const victim = mesh.peer(broken).process(asked.actor);
  if (asked.fault === 'paused') victim.signal('SIGSTOP');
  else await victim.kill();
  const stopped: string[] = [];
  try {
    for (const name of names) {
      const status = await settled(mesh, names, asked, broken);
      if (!mayRestart(status).includes(name)) continue;
      await commitsWithout(mesh, name);
      stopped.push(name);
    }
  } finally {
    victim.signal('SIGCONT');
    if (!victim.isRunning) await victim.start();
  }
  expect(stopped.length).toBeGreaterThan(0);
  return stopped;
}

/** Nothing is wrong: each follower can be stopped, and so can the leader. */
export async function runWithoutFault(mesh: Mesh, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await allMay(mesh, names);
    await commitsWithout(mesh, name);
  }
  await allMay(mesh, names);
}

function allMay(mesh: Mesh, names: readonly string[]): Promise<StatusReply> {
  return until('all peers may be restarted', async () => {
    const status = await mesh.leaderStatus();
    if (mayRestart(status).length < names.length) throw new Error(JSON.stringify(status.restart));
    return status;
  });
}

/** The status of a leader that has noticed the fault, and allows what is to be expected. */
function settled(mesh: Mesh, names: readonly string[], asked: AdviceCase, broken: string): Promise<StatusReply> {
  return until(`the advice without the ${asked.actor} of ${broken}`, async () => {
    const status = await mesh.leaderStatus();
    const progress = status.progress.find(({ peer_id }) => peer_id === broken);
    const expected = allowed(names, asked, broken, status.peer_id);
    const isSettled = hasNoticed(progress, asked) && mayRestart(status).join() === expected.join();
    if (!isSettled) throw new Error(JSON.stringify([status.peer_id, expected, status.restart, progress]));
    return status;
  });
}

/** Stops all processes of the peer, and wants a write committed before they run on. */
async function commitsWithout(mesh: Mesh, name: string): Promise<void> {
  // What is paused already, or dead, stays so.
  const { processes } = mesh.peer(name);
  const stopped = processes.filter((each) => each.isRunning && !each.isPaused);
  for (const each of stopped) each.signal('SIGSTOP');
  try {
    await mesh.plain.insist('kv.put', { key: 'without', value: name }, commitMs);
  } finally {
    for (const each of stopped) each.signal('SIGCONT');
  }
}
