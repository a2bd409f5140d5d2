/**
 * Measures how fast a new peer catches up under load: once from the whole log, once from a snapshot.
 * The measurement runs from the call of `add_peer` to its reply, when the peer is a member. For comparison, the same run also
 * reads the same bytes from the LevelDB of the new peer, and copies them to another LevelDB, synced.
 */
import path from 'node:path';
import { ConclaveClient } from '@conclave/client';
import { asGroupId, defaultPrefix, type PeerId } from '@conclave/protocol';
import type { LoginFlags } from '../login.js';
import type { Output } from '../output.js';
import type { CleanUp } from '../processes/clean-up.js';
import { foundGroup, type Mesh, makeMesh, namedOrOwnNats, peerNames, refuseSecondMesh } from '../processes/mesh.js';
import { retryUntil } from '../retry-until.js';
import { bytesText, count } from '../views/format.js';
import { table } from '../views/tables.js';
import { PacedLoad } from './paced-load.js';
import { prefill, putBody } from './prefill.js';
import { scratchFolder } from './scratch-folder.js';
import { readStored, type StoredBytes } from './stored-bytes.js';

const groupId = asGroupId('bench');
const prefix = `${defaultPrefix}-catch-up`;
const valueBytes = 128;
const hotKeys = 10_000;
const [n1, n2, n3, n4, n5] = peerNames(5) as [PeerId, PeerId, PeerId, PeerId, PeerId];
const members = [n1, n2, n3];
const joinTimeoutMs = 600_000;
const commandTimeoutMs = 120_000;

export interface CatchUpOptions extends LoginFlags {
  readonly tls?: boolean;
  readonly entries: number;
  /** Writes per second while the peer catches up. */
  readonly load: number;
  readonly dataDir: string;
}

interface Joined {
  readonly row: 'catch-up-from-log' | 'catch-up-from-snapshot';
  /** Entries that the new peer has received, or whose state it has received. */
  readonly entries: number;
  readonly seconds: number;
  /** The time until the new peer had applied as much. */
  readonly appliedSeconds: number;
  readonly load: { readonly writesPerSecond: number; readonly failed: number };
}

interface Row extends Joined {
  readonly stored: StoredBytes;
}

/** Runs both measurements and prints them. */
export async function benchCatchUp(cleanUp: CleanUp, output: Output, options: CatchUpOptions): Promise<void> {
  const folder = scratchFolder(cleanUp, options.dataDir, 'bench-catch-up-');
  const login = await namedOrOwnNats(cleanUp, options, folder);
  // No peer takes a snapshot by itself: this run requests them.
  const environment = { CONCLAVE_SNAPSHOT_LOG_MB: '1000000', CONCLAVE_SNAPSHOT_INTERVAL_MS: '86400000' };
  const mesh = await makeMesh(cleanUp, login, { groupId, prefix, placement: 'four', folder, environment }, (text) =>
    output.note(text),
  );
  await refuseSecondMesh(mesh.adminClient, [...members, n4, n5]);
  await mesh.processes.start([...members, n4]);
  await foundGroup(mesh, members);
  await fillLog(mesh, output, options.entries);
  const fromLog = await join(mesh, output, options, n4, 'catch-up-from-log');
  await mesh.adminClient.admin('remove_peer', { peer_id: n4 }, { timeoutMs: commandTimeoutMs });
  for (const peerId of members) await takeSnapshot(mesh, output, peerId);
  await mesh.processes.start([n5]);
  const fromSnapshot = await join(mesh, output, options, n5, 'catch-up-from-snapshot');
  await mesh.processes.stop();
  const stored = (peerId: PeerId, { entries: last }: Joined): Promise<StoredBytes> =>
    readStored(path.join(folder, 'peers', peerId), path.join(folder, 'copies', peerId), { groupId, peerId, last });
  show(output, [
    { ...fromLog, stored: await stored(n4, fromLog) },
    { ...fromSnapshot, stored: await stored(n5, fromSnapshot) },
  ]);
}

async function fillLog(mesh: Mesh, output: Output, entries: number): Promise<void> {
  const { connection, subjects } = mesh.adminClient;
  const began = performance.now();
  await prefill(connection, {
    subject: subjects.groupRequest(groupId, 'kv', 'put'),
    entries,
    body: putBody(new Uint8Array(valueBytes).fill(0x78)),
    onProgress: (written) => {
      if (!output.json) output.note(`${count(written)} of ${count(entries)} entries`);
    },
  });
  const seconds = (performance.now() - began) / 1000;
  if (!output.json) output.note(`${count(entries)} entries in ${seconds.toFixed(1)} s`);
}

