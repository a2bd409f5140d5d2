/**
 * The state and the results that a key-value store must have after it has applied a log up to an entry, by the model
 * (`../../model/kv-model.ts`), which shares nothing with the store and knows no snapshots.
 *
 * Owns one model, and its states and results at the entries that were requested.
 */
import { decodeConfiguration } from '@conclave/protocol';
import { type EndedLease, KvModel } from '../../model/kv-model.js';
import { linesOf, linesOfPieces, type ModelResult } from '../../model/model-state.js';
import { type Entry, hasEntry } from './log-tree.js';

/** The results of an entry with commands. */
export interface Applied {
  readonly result: ModelResult;
  /** The leases that it has ended after their time. */
  readonly ended: readonly EndedLease[];
}

/** What a fault adds to a state (`corrupted-state.ts`). */
const corruptionMarker = '"~flipped"';

export class ModelStates {
  private model = new KvModel();
  private at: Entry | undefined;
  private readonly known = new WeakMap<Entry, readonly string[]>();
  private readonly applied = new WeakMap<Entry, Applied>();

  /** Returns the state after an entry, in lines. */
  of(entry: Entry): readonly string[] {
    const known = this.known.get(entry);
    if (known !== undefined) return known;
    if (this.at !== entry) this.goTo(entry);
    const lines = linesOf(this.model.state);
    this.known.set(entry, lines);
    return lines;
  }

  /** Returns the results of this entry; undefined: it is a configuration. */
  appliedOf(entry: Entry): Applied | undefined {
    if (entry.kind !== 'commands') return undefined;
    if (!this.applied.has(entry)) this.goTo(entry);
    return this.applied.get(entry);
  }

  private goTo(entry: Entry): void {
    if (this.at === undefined || !hasEntry(entry, this.at)) {
      this.model = new KvModel();
      this.at = undefined;
    }
    const path: Entry[] = [];
    for (let next: Entry | undefined = entry; next !== undefined && next !== this.at; next = next.prev) path.push(next);
    for (const next of path.reverse()) this.apply(next);
    this.at = entry;
  }

  private apply(entry: Entry): void {
    const { kind, index, payload } = entry;
    if (kind !== 'commands') return this.model.configure(decodeConfiguration(payload));
    const result = this.model.apply(index, payload);
    this.applied.set(entry, { result, ended: this.model.ended });
  }
}

/**
 * Returns the state in the pieces of a snapshot; undefined: they are not valid; `corrupted`: a fault of the run has
 * corrupted it.
 */
export function restoredState(pieces: readonly Uint8Array[]): readonly string[] | 'corrupted' | undefined {
  try {
    const lines = linesOfPieces(pieces);
    return lines.some((line) => line.includes(corruptionMarker)) ? 'corrupted' : lines;
  } catch {
    return undefined;
  }
}
