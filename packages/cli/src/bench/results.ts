/** The results of the rows, their ratios, and how they are printed. */
import { count } from '../views/format.js';
import { table } from '../views/tables.js';
import type { ProcessUsage } from './idle.js';
import type { Measured } from './measure.js';
import type { OpenMeasured } from './open-loop.js';
import { type Row, setUps } from './rows.js';

const MB = 1e6;
const MiB = 1024 * 1024;

/** What the same machine does without Raft: means of what was measured before the row and after it. */
export interface Baseline {
  /** Plain NATS requests per second with as many in flight. */
  readonly perSecond: number;
  readonly p50Ms: number;
  /** The p50 of an append and its `fdatasync`; undefined if it was not measured. */
  readonly syncP50Ms?: number;
}

export interface LoadResult extends Row {
  readonly measured: Measured;
  /** Undefined: the row is compared with another one. */
  readonly baseline?: Baseline;
  /** The row that this one is compared with. */
  readonly compared?: Measured;
}

export interface IdleResult extends Row {
  readonly usage: readonly ProcessUsage[];
}

/** Writes at a fixed rate. */
export interface OpenResult extends Row {
  readonly open: OpenMeasured;
}

export type Result = LoadResult | OpenResult | IdleResult;

export function isLoad(result: Result): result is LoadResult {
  return 'measured' in result;
}

function isOpen(result: Result): result is OpenResult {
  return 'open' in result;
}

/** Operations that failed. */
export function failuresOf(result: Result): number {
  if (isLoad(result)) return result.measured.failed;
  return isOpen(result) ? result.open.failed : 0;
}

/** Operations per second divided by bare requests, or by those of the row that this one is compared with. */
export function throughputRatio({ measured, baseline, compared }: LoadResult): number {
  return measured.operationsPerSecond / (compared?.operationsPerSecond ?? baseline?.perSecond ?? Number.NaN);
}

/**
 * The least time that an operation with one in flight could take: a bare round trip, and for a write one sync.
 * Undefined: it is not known, or there is more than one in flight.
 */
export function minMs({ inFlight, operation, baseline }: LoadResult): number | undefined {
  if (inFlight !== 1 || baseline === undefined) return undefined;
  if (operation !== 'write') return baseline.p50Ms;
  return baseline.syncP50Ms === undefined ? undefined : baseline.p50Ms + baseline.syncP50Ms;
}

/** The p50 divided by `minMs`. */
export function latencyRatio(result: LoadResult): number | undefined {
  const least = minMs(result);
  return least === undefined ? undefined : result.measured.p50Ms / least;
}

/** Values per second times their size. */
function megabytesPerSecond({ setUp }: Row, perSecond: number): number {
  return (perSecond * setUps[setUp].valueBytes) / MB;
}

/** The tables of the results, without those that would be empty. */
export function resultTables(results: readonly Result[]): string[] {
  const loads = results.filter(isLoad);
  const ofThree = loads.filter(({ setUp }) => setUp === 'three-peers');
  const writes = ofThree.filter(({ operation }) => operation === 'write');
  const reads = ofThree.filter(({ operation }) => operation !== 'write');
  const open = results.filter(isOpen);
  const compared = loads.filter((result) => result.compared !== undefined);
  const large = loads.filter(({ setUp }) => setUp === '16-kib');
  return [
    ...(writes.length === 0 ? [] : [loadTable([], 'writes/s', 'bare + sync ms', writes)]),
    ...(open.length === 0 ? [] : [openTable(open)]),
    ...(reads.length === 0 ? [] : [loadTable(['read'], 'reads/s', 'bare p50 ms', reads)]),
    ...(compared.length === 0 ? [] : [comparedTable(compared)]),
    ...(large.length === 0 ? [] : [largeTable(large)]),
    ...results.flatMap((result) => ('usage' in result ? [idleTable(result)] : [])),
  ];
}

/** Rows beside bare requests; with one in flight also beside the least time. */
function loadTable(first: readonly string[], unit: string, least: string, results: readonly LoadResult[]): string {
  const hasMin = results.some((result) => minMs(result) !== undefined);
  const head = [
    ...first,
    ...['processes a peer', 'in flight', unit, 'p50 ms', 'p99 ms', 'failed', 'bare requests/s', 'ratio'],
    ...(hasMin ? [least, 'p50 ratio'] : []),
  ];
  const cells = results.map((result) => [
    ...(first.length === 0 ? [] : [result.operation]),
    ...placeCells(result),
    count(result.measured.operationsPerSecond),
    ...latencyCells(result),
    count(result.baseline?.perSecond ?? Number.NaN),
    timesText(throughputRatio(result)),
    ...(hasMin ? [minMs(result)?.toFixed(2) ?? '', timesText(latencyRatio(result))] : []),
  ]);
  return table(head, cells, head.slice(first.length + 1));
}

