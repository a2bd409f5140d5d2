/**
 * One seed, one run: first a phase with faults, in which nothing may be lost; then the faults end, and the group must
 * come back by itself.
 */
import { actorKinds, type PeerId } from '@conclave/protocol';
import { CoreMesh } from './core-mesh.js';

const all = ['n1', 'n2', 'n3', 'n4', 'n5'] as PeerId[];
const founders = all.slice(0, 3);

export interface RunResult {
  readonly acknowledged: number;
  readonly changes: number;
  readonly leaders: number;
}

interface Write {
  readonly key: string;
  readonly value: string;
  readonly requestId: number;
}

/** @throws Error saying what did not hold. */
export function randomRun(seed: number, steps: number): RunResult {
  const mesh = new CoreMesh(all, seed);
  const { random } = mesh;
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
  mesh.run(500);
  mesh.answered(mesh.admin('n1' as PeerId, 'peer', 'bootstrap', { peers: founders }), 20_000);
  const writes: Write[] = [];
  const changes: number[] = [];
  const down = new Set<string>();
  mesh.faults = { loss: random.next() * 0.1, repeat: random.next() * 0.1, delayMs: 1 + random.next() * 30 };
  for (let step = 0; step < steps; step++) {
    mesh.run(random.next() * 150);
    const { leader } = mesh;
    const dice = random.next();
    if (dice < 0.5) {
      if (leader === undefined) continue;
      const write = { key: `k${writes.length}`, value: `v${seed}.${step}` };
      writes.push({ ...write, requestId: mesh.put(leader, write.key, write.value) });
    } else if (dice < 0.62) {
      const [peer, kind] = [pick(all), pick(actorKinds)];
      mesh.crash(peer, kind);
      down.add(`${peer} ${kind}`);
      if (random.next() < 0.5) {
        mesh.start(peer, kind);
        down.delete(`${peer} ${kind}`);
      }
    } else if (dice < 0.66) {
      const peer = pick(all);
      mesh.crashPeer(peer);
      for (const kind of actorKinds) down.add(`${peer} ${kind}`);
    } else if (dice < 0.84) {
      for (const name of down) {
        if (random.next() < 0.6) continue;
        const [peer, kind] = name.split(' ') as [PeerId, (typeof actorKinds)[number]];
        mesh.start(peer, kind);
        down.delete(name);
      }
    } else if (dice < 0.88) {
      const cut = new Set(all.filter(() => random.next() < 0.4));
      const oneWay = random.next() < 0.3;
      mesh.isLinked = (from, to) => {
        const crosses = oneWay
          ? cut.has(from.peerId) && !cut.has(to.peerId)
          : cut.has(from.peerId) !== cut.has(to.peerId);
        return !crosses;
      };
    } else if (dice < 0.93) {
      mesh.isLinked = () => true;
    } else if (leader !== undefined) {
      const dice2 = random.next();
      if (dice2 < 0.6) {
        const newPeers = all.filter(() => random.next() < 0.6);
        if (newPeers.length > 0) {
          changes.push(mesh.admin(leader, 'group', 'change_peers', { new_peers: newPeers, timeout_ms: 3000 }));
        }
      } else if (dice2 < 0.8) mesh.admin(leader, 'group', 'cancel_change', {});
      else mesh.admin(leader, 'group', 'transfer_leader', {});
    }
    checkTerms(mesh);
  }
  comeBack(mesh, down);
  return judge(mesh, writes, changes);
}

function checkTerms(mesh: CoreMesh): void {
  const byTerm = new Map<number, PeerId>();
  for (const peer of all) {
    const { role, term } = mesh.node(peer).summary();
    if (role !== 'leader' || !mesh.actor(peer, 'node').isUp) continue;
    const other = byTerm.get(term);
    if (other !== undefined) throw new Error(`term ${term} has two leaders, ${other} and ${peer}`);
    byTerm.set(term, peer);
  }
}

function comeBack(mesh: CoreMesh, down: Set<string>): void {
  mesh.faults = { loss: 0, repeat: 0, delayMs: 2 };
  mesh.isLinked = () => true;
  for (const name of down) {
    const [peer, kind] = name.split(' ') as [PeerId, (typeof actorKinds)[number]];
    mesh.start(peer, kind);
  }
  mesh.run(8000);
  mesh.until('there is a leader', () => mesh.leader !== undefined, 20_000);
  mesh.until(
    'the change has ended',
    () => mesh.leader !== undefined && mesh.status(mesh.leader).stage === 'none' && isStable(mesh),
    60_000,
  );
}

function isStable(mesh: CoreMesh): boolean {
  const configuration = mesh.status(mesh.leader as PeerId).configuration;
  return configuration !== null && configuration.old_peers.length === 0;
}

function judge(mesh: CoreMesh, writes: readonly Write[], changes: readonly number[]): RunResult {
  const last = mesh.answered(mesh.put(mesh.leader as PeerId, 'last', 'one'), 20_000);
  if (last === 'silence' || !('result' in last)) throw new Error(`the group takes no write: ${JSON.stringify(last)}`);
  mesh.run(2000);
  const members = mesh.status(mesh.leader as PeerId).configuration?.peers.map(({ peer_id }) => peer_id) ?? [];
  let acknowledged = 0;
  for (const { key, value, requestId } of writes) {
    const answer = mesh.answer(requestId);
    if (answer === undefined || answer === 'silence' || !('result' in answer)) continue;
    acknowledged += 1;
    for (const peer of members) {
      const found = mesh.valueAt(peer, key) as { value: unknown };
      if (found.value !== value) throw new Error(`${key} was acknowledged and is ${JSON.stringify(found)} at ${peer}`);
    }
  }
  const done = changes.filter((requestId) => {
    const answer = mesh.answer(requestId);
    return answer !== undefined && answer !== 'silence' && 'result' in answer;
  });
  const leaders = mesh.events.filter(({ event }) => event.name === 'leader_elected').length;
  return { acknowledged, changes: done.length, leaders };
}
