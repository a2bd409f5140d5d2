/**
 * `conclave bench`: replicated writes, and reads of each kind, per second; for comparison, what the same machine does without
 * Raft.
 * Measured: three peers, 128-byte values, every write synced by a majority before its reply; the client, the peers and one NATS
 * server share this machine. A latency is the time from the call of `put` or `get` to its reply.
 * Not measured: a network (all messages use the loopback), a NATS cluster, several clients, large values, many groups, a full
 * disk, a long log, the cost of a failure, and a client on another machine. The loops wait for their replies, so they hide the
 * queueing that an open stream of requests would show.
 */

import { once } from 'node:events';
import path from 'node:path';
import { ConclaveClient, type GetOptions } from '@conclave/client';
import { asGroupId, defaultPrefix, limits } from '@conclave/protocol';
import type { NatsLogin } from '@conclave/protocol/login';
import { type Command, Option } from 'commander';
import { echo, measureSync, RequestBaseline } from '../bench/baseline.js';
import { benchCatchUp } from '../bench/catch-up.js';
import { benchChange } from '../bench/change.js';
import { defaultWriters } from '../bench/change-rows.js';
import { compareMetrics } from '../bench/compare-metrics.js';
import { type Measured, type MeasureOptions, measure } from '../bench/measure.js';
import {
  type MeasuredRow,
  measuredRecord,
  type Operation,
  type Row,
  rowRecord,
  rowsTables,
  selectRows,
} from '../bench/rows.js';
import { scratchFolder } from '../bench/scratch-folder.js';
import { benchWatches, defaultWatches } from '../bench/watches.js';
import { Failed } from '../exit-codes.js';
import { type LoginFlags, loginOf } from '../login.js';
import { namedServersText, splitList, wholeNumber, withLoginOptions, withRenamedOption } from '../options.js';
import type { Output } from '../output.js';
import { CleanUp, withCleanUp } from '../processes/clean-up.js';
import { foundGroup, makeMesh, namedOrOwnNats, peerNames, refuseSecondMesh } from '../processes/mesh.js';
import { type Placement, placements } from '../processes/peer-processes.js';
import { runAction } from '../run-action.js';
import { count } from '../views/format.js';

const groupId = asGroupId('bench');
const peers = 3;
const valueBytes = 128;
const keys = 10_000;
const syncMs = 1_000;
/** The load before a row, so that its processes run optimized code. */
const rowWarmUpMs = 5_000;
/** Reads are measured for at most this long: they cause no snapshots, so their speed varies less. */
const evenMs = 5_000;

interface BenchOptions extends LoginFlags {
  readonly json: boolean;
  readonly tls: boolean;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly rows: readonly string[];
  readonly dataDir: string;
  readonly catchUp: boolean;
  readonly entries: number;
  readonly load: number;
  readonly change: boolean;
  readonly writers: readonly number[];
  readonly changes: number;
  readonly kills: number;
  /** Empty: the benchmark measures something else. */
  readonly watches: readonly number[];
  /** Rounds; 0: the benchmark measures something else. */
  readonly compareMetrics: number;
}

