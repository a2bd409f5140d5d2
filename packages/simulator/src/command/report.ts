/** What is printed and written: of a set of seeds, and of a run that failed. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import type { Command } from '../language/command.js';
import { formatScript } from '../language/script.js';
import { missingCoverage } from '../run/expected-coverage.js';
import type { Violation } from '../run/run-seed.js';
import type { Shrunk } from '../run/shrink.js';
import type { SetResult } from './seed-set.js';

type Timed = Pick<SetResult, 'seeds' | 'steps' | 'tookMs' | 'runsMs' | 'loopMs'>;

/** Returns the speed of one run or a set. */
export function speedLine(result: Timed & Pick<SetResult, 'virtualMs'>): string {
  const { seeds, steps, virtualMs, tookMs } = result;
  const { eventsASecond, seedsAMinute, eventsASecondOfAThread, eventsALoop } = speedOf(result);
  const hours = (virtualMs / 3_600_000).toFixed(2);
  const taken = (tookMs / 1000).toFixed(1);
  return `${plural(seeds, 'seed')}, ${steps} events in ${hours} simulated hours, ${taken} s: ${eventsASecond} events a second, ${seedsAMinute} seeds a minute
on each thread: ${eventsASecondOfAThread} events a second, ${eventsALoop} events in the time of a calibration loop`;
}

export function speedOf({ seeds, steps, tookMs, runsMs, loopMs }: Timed): {
  eventsASecond: number;
  seedsAMinute: number;
  eventsASecondOfAThread: number;
  eventsALoop: number;
} {
  return {
    eventsASecond: Math.round((steps / tookMs) * 1000),
    seedsAMinute: Math.round((seeds / tookMs) * 60_000),
    eventsASecondOfAThread: Math.round((steps / runsMs) * 1000),
    eventsALoop: Math.round((steps / runsMs) * loopMs),
  };
}

/** Without lines between the rows. */
const chars = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };

export function coverageTable(coverage: Readonly<Record<string, number>>): string {
  const table = new Table({
    head: ['reached', 'times'],
    style: { head: [], border: [] },
    colAligns: ['left', 'right'],
    chars,
  });
  for (const [what, times] of Object.entries(coverage)) table.push([what, times]);
  for (const what of missingCoverage(coverage)) table.push([what, 'NEVER']);
  return table.toString();
}

/** Returns the result of a set for `--json`. */
export function setAsJson(result: SetResult): object {
  const { from, seeds, steps, virtualMs, tookMs, coverage, failed } = result;
  const { eventsASecond, seedsAMinute, eventsASecondOfAThread, eventsALoop } = speedOf(result);
  return {
    from,
    seeds,
    failed: failed.map(({ seed, violation }) => ({ seed, ...violation })),
    missing: missingCoverage(coverage),
    events: steps,
    simulated_ms: Math.round(virtualMs),
    took_ms: Math.round(tookMs),
    events_a_second: eventsASecond,
    seeds_a_minute: seedsAMinute,
    events_a_second_of_a_thread: eventsASecondOfAThread,
    events_a_calibration_loop: eventsALoop,
    coverage,
  };
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** A run that failed: enough to repeat it, and a script that a person can read. */
export interface Failure {
  readonly seed: number;
  /** Of the sources, by git; or `unknown`. */
  readonly commit: string;
  readonly violation: Violation;
  readonly commands: number;
  readonly shrunk: Shrunk;
}

/** Returns a script with comments that reproduces the failure. */
export function failureScript(failure: Failure, replay: string): string {
  const { seed, commit, violation, commands, shrunk } = failure;
  const comments = [
    `seed ${seed}, commit ${commit}`,
    `broken: ${violation.invariant}`,
    ...violation.seen.split('\n'),
    `${shrunk.script.length} of ${commands} commands${shrunk.isMinimal ? '' : ' (given up; it might go shorter)'}`,
    `replay: ${replay}`,
  ];
  return `${comments.map((comment) => `# ${comment}\n`).join('')}\n${formatScript(shrunk.script)}`;
}

/** @param script the run's whole script; `shrunk`: what is left of it */
export function failureOf(
  seed: number,
  commit: string,
  violation: Violation,
  script: readonly Command[],
  shrunk: Shrunk,
): Failure {
  return { seed, commit, violation, commands: script.length, shrunk };
}

/** Returns the commit of the sources, with `+` if files differ from it; `unknown` if git reports none. */
export function gitCommit(): string {
  try {
    const commit = git('rev-parse', '--short=12', 'HEAD');
    return git('status', '--porcelain') === '' ? commit : `${commit}+`;
  } catch {
    return 'unknown';
  }
}

function git(...args: string[]): string {
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  return execFileSync('git', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}
