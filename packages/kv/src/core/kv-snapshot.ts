/**
 * A snapshot of the key-value store, read piece by piece while entries are applied.
 *
 * Owns: the state at the time of its creation: the keys by a `KeySnapshot`, which follows their writes; of leases, locks and sessions
 * a table each, with immutable rows. The same state gives the same bytes.
 */
import type { ClientSessions } from './client-sessions.js';
import type { KeySnapshot } from './key-snapshot.js';
import type { KeySpace } from './key-space.js';
import { encodePiece, type HeadCounts, type SnapshotRows, type SnapshotSection } from './snapshot-piece.js';
import { keptValue, sizeOf } from './stored-value.js';
import { bytesAnswered } from './transaction.js';

/** Approximate size of a piece: reading one takes a fraction of a millisecond. */
export const defaultPieceBytes = 64 * 1024;
/** About the frame and the numbers of a row. */
const rowBytes = 32;

export class KvSnapshot implements Iterator<Uint8Array, void> {
  private readonly pieces: Generator<Uint8Array, void>;
  private readonly cut: KeySnapshot;

  constructor(
    private readonly keys: KeySpace,
    sessions: ClientSessions,
    pieceBytes: number,
  ) {
    this.cut = keys.beginSnapshot();
    const leases = keys.leases.rows();
    const locks = keys.locks.rows();
    const { sessionRows, results, resultCount } = sessions.rows();
    const counts: HeadCounts = [
      keys.revision,
      keys.leases.lastId,
      leases.length,
      this.cut.size,
      locks.length,
      sessionRows.length,
      resultCount,
    ];
    const head: SnapshotRows['head'] = keys.historyUid === '' ? counts : [...counts, keys.historyUid];
    this.pieces = read(pieceBytes, this.cut, { head: [head], leases, locks, sessions: sessionRows, results });
  }

  next(): IteratorResult<Uint8Array, void> {
    const next = this.pieces.next();
    if (next.done === true) this.keys.endSnapshot(this.cut);
    return next;
  }

  /** Ends the snapshot before all of it was read. */
  return(): IteratorResult<Uint8Array, void> {
    this.keys.endSnapshot(this.cut);
    return this.pieces.return();
  }
}

type Tables = { readonly [Section in Exclude<SnapshotSection, 'keys'>]: Iterable<SnapshotRows[Section]> };

function* read(pieceBytes: number, cut: KeySnapshot, tables: Tables): Generator<Uint8Array, void> {
  let number = 0;
  const none = () => 0;
  function* table<Section extends Exclude<SnapshotSection, 'keys'>>(
    section: Section,
    bytesOf: (row: SnapshotRows[Section]) => number,
  ): Generator<Uint8Array, void> {
    for (const rows of parts(tables[section] as Iterable<SnapshotRows[Section]>, bytesOf, pieceBytes)) {
      yield encodePiece(number++, section, rows);
    }
  }
  yield* table('head', none);
  yield* table('leases', none);
  for (let more = true; more; ) {
    const rows: SnapshotRows['keys'][] = [];
    let bytes = 0;
    more = cut.read((key, stored) => {
      rows.push([key, keptValue(stored), stored.revision, stored.leaseId]);
      bytes += rowBytes + key.length + sizeOf(stored);
      return bytes < pieceBytes;
    });
    if (rows.length > 0) yield encodePiece(number++, 'keys', rows);
  }
  yield* table('locks', ([name, , , waiting]) => name.length + waiting.length * rowBytes);
  yield* table('sessions', none);
  yield* table('results', ([, , result]) => bytesAnswered(result));
}

/** The rows in lists of about this many bytes each. */
function* parts<Row>(
  rows: Iterable<Row>,
  bytesOf: (row: Row) => number,
  pieceBytes: number,
): Generator<readonly Row[], void> {
  let part: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    part.push(row);
    bytes += rowBytes + bytesOf(row);
    if (bytes < pieceBytes) continue;
    yield part;
    part = [];
    bytes = 0;
  }
  if (part.length > 0) yield part;
}
