/**
 * `conclave demo`: changes {n1,n2,n3} to {n1,n4,n5} with five peers, under the load of 256 writers, and then reads every
 * acknowledged write from every peer of the new configuration. It leaves no files behind.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConclaveClient } from '@conclave/client';
import { asGroupId, asPeerId, defaultPrefix, defaultTimes } from '@conclave/protocol';
import { observeGroup } from '../events.js';
import { Failed } from '../exit-codes.js';
import type { LoginFlags } from '../login.js';
import type { Output } from '../output.js';
import type { CleanUp } from '../processes/clean-up.js';
import {
  foundGroup,
  type Mesh,
  makeMesh,
  namedOrOwnNats,
  namesServersItself,
  peerNames,
  refuseSecondMesh,
} from '../processes/mesh.js';
import type { Placement } from '../processes/peer-processes.js';
import type { StageTime } from '../views/change-view.js';
import { ChangeView } from '../views/change-view.js';
import { count, duration, peerSet, stageNames } from '../views/format.js';
import { Timeline } from './timeline.js';
import { verifyPeer } from './verify.js';
import { Writers } from './writers.js';

const groupId = asGroupId('demo');
const oldPeers = peerNames(3);
const newPeers = [asPeerId('n1'), asPeerId('n4'), asPeerId('n5')];
const valueBytes = 128;
const printEachPercent = 50;

export interface DemoOptions extends LoginFlags {
  readonly json: boolean;
  readonly placement: Placement;
  readonly writers: number;
  /** How long the writers write before the change, and again after it, in seconds. */
  readonly seconds: number;
}

export interface DemoSummary {
  readonly acknowledged: number;
  readonly failed: number;
  readonly operationsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly changeMs: number;
  readonly stages: readonly StageTime[];
  readonly peers: Readonly<Record<string, { readonly read: number; readonly missing: number }>>;
  /** The longest time between two acknowledgements. */
  readonly longestGapMs: number;
}

/** @throws Failed if the reason is printed already; other errors contain the reason */
export async function demo(cleanUp: CleanUp, output: Output, options: DemoOptions): Promise<void> {
  const timeline = new Timeline(output);
  const processes =
    options.placement === 'four' ? 'five peers of four processes each' : 'five peers of one process each';
  timeline.title(
    `Conclave: ${processes}, ${options.writers} writers, ${peerSet(oldPeers)} becomes ${peerSet(newPeers)}`,
  );
  const mesh = await startMesh(cleanUp, timeline, options);
  const { connection, subjects } = mesh.adminClient;
  const client = await ConclaveClient.connect({ connection, groupId, prefix: subjects.prefix });
  cleanUp.add(() => client.close());

  const writers = new Writers(options.writers, (key, value) => client.kv.put(key, value), valueBytes);
  timeline.step(`${options.writers} writers put ${valueBytes}-byte values, one write in flight each`);
  await sleep(1000 * options.seconds);
  timeline.step(`${count(writers.acknowledged.length)} writes acknowledged; the members change now`);
  const change = await changeMembers(mesh, timeline);
  await sleep(1000 * options.seconds);
  await writers.stop();
  timeline.step(`the writers have stopped, ${count(writers.acknowledged.length)} writes are acknowledged`);

  const peers = await verify(mesh, timeline, writers);
  const [p50Ms = Number.NaN, p99Ms = Number.NaN] = writers.latencies.percentiles(0.5, 0.99);
  const acknowledged = writers.acknowledged.length;
  const failed = writers.failures.length;
  const operationsPerSecond = acknowledged / writers.seconds;
  const { longestGapMs, failures } = writers;
  conclude(
    output,
    { acknowledged, failed, operationsPerSecond, p50Ms, p99Ms, ...change, peers, longestGapMs },
    failures,
  );
}

async function startMesh(cleanUp: CleanUp, timeline: Timeline, flags: DemoOptions): Promise<Mesh> {
  const { placement } = flags;
  const folder = await cleanUp.temporaryFolder('conclave-demo');
  const isNamed = namesServersItself(flags);
  const login = await namedOrOwnNats(cleanUp, flags, path.join(folder, 'nats'));
  const url = login.servers.join(',');
  if (!isNamed) timeline.step(`a NATS server listens at ${url}, open to all users of this machine`);
  // If the servers may have other users, the peers use the default prefix.
  const prefix = isNamed ? `${defaultPrefix}-demo` : defaultPrefix;
  const options = { groupId, prefix, placement, folder };
  const mesh = await makeMesh(cleanUp, login, options, (text) => timeline.step(text));
  const peers = peerNames(5);
  if (isNamed) {
    timeline.step(`the NATS server at ${url} is used, under the prefix ${prefix}`);
    await refuseSecondMesh(mesh.adminClient, peers);
  }
  await mesh.processes.start(peers);
  const actors = placement === 'four' ? ', each a node, a replicator, a ballot-box and a log-store' : '';
  timeline.step(`${mesh.processes.processCount} processes are up: ${peers.join(', ')}${actors}`);
  const group = await foundGroup(mesh, oldPeers);
  timeline.step(`the group is founded: ${peerSet(group.peers)}, and ${group.leader_id || 'nobody yet'} leads`);
  return mesh;
}

