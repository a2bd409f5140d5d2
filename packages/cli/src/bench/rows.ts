/** The rows of the benchmark, and how they are shown. */
import { ConclaveError } from '@conclave/protocol';
import { type Placement, placements } from '../processes/peer-processes.js';
import { table } from '../views/tables.js';
import { count } from '../views/words.js';
import type { Measured } from './measure.js';

export const inFlights = [1, 64, 256, 1024] as const;

export interface Row {
  /** `four-1024` */
  readonly name: string;
  readonly placement: Placement;
  readonly inFlight: number;
}

export interface MeasuredRow extends Row {
  readonly measured: Measured;
  /** Bare requests a second with as many in flight. */
  readonly floorPerSecond: number;
}

export const allRows: readonly Row[] = placements.flatMap((placement) =>
  inFlights.map((inFlight) => ({ name: `${placement}-${inFlight}`, placement, inFlight })),
);

/**
 * The rows that are named: `four-64`, or `four`, or `64`; all where none is.
 * @throws ConclaveError EINVAL where a name fits none
 */
export function selectRows(names: readonly string[]): Row[] {
  if (names.length === 0) return [...allRows];
  const fits = (row: Row, name: string): boolean =>
    row.name === name || row.placement === name || String(row.inFlight) === name;
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

/** How many times the floor. */
export function ratioToFloor({ measured, floorPerSecond }: MeasuredRow): number {
  return measured.operationsPerSecond / floorPerSecond;
}

export function rowsTable(rows: readonly MeasuredRow[]): string {
  const head = ['processes a peer', 'in flight', 'writes/s', 'p50 ms', 'p99 ms', 'failed', 'bare requests/s', 'ratio'];
  const cells = rows.map((row) => [
    row.placement,
    row.inFlight,
    count(row.measured.operationsPerSecond),
    row.measured.p50Ms.toFixed(2),
    row.measured.p99Ms.toFixed(2),
    row.measured.failed,
    count(row.floorPerSecond),
    `${ratioToFloor(row).toFixed(2)}x`,
  ]);
  return table(head, cells, head.slice(1));
}

/** A row as `--json` prints it. */
export function rowRecord(row: MeasuredRow): Record<string, unknown> {
  return {
    row: row.name,
    placement: row.placement,
    in_flight: row.inFlight,
    ...measuredRecord(row.measured),
    floor_operations_per_second: Math.round(row.floorPerSecond),
    ratio: Number(ratioToFloor(row).toFixed(3)),
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