export function registerBench(program: Command): void {
  const command = program
    .command('bench')
    .addOption(
      new Option('--seconds <n>', 'how long to measure writes; reads and plain requests at most 5')
        .argParser(wholeNumber(1, 3_600))
        .default(15),
    )
    .addOption(
      new Option('--warm-up-seconds <n>', 'for processes that were just started; each row has the same, at most 5')
        .argParser(wholeNumber(0, 600))
        .default(20),
    )
    .addOption(
      new Option(
        '--rows <names>',
        'only these rows: four-1024, or four, or 1024; lease-256, or lease, or reads; with --change: replace-two, ...',
      )
        .argParser(splitList)
        .default([], 'all'),
    )
    .option(
      '--data-dir <folder>',
      'a folder on the disk to measure; what is written there is removed afterwards',
      '.conclave',
    )
    .option('--json', 'print one line of JSON for each row', false)
    .option('--catch-up', 'instead measure how fast a fourth peer catches up, from the log and after a snapshot', false)
    .addOption(
      new Option('--entries <n>', 'with --catch-up: entries in the log')
        .argParser(wholeNumber(1, 1e9))
        .default(1_000_000),
    )
    .addOption(
      new Option('--load <writes>', 'with --catch-up: writes per second meanwhile')
        .argParser(wholeNumber(0, 1e6))
        .default(1_000),
    )
    .option(
      '--change',
      'instead measure how long writers wait during membership changes, leadership transfers and crashes',
      false,
    )
    .addOption(
      new Option('--writers <numbers>', 'with --change: numbers of concurrent writers, one run each')
        .argParser((text: string) => splitList(text).map(wholeNumber(1, 65_536)))
        .default([...defaultWriters], defaultWriters.join(',')),
    )
    .addOption(
      new Option('--changes <n>', 'with --change: repetitions of each change')
        .argParser(wholeNumber(1, 1_000))
        .default(3),
    )
    .addOption(
      new Option('--kills <n>', 'with --change: how many times the leader is killed')
        .argParser(wholeNumber(1, 1_000))
        .default(5),
    )
    .addOption(
      new Option(
        '--watches [numbers]',
        'instead measure writes per second with these numbers of open watches, and with none',
      )
        .argParser((text: string) => splitList(text).map(wholeNumber(1, limits.watches)))
        .preset(defaultWatches.join(','))
        .default([], 'off'),
    )
    .addOption(
      new Option('--compare-metrics <rounds>', 'instead measure the rows with and without metrics, in turns')
        .argParser(wholeNumber(1, 100))
        .default(0, 'off'),
    )
    .option('--tls', 'use TLS to the NATS server, for the baseline too', false)
    .description('measure replicated writes and reads, and compare them with plain NATS requests and a plain sync');
  withRenamedOption(command, '--joiner', '--catch-up');
  withLoginOptions(command, namedServersText).action((options: BenchOptions) =>
    runAction(options, (output) => withCleanUp((cleanUp) => benchOf(options)(cleanUp, output, options))),
  );
  // The baseline needs a process of its own: its replies must come from another process, as those of peers do.
  program.command('bench-echo', { hidden: true }).action(async () => {
    try {
      await echo(loginOf({}), once(process, 'disconnect'));
    } finally {
      // The channel to the parent would keep a process that failed from ending.
      if (process.connected) process.disconnect();
    }
  });
}

function benchOf({ catchUp, change, watches, compareMetrics: rounds }: BenchOptions): typeof bench {
  if (rounds > 0) return benchMetrics;
  if (catchUp) return benchCatchUp;
  if (watches.length > 0) return benchWatches;
  return change ? benchChange : bench;
}

async function bench(cleanUp: CleanUp, output: Output, options: BenchOptions): Promise<void> {
  const rows = selectRows(options.rows);
  const folder = scratchFolder(cleanUp, options.dataDir, 'bench-');
  const login = await namedOrOwnNats(cleanUp, options, folder);
  const sync = measureSync(folder, new Uint8Array(valueBytes), syncMs);
  if (output.json) output.record({ row: 'fdatasync', p50_ms: round(sync.p50Ms), p99_ms: round(sync.p99Ms) });
  else output.note(`one fdatasync: p50 ${sync.p50Ms.toFixed(2)} ms, p99 ${sync.p99Ms.toFixed(2)} ms`);

  const measured: MeasuredRow[] = [];
  for (const placement of placements) {
    const ofPlacement = rows.filter((row) => row.placement === placement);
    if (ofPlacement.length === 0) continue;
    const before = await measureFloors(cleanUp, output, login, ofPlacement, options);
    const figures: (readonly [Row, Measured])[] = [];
    const ofRows = measureRows(cleanUp, placement, path.join(folder, placement), login, ofPlacement, options);
    for await (const [row, ofRow] of ofRows) {
      figures.push([row, ofRow]);
      const unit = row.operation === 'write' ? 'writes/s' : 'reads/s';
      if (!output.json) output.note(`${row.name}: ${count(ofRow.operationsPerSecond)} ${unit}`);
    }
    const after = await measureFloors(cleanUp, output, login, ofPlacement, options);
    for (const [row, ofRow] of figures) {
      const baselinePerSecond = meanBaseline(row, before, after);
      const done = { ...row, measured: ofRow, baselinePerSecond };
      measured.push(done);
      if (output.json) output.record(rowRecord(done));
    }
  }
  if (!output.json) {
    output.line(`\nthree peers, ${valueBytes}-byte values, each write synced by a majority; see docs/benchmarks.md\n`);
    output.line(rowsTables(measured).join('\n\n'));
  }
  const failed = measured.reduce((sum, row) => sum + row.measured.failed, 0);
  if (failed === 0) return;
  output.note(`conclave: ${count(failed)} operations failed`);
  throw new Failed();
}

async function benchMetrics(cleanUp: CleanUp, output: Output, options: BenchOptions): Promise<void> {
  const rows = selectRows(options.rows);
  const folder = scratchFolder(cleanUp, options.dataDir, 'bench-');
  const login = await namedOrOwnNats(cleanUp, options, folder);
  await compareMetrics(output, options.compareMetrics, async function* (round) {
    for (const placement of placements) {
      const ofPlacement = rows.filter((row) => row.placement === placement);
      const data = path.join(folder, `${placement}-${round}`);
      if (ofPlacement.length > 0) yield* measureRows(cleanUp, placement, data, login, ofPlacement, options);
    }
  });
}

