/**
 * `conclave bench`: replicated writes and reads of each kind a second, beside what the same machine does without Raft.
 *
 * Measured: three peers, 128-byte values, every write synced by a majority before it is answered; the client, the
 * peers and one NATS server share this machine. A latency runs from the call of `put` or `get` to its answer.
 *
 * Not measured: a network (all is on the loopback), a NATS cluster, several clients, large values, many
 * groups, a full disk or a long log, what a failure costs, and what the machine would do if the client were
 * elsewhere. Loops that wait for their answers hide queueing that an open stream of requests would show.
 */

import { once } from 'node:events';
import path from 'node:path';
import { ConclaveClient, type GetOptions } from '@conclave/client';
import { asGroupId, defaultPrefix, limits } from '@conclave/protocol';
import type { NatsLogin } from '@conclave/protocol/login';
import { type Command, Option } from 'commander';
import { runAction } from '../action.js';
import { benchChange } from '../bench/change.js';
import { defaultWriters } from '../bench/change-rows.js';
import { echo, measureSync, RequestFloor } from '../bench/floor.js';
import { benchJoiner } from '../bench/joiner.js';
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
import { namedServersText, splitList, wholeNumber, withLoginOptions } from '../options.js';
import type { Output } from '../output.js';
import { CleanUp, withCleanUp } from '../processes/clean-up.js';
import { foundGroup, makeMesh, namedOrOwnNats, peerNames, refuseSecondMesh } from '../processes/mesh.js';
import { type Placement, placements } from '../processes/peer-processes.js';
import { count } from '../views/words.js';

const groupId = asGroupId('bench');
const peers = 3;
const valueBytes = 128;
const keys = 10_000;
const syncMs = 1_000;
/** Before a row, of processes that run warm. */
const rowWarmUpMs = 5_000;
/** What stores nothing takes no snapshots, and runs evenly. */
const evenMs = 5_000;

interface BenchOptions extends LoginFlags {
  readonly json: boolean;
  readonly tls: boolean;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly rows: readonly string[];
  readonly dataDir: string;
  readonly joiner: boolean;
  readonly entries: number;
  readonly load: number;
  readonly change: boolean;
  readonly writers: readonly number[];
  readonly changes: number;
  readonly kills: number;
  /** Empty: something else is measured. */
  readonly watches: readonly number[];
}

export function registerBench(program: Command): void {
  const command = program
    .command('bench')
    .addOption(
      new Option('--seconds <n>', 'how long writes are measured; reads and bare requests 5 at most')
        .argParser(wholeNumber(1, 3_600))
        .default(15),
    )
    .addOption(
      new Option('--warm-up-seconds <n>', 'of processes just started; each row has as much, 5 at most')
        .argParser(wholeNumber(0, 600))
        .default(20),
    )
    .addOption(
      new Option(
        '--rows <names>',
        'these rows alone: four-1024, or four, or 1024; lease-256, or lease, or reads; with --change: replace-two, ...',
      )
        .argParser(splitList)
        .default([], 'all'),
    )
    .option('--data-dir <folder>', 'on the disk that is meant; what is written there is removed', '.conclave')
    .option('--json', 'print one line of JSON for each row', false)
    .option('--joiner', 'instead: how fast a fourth peer catches up, from the log and behind a snapshot', false)
    .addOption(
      new Option('--entries <n>', 'with --joiner: of the log').argParser(wholeNumber(1, 1e9)).default(1_000_000),
    )
    .addOption(
      new Option('--load <writes>', 'with --joiner: writes a second meanwhile')
        .argParser(wholeNumber(0, 1e6))
        .default(1_000),
    )
    .option('--change', 'instead: how long writers wait during membership changes, transfers and deaths', false)
    .addOption(
      new Option('--writers <numbers>', 'with --change: how many write at once, one run each')
        .argParser((text: string) => splitList(text).map(wholeNumber(1, 65_536)))
        .default([...defaultWriters], defaultWriters.join(',')),
    )
    .addOption(
      new Option('--changes <n>', 'with --change: how often each is done').argParser(wholeNumber(1, 1_000)).default(3),
    )
    .addOption(
      new Option('--kills <n>', 'with --change: how often the leader is killed')
        .argParser(wholeNumber(1, 1_000))
        .default(5),
    )
    .addOption(
      new Option('--watches [numbers]', 'instead: writes a second with so many open watches, and with none')
        .argParser((text: string) => splitList(text).map(wholeNumber(1, limits.watches)))
        .preset(defaultWatches.join(','))
        .default([], 'off'),
    )
    .option('--tls', 'with TLS between all and the NATS server, the bare requests included', false)
    .description('measure replicated writes, and reads, beside bare requests and a bare sync');
  withLoginOptions(command, namedServersText).action((options: BenchOptions) =>
    runAction(options, (output) => withCleanUp((cleanUp) => benchOf(options)(cleanUp, output, options))),
  );
  // A process of its own for the floor: the answers must come from elsewhere, as those of peers do.
  program.command('bench-echo', { hidden: true }).action(() => echo(loginOf({}), once(process, 'disconnect')));
}

