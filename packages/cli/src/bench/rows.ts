/** The rows of the benchmark, and how they are printed. */
import { ConclaveError } from '@conclave/protocol';
import { type Placement, placements } from '../processes/peer-processes.js';
import { count } from '../views/format.js';
import { table } from '../views/tables.js';
import type { Measured } from './measure.js';

export const inFlights = [1, 64, 256, 1024] as const;
const readInFlights = [1, 256] as const;

/** `follower` is linearizable and `stale` is not; both are sent to a peer that does not lead. */
export const readKinds = ['linearizable', 'lease', 'follower', 'stale'] as const;
export type Operation = 'write' | (typeof readKinds)[number];

export interface Row {
  /** `four-1024`, `lease-256` */
  readonly name: string;
  readonly operation: Operation;
  readonly placement: Placement;
  readonly inFlight: number;
}

export interface MeasuredRow extends Row {
  readonly measured: Measured;
  /** Plain NATS requests per second with as many in flight. */
  readonly baselinePerSecond: number;
}

const writeRows: readonly Row[] = placements.flatMap((placement) =>
  inFlights.map((inFlight) => ({ name: `${placement}-${inFlight}`, operation: 'write' as const, placement, inFlight })),
);

const readRows: readonly Row[] = readKinds.flatMap((operation) =>
  readInFlights.map((inFlight) => ({
    name: `${operation}-${inFlight}`,
    operation,
    placement: 'four' as const,
    inFlight,
  })),
);

export const allRows: readonly Row[] = [...writeRows, ...readRows];

/**
 * Returns the named rows: `four-64`, or `four`, or `64` (writes), or `lease-256`, `lease`, or `reads`; all rows if none is named.
 * @throws ConclaveError EINVAL if a name matches no row
 */
export function selectRows(names: readonly string[]): Row[] {
  if (names.length === 0) return [...allRows];
  const fits = (row: Row, name: string): boolean => {
    if (row.name === name) return true;
    return row.operation === 'write'
      ? row.placement === name || String(row.inFlight) === name
      : row.operation === name || name === 'reads';
  };
  for (const name of names) {
    if (!allRows.some((row) => fits(row, name))) {
      throw new ConclaveError(
        'EINVAL',
        `there is no row ${name}; there are ${allRows.map((row) => row.name).join(', ')}`,
      );
    }
  }
  return allRows.filter((row) => names.some((name) => fits(row, name)));
}

/** The ratio to the baseline. */
export function ratioToBaseline({ measured, baselinePerSecond }: MeasuredRow): number {
  return measured.operationsPerSecond / baselinePerSecond;
}

/** A table of the writes, and one of the reads, if there are such rows. */
export function rowsTables(rows: readonly MeasuredRow[]): string[] {
  const writes = rows.filter(({ operation }) => operation === 'write');
  const reads = rows.filter(({ operation }) => operation !== 'write');
  return [
    ...(writes.length === 0 ? [] : [tableOf('processes a peer', 'writes/s', writes, ({ placement }) => placement)]),
    ...(reads.length === 0 ? [] : [tableOf('read', 'reads/s', reads, ({ operation }) => operation)]),
  ];
}

function tableOf(what: string, unit: string, rows: readonly MeasuredRow[], nameOf: (row: Row) => string): string {
  const head = [what, 'in flight', unit, 'p50 ms', 'p99 ms', 'failed', 'bare requests/s', 'ratio'];
  const cells = rows.map((row) => [
    nameOf(row),
    row.inFlight,
    count(row.measured.operationsPerSecond),
    row.measured.p50Ms.toFixed(2),
    row.measured.p99Ms.toFixed(2),
    row.measured.failed,
    count(row.baselinePerSecond),
    `${ratioToBaseline(row).toFixed(2)}x`,
  ]);
  return table(head, cells, head.slice(1));
}

/** A row in the form that `--json` prints. */
export function rowRecord(row: MeasuredRow): Record<string, unknown> {
  return {
    row: row.name,
    operation: row.operation,
    placement: row.placement,
    in_flight: row.inFlight,
    ...measuredRecord(row.measured),
    baseline_operations_per_second: Math.round(row.baselinePerSecond),
    ratio: Number(ratioToBaseline(row).toFixed(3)),
  };
}

export function measuredRecord(measured: Measured): Record<string, number> {
  return {
    seconds: Number(measured.seconds.toFixed(3)),
    operations: measured.operations,
    failed: measured.failed,
    operations_per_second: Math.round(measured.operationsPerSecond),
    p50_ms: Number(measured.p50Ms.toFixed(3)),
    p99_ms: Number(measured.p99Ms.toFixed(3)),
  };
}