/** The speed of a machine changes over time. The baselines before and after a row show the speed at the time of the row. */
function meanBaseline({ inFlight }: Row, ...baselines: readonly Map<number, Measured>[]): number {
  const all = baselines.map((baseline) => baseline.get(inFlight)?.operationsPerSecond ?? Number.NaN);
  return all.reduce((sum, each) => sum + each, 0) / all.length;
}

async function measureFloors(
  cleanUp: CleanUp,
  output: Output,
  login: NatsLogin,
  rows: readonly Row[],
  options: BenchOptions,
): Promise<Map<number, Measured>> {
  const baseline = await RequestBaseline.start(cleanUp, login, new Uint8Array(valueBytes));
  const baselines = new Map<number, Measured>();
  await warmUp((warming) => baseline.measure(warming), rows, options);
  for (const inFlight of new Set(rows.map((row) => row.inFlight))) {
    const figures = await baseline.measure({ inFlight, ...evenTimes(options) });
    baselines.set(inFlight, figures);
    if (output.json) output.record({ row: `request-${inFlight}`, in_flight: inFlight, ...measuredRecord(figures) });
    else output.note(`bare requests, ${inFlight} in flight: ${count(figures.operationsPerSecond)}/s`);
  }
  // Its process and its connection must not run while the peers are measured.
  await baseline.stop();
  return baselines;
}

/** Starts a mesh for one placement and measures its rows one by one. */
async function* measureRows(
  whole: CleanUp,
  placement: Placement,
  folder: string,
  login: NatsLogin,
  rows: readonly Row[],
  options: BenchOptions,
): AsyncGenerator<readonly [Row, Measured]> {
  const cleanUp = new CleanUp();
  whole.add(() => cleanUp.run());
  try {
    // Each placement has a prefix of its own, so that late messages of one do not reach the other.
    const prefix = `${defaultPrefix}-${placement}`;
    const mesh = await makeMesh(cleanUp, login, { groupId, prefix, placement, folder }, (text) => console.error(text));
    await refuseSecondMesh(mesh.adminClient, peerNames(peers));
    await mesh.processes.start(peerNames(peers));
    await foundGroup(mesh, peerNames(peers));
    const client = await ConclaveClient.connect({ connection: mesh.adminClient.connection, groupId, prefix });
    cleanUp.add(() => client.close());
    const value = new Uint8Array(valueBytes).fill(0x78);
    const put = (number: number): Promise<unknown> => client.kv.put(`key-${number % keys}`, value);
    await warmUp((warming) => measure(put, warming), rows, options);
    let isFilled = false;
    for (const row of rows) {
      if (row.operation === 'write') {
        yield [row, await measure(put, { inFlight: row.inFlight, ...times(options) })];
        continue;
      }
      if (!isFilled) await Promise.all(Array.from({ length: keys }, (_, number) => put(number)));
      isFilled = true;
      const { leader_id: leader } = await client.admin.status();
      const other = peerNames(peers).find((peer) => peer !== leader);
      const get = readerOf(client, row.operation, other ?? leader);
      yield [row, await measure(get, { inFlight: row.inFlight, ...evenTimes(options) })];
    }
  } finally {
    await cleanUp.run();
  }
}

/** Sends one read of this kind. */
function readerOf(client: ConclaveClient, kind: Exclude<Operation, 'write'>, follower: string) {
  const how = {
    linearizable: {},
    lease: { consistency: 'lease' },
    follower: { consistency: 'linearizable', peerId: follower },
    stale: { consistency: 'stale', peerId: follower },
  } as const satisfies Record<typeof kind, GetOptions>;
  return (number: number): Promise<unknown> => client.kv.get(`key-${number % keys}`, how[kind]);
}

/** Lets processes that were just started do the measured work for a while, so that V8 has compiled it. */
async function warmUp(
  run: (options: MeasureOptions) => Promise<unknown>,
  rows: readonly Row[],
  { warmUpSeconds }: BenchOptions,
): Promise<void> {
  const inFlight = Math.max(...rows.map((row) => row.inFlight));
  await run({ inFlight, warmUpMs: 1000 * warmUpSeconds, measureMs: 0 });
}

function times({ seconds, warmUpSeconds }: BenchOptions): { warmUpMs: number; measureMs: number } {
  return { warmUpMs: Math.min(1000 * warmUpSeconds, rowWarmUpMs), measureMs: 1000 * seconds };
}

function evenTimes(options: BenchOptions): { warmUpMs: number; measureMs: number } {
  const { warmUpMs, measureMs } = times(options);
  return { warmUpMs, measureMs: Math.min(measureMs, evenMs) };
}

function round(ms: number): number {
  return Number(ms.toFixed(3));
}
