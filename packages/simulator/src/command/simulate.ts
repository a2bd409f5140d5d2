/**
 * `npm run simulate`: one seed, a script, or a set of seeds. Exit code 1: an invariant was broken, or the set did not
 * reach all expected coverage.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { systemErrorText } from '@conclave/protocol';
import { InvalidArgumentError, Command as Program } from 'commander';
import type { Command } from '../language/command.js';
import { formatScript, parseScript } from '../language/script.js';
import { randomPlan } from '../plan/random-plan.js';
import { type RecordedRun, recordedRun, writeRecords } from '../recording/index.js';
import { missingCoverage } from '../run/expected-coverage.js';
import { type RunResult, runCommands, type Violation } from '../run/run-seed.js';
import { shrink } from '../run/shrink.js';
import { calibrationLoopMs } from './calibration.js';
import { coverageTable, failureOf, failureScript, gitCommit, setAsJson, speedLine } from './report.js';
import { runSeedSet, type SetResult } from './seed-set.js';

interface Options {
  readonly seed?: number;
  readonly script?: string;
  readonly from: number;
  readonly seeds: number;
  readonly threads: number;
  readonly trace?: boolean;
  readonly plan?: boolean;
  readonly shrink: boolean;
  readonly hashes?: string;
  readonly record?: string;
  readonly json?: boolean;
}

/** How many failures of a set are shrunk: many seeds find the same mistake. */
const shrunkFailures = 3;
/** Progress is printed after this many seeds. */
const progressEvery = 500;

async function main(): Promise<number> {
  const options = parse(process.argv);
  if (options.seed !== undefined) return runOne(options.seed, options);
  if (options.record === undefined) return runSet(options);
  console.error('error: --record is for one seed: name it with --seed');
  return 2;
}

function parse(argv: readonly string[]): Options {
  return new Program('simulate')
    .description('Runs the real cores in virtual time. A seed decides everything: the same seed is the same run.')
    .option('--seed <number>', 'run this seed alone', wholeNumber)
    .option('--script <file>', 'run this script with the chance of the seed, in place of the seed’s own plan')
    .option('--from <seed>', 'the first seed of a set', wholeNumber, 1)
    .option('--seeds <count>', 'how many seeds', wholeNumber, 1000)
    .option('--threads <count>', 'how many at a time, 1 or 2', wholeNumber, 2)
    .option('--trace', 'of one seed: print each event')
    .option('--plan', 'of one seed: print its script, and do not run it')
    .option('--record <file>', 'of one seed: write a recording, for conclave view --replay')
    .option('--no-shrink', 'do not make the script of a failure short')
    .option('--hashes <file>', 'of a set: write events and trace hash of each seed there, to compare two builds')
    .option('--json', 'print JSON')
    .parse(argv)
    .opts<Options>();
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('expected a whole number');
  return value;
}

// ---- one seed ------------------------------------------------------------------------------------

async function runOne(seed: number, options: Options): Promise<number> {
  const script = options.script === undefined ? randomPlan(seed) : parseScript(readFileSync(options.script, 'utf8'));
  if (options.plan === true) {
    process.stdout.write(formatScript(script));
    return 0;
  }
  // The first one compiles it.
  calibrationLoopMs();
  const loopMs = calibrationLoopMs();
  const began = performance.now();
  const onLine = options.trace === true ? (line: string) => console.log(line) : undefined;
  const runOptions = { hash: true, onLine };
  const recorded = options.record === undefined ? undefined : recordedRun(script, seed, runOptions);
  const result = recorded?.result ?? runCommands(script, seed, runOptions);
  const tookMs = performance.now() - began;
  if (options.json === true) console.log(JSON.stringify(result));
  else {
    console.log(coverageTableOfOne(result));
    console.log(
      speedLine({ seeds: 1, steps: result.steps, virtualMs: result.virtualMs, tookMs, runsMs: tookMs, loopMs }),
    );
    console.log(`trace ${result.traceHash}`);
  }
  if (result.violation !== undefined) report(seed, result.violation, script, options);
  const isWritten = recorded === undefined || (await write(seed, recorded, options.record ?? ''));
  return result.violation === undefined && isWritten ? 0 : 1;
}

