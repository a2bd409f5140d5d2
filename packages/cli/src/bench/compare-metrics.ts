/**
 * `conclave bench --compare-metrics`: the same rows with and without measuring, in turns, so that both have the same share of a
 * machine whose speed changes.
 */
import type { Output } from '../output.js';
import { count } from '../views/format.js';
import { table } from '../views/tables.js';
import type { Measured } from './measure.js';
import type { Row } from './rows.js';

/** Measures rows of new processes, which inherit the environment. */
export type MeasureRows = (
  round: string,
) => AsyncIterable<readonly [Pick<Row, 'name'>, Pick<Measured, 'operationsPerSecond'>]>;

interface Rates {
  readonly on: number[];
  readonly off: number[];
}

export async function compareMetrics(
  output: Pick<Output, 'json' | 'record' | 'note' | 'line'>,
  rounds: number,
  measureRows: MeasureRows,
): Promise<void> {
  const rates = new Map<string, Rates>();
  for (let round = 0; round < rounds; round++) {
    // The one that is first in one round is second in the next one.
    for (const state of round % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)) {
      process.env.CONCLAVE_BENCH_METRICS = state;
      for await (const [{ name }, { operationsPerSecond }] of measureRows(`${round}-${state}`)) {
        const known = rates.get(name) ?? { on: [], off: [] };
        rates.set(name, known);
        known[state].push(operationsPerSecond);
        const rounded = Math.round(operationsPerSecond);
        if (output.json) output.record({ row: name, round, metrics: state, operations_per_second: rounded });
        else output.note(`round ${round + 1}, metrics ${state}, ${name}: ${count(operationsPerSecond)}/s`);
      }
    }
  }
  const rows = [...rates].map(([name, { on, off }]) => ({ name, on: median(on), off: median(off) }));
  for (const { name, on, off } of rows) {
    if (output.json)
      output.record({ row: name, with: Math.round(on), without: Math.round(off), percent: percentOf(on, off) });
  }
  if (output.json) return;
  const head = ['row', 'with metrics', 'without', 'difference'];
  const cells = rows.map(({ name, on, off }) => [name, count(on), count(off), `${percentOf(on, off)} %`]);
  output.line(table(head, cells, head.slice(1)));
}

/** How much slower the first is, in percent; negative: it is faster. */
function percentOf(on: number, off: number): number {
  return Number(((1 - on / off) * 100).toFixed(1));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