function openTable(results: readonly OpenResult[]): string {
  const head = ['at a fixed rate', 'processes a peer', 'writes/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'failed'];
  const last = ['begun late, p99 ms'];
  const cells = results.map(({ placement, rate = Number.NaN, open }) => [
    `${100 * rate} % of ${placement}-1024`,
    placement,
    count(open.perSecond),
    ...[open.p50Ms, open.p99Ms, open.p999Ms].map((ms) => ms.toFixed(2)),
    open.failed,
    open.lateP99Ms.toFixed(2),
  ]);
  return table([...head, ...last], cells, [...head.slice(2), ...last]);
}

function comparedTable(results: readonly LoadResult[]): string {
  const head = ['row', 'processes a peer', 'in flight', 'writes/s', 'p50 ms', 'p99 ms', 'failed'];
  const last = ['three peers, one group', 'ratio'];
  const cells = results.map((result) => [
    result.setUp,
    ...placeCells(result),
    count(result.measured.operationsPerSecond),
    ...latencyCells(result),
    count(result.compared?.operationsPerSecond ?? Number.NaN),
    timesText(throughputRatio(result)),
  ]);
  return table([...head, ...last], cells, [...head.slice(2), ...last]);
}

function largeTable(results: readonly LoadResult[]): string {
  const head = ['row', 'processes a peer', 'in flight', 'MB/s', 'p50 ms', 'p99 ms', 'failed', 'bare MB/s', 'ratio'];
  const cells = results.map((result) => [
    result.setUp,
    ...placeCells(result),
    megabytesPerSecond(result, result.measured.operationsPerSecond).toFixed(1),
    ...latencyCells(result),
    megabytesPerSecond(result, result.baseline?.perSecond ?? Number.NaN).toFixed(1),
    timesText(throughputRatio(result)),
  ]);
  return table(head, cells, head.slice(2));
}

function idleTable({ placement, usage }: IdleResult): string {
  const cells = usage.map(({ name, cores, residentBytes }) => [
    name,
    (100 * cores).toFixed(1),
    (residentBytes / MiB).toFixed(0),
  ]);
  const head = [`idle, processes a peer: ${placement}`, '% of a core', 'memory MiB'];
  return table(head, [...cells, ['all', (100 * sumOfCores(usage)).toFixed(1), '']], head.slice(1));
}

function sumOfCores(usage: readonly ProcessUsage[]): number {
  return usage.reduce((sum, { cores }) => sum + cores, 0);
}

function placeCells({ placement, inFlight }: Row): [string, number] {
  return [placement, inFlight];
}

function latencyCells({ measured: { p50Ms, p99Ms, failed } }: LoadResult): [string, string, number] {
  return [p50Ms.toFixed(2), p99Ms.toFixed(2), failed];
}

function timesText(ratio: number | undefined): string {
  return ratio === undefined ? '' : `${ratio.toFixed(2)}x`;
}

/** A result in the form that `--json` prints. */
export function resultRecord(result: Result): Record<string, unknown> {
  const { peers, groups, valueBytes } = setUps[result.setUp];
  const of = {
    row: result.name,
    operation: result.operation,
    placement: result.placement,
    peers,
    groups,
    value_bytes: valueBytes,
  };
  if (isLoad(result)) return { ...of, ...loadRecord(result) };
  return isOpen(result) ? { ...of, ...openRecord(result) } : { ...of, ...idleRecord(result) };
}

function loadRecord(result: LoadResult): Record<string, unknown> {
  const { baseline, comparedWith } = result;
  const latency = latencyRatio(result);
  return {
    in_flight: result.inFlight,
    ...measuredRecord(result.measured),
    ...(baseline && { baseline_operations_per_second: Math.round(baseline.perSecond) }),
    ...(comparedWith && { compared_with: comparedWith }),
    ratio: rounded(throughputRatio(result)),
    ...(latency === undefined ? {} : { least_ms: rounded(minMs(result) ?? 0), p50_ratio: rounded(latency) }),
  };
}

function openRecord({ rate, comparedWith, open }: OpenResult): Record<string, unknown> {
  return {
    compared_with: comparedWith,
    rate,
    per_second: Math.round(open.perSecond),
    operations: open.operations,
    failed: open.failed,
    p50_ms: rounded(open.p50Ms),
    p99_ms: rounded(open.p99Ms),
    p999_ms: rounded(open.p999Ms),
    late_p99_ms: rounded(open.lateP99Ms),
  };
}

function idleRecord({ usage }: IdleResult): Record<string, unknown> {
  return {
    cores: rounded(sumOfCores(usage)),
    processes: usage.map(({ name, cores, residentBytes }) => ({
      name,
      cores: rounded(cores),
      memory_bytes: residentBytes,
    })),
  };
}

export function measuredRecord(measured: Measured): Record<string, number> {
  return {
    seconds: rounded(measured.seconds),
    operations: measured.operations,
    failed: measured.failed,
    operations_per_second: Math.round(measured.operationsPerSecond),
    p50_ms: rounded(measured.p50Ms),
    p99_ms: rounded(measured.p99Ms),
  };
}

export function rounded(value: number): number {
  return Number(value.toFixed(3));
}
