/** `conclave bench --peers`: the same writes with Conclave, etcd and JetStream, one after the other. */
import path from 'node:path';
import { Failed, UsageError } from '../../exit-codes.js';
import type { Output } from '../../output.js';
import { CleanUp } from '../../processes/clean-up.js';
import { namesServersItself } from '../../processes/mesh.js';
import { count } from '../../views/format.js';
import { type Measured, measure } from '../measure.js';
import { measureRows } from '../measure-rows.js';
import { selectRows, setUps } from '../rows.js';
import { measureDisk, type RowsOptions, type Run, startRun, times, warmUp } from '../run.js';
import {
  compare,
  comparisonRecord,
  type OtherSystem,
  otherSystems,
  type PeerResult,
  type PeerRow,
  peerRecord,
  peerTables,
  type System,
  selectPeerRows,
  systems,
} from './comparison.js';
import { findEtcd } from './etcd.js';
import { findJetStream } from './jetstream.js';
import { type InstalledSystem, NotInstalled } from './system.js';

const find: Readonly<Record<OtherSystem, () => Promise<InstalledSystem>>> = {
  etcd: findEtcd,
  jetstream: findJetStream,
};

/** Measures the selected rows and prints them. A system that is not installed is reported and left out. */
export async function benchPeers(cleanUp: CleanUp, output: Output, options: RowsOptions): Promise<void> {
  const rows = selectPeerRows(options.rows);
  if (options.tls || namesServersItself(options)) {
    throw new UsageError('--peers starts all servers itself, without TLS');
  }
  const installed = await findAll(output, rows);
  const run = await startRun(cleanUp, output, options);
  const results: PeerResult[] = [];
  for (const system of systems) {
    const chosen = rows.filter((row) => row.system === system);
    if (chosen.length === 0 || (isOther(system) && !installed.has(system))) continue;
    // Only one system runs at a time. The disk is measured before each, as all depend on it.
    measureDisk(run);
    for await (const [row, measured] of measureSystem(run, chosen, system, installed)) {
      results.push({ ...row, measured });
      if (output.json) output.record(peerRecord({ ...row, measured }));
      else output.note(`${row.name}: ${count(measured.operationsPerSecond)} writes/s`);
    }
  }
  if (output.json) {
    for (const comparison of compare(results)) output.record(comparisonRecord(comparison));
  } else {
    output.line('\nwrites, synced by a majority of three; see docs/benchmarks.md\n');
    output.line(peerTables(results).join('\n\n'));
  }
  const failed = results.reduce((sum, { measured }) => sum + measured.failed, 0);
  if (failed === 0) return;
  output.note(`conclave: ${count(failed)} operations failed`);
  throw new Failed();
}

function isOther(system: System): system is OtherSystem {
  return otherSystems.some((other) => other === system);
}

/** Returns the systems of these rows that are installed; the others get a line each. */
async function findAll(output: Output, rows: readonly PeerRow[]): Promise<Map<System, InstalledSystem>> {
  const installed = new Map<System, InstalledSystem>();
  for (const system of otherSystems.filter((other) => rows.some((row) => row.system === other))) {
    try {
      const found = await find[system]();
      installed.set(system, found);
      if (output.json) output.record({ system, version: found.version });
      else output.note(`${system}: ${found.version}`);
    } catch (error) {
      if (!(error instanceof NotInstalled)) throw error;
      output.note(`${system} is not measured: ${error.message}`);
    }
  }
  return installed;
}

function measureSystem(
  run: Run,
  rows: readonly PeerRow[],
  system: System,
  installed: ReadonlyMap<System, InstalledSystem>,
): AsyncIterable<readonly [PeerRow, Measured]> {
  const found = installed.get(system);
  return found === undefined ? measureConclave(run, rows) : measureOther(run, rows, system, found);
}

async function* measureConclave(run: Run, rows: readonly PeerRow[]): AsyncGenerator<readonly [PeerRow, Measured]> {
  const own = selectRows(rows.map(({ name }) => name));
  const placement = own[0]?.placement ?? 'four';
  for await (const [{ name }, figures] of measureRows(run, placement, 'three-peers', '', own)) {
    const row = rows.find((each) => each.name === name);
    if (row !== undefined && 'measured' in figures) yield [row, figures.measured];
  }
}

async function* measureOther(
  run: Run,
  rows: readonly PeerRow[],
  system: System,
  installed: InstalledSystem,
): AsyncGenerator<readonly [PeerRow, Measured]> {
  const cleanUp = new CleanUp();
  run.cleanUp.add(() => cleanUp.run());
  try {
    const { valueBytes, keys } = setUps['three-peers'];
    const value = new Uint8Array(valueBytes).fill(0x78);
    const { put } = await installed.start(cleanUp, { folder: path.join(run.folder, system), value, keys });
    await warmUp((warming) => measure(put, warming), rows, run.options);
    for (const row of rows) yield [row, await measure(put, { inFlight: row.inFlight, ...times(run.options) })];
  } finally {
    await cleanUp.run();
  }
}
