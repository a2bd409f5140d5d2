/** What the tests of configuration changes share: changes, the events since a moment, and stages that are held open. */
import type { Change, StatusReply } from '@conclave/protocol';
import { expect } from 'vitest';
import type { ObservedEvent, Reply } from '../support/plain-client.js';
import { type Mesh, until } from './fault-mesh.js';
import type { Writers } from './fault-writers.js';

/** How long a caller waits for the answer to a change; each change has a deadline of its own before that. */
const answerWithinMs = 90_000;

/** Asks the leader to change; settled with its answer, an error or not. */
export function changePeers(mesh: Mesh, newPeers: readonly string[], more: object = {}): Promise<Reply> {
  return mesh.plain.ask('admin.change_peers', { new_peers: newPeers, ...more }, answerWithinMs);
}

/** Retries a change until it is done, by any leader. Retries are safe. */
export async function changeUntilDone(mesh: Mesh, newPeers: readonly string[]): Promise<void> {
  const { new_peers } = await mesh.plain.insist('admin.change_peers', { new_peers: newPeers }, answerWithinMs);
  expect(new_peers).toEqual(newPeers);
}

export async function cancelChange(mesh: Mesh): Promise<Reply> {
  return mesh.plain.ask('admin.cancel_change');
}

/**
 * The leader of a group at rest: it has committed an entry of its own term, and no other peer considers itself leader any
 * more. (During a transfer of leadership the old leader still replies, with errors.)
 */
export function theLeader(mesh: Mesh, wanted: (peer: string) => boolean = () => true): Promise<StatusReply> {
  let last: readonly StatusReply[] = [];
  return until('one leader, at rest', async () => {
    const running = [...mesh.peers].filter(([, peer]) => peer.process('node').isRunning);
    last = await Promise.all(running.map(([name]) => mesh.statusOnce(name)));
    const [leader, ...others] = last.filter(({ role }) => role === 'leader');
    if (leader === undefined || others.length > 0 || !wanted(leader.peer_id)) {
      throw new Error(last.map(({ peer_id, role, term }) => `${peer_id}: ${role} of ${term}`).join(', '));
    }
    return leader.commit_index >= leader.configuration_index && leader.stage === 'none' ? leader : undefined;
  });
}

/** Hands the leadership to this peer; settled when it leads a group at rest. */
export async function lead(mesh: Mesh, peer: string): Promise<StatusReply> {
  const { peer_id: leader } = await theLeader(mesh);
  if (leader !== peer) await mesh.plain.insist('admin.transfer_leader', { peer_id: peer });
  return theLeader(mesh, (name) => name === peer);
}

export function peersOf({ configuration }: StatusReply): string[] {
  return (configuration?.peers ?? []).map(({ peer_id }) => peer_id);
}

export function oldPeersOf({ configuration }: StatusReply): string[] {
  return (configuration?.old_peers ?? []).map(({ peer_id }) => peer_id);
}

/** Waits until the leader's status is as expected. */
export function leaderSays(mesh: Mesh, what: string, holds: (status: StatusReply) => boolean): Promise<StatusReply> {
  let last: StatusReply | undefined;
  return until(`the leader says: ${what}`, async () => {
    last = await mesh.leaderStatus();
    if (holds(last)) return last;
    throw new Error(JSON.stringify({ ...last, dropped: undefined }));
  });
}

/** The last change to these peers that the leader knows of. */
export function changeTo({ changes }: StatusReply, newPeers: readonly string[]): Change | undefined {
  return changes.findLast(({ new_peers }) => String([...new_peers].sort()) === String([...newPeers].sort()));
}

/** Returns the events that are received from now on. */
export class EventsSince {
  private readonly from: number;

  constructor(private readonly mesh: Mesh) {
    this.from = mesh.plain.events.length;
  }

  get all(): readonly ObservedEvent[] {
    return this.mesh.plain.events.slice(this.from);
  }

  /** Resolves with the first such event, also if it was received before. */
  received(name: string, body: object): Promise<ObservedEvent> {
    return until(`the event ${name} ${JSON.stringify(body)}`, async () =>
      this.all.find((event) => event.name === name && holds(event.body, body)),
    );
  }

  /** Returns stages and configuration entries by one peer's events, in order, in a few words each. */
  storyOf(peer: string): string[] {
    return this.all.filter(({ body }) => body.peer_id === peer).flatMap(format);
  }
}

function holds(body: Record<string, unknown>, wanted: object): boolean {
  return Object.entries(wanted).every(([key, value]) => JSON.stringify(body[key]) === JSON.stringify(value));
}