async function changeMembers(
  { adminClient }: Mesh,
  timeline: Timeline,
): Promise<{ changeMs: number; stages: readonly StageTime[] }> {
  const began = performance.now();
  const view = new ChangeView(began, printEachPercent);
  const observing = observeGroup(adminClient, (event) => {
    for (const line of view.onEvent(event, performance.now())) timeline.detail(line, event);
  });
  const timeoutMs = defaultTimes.changeTimeoutMs;
  try {
    const subject = adminClient.subjects.groupRequest(groupId, 'admin', 'change_peers');
    timeline.step(`request ${subject} {"new_peers": ${JSON.stringify(newPeers)}}`);
    await adminClient.admin(
      'change_peers',
      { new_peers: newPeers, timeout_ms: timeoutMs },
      { timeoutMs: timeoutMs + 2 * defaultTimes.jointTimeoutMs },
    );
    await adminClient.connection.flush();
  } finally {
    observing.close();
  }
  const ended = performance.now();
  view.end(ended);
  timeline.step(`reply: the group is ${peerSet(newPeers)}, after ${duration(ended - began)}`);
  return { changeMs: ended - began, stages: view.stageTimes };
}

async function verify({ adminClient }: Mesh, timeline: Timeline, writers: Writers): Promise<DemoSummary['peers']> {
  const { commit_index: commitIndex } = await adminClient.admin('status', {}, { timeoutMs: 10_000 });
  const keys = writers.acknowledged;
  const peers: Record<string, { read: number; missing: number }> = {};
  for (const peerId of newPeers) {
    const { appliedIndex, read, missing } = await verifyPeer(adminClient, peerId, commitIndex, keys, valueBytes);
    peers[peerId] = { read, missing: missing.length };
    const lost =
      missing.length === 0 ? 'none is missing' : `${count(missing.length)} ARE MISSING, ${missing[0]} for one`;
    timeline.step(`${peerId} has applied index ${count(appliedIndex)}; of ${count(read)} acknowledged writes ${lost}`);
  }
  return peers;
}

/**
 * Prints the result.
 * @throws Failed if a promise was broken
 */
function conclude(output: Output, summary: DemoSummary, writeFailures: readonly string[]): void {
  const reasons = failures(summary, writeFailures);
  if (output.json) {
    output.record({ summary: { ...summary, ok: reasons.length === 0, reasons } });
  } else {
    const stages = summary.stages.map(({ stage, ms }) => `${stageNames[stage]} ${duration(ms)}`).join(', ');
    output.line();
    output.line(`  writes   ${count(summary.acknowledged)} acknowledged, ${count(summary.failed)} failed`);
    output.line(
      `  speed    ${count(summary.operationsPerSecond)} a second, p50 ${duration(summary.p50Ms)}, p99 ${duration(summary.p99Ms)}`,
    );
    output.line(`  change   ${duration(summary.changeMs)}${stages === '' ? '' : `: ${stages}`}`);
    output.line(`  gap      ${duration(summary.longestGapMs)} at most between two acknowledgements`);
    output.line();
    if (reasons.length === 0) {
      const all = `every acknowledged write is on every peer of ${peerSet(newPeers)}`;
      output.line(`  ${output.style('green', 'OK')}       ${all}`);
    }
  }
  if (reasons.length === 0) return;
  for (const reason of reasons) output.note(`conclave: ${reason}`);
  throw new Failed();
}

/** Returns why the demo has failed; empty: it has not. */
export function failures(summary: DemoSummary, writeFailures: readonly string[]): string[] {
  const lost = Object.entries(summary.peers).filter(([, { missing }]) => missing > 0);
  return [
    ...(summary.acknowledged === 0 ? ['no write was acknowledged'] : []),
    ...(summary.failed > 0
      ? [`${count(summary.failed)} writes failed, the first with: ${writeFailures[0] ?? 'no reason'}`]
      : []),
    ...lost.map(([peerId, { missing }]) => `${count(missing)} acknowledged writes are missing on ${peerId}`),
  ];
}
