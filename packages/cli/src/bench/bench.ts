/** Runs the rows of the benchmark: the baseline, the processes of each set-up, and what is measured with them. */
import { ConclaveError } from '@conclave/protocol';
import { Failed } from '../exit-codes.js';
import type { Output } from '../output.js';
import type { CleanUp } from '../processes/clean-up.js';
import { type Placement, placements } from '../processes/peer-processes.js';
import { count } from '../views/format.js';
import { compareMetrics } from './compare-metrics.js';
import type { Measured } from './measure.js';
import { type Figures, measureRows } from './measure-rows.js';
import { failuresOf, isLoad, type LoadResult, type Result, resultRecord, resultTables } from './results.js';
import { type BaselineFigures, meanBaseline, measureBaselines } from './row-baselines.js';
import { type Row, type SetUpName, selectRows, setUpNames } from './rows.js';
import { measureDisk, type RowsOptions, type Run, startRun } from './run.js';

/** Measures the selected rows and prints them. */
export async function benchRows(cleanUp: CleanUp, output: Output, options: RowsOptions): Promise<void> {
  const rows = selectRows(options.rows);
  const run = await startRun(cleanUp, output, options);
  measureDisk(run);
  const results: Result[] = [];
  for (const placement of placements) {
    for (const setUp of setUpNames) {
      const chosen = rows.filter((row) => row.placement === placement && row.setUp === setUp);
      if (chosen.length > 0) results.push(...(await resultsOf(run, placement, setUp, chosen, results)));
    }
  }
  if (!output.json) {
    output.line('\nreplicated writes are synced by a majority; see docs/benchmarks.md\n');
    output.line(resultTables(results).join('\n\n'));
  }
  const failed = results.reduce((sum, result) => sum + failuresOf(result), 0);
  if (failed === 0) return;
  output.note(`conclave: ${count(failed)} operations failed`);
  throw new Failed();
}

/** Measures the rows with and without metrics. */
export async function benchMetrics(cleanUp: CleanUp, output: Output, options: RowsOptions): Promise<void> {
  const rows = selectRows(options.rows).filter(({ inFlight }) => inFlight > 0);
  if (rows.length === 0) throw new ConclaveError('EINVAL', '--compare-metrics needs rows with operations in flight');
  const run = await startRun(cleanUp, output, options);
  await compareMetrics(output, options.compareMetrics, async function* (round) {
    for (const placement of placements) {
      for (const setUp of setUpNames) {
        const chosen = rows.filter((row) => row.placement === placement && row.setUp === setUp);
        if (chosen.length === 0) continue;
        for await (const [row, figures] of measureRows(run, placement, setUp, round, chosen)) {
          if ('measured' in figures) yield [row, figures.measured];
        }
      }
    }
  });
}

/** @param earlier the results of the rows that these may be compared with */
async function resultsOf(
  run: Run,
  placement: Placement,
  setUp: SetUpName,
  rows: readonly Row[],
  earlier: readonly Result[],
): Promise<Result[]> {
  const { output } = run;
  const before = await measureBaselines(run, setUp, rows);
  const figures: (readonly [Row, Figures])[] = [];
  for await (const [row, ofRow] of measureRows(run, placement, setUp, '', rows)) {
    figures.push([row, ofRow]);
    if (!output.json) output.note(`${row.name}: ${noteOf(row, ofRow)}`);
  }
  const after = await measureBaselines(run, setUp, rows);
  return figures.map(([row, ofRow]) => {
    const result =
      'measured' in ofRow ? loadResult(row, ofRow.measured, [before, after], earlier) : { ...row, ...ofRow };
    if (output.json) output.record(resultRecord(result));
    return result;
  });
}

function noteOf({ operation }: Row, figures: Figures): string {
  if ('usage' in figures) return `${figures.usage.length} processes`;
  if ('open' in figures) return `p50 ${figures.open.p50Ms.toFixed(2)} ms, p99 ${figures.open.p99Ms.toFixed(2)} ms`;
  const { operationsPerSecond, p50Ms } = figures.measured;
  return `${count(operationsPerSecond)} ${operation === 'write' ? 'writes/s' : 'reads/s'}, p50 ${p50Ms.toFixed(2)} ms`;
}

function loadResult(
  row: Row,
  measured: Measured,
  all: readonly BaselineFigures[],
  earlier: readonly Result[],
): LoadResult {
  if (row.comparedWith === undefined) return { ...row, measured, baseline: meanBaseline(row, all) };
  const compared = earlier.filter(isLoad).find(({ name }) => name === row.comparedWith)?.measured;
  return { ...row, measured, ...(compared && { compared }) };
}