function format({ name, body }: ObservedEvent): string[] {
  const sets = `${[body.peers].flat()}${[body.old_peers].flat().length > 0 ? ` and ${body.old_peers}` : ''}`;
  switch (name) {
    case 'stage_changed':
      return [`stage ${body.stage}`];
    case 'configuration_appended':
      return [`appended ${sets}`];
    case 'configuration_committed':
      return [`committed ${sets}`];
    case 'change_failed':
      return ['failed'];
    default:
      return [];
  }
}

/** Pauses and resumes log-stores: their peers receive and send, but store nothing, and so acknowledge nothing. */
export class PausedStores {
  private readonly paused = new Set<string>();

  constructor(private readonly mesh: Mesh) {}

  pause(...peers: readonly string[]): void {
    for (const peer of peers) this.signal(peer, 'SIGSTOP');
  }

  wake(...peers: readonly string[]): void {
    for (const peer of peers) this.signal(peer, 'SIGCONT');
  }

  wakeAll(): void {
    this.wake(...this.paused);
  }

  private signal(peer: string, signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (signal === 'SIGSTOP') this.paused.add(peer);
    else this.paused.delete(peer);
    this.mesh.peer(peer).process('log-store').signal(signal);
  }
}

/** What writes all the time, unless it is paused. */
export interface Pausable {
  pause(): Promise<void>;
  resume(): void;
}

/** A change that is going on, and its answer to come. */
export interface Held {
  readonly events: EventsSince;
  readonly answer: Promise<Reply | Error>;
}

/** Returns a reply, or undefined if the peer was killed before it replied. */
function orNone(answer: Promise<Reply>): Promise<Reply | Error> {
  return answer.catch((error: unknown) => error as Error);
}

/** {n1,n2,n3} to {n1,n4,n5}, of which n5 holds back: the others have caught up, and the change waits. */
export async function holdCatchingUp(mesh: Mesh, stores: PausedStores, more: object = {}): Promise<Held> {
  stores.pause('n5');
  const events = new EventsSince(mesh);
  const answer = orNone(changePeers(mesh, ['n1', 'n4', 'n5'], more));
  await events.received('catchup_progress', { new_peer: 'n4', state: 'caught_up' });
  return { events, answer };
}

/**
 * The same change, led by n2 (so neither n1 nor n2 vote among the new): in its joint stage, which n5 alone of the new
 * peers has stored. Among the old, n2 and n3 have.
 */
export async function holdJoint(mesh: Mesh, stores: PausedStores, ...loads: readonly Pausable[]): Promise<Held> {
  const held = await holdCatchingUp(mesh, stores);
  // A peer that does not store what is written is not added, so nothing is written until the joint entry.
  await Promise.all(loads.map((load) => load.pause()));
  await leaderSays(mesh, 'n4 has all', ({ progress, last_index }) =>
    progress.some((one) => one.peer_id === 'n4' && one.caught_up && one.match_index === last_index),
  );
  stores.pause('n1', 'n4');
  stores.wake('n5');
  await leaderSays(mesh, 'the joint stage lacks n1 and n4', (status) => {
    const { peers, old_peers } = status.lacking;
    return status.stage === 'joint' && String([...peers].sort()) === 'n1,n4' && String(old_peers) === 'n1';
  });
  for (const load of loads) load.resume();
  return held;
}

/** n4 joins {n1,n2,n3}, led by n1: in its stable stage, which n1 and n4 alone have stored. */
export async function holdStable(mesh: Mesh, stores: PausedStores): Promise<Held> {
  stores.pause('n4');
  const events = new EventsSince(mesh);
  const answer = orNone(mesh.plain.ask('admin.add_peer', { peer_id: 'n4' }, answerWithinMs));
  await events.received('stage_changed', { stage: 'catching_up' });
  stores.pause('n2', 'n3');
  stores.wake('n4');
  await leaderSays(mesh, 'the stable stage lacks n2 and n3', (status) => {
    return status.stage === 'stable' && String([...status.lacking.peers].sort()) === 'n2,n3';
  });
  return { events, answer };
}

/** Every acknowledged write is on each of these peers, and no write has failed. */
export async function expectAllKept(mesh: Mesh, writers: Writers, peers: readonly string[]): Promise<void> {
  expect(writers.failed).toEqual([]);
  const acknowledged = new Map(writers.acknowledged);
  for (const peer of peers) expect(await mesh.missing(peer, acknowledged), `missing at ${peer}`).toEqual([]);
}
