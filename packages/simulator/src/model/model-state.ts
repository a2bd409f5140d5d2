/** The state of the key-value model, the content of log entries, and a state as text. */
import { decode, type LeaseId, type PublicLeaseId, type Value } from '@conclave/protocol';

/** Owner and lease of a lock's holder, or of a client that waits for it. */
export type Claim = readonly [string, PublicLeaseId];

type SessionId = number | string;

export interface ModelState {
  revision: number;
  lastLeaseId: number;
  historyUid: string;
  readonly keys: Map<string, { readonly value: Value; readonly revision: number; readonly lease: PublicLeaseId | 0 }>;
  /** In the order in which they were granted. */
  readonly leases: Map<PublicLeaseId, ModelLease>;
  readonly locks: Map<string, { token: number; holder: Claim; waiting: Claim[] }>;
  /** In the order of last use. */
  readonly sessions: Map<SessionId, ModelSession>;
}

interface ModelLease {
  readonly id: LeaseId;
  readonly ttlMs: number;
  keptIndex: number;
  remainingMs: number;
  isOfEarlierHistory: boolean;
}

interface ModelSession {
  lastIndex: number;
  lowWater: number;
  /** By sequence number; `command`: undefined at level 0. */
  readonly results: Map<number, { readonly command: string | undefined; readonly result: OperationResult }>;
}

/** The result of one command: `done` with its fields, or another outcome with its code. Messages for people are left out. */
export type OperationResult = readonly [string, ...unknown[]];

export type ModelResult =
  | { readonly results: readonly OperationResult[] }
  | { readonly client_id: SessionId }
  | { readonly expired: number };

export type Operation =
  | readonly ['put', string, Value, LeaseId?]
  | readonly ['delete', string]
  | readonly ['get', string];

export type Command =
  | readonly [number, 'put', string, Value, LeaseId?]
  | readonly [number, 'delete', string]
  | readonly [number, 'cas', string, Value, number]
  | readonly [
      number,
      'txn',
      readonly (readonly [string, string, string, unknown])[],
      readonly Operation[],
      readonly Operation[],
    ]
  | readonly [number, 'lease_grant', number, string?]
  | readonly [number, 'lease_keep', LeaseId]
  | readonly [number, 'lease_revoke', LeaseId, 'force'?]
  | readonly [number, 'lock', string, string, LeaseId, boolean]
  | readonly [number, 'unlock', string, number, (LeaseId | 'force')?];

/** The content of an entry of the log: one of three. */
export interface WrittenEntry {
  readonly commands?: readonly Command[];
  readonly client_id?: SessionId;
  readonly acknowledged?: number;
  readonly open_session?: true | string | number;
  readonly expire?: readonly (readonly [SessionId, number])[];
  readonly expire_leases?: readonly (readonly [PublicLeaseId, number])[];
  readonly remaining?: readonly (readonly [PublicLeaseId, number, number])[];
}

/** Returns a state as lines of text; equal states give equal lines. */
export function linesOf(state: ModelState): string[] {
  const { revision, lastLeaseId, historyUid, keys, leases, locks, sessions } = state;
  const lines = [lineOf('head', [revision, lastLeaseId, historyUid])];
  for (const { id, ttlMs, keptIndex, remainingMs, isOfEarlierHistory } of leases.values()) {
    lines.push(lineOf('lease', [id, ttlMs, keptIndex, remainingMs, isOfEarlierHistory]));
  }
  lines.push(
    ...[...keys].map(([key, { value, revision: at, lease }]) => lineOf('key', [key, value, at, lease])).sort(),
  );
  lines.push(
    ...[...locks].map(([name, { token, holder, waiting }]) => lineOf('lock', [name, token, holder, waiting])).sort(),
  );
  for (const [name, { lastIndex, lowWater }] of sessions) lines.push(lineOf('session', [name, lastIndex, lowWater]));
  const results = [...sessions].flatMap(([name, session]) =>
    [...session.results].map(([sequence, { command, result }]) =>
      lineOf('result', [name, sequence, result, command !== undefined]),
    ),
  );
  return [...lines, ...results.sort()];
}

/** Bytes before the content of a piece: its checksum and version. */
const pieceHeadBytes = 5;

/**
 * The state that the pieces of a snapshot hold, as `linesOf` has it. Their form is that of `docs/storage.md`: each has
 * a number, a section and rows.
 * @throws if they are no pieces
 */
export function linesOfPieces(pieces: readonly Uint8Array[]): string[] {
  const lines: Record<string, string[]> = { head: [], leases: [], keys: [], locks: [], sessions: [], results: [] };
  for (const piece of pieces) {
    const [, section, rows] = decode(piece.subarray(pieceHeadBytes)) as [number, string, unknown[][]];
    for (const row of rows) lines[section]?.push(lineOfRow(section, row));
  }
  const { head = [], leases = [], keys = [], locks = [], sessions = [], results = [] } = lines;
  return [...head, ...leases, ...keys.sort(), ...locks.sort(), ...sessions, ...results.sort()];
}

function lineOfRow(section: string, row: readonly unknown[]): string {
  switch (section) {
    case 'head':
      return lineOf('head', [row[0], row[1], row[7] ?? '']);
    case 'leases':
      return lineOf('lease', [row[0], row[1], row[2], row[3] ?? row[1], row[4] ?? false]);
    case 'results': {
      const [name, sequence, result, digest] = row;
      return lineOf('result', [name, sequence, withoutText(result as OperationResult), digest !== undefined]);
    }
    default:
      return lineOf(section.slice(0, -1), row);
  }
}

/** Returns the result of a command without the message for people. */
export function withoutText(result: OperationResult): OperationResult {
  return result[0] === 'done' ? result : [result[0], result[1]];
}

function lineOf(what: string, row: readonly unknown[]): string {
  return `${what} ${JSON.stringify(row)}`;
}

/** Returns the first line in which two states differ, of each; `none` if one has no more. */
export function differenceOf(expected: readonly string[], found: readonly string[]): string {
  const at = expected.findIndex((line, place) => line !== found[place]);
  const place = at < 0 ? expected.length : at;
  return `${found[place] ?? 'none'} in place of ${expected[place] ?? 'none'}`;
}
