/**
 * All entries that any node has accepted, each once: a tree, in which a log is the path from its last entry back to the
 * first. Two logs that share an entry share all before it, by construction; what would break that is a conflict.
 *
 * Owns the entries. Does not know which peer has which: see `StoredLogs` and `AcceptedLogs`.
 *
 * Invariants:
 * 1. A group's history has one entry for an index and a term, or a conflict is recorded.
 * 2. An entry's `prev` has the index before it; the first has none.
 */
import {
  type BatchKind,
  batchHeader,
  batchPayloads,
  type Configuration,
  decodeConfiguration,
  isIn,
  type LogIndex,
  type PeerId,
  type StoreId,
  type Term,
} from '@conclave/protocol';

/** A configuration in a log, and the one that was effective before it. */
export interface EffectiveConfiguration {
  readonly entry: Entry;
  readonly configuration: Configuration;
  readonly before: EffectiveConfiguration | undefined;
}

export interface Entry {
  readonly groupUid: string;
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: BatchKind;
  readonly payload: Uint8Array;
  readonly prev: Entry | undefined;
  /** The configuration that is effective at this entry, which may be the entry's own; undefined: none in this log so far. */
  readonly effective: EffectiveConfiguration | undefined;
}

/**
 * Last entries of backups, with the configuration that is effective there: shared by all trees, as a log may continue
 * in another one.
 */
const restoredEntries = new WeakMap<Entry, Configuration>();

export class LogTree {
  /** What contradicts invariant 1, or undefined. */
  conflict: string | undefined;
  /** By history and index: the entries of different terms. */
  private readonly histories = new Map<string, Entry[][]>();
  /** By bytes, which occur often: sent, stored, sent again. */
  private readonly ofBatch = new WeakMap<Uint8Array, readonly Entry[]>();

  /** The entries of a batch that follows `prev`. */
  follow(groupUid: string, prev: Entry | undefined, bytes: Uint8Array): readonly Entry[] {
    const known = this.ofBatch.get(bytes);
    if (known?.[0]?.prev === prev && known?.[0]?.groupUid === groupUid) return known;
    const { kind, term, first } = batchHeader(bytes);
    if (first !== (prev?.index ?? 0) + 1) this.conflict ??= `entry ${first} follows entry ${prev?.index ?? 0}`;
    const entries: Entry[] = [];
    let before = prev;
    for (const [place, payload] of batchPayloads(bytes).entries()) {
      before = this.enter(groupUid, (first + place) as LogIndex, term, kind, payload, before);
      entries.push(before);
    }
    this.ofBatch.set(bytes, entries);
    return entries;
  }

  /** Copies the log that ends with `last` as the beginning of another history (`reset_peer`). Returns its last entry there. */
  continueHistory(groupUid: string, last: Entry | undefined): Entry | undefined {
    const log: Entry[] = [];
    for (let entry = last; entry !== undefined; entry = entry.prev) log.push(entry);
    let before: Entry | undefined;
    for (const entry of log.reverse()) {
      const { index, term, kind, payload } = entry;
      before = this.enter(groupUid, index, term, kind, payload, before);
      const restored = restoredEntries.get(entry);
      if (restored !== undefined) this.overrule(before, restored);
    }
    return before;
  }

  /**
   * Copies the log of a backup that ends with `last` as the beginning of another history, in which this configuration
   * is effective from there on: by its snapshot, not by an entry.
   */
  restore(groupUid: string, last: Entry, configuration: Configuration): void {
    const end = this.continueHistory(groupUid, last);
    if (end !== undefined) this.overrule(end, configuration);
  }

  private overrule(entry: Entry, configuration: Configuration): void {
    restoredEntries.set(entry, configuration);
    (entry as { effective: EffectiveConfiguration | undefined }).effective = {
      entry,
      configuration,
      before: undefined,
    };
  }

  /** Returns the entry of that index and term, if there ever was one. */
  find(groupUid: string, index: number, term: number): Entry | undefined {
    return this.histories.get(groupUid)?.[index]?.find((entry) => entry.term === term);
  }

  private enter(
    groupUid: string,
    index: LogIndex,
    term: Term,
    kind: BatchKind,
    payload: Uint8Array,
    prev: Entry | undefined,
  ): Entry {
    const known = this.find(groupUid, index, term);
    if (known !== undefined) {
      const isSame = known.kind === kind && known.prev === prev && Buffer.compare(known.payload, payload) === 0;
      if (!isSame) this.conflict ??= `there are two entries ${index} of term ${term}`;
      return known;
    }
    const entry: Entry & { effective: EffectiveConfiguration | undefined } = {
      groupUid,
      index,
      term,
      kind,
      payload,
      prev,
      effective: prev?.effective,
    };
    if (kind === 'configuration') {
      entry.effective = { entry, configuration: decodeConfiguration(payload), before: prev?.effective };
    }
    this.keep(entry);
    return entry;
  }

  private keep(entry: Entry): void {
    let history = this.histories.get(entry.groupUid);
    if (history === undefined) {
      history = [];
      this.histories.set(entry.groupUid, history);
    }
    const others = history[entry.index];
    if (others === undefined) history[entry.index] = [entry];
    else others.push(entry);
  }
}

/** Returns the entry of an index in the log that ends with `last`; undefined: there is none. */
export function entryAt(last: Entry | undefined, index: number): Entry | undefined {
  let entry = last;
  while (entry !== undefined && entry.index > index) entry = entry.prev;
  return entry?.index === index ? entry : undefined;
}

/** Whether the log that ends with `last` has this entry, and so all before it. */
export function hasEntry(last: Entry | undefined, entry: Entry): boolean {
  return entryAt(last, entry.index) === entry;
}

/** Whether a log has a configuration with this peer and store, from the last one at or below `commitIndex` on. */
export function isInFrom(last: Entry | undefined, commitIndex: number, peerId: PeerId, storeId: StoreId): boolean {
  let effective = last?.effective;
  while (effective !== undefined) {
    if (isIn(effective.configuration, peerId, storeId)) return true;
    if (effective.entry.index <= commitIndex) return false;
    effective = effective.before;
  }
  return false;
}

/** `entry 7 of term 3`, or `nothing`. */
export function entryText(entry: Entry | undefined): string {
  return entry === undefined ? 'nothing' : `entry ${entry.index} of term ${entry.term}`;
}
