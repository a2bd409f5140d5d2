/** What all measurements of a run of the benchmark share. */
import type { NatsLogin } from '@conclave/protocol/login';
import type { LoginFlags } from '../login.js';
import type { Output } from '../output.js';
import type { CleanUp } from '../processes/clean-up.js';
import { namedOrOwnServer } from '../processes/mesh.js';
import { measureSync } from './baseline.js';
import type { MeasureOptions } from './measure.js';
import { rounded } from './results.js';
import { scratchFolder } from './scratch-folder.js';

const syncMs = 1_000;
/** What is appended before each `fdatasync`. */
const syncBytes = 128;
/** The load before a row, so that its processes run optimized code. */
const rowWarmUpMs = 5_000;
/** Reads are measured for at most this long: they cause no snapshots, so their speed varies less. */
const evenMs = 5_000;

export interface RowsOptions extends LoginFlags {
  readonly tls: boolean;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly rows: readonly string[];
  readonly dataDir: string;
  /** Rounds of `--compare-metrics`. */
  readonly compareMetrics: number;
}

export interface Run {
  readonly cleanUp: CleanUp;
  readonly output: Output;
  readonly options: RowsOptions;
  readonly folder: string;
  readonly login: NatsLogin;
  /** Undefined: the NATS servers were running before. */
  readonly natsPid: number | undefined;
}

export async function startRun(cleanUp: CleanUp, output: Output, options: RowsOptions): Promise<Run> {
  const folder = scratchFolder(cleanUp, options.dataDir, 'bench-');
  const { login, pid: natsPid } = await namedOrOwnServer(cleanUp, options, folder);
  return { cleanUp, output, options, folder, login, natsPid };
}

/** Prints and returns the p50 of an append and its sync. */
export function measureDisk({ output, folder }: Run): number {
  const sync = measureSync(folder, new Uint8Array(syncBytes), syncMs);
  if (output.json) output.record({ row: 'fdatasync', p50_ms: rounded(sync.p50Ms), p99_ms: rounded(sync.p99Ms) });
  else output.note(`one fdatasync: p50 ${sync.p50Ms.toFixed(2)} ms, p99 ${sync.p99Ms.toFixed(2)} ms`);
  return sync.p50Ms;
}

/** Runs the measured work for a while in processes that were just started, so that V8 has compiled it. */
export async function warmUp(
  run: (options: MeasureOptions) => Promise<unknown>,
  rows: readonly { readonly inFlight: number }[],
  { warmUpSeconds }: RowsOptions,
): Promise<void> {
  const inFlight = Math.max(...rows.map((row) => row.inFlight));
  await run({ inFlight, warmUpMs: 1000 * warmUpSeconds, measureMs: 0 });
}

export function times({ seconds, warmUpSeconds }: RowsOptions): { warmUpMs: number; measureMs: number } {
  return { warmUpMs: Math.min(1000 * warmUpSeconds, rowWarmUpMs), measureMs: 1000 * seconds };
}

export function evenTimes(options: RowsOptions): { warmUpMs: number; measureMs: number } {
  const { warmUpMs, measureMs } = times(options);
  return { warmUpMs, measureMs: Math.min(measureMs, evenMs) };
}
