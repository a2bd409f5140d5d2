/** What a membership change would require, before it is requested. Pure. */
import type { ViewState } from './view-state.js';

export interface PlanFact {
  readonly text: string;
  /** `bad`: the change could not finish now; `warning`: it needs attention. */
  readonly tone: 'plain' | 'good' | 'warning' | 'bad';
}

export interface ChangePlan {
  readonly adding: readonly string[];
  readonly removing: readonly string[];
  /** The stages that the change would have. */
  readonly stages: readonly ('catching_up' | 'joint' | 'stable')[];
  readonly facts: readonly PlanFact[];
  /** Whether every majority that it needs can be reached now, as far as known. */
  readonly isPossible: boolean;
}

/** @param wanted the members after the change */
export function planChange(state: ViewState, wanted: readonly string[]): ChangePlan {
  const now = state.configuration?.peers ?? [];
  const adding = wanted.filter((peer) => !now.includes(peer));
  const removing = now.filter((peer) => !wanted.includes(peer));
  const isJoint = adding.length + removing.length > 1;
  const facts: PlanFact[] = [];
  const add = (tone: PlanFact['tone'], text: string): void => {
    facts.push({ tone, text });
  };
  if (adding.length + removing.length === 0) {
    add('plain', 'This is the configuration in effect: nothing would change.');
    return { adding, removing, stages: [], facts, isPossible: true };
  }
  if (state.change?.outcome === 'going_on') add('bad', 'Another change is in progress; it must end first.');
  if (state.leader === '') add('bad', 'The group has no leader, which a change needs.');
  for (const peer of adding) {
    const lost = isUnreachable(state, peer);
    add(
      lost ? 'bad' : 'plain',
      lost
        ? `${peer} is not reachable: the change would fail with ECATCHUP, and the members would stay as they are.`
        : `${peer} must first receive the log (${state.last} entries) or a snapshot. It counts in no majority until then.`,
    );
  }
  if (isJoint)
    add('plain', 'In the joint stage each entry needs a majority of the old members and one of the new members.');
  else add('plain', 'Exactly one peer is added or removed: the joint stage is skipped.');
  if (isJoint) addMajority(state, 'old', now, facts);
  addMajority(state, 'new', wanted, facts);
  if (removing.includes(state.leader)) {
    add(
      'warning',
      `The change removes the leader ${state.leader}: at its end ${state.leader} transfers the leadership to the most up-to-date new member.`,
    );
  }
  const { tolerates: before } = majorityOf(now.length);
  const { tolerates } = majorityOf(wanted.length);
  add(
    tolerates < before ? 'warning' : 'good',
    `Afterwards the group survives the loss of ${tolerates} of ${wanted.length} peers (now ${before} of ${now.length}).`,
  );
  if (wanted.length % 2 === 0) add('plain', 'With one peer fewer the group would survive as many losses.');
  const stages = [
    ...(adding.length > 0 ? (['catching_up'] as const) : []),
    ...(isJoint ? (['joint'] as const) : []),
    'stable' as const,
  ];
  return { adding, removing, stages, facts, isPossible: !facts.some(({ tone }) => tone === 'bad') };
}

function addMajority(state: ViewState, name: 'old' | 'new', peers: readonly string[], facts: PlanFact[]): void {
  const { needed } = majorityOf(peers.length);
  const reachable = peers.filter((peer) => !isUnreachable(state, peer));
  const enough = reachable.length >= needed;
  const spare = reachable.length - needed;
  const text = `A majority of the ${name} members is ${needed} of ${peers.length}; ${reachable.length} can be reached`;
  const rest = !enough
    ? ': its entry could not be committed.'
    : spare === 0
      ? ': none of them may fail meanwhile.'
      : '.';
  facts.push({ tone: !enough ? 'bad' : spare === 0 && peers.length > 1 ? 'warning' : 'good', text: text + rest });
}

function majorityOf(peers: number): { needed: number; tolerates: number } {
  const needed = Math.floor(peers / 2) + 1;
  return { needed, tolerates: Math.max(0, peers - needed) };
}

function isUnreachable(state: ViewState, name: string): boolean {
  const peer = state.peers[name];
  return (
    peer === undefined ||
    peer.condition === 'down' ||
    peer.condition === 'cut_off' ||
    (peer.healthy === false && peer.statusAt < 0)
  );
}
