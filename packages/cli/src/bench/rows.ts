/** The rows of the benchmark, and how they are selected. */
import { UsageError } from '../exit-codes.js';
import { type Placement, placements } from '../processes/peer-processes.js';

export const inFlights = [1, 64, 256, 1024] as const;
/** With this many in flight a group is loaded fully. */
const maxInFlight = 1024;
/** 16 KiB times this is 4 MiB. */
const largeInFlight = 256;

/** `follower` is linearizable and `stale` is not; both are sent to a peer that does not lead. */
export const readKinds = ['linearizable', 'lease', 'follower', 'stale'] as const;
export type ReadKind = (typeof readKinds)[number];
/** `idle`: nothing is sent, and the processes are looked at. */
export type Operation = 'write' | ReadKind | 'idle';

/** What is started for rows, and what they write. Rows of one placement with the same set-up share their processes. */
export interface SetUp {
  readonly peers: number;
  readonly groups: number;
  readonly valueBytes: number;
  /** Of all groups together. */
  readonly keys: number;
}

const three: SetUp = { peers: 3, groups: 1, valueBytes: 128, keys: 10_000 };

export const setUps = {
  'three-peers': three,
  'five-peers': { ...three, peers: 5 },
  '100-groups': { ...three, groups: 100 },
  // With 10,000 keys each snapshot would have 160 MB, and the row would measure snapshots.
  '16-kib': { ...three, valueBytes: 16 * 1024, keys: 1_000 },
  // Its processes have never been loaded.
  idle: three,
} as const satisfies Record<string, SetUp>;
export type SetUpName = keyof typeof setUps;
export const setUpNames = Object.keys(setUps) as SetUpName[];

export interface Row {
  /** `four-1024`, `lease-256`, `one-five-peers` */
  readonly name: string;
  readonly operation: Operation;
  readonly placement: Placement;
  /** 0: as many as it takes, or none. */
  readonly inFlight: number;
  /** Writes are due at this share of the speed of the row that this one is compared with; undefined: each waits for another. */
  readonly rate?: number;
  readonly setUp: SetUpName;
  /** The row whose speed this one is divided by; undefined: bare requests. That row is measured, too, before this one. */
  readonly comparedWith?: string;
  /** Other names that select the row, each with others. */
  readonly selectedBy: readonly string[];
}

const writeRows: readonly Row[] = placements.flatMap((placement) =>
  inFlights.map((inFlight) => ({
    name: `${placement}-${inFlight}`,
    operation: 'write' as const,
    placement,
    inFlight,
    setUp: 'three-peers' as const,
    selectedBy: ['writes', placement, String(inFlight), ...(inFlight === 1 || inFlight === 1024 ? ['goals'] : [])],
  })),
);

/** Writes at a fixed rate: half of what is possible, and nine tenths. */
const openRows: readonly Row[] = placements.flatMap((placement) =>
  [0.5, 0.9].map((rate) => ({
    name: `${placement}-open-${100 * rate}`,
    operation: 'write' as const,
    placement,
    inFlight: 0,
    rate,
    setUp: 'three-peers' as const,
    comparedWith: `${placement}-${maxInFlight}`,
    selectedBy: ['open', `open-${100 * rate}`],
  })),
);

/** The rows of a kind of read: those of four processes per peer have no prefix. */
function readRowsOf(operation: ReadKind): Row[] {
  const isGoal = operation === 'linearizable' || operation === 'lease';
  const rowOf = (placement: Placement, inFlight: number): Row => ({
    name: `${placement === 'four' ? '' : 'one-'}${operation}-${inFlight}`,
    operation,
    placement,
    inFlight,
    setUp: 'three-peers',
    selectedBy: ['reads', operation, ...(isGoal && inFlight !== 256 ? ['goals'] : [])],
  });
  const four = (isGoal ? [1, 256, 1024] : [1, 256]).map((inFlight) => rowOf('four', inFlight));
  return isGoal ? [...four, ...[1, 1024].map((inFlight) => rowOf('one', inFlight))] : four;
}

/** Rows whose set-up differs from that of the others. */
const otherRows: readonly Row[] = placements.flatMap((placement) => {
  const rowOf = (setUp: SetUpName, more: Partial<Row>): Row => ({
    name: `${placement}-${setUp}`,
    operation: 'write',
    placement,
    inFlight: maxInFlight,
    setUp,
    selectedBy: [setUp, 'goals'],
    ...more,
  });
  const comparedWith = `${placement}-${maxInFlight}`;
  return [
    rowOf('five-peers', { comparedWith }),
    rowOf('100-groups', { comparedWith }),
    rowOf('16-kib', { inFlight: largeInFlight }),
    rowOf('idle', { operation: 'idle', inFlight: 0 }),
  ];
});

export const allRows: readonly Row[] = [...writeRows, ...openRows, ...readKinds.flatMap(readRowsOf), ...otherRows];

/**
 * Returns the named rows: `four-64`, or `four`, or `64` (writes), or `lease-256`, `lease`, or `reads`, or `five-peers`, or `goals`;
 * and those that they are compared with. If none is named, these are all writes and reads of three peers.
 * @throws UsageError if a name matches no row
 */
export function selectRows(names: readonly string[]): Row[] {
  const given = names.length === 0 ? ['writes', 'reads'] : names;
  const fits = (row: Row, name: string): boolean => row.name === name || row.selectedBy.includes(name);
  for (const name of given) {
    if (!allRows.some((row) => fits(row, name))) {
      throw new UsageError(`there is no row ${name}; there are ${allRows.map((row) => row.name).join(', ')}`);
    }
  }
  const chosen = allRows.filter((row) => given.some((name) => fits(row, name)));
  const compared = new Set(chosen.map(({ comparedWith }) => comparedWith));
  return allRows.filter((row) => chosen.includes(row) || compared.has(row.name));
}
