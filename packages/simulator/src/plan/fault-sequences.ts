/** Sequences that random single faults rarely produce: one fault in the middle of what another has started. */
import { actorKinds } from '@conclave/protocol';
import type { Command } from '../language/command.js';
import type { Random } from '../mesh/random.js';

/** What a plan provides to the files that add faults to it. */
export interface PlanContext {
  readonly random: Random;
  readonly peers: readonly string[];
  add(command: Command): void;
  run(ms: number): void;
  /** Adds some calls of clients. */
  call(): void;
  somePeers(): string[];
}

export const leader = 'leader';

/** Numbers of a script have three decimal places. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

type FaultSequence = (stage: PlanContext) => void;

/**
 * An isolated leader accepts writes and changes that never commit, while another one is elected; then it must step down, and
 * recover what it has stored when it restarts.
 */
const leaderIsCutOff: FaultSequence = ({ random, peers, add, run, call, somePeers }) => {
  const groups = random.chance(0.5) ? [[leader], peers] : [peers, [leader]];
  call();
  add({ type: 'cut', groups, oneWay: random.chance(0.3) });
  call();
  run(50 * random.next());
  const dice = random.next();
  if (dice < 0.3) add({ type: 'remove', peer: random.pick(peers), timeout: 1000 });
  else if (dice < 0.5) add({ type: 'change', peers: somePeers(), timeout: 1000 });
  call();
  run(800 + 2500 * random.next());
  call();
  add({ type: 'reconnect' });
  run(400 * random.next());
  if (random.chance(0.6)) return;
  const dying = random.chance(0.5) ? ['all'] : peers.map((peer) => `${peer}.log-store`);
  add({ type: 'crash', targets: dying });
  run(5 * random.next());
  add({ type: 'start', targets: ['all'] });
};

/** A membership change has reached some stage when an actor of the leader crashes. */
const crashDuringChange: FaultSequence = ({ random, peers, add, run, call, somePeers }) => {
  const newPeers = somePeers();
  add({ type: 'change', peers: newPeers, timeout: 3000 });
  run(random.chance(0.5) ? 20 * random.next() : 200 * random.next());
  const kind = random.pick(actorKinds);
  const whole = actorKinds.map((one) => `${leader}.${one}`);
  add({ type: 'crash', targets: random.chance(0.7) ? [`${leader}.${kind}`] : whole });
  if (random.chance(0.4)) call();
  run(random.chance(0.5) ? 100 * random.next() : 3000 * random.next());
  add({ type: 'start', targets: ['all'] });
  if (random.chance(0.3)) add({ type: 'cancel' });
  if (random.chance(0.3)) add({ type: 'change', peers: random.chance(0.5) ? peers : somePeers(), timeout: 1000 });
};

/** Processes crash while writes are in flight to some disks and not to others. */
const crashDuringWrites: FaultSequence = ({ random, peers, add, run, call, somePeers }) => {
  call();
  call();
  run(40 * random.next());
  const dying = random.chance(0.3) ? peers : somePeers();
  add({ type: 'crash', targets: random.chance(0.5) ? dying : dying.map((peer) => `${peer}.log-store`) });
  run(random.chance(0.5) ? 5 * random.next() : 500 * random.next());
  add({ type: 'start', targets: ['all'] });
};

/** Two membership changes in a row, with a change of leader. */
const transferDuringChanges: FaultSequence = ({ random, add, run, call, somePeers }) => {
  add({ type: 'change', peers: somePeers(), timeout: 2000 });
  run(random.chance(0.5) ? 30 * random.next() : 600 * random.next());
  add({ type: 'transfer' });
  call();
  run(100 * random.next());
  add(random.chance(0.4) ? { type: 'cancel' } : { type: 'change', peers: somePeers(), timeout: 2000 });
  run(600 * random.next());
};

/** Some of the new peers crash when they may already count, for a while or for too long. */
const newPeersAreLost: FaultSequence = ({ random, add, run, call, somePeers }) => {
  const newPeers = somePeers();
  const lost = newPeers.filter(() => random.chance(0.7));
  add({ type: 'change', peers: newPeers, timeout: 3000 });
  run(random.chance(0.5) ? 30 * random.next() : 250 * random.next());
  if (lost.length > 0) add({ type: 'crash', targets: lost });
  call();
  run(random.chance(0.2) ? 10_500 + 2000 * random.next() : 2500 * random.next());
  add({ type: 'start', targets: ['all'] });
};

/** A change has reached some stage when its leader crashes; an operator cancels it at the next leader. */
const cancelAtNextLeader: FaultSequence = ({ random, peers, add, run, somePeers }) => {
  const apart = [random.pick(peers), random.pick(peers)];
  add({ type: 'change', peers: somePeers(), timeout: 3000 });
  run(random.chance(0.5) ? 30 * random.next() : 250 * random.next());
  if (random.chance(0.5)) add({ type: 'crash', targets: [leader] });
  else add({ type: 'cut', groups: [apart, peers.filter((peer) => !apart.includes(peer))], oneWay: false });
  run(500 + 2500 * random.next());
  add({ type: 'reconnect' });
  add({ type: 'start', targets: ['all'] });
  for (let times = random.below(12); times > 0; times--) {
    run(150 * random.next());
    add({ type: 'cancel' });
  }
};

export const faultSequences: readonly FaultSequence[] = [
  leaderIsCutOff,
  crashDuringChange,
  crashDuringWrites,
  transferDuringChanges,
  newPeersAreLost,
  cancelAtNextLeader,
];
