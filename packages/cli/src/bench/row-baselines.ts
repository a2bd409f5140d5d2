/** The baseline of rows: bare requests with as many in flight, and the disk. */
import { count } from '../views/format.js';
import { RequestBaseline } from './baseline.js';
import type { Measured } from './measure.js';
import { type Baseline, measuredRecord } from './results.js';
import { type Row, type SetUpName, setUps } from './rows.js';
import { evenTimes, measureDisk, type Run, warmUp } from './run.js';

/** What the machine does without Raft, at one time. */
export interface BaselineFigures {
  readonly requests: ReadonlyMap<number, Measured>;
  readonly syncP50Ms?: number;
}

/** The speed of a machine changes over time. The baselines before and after a row show the speed at the time of the row. */
export function meanBaseline({ inFlight }: Row, all: readonly BaselineFigures[]): Baseline {
  const requests = all.map((each) => each.requests.get(inFlight));
  const syncs = all.map(({ syncP50Ms }) => syncP50Ms ?? Number.NaN);
  const syncP50Ms = mean(syncs);
  return {
    perSecond: mean(requests.map((each) => each?.operationsPerSecond ?? Number.NaN)),
    p50Ms: mean(requests.map((each) => each?.p50Ms ?? Number.NaN)),
    ...(Number.isNaN(syncP50Ms) ? {} : { syncP50Ms }),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

/** Measures the baseline of those rows that are compared with it. */
export async function measureBaselines(run: Run, setUp: SetUpName, rows: readonly Row[]): Promise<BaselineFigures> {
  const { cleanUp, output, login, options } = run;
  const requests = new Map<number, Measured>();
  const beside = rows.filter(({ operation, comparedWith }) => operation !== 'idle' && comparedWith === undefined);
  if (beside.length === 0) return { requests };
  const { valueBytes } = setUps[setUp];
  const baseline = await RequestBaseline.start(cleanUp, login, new Uint8Array(valueBytes));
  await warmUp((warming) => baseline.measure(warming), beside, options);
  for (const inFlight of new Set(beside.map((row) => row.inFlight))) {
    const figures = await baseline.measure({ inFlight, ...evenTimes(options) });
    requests.set(inFlight, figures);
    const of = { row: `request-${inFlight}`, in_flight: inFlight, value_bytes: valueBytes };
    if (output.json) output.record({ ...of, ...measuredRecord(figures) });
    else output.note(`bare requests, ${inFlight} in flight: ${count(figures.operationsPerSecond)}/s`);
  }
  // Its process and its connection must not run while the peers are measured.
  await baseline.stop();
  const needsSync = beside.some(({ operation, inFlight }) => operation === 'write' && inFlight === 1);
  return { requests, ...(needsSync && { syncP50Ms: measureDisk(run) }) };
}
