/**
 * `conclave bench`: replicated writes, and reads of each kind, per second; for comparison, what the same machine does without
 * Raft. Everything runs on this machine: the client, the peers and one NATS server. docs/benchmarks.md explains the rows, and lists
 * what is not measured.
 */
import { once } from 'node:events';
import { limits } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { echo } from '../bench/baseline.js';
import { benchMetrics, benchRows } from '../bench/bench.js';
import { benchCatchUp } from '../bench/catch-up.js';
import { benchChange } from '../bench/change.js';
import { defaultWriters } from '../bench/change-rows.js';
import { benchPeers } from '../bench/peers/peers.js';
import type { RowsOptions } from '../bench/run.js';
import { benchWatches, defaultWatches } from '../bench/watches.js';
import { loginOf } from '../login.js';
import { namedServersText, splitList, wholeNumber, withLoginOptions, withRenamedOption } from '../options.js';
import type { Output } from '../output.js';
import { type CleanUp, withCleanUp } from '../processes/clean-up.js';
import { runAction } from '../run-action.js';

interface BenchOptions extends RowsOptions {
  readonly json: boolean;
  readonly catchUp: boolean;
  readonly entries: number;
  readonly load: number;
  readonly change: boolean;
  readonly peers: boolean;
  readonly writers: readonly number[];
  readonly changes: number;
  readonly kills: number;
  /** The numbers of open watches; empty: without `--watches`. */
  readonly watches: readonly number[];
}

type Bench = (cleanUp: CleanUp, output: Output, options: BenchOptions) => Promise<void>;

export function registerBench(program: Command): void {
  const command = program
    .command('bench')
    .addOption(
      new Option('--seconds <n>', 'how long to measure writes; reads and plain requests at most 5')
        .argParser(wholeNumber(1, 3_600))
        .default(15),
    )
    .addOption(
      new Option('--warm-up-seconds <n>', 'how long newly started processes warm up; each row, too, for at most 5')
        .argParser(wholeNumber(0, 600))
        .default(20),
    )
    .addOption(
      new Option(
        '--rows <names>',
        'only these rows: four-1024, or four, or 1024; lease-256, or lease, or reads; open, five-peers, 100-groups, ' +
          '16-kib, idle, or goals; with --change: replace-two, ...; with --peers: etcd-64, or etcd, or 64',
      )
        .argParser(splitList)
        .default([], 'writes and reads'),
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
    .option('--peers', 'instead measure the same writes with Conclave, etcd and JetStream', false)
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

function benchOf({ catchUp, change, peers, watches, compareMetrics: rounds }: BenchOptions): Bench {
  if (rounds > 0) return benchMetrics;
  if (catchUp) return benchCatchUp;
  if (peers) return benchPeers;
  if (watches.length > 0) return benchWatches;
  return change ? benchChange : benchRows;
}