/** Writes a recording; returns whether that was possible. */
async function write(seed: number, { result, records }: RecordedRun, file: string): Promise<boolean> {
  const { violation } = result;
  const title = violation === undefined ? `seed ${seed}` : `seed ${seed}: ${violation.invariant} is broken`;
  try {
    const count = await writeRecords(file, title, gitCommit(), records);
    console.error(`${count} records written to ${file}: conclave view --replay ${file}`);
    return true;
  } catch (error) {
    console.error(`error: the recording is not written: ${systemErrorText(error)}`);
    return false;
  }
}

/** Coverage is not checked for single seeds. */
function coverageTableOfOne({ coverage }: RunResult): string {
  return Object.entries(coverage)
    .map(([what, times]) => `${String(times).padStart(8)}  ${what}`)
    .join('\n');
}

// ---- a set ---------------------------------------------------------------------------------------

async function runSet(options: Options): Promise<number> {
  const { from, seeds } = options;
  const threads = Math.min(Math.max(options.threads, 1), 2);
  let failed = 0;
  const lines = new Map<number, string>();
  const hash = options.hashes !== undefined;
  const onRun = ({ seed, violation, steps, traceHash }: RunResult, done: number): void => {
    if (hash) lines.set(seed, `${seed} ${steps} ${traceHash}\n`);
    if (violation !== undefined) {
      failed += 1;
      console.error(`seed ${seed}: ${violation.invariant}: ${firstLine(violation.seen)}`);
    }
    if (done % progressEvery === 0 && done < seeds) console.error(`${done} of ${seeds} seeds, ${failed} failed`);
  };
  const result = await runSeedSet({ from, seeds, threads, hash, onRun });
  if (options.hashes !== undefined) writeFileSync(options.hashes, bySeed(lines));
  for (const { seed, violation } of result.failed.slice(0, shrunkFailures)) {
    if (violation !== undefined) report(seed, violation, randomPlan(seed), options);
  }
  const missing = missingCoverage(result.coverage);
  if (options.json === true) console.log(JSON.stringify(setAsJson(result)));
  else printSet(result, missing);
  return result.failed.length === 0 && missing.length === 0 ? 0 : 1;
}

function bySeed(lines: ReadonlyMap<number, string>): string {
  return [...lines]
    .sort(([one], [other]) => one - other)
    .map(([, line]) => line)
    .join('');
}

function printSet(result: SetResult, missing: readonly string[]): void {
  console.log(coverageTable(result.coverage));
  console.log(speedLine(result));
  if (missing.length > 0) console.log(`never reached: ${missing.join('; ')}`);
  const { length } = result.failed;
  console.log(length === 0 ? 'no invariant was broken' : `${length} of ${result.seeds} seeds failed`);
}

// ---- failures ------------------------------------------------------------------------------------

function report(seed: number, violation: Violation, script: readonly Command[], options: Options): void {
  const commit = gitCommit();
  console.error(`seed ${seed}, commit ${commit}: ${violation.invariant} is broken: ${violation.seen}`);
  if (!options.shrink) return;
  const file = path.join('.cache', 'simulator', `seed-${seed}.txt`);
  const shrunk = shrink(script, seed, violation.invariant);
  // The shrunk run may report it with another text.
  const seen = runCommands(shrunk.script, seed).violation ?? violation;
  const text = failureScript(
    failureOf(seed, commit, seen, script, shrunk),
    `npm run simulate -- --seed ${seed} --script ${file} --trace`,
  );
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.error(`${text}\nwritten to ${file}; the whole run: npm run simulate -- --seed ${seed}`);
  if (options.record === undefined)
    console.error(`to look at it: the same with --record <file>, and conclave view --replay <file>`);
}

function firstLine(text: string): string {
  return text.slice(0, text.includes('\n') ? text.indexOf('\n') : undefined);
}

process.exitCode = await main();
