/** The rows of `--peers`, the ratios of Conclave to the others, and how they are printed. */
import { UsageError } from '../../exit-codes.js';
import { placements } from '../../processes/peer-processes.js';
import { count } from '../../views/format.js';
import { table } from '../../views/tables.js';
import type { Measured } from '../measure.js';
import { measuredRecord, rounded } from '../results.js';
import { inFlights } from '../rows.js';

export const otherSystems = ['etcd', 'jetstream'] as const;
export type OtherSystem = (typeof otherSystems)[number];
/** Conclave with four processes per peer and with one, and the others. */
export const systems = [...placements, ...otherSystems] as const;
export type System = (typeof systems)[number];

export interface PeerRow {
  /** `etcd-64`; for Conclave as in the other rows, `four-64` */
  readonly name: string;
  readonly system: System;
  readonly inFlight: number;
}

export interface PeerResult extends PeerRow {
  readonly measured: Measured;
}

/** Conclave beside another system, with as many in flight. */
export interface Comparison {
  readonly row: string;
  readonly against: string;
  readonly inFlight: number;
  /** Conclave's writes per second divided by those of the other system. */
  readonly writesRatio: number;
  /** Conclave's p50 divided by that of the other system. */
  readonly p50Ratio: number;
}

const allRows: readonly PeerRow[] = systems.flatMap((system) =>
  inFlights.map((inFlight) => ({ name: `${system}-${inFlight}`, system, inFlight })),
);

/**
 * Returns the named rows: `etcd-64`, or `etcd`, or `64`; all rows if none is named.
 * @throws UsageError if a name matches no row
 */
export function selectPeerRows(names: readonly string[]): PeerRow[] {
  if (names.length === 0) return [...allRows];
  const fits = ({ name, system, inFlight }: PeerRow, given: string): boolean =>
    [name, system, String(inFlight)].includes(given);
  for (const given of names) {
    if (allRows.some((row) => fits(row, given))) continue;
    const known = allRows.map((row) => row.name).join(', ');
    throw new UsageError(`there is no row ${given} with --peers; there are ${known}`);
  }
  return allRows.filter((row) => names.some((given) => fits(row, given)));
}

/** Conclave's rows beside those of the other systems with as many in flight. */
export function compare(results: readonly PeerResult[]): Comparison[] {
  const isOther = ({ system }: PeerRow): boolean => otherSystems.some((other) => other === system);
  return results
    .filter((ours) => !isOther(ours))
    .flatMap((ours) =>
      results
        .filter((other) => isOther(other) && other.inFlight === ours.inFlight)
        .map((other) => ({
          row: ours.name,
          against: other.name,
          inFlight: ours.inFlight,
          writesRatio: ours.measured.operationsPerSecond / other.measured.operationsPerSecond,
          p50Ratio: ours.measured.p50Ms / other.measured.p50Ms,
        })),
    );
}

/** A table of what was measured, and one of the ratios, if there are any. */
export function peerTables(results: readonly PeerResult[]): string[] {
  const head = ['system', 'in flight', 'writes/s', 'p50 ms', 'p99 ms', 'failed'];
  const cells = results.map(({ system, inFlight, measured: { operationsPerSecond, p50Ms, p99Ms, failed } }) => [
    titleOf(system),
    inFlight,
    count(operationsPerSecond),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    failed,
  ]);
  const ratioHead = ['row', 'divided by', 'writes/s', 'p50'];
  const ratios = compare(results).map(({ row, against, writesRatio, p50Ratio }) => [
    row,
    against,
    `${writesRatio.toFixed(2)}x`,
    `${p50Ratio.toFixed(2)}x`,
  ]);
  return [
    table(head, cells, head.slice(1)),
    ...(ratios.length === 0 ? [] : [table(ratioHead, ratios, ratioHead.slice(2))]),
  ];
}

function titleOf(system: System): string {
  return system === 'four' || system === 'one' ? `Conclave, ${system}` : system;
}

export function peerRecord({ name, system, inFlight, measured }: PeerResult): Record<string, unknown> {
  return { row: name, system, in_flight: inFlight, ...measuredRecord(measured) };
}

export function comparisonRecord(comparison: Comparison): Record<string, unknown> {
  const { row, against, inFlight, writesRatio, p50Ratio } = comparison;
  return { row, against, in_flight: inFlight, writes_ratio: rounded(writesRatio), p50_ratio: rounded(p50Ratio) };
}