async function takeSnapshot(mesh: Mesh, output: Output, peerId: PeerId): Promise<void> {
  const where = { peerId, timeoutMs: commandTimeoutMs };
  const { index, bytes, first_index } = await mesh.adminClient.admin('snapshot', {}, where);
  if (output.json) return;
  output.note(
    `${peerId}: a snapshot up to ${count(index)}, ${bytesText(bytes)}; the log begins at ${count(first_index)}`,
  );
}

async function join(
  mesh: Mesh,
  output: Output,
  options: CatchUpOptions,
  peerId: PeerId,
  row: Joined['row'],
): Promise<Joined> {
  const { adminClient } = mesh;
  const client = await ConclaveClient.connect({ connection: adminClient.connection, groupId, prefix });
  const value = new Uint8Array(valueBytes).fill(0x78);
  const load = new PacedLoad((number) => client.kv.put(`key-${number % hotKeys}`, value), options.load);
  try {
    const began = performance.now();
    load.reset();
    await adminClient.admin('add_peer', { peer_id: peerId, timeout_ms: joinTimeoutMs }, { timeoutMs: joinTimeoutMs });
    const seconds = (performance.now() - began) / 1000;
    const { last_index: entries } = await adminClient.admin('status', {}, { timeoutMs: commandTimeoutMs });
    await retryUntil(`${peerId} applies entry ${entries}`, joinTimeoutMs, async () => {
      const { applied_index } = await adminClient.admin('status', {}, { peerId, timeoutMs: commandTimeoutMs });
      return applied_index >= entries ? true : undefined;
    });
    const appliedSeconds = (performance.now() - began) / 1000;
    const joined = { row, entries, seconds, appliedSeconds, load: load.figures() };
    if (!output.json) output.note(`${row}: ${count(entries / seconds)} entries/s`);
    return joined;
  } finally {
    load.stop();
    await client.close();
  }
}

function show(output: Output, rows: readonly Row[]): void {
  if (output.json) {
    for (const row of rows) output.record(catchUpRecord(row));
    return;
  }
  const head = [
    'new peer',
    'entries',
    'seconds',
    'entries/s',
    ...['read from LevelDB', 'ratio'],
    ...['copied, synced', 'ratio'],
    'applied after',
    'writes/s',
  ];
  const cells = rows.map((row) => [
    row.row === 'catch-up-from-log' ? 'from the log' : 'from a snapshot',
    count(row.entries),
    row.seconds.toFixed(2),
    count(row.entries / row.seconds),
    `${count(row.entries / row.stored.seconds)}/s`,
    `${ratio(row).toFixed(3)}x`,
    `${count(row.entries / row.stored.copySeconds)}/s`,
    `${copyRatio(row).toFixed(3)}x`,
    `${row.appliedSeconds.toFixed(2)} s`,
    count(row.load.writesPerSecond),
  ]);
  output.line(`\na fourth peer joins under load, ${valueBytes}-byte values; see docs/benchmarks.md\n`);
  output.line(table(head, cells, head.slice(1)));
}

function ratio({ seconds, stored }: Row): number {
  return stored.seconds / seconds;
}

/** The ratio to a bound that no new peer can beat, because it must sync what it stores. */
function copyRatio({ seconds, stored }: Row): number {
  return stored.copySeconds / seconds;
}

/** A row in the form that `--json` prints. */
function catchUpRecord(row: Row): Record<string, unknown> {
  return {
    row: row.row,
    entries: row.entries,
    seconds: Number(row.seconds.toFixed(3)),
    entries_per_second: Math.round(row.entries / row.seconds),
    applied_seconds: Number(row.appliedSeconds.toFixed(3)),
    stored_bytes: row.stored.bytes,
    leveldb_entries_per_second: Math.round(row.entries / row.stored.seconds),
    leveldb_bytes_per_second: Math.round(row.stored.bytes / row.stored.seconds),
    ratio: Number(ratio(row).toFixed(4)),
    copied_entries_per_second: Math.round(row.entries / row.stored.copySeconds),
    copy_ratio: Number(copyRatio(row).toFixed(4)),
    writes_per_second: Math.round(row.load.writesPerSecond),
    failed: row.load.failed,
  };
}
