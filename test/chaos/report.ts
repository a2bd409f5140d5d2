/** The result of a chaos run, for programs and for people. */
import type { FaultCount } from './faults.js';
import type { CommandCount } from './operator.js';
import type { CallCount } from './recorder.js';

export interface ChaosReport {
  readonly seed: number;
  readonly placement: string;
  /** Which servers peers know, in a few words. */
  readonly wiring: string;
  /** How long faults happened. */
  readonly faultsMs: number;
  readonly passed: boolean;
  /** Failures, one text each. */
  readonly problems: readonly string[];
  readonly faults: Readonly<Record<string, FaultCount>>;
  readonly commands: Readonly<Record<string, CommandCount>>;
  /** The received events of the group. */
  readonly events: Readonly<Record<string, number>>;
  readonly calls: Readonly<Record<string, CallCount>>;
  /** Calls that were not done or are unknown, by code. */
  readonly codes: Readonly<Record<string, number>>;
  /** Of these, how long none was begun, as the group did not serve. */
  readonly heldMs: number;
  /** The longest time in which no write was acknowledged, while faults happened. */
  readonly longestWithoutWriteMs: number;
  /** From the end of the faults until the group was stable; -1: it was not. */
  readonly cameBackAfterMs: number;
  /** Writes that were acknowledged, of keys that are written once, and how many of them are not on every peer. */
  readonly acknowledgedOnce: number;
  readonly lost: number;
  /** The result of the linearizability check, in a few words. */
  readonly judged: string;
  /** Processes that ended without being killed. */
  readonly deaths: number;
  readonly finalPeers: readonly string[];
  /** Logs, data, events, plan and history; kept if the run failed, or on request. */
  readonly folder?: string;
}

export function describeReport(report: ChaosReport): string {
  const { codes, events } = report;
  const faults = Object.entries(report.faults).toSorted();
  const never = faults.filter(([, { done }]) => done === 0).map(([name]) => name);
  const lines = [
    `chaos: seed ${report.seed}, ${report.placement} a peer, ${report.wiring}, faults for ${seconds(report.faultsMs)}`,
    '',
    ...columns([
      ['fault', 'done', 'nothing to hit'],
      ...faults.filter(([, { done }]) => done > 0).map(([name, { done, skipped }]) => [name, done, skipped]),
    ]),
    ...(never.length === 0 ? [] : [`never: ${never.join(', ')}`]),
    '',
    ...columns([
      ['command', 'asked', 'done', 'otherwise'],
      ...Object.entries(report.commands).map(([name, { asked, done, failed }]) => [name, asked, done, listOf(failed)]),
    ]),
    '',
    ...columns([
      ['call', 'done', 'not done', 'unknown'],
      ...Object.entries(report.calls).map(([name, { done, notDone, unknown }]) => [name, done, notDone, unknown]),
    ]),
    '',
    ...columns([
      ['not done or unknown', listOf(codes) || 'nothing'],
      ['events', listOf(events)],
      ['longest without a write', seconds(report.longestWithoutWriteMs)],
      ['left alone meanwhile', seconds(report.heldMs)],
      ['came back after', report.cameBackAfterMs < 0 ? 'it did not' : seconds(report.cameBackAfterMs)],
      ['final peers', `{${report.finalPeers}}`],
      ['lost', `${report.lost} of ${report.acknowledgedOnce} acknowledged writes of keys that are written once`],
      ['judged', report.judged],
      ['died by themselves', `${report.deaths} processes`],
    ]),
    ...report.problems.map((problem) => `\nPROBLEM: ${problem}`),
    '',
    report.passed ? 'passed' : `FAILED with seed ${report.seed}`,
    ...(report.folder === undefined ? [] : [`logs, data, plan and history: ${report.folder}`]),
  ];
  return lines.join('\n');
}

function columns(rows: readonly (readonly (string | number)[])[]): string[] {
  const widthOf = (column: number) => Math.max(...rows.map((row) => String(row[column] ?? '').length));
  return rows.map((row) =>
    row
      .map((cell, column) => String(cell).padEnd(widthOf(column)))
      .join('  ')
      .trimEnd(),
  );
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .toSorted(([, one], [, other]) => other - one)
    .map(([name, count]) => `${name}: ${count}`)
    .join(', ');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
