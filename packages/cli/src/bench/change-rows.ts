/** The rows of `bench --change`: what each does to the group, and how the figures are printed. */
import { defaultTimes, type PeerId } from '@conclave/protocol';
import { UsageError } from '../exit-codes.js';
import { count } from '../views/format.js';
import { table } from '../views/tables.js';
import { percentile } from './statistics.js';

export const changeRowTexts = {
  'no-change': 'no change',
  'replace-one': 'replace one member',
  'replace-two': '{1,2,3} to {1,4,5}',
  'without-leader': 'a new set without the leader',
  'one-to-three': '1 to 3 members',
  'three-to-five': '3 to 5 members',
  transfer: 'leadership transfer',
  'follower-killed': 'a follower killed',
  'leader-killed': 'the leader killed',
} as const;

export type ChangeRow = keyof typeof changeRowTexts;

export const changeRows = Object.keys(changeRowTexts) as ChangeRow[];
/** These rows come last, because processes are restarted in them, and then run code that is not optimized yet. */
export const killRows: readonly ChangeRow[] = ['follower-killed', 'leader-killed'];
export const defaultWriters = [1, 64, 1024] as const;

/** After the leader has died, the group must acknowledge a write within this many milliseconds. */
export const recoveryGoalMs = 1.5 * defaultTimes.electionTimeoutMs;

/** The action in one window of a row. */
export type Step =
  | { readonly type: 'nothing' }
  | { readonly type: 'change'; readonly newPeers: readonly PeerId[] }
  | { readonly type: 'transfer'; readonly to: PeerId }
  | { readonly type: 'kill'; readonly peerId: PeerId };

/** The current group; `all` also has the peers that are not members. */
export interface GroupView {
  readonly leader: PeerId;
  readonly members: readonly PeerId[];
  readonly all: readonly PeerId[];
}

/**
 * Returns the named rows in their order; all rows if none is named. The row without a change is always among them, because the
 * others are compared with it.
 * @throws UsageError if a name matches no row
 */
export function selectChangeRows(names: readonly string[]): ChangeRow[] {
  const unknown = names.find((name) => !(name in changeRowTexts));
  if (unknown !== undefined) {
    throw new UsageError(`there is no row ${unknown}; there are ${changeRows.join(', ')}`);
  }
  if (names.length === 0) return [...changeRows];
  return changeRows.filter((row) => row === 'no-change' || names.includes(row));
}

/** The members at the start of a row: the leader is one of them. */
export function membersBefore(row: ChangeRow, { leader, members, all }: GroupView): readonly PeerId[] {
  if (row === 'one-to-three') return [leader];
  if (members.length === 3) return members;
  return [leader, ...all.filter((peerId) => peerId !== leader)].slice(0, 3);
}

/**
 * Returns the action of a row for a group of these members.
 * @param round how often the action was done before
 */
export function stepOf(row: ChangeRow, { leader, members, all }: GroupView, round: number): Step {
  const followers = members.filter((peerId) => peerId !== leader);
  const spares = all.filter((peerId) => !members.includes(peerId));
  // The followers take turns, so that it is not always the same one.
  const follower = followers[round % followers.length];
  const others = followers.filter((peerId) => peerId !== follower);
  switch (row) {
    case 'no-change':
      return { type: 'nothing' };
    case 'replace-one':
      return { type: 'change', newPeers: [leader, ...others, ...spares.slice(0, 1)] };
    case 'replace-two':
    case 'one-to-three':
      return { type: 'change', newPeers: [leader, ...spares.slice(0, 2)] };
    case 'without-leader':
      return { type: 'change', newPeers: [...followers.slice(0, 1), ...spares.slice(0, 2)] };
    case 'three-to-five':
      return { type: 'change', newPeers: all };
    case 'transfer':
      return { type: 'transfer', to: follower ?? leader };
    case 'follower-killed':
      return { type: 'kill', peerId: follower ?? leader };
    case 'leader-killed':
      return { type: 'kill', peerId: leader };
  }
}

export interface ChangeFigures {
  readonly row: ChangeRow;
  readonly writers: number;
  /** The longest gap in each window, in milliseconds. */
  readonly gapsMs: readonly number[];
  readonly p99Ms: number;
  /** The number of calls by writers, and the number of rejected changes. */
  readonly failed: number;
  /** The row without a change, of the same run and with as many writers. */
  readonly unchanged: Omit<ChangeFigures, 'unchanged' | 'row' | 'writers'>;
}

function median(values: readonly number[]): number {
  return percentile(values.toSorted(ascending), 0.5);
}

function ascending(one: number, other: number): number {
  return one - other;
}

function withinGoal({ gapsMs }: ChangeFigures): number {
  return gapsMs.filter((gapMs) => gapMs <= recoveryGoalMs).length;
}

export function changeTable(rows: readonly ChangeFigures[]): string {
  const beside = 'unchanged';
  const head = [
    ...['writers', 'row', 'times', 'gap ms', beside, 'ratio', 'worst ms'],
    ...['p99 ms', beside, 'failed', beside, `within ${recoveryGoalMs} ms`],
  ];
  const cells = rows.map((row) => [
    count(row.writers),
    changeRowTexts[row.row],
    row.gapsMs.length,
    median(row.gapsMs).toFixed(1),
    median(row.unchanged.gapsMs).toFixed(1),
    `${gapRatio(row).toFixed(2)}x`,
    Math.max(...row.gapsMs).toFixed(1),
    row.p99Ms.toFixed(1),
    row.unchanged.p99Ms.toFixed(1),
    row.failed,
    row.unchanged.failed,
    row.row === 'leader-killed' ? `${withinGoal(row)} of ${row.gapsMs.length}` : '',
  ]);
  return table(head, cells, ['writers', ...head.slice(2)]);
}

/** The median of the longest gaps, divided by that of the row without a change. */
export function gapRatio({ gapsMs, unchanged }: ChangeFigures): number {
  return median(gapsMs) / median(unchanged.gapsMs);
}

/** A row in the form that `--json` prints. */
export function changeRecord(row: ChangeFigures): Record<string, unknown> {
  return {
    row: row.row,
    writers: row.writers,
    gaps_ms: row.gapsMs.map(rounded),
    gap_median_ms: rounded(median(row.gapsMs)),
    gap_worst_ms: rounded(Math.max(...row.gapsMs)),
    gap_ratio: rounded(gapRatio(row)),
    p99_ms: rounded(row.p99Ms),
    failed: row.failed,
    unchanged_gap_median_ms: rounded(median(row.unchanged.gapsMs)),
    unchanged_p99_ms: rounded(row.unchanged.p99Ms),
    unchanged_failed: row.unchanged.failed,
    ...(row.row === 'leader-killed' ? { within_goal: withinGoal(row), goal_ms: recoveryGoalMs } : {}),
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