function benchOf({ joiner, change, watches }: BenchOptions): typeof bench {
  if (joiner) return benchJoiner;
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
      const floorPerSecond = meanFloor(row, before, after);
      const done = { ...row, measured: ofRow, floorPerSecond };
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

/** Machines run now faster, now slower: what stands before and after a row says what it was at the time of the row. */
function meanFloor({ inFlight }: Row, ...floors: readonly Map<number, Measured>[]): number {
  const all = floors.map((floor) => floor.get(inFlight)?.operationsPerSecond ?? Number.NaN);
  return all.reduce((sum, each) => sum + each, 0) / all.length;
}

async function measureFloors(
  cleanUp: CleanUp,
  output: Output,
  login: NatsLogin,
  rows: readonly Row[],
  options: BenchOptions,
): Promise<Map<number, Measured>> {
  const floor = await RequestFloor.start(cleanUp, login, new Uint8Array(valueBytes));
  const floors = new Map<number, Measured>();
  await warmUp((warming) => floor.measure(warming), rows, options);
  for (const inFlight of new Set(rows.map((row) => row.inFlight))) {
    const figures = await floor.measure({ inFlight, ...evenTimes(options) });
    floors.set(inFlight, figures);
    if (output.json) output.record({ row: `request-${inFlight}`, in_flight: inFlight, ...measuredRecord(figures) });
    else output.note(`bare requests, ${inFlight} in flight: ${count(figures.operationsPerSecond)}/s`);
  }
  // Its process and its connection must not be there beside the peers.
  await floor.stop();
  return floors;
}

/** Starts a mesh of its own for one placement and measures its rows one by one. */
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
    // Each placement has a prefix of its own: what is late from one must not reach the other.
    const prefix = `${defaultPrefix}-${placement}`;
    const mesh = await makeMesh(cleanUp, login, { groupId, prefix, placement, folder }, (text) => console.error(text));
    await refuseSecondMesh(mesh.requester, peerNames(peers));
    await mesh.processes.start(peerNames(peers));
    await foundGroup(mesh, peerNames(peers));
    const client = await ConclaveClient.connect({ connection: mesh.requester.connection, groupId, prefix });
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

/** One read of this kind. */
function readerOf(client: ConclaveClient, kind: Exclude<Operation, 'write'>, follower: string) {
  const how = {
    linearizable: {},
    lease: { consistency: 'lease' },
    follower: { consistency: 'linearizable', peerId: follower },
    stale: { consistency: 'stale', peerId: follower },
  } as const satisfies Record<typeof kind, GetOptions>;
  return (number: number): Promise<unknown> => client.kv.get(`key-${number % keys}`, how[kind]);
}

/** Has processes that were just started do for a while what they are to be measured at, so that V8 has compiled it. */
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
