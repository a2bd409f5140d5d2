/**
 * What a node knows of its log: all entries that it has accepted, durable or not.
 * Owns: the terms of all entries, the configurations, and the batches that are not applied yet. Does not own the entries: the
 * log-store does.
 * Invariants:
 * 1. Entries up to `base` are compacted: a snapshot replaces them, and all of them are committed. Of these only the term of the
 *    last one is known. `base.index <= lastIndex`; the log has no gaps after the base.
 * 2. `runs` rise in index and in term; the last run reaches `lastIndex`.
 * 3. `configurations` rise in index; the last one is effective. They also include some that precede the base.
 * 4. If this build cannot read a configuration that was accepted in this run, or not all of it, `unreadable` is set.
 * 5. The cached batches have no gaps; other batches are read from the log-store.
 */
import {
  asLogIndex,
  asTerm,
  type BatchHeader,
  batchPayloads,
  batchUpTo,
  type Configuration,
  type ConfigurationEntry,
  configurationProblem,
  invariant,
  type LogIndex,
  limits,
  readConfiguration,
  type Term,
  type TermRun,
} from '@conclave/protocol';

/** A batch in memory. `commands`: its entries decoded, if this peer has decoded them already. */
export interface CachedBatch {
  readonly header: BatchHeader;
  readonly bytes: Uint8Array;
  readonly commands?: readonly unknown[];
}

/** The last compacted entry, and its term; 0 and 0 if no entry is compacted. */
export interface LogBase {
  readonly index: LogIndex;
  readonly term: Term;
}

export class LogView {
  private compacted: LogBase = { index: asLogIndex(0), term: asTerm(0) };
  private last = 0;
  private runs: TermRun[] = [];
  private configurationEntries: ConfigurationEntry[] = [];
  private unreadableEntry: { readonly index: LogIndex; readonly reason: string } | undefined;
  private cache: CachedBatch[] = [];
  private cachedBytes = 0;

  /** Loads what the log-store found when it was opened. */
  load(found: {
    readonly base: LogBase;
    readonly lastIndex: LogIndex;
    readonly termRuns: readonly TermRun[];
    readonly configurations: readonly ConfigurationEntry[];
  }): void {
    this.compacted = found.base;
    this.last = found.lastIndex;
    this.runs = [...found.termRuns];
    this.configurationEntries = [...found.configurations];
    this.cache = [];
    this.cachedBytes = 0;
  }

  /** The last compacted entry. */
  get base(): LogBase {
    return this.compacted;
  }

  get firstIndex(): LogIndex {
    return asLogIndex(this.compacted.index + 1);
  }

  get lastIndex(): LogIndex {
    return asLogIndex(this.last);
  }

  get lastTerm(): Term {
    return this.termAt(this.lastIndex) ?? asTerm(0);
  }

  /** Returns the term of an entry, or of the base (0 for index 0); undefined: there is no such entry. */
  termAt(index: LogIndex): Term | undefined {
    if (index <= this.compacted.index) return index === this.compacted.index ? this.compacted.term : undefined;
    return index > this.last ? undefined : this.runAt(index)?.term;
  }

  /** Returns the first index with the same run of terms as this entry, as far as it is in the log. */
  firstOfTermAt(index: LogIndex): LogIndex {
    const run = this.runAt(index);
    return run === undefined ? asLogIndex(0) : asLogIndex(Math.max(run.first, this.firstIndex));
  }

  /** Returns the last index with the same run of terms as this entry. */
  lastOfTermAt(index: LogIndex): LogIndex {
    const next = this.runs.find((run) => run.first > index);
    return next === undefined ? this.lastIndex : asLogIndex(next.first - 1);
  }

  private runAt(index: LogIndex): TermRun | undefined {
    for (let at = this.runs.length - 1; at >= 0; at--) {
      const run = this.runs[at] as TermRun;
      if (run.first <= index) return run;
    }
    return undefined;
  }

  /** In order of index; the last one is effective. */
  get configurations(): readonly ConfigurationEntry[] {
    return this.configurationEntries;
  }

  /** The effective configuration: the latest in the log, committed or not. */
  get configuration(): ConfigurationEntry | undefined {
    return this.configurationEntries.at(-1);
  }

  /** Returns the configuration that is effective at an entry. */
  configurationAt(index: LogIndex): ConfigurationEntry | undefined {
    return this.configurationEntries.findLast((entry) => entry.index <= index);
  }

  /** Appends a batch, which must follow the last entry. Returns the configuration in it, if it holds one that can be read. */
  append(batch: CachedBatch): Configuration | undefined {
    const { header } = batch;
    invariant(header.first === this.last + 1, `batch ${header.first} does not follow entry ${this.last}`);
    const lastTerm = this.lastTerm;
    invariant(header.term >= lastTerm, `term ${header.term} of entry ${header.first} is below term ${lastTerm}`);
    const begins = header.term > lastTerm || this.runs.length === 0;
    if (begins) this.runs.push({ first: header.first, term: header.term });
    this.last = header.last;
    this.addToCache(batch);
    if (header.kind !== 'configuration') return undefined;
    const payload = batchPayloads(batch.bytes)[0] as Uint8Array;
    const reason = configurationProblem(payload);
    if (reason !== '') this.unreadableEntry ??= { index: header.first, reason };
    const configuration = readConfiguration(payload);
    if (configuration !== undefined) this.configurationEntries.push({ index: header.first, configuration });
    return configuration;
  }

  /** The first configuration that this build cannot read, or not all of it: this peer does not know the members. */
  get unreadable(): { readonly index: LogIndex; readonly reason: string } | undefined {
    return this.unreadableEntry;
  }

  /** Drops all entries up to this one, which is committed. */
  compactTo(index: LogIndex): void {
    if (index <= this.compacted.index) return;
    const term = this.termAt(index);
    invariant(term !== undefined, `entry ${index} is to be the base of the log, and is not in it`);
    this.compacted = { index, term };
    this.runs = this.runs.filter((run, at) => run.first > index || (this.runs[at + 1]?.first ?? Infinity) > index + 1);
  }

  /** Returns the configurations that a snapshot of this entry includes: the first one and the newest ones. */
  configurationsUpTo(index: LogIndex): ConfigurationEntry[] {
    const upTo = this.configurationEntries.filter((entry) => entry.index <= index);
    const { reportedConfigurations: newest } = limits;
    return upTo.length <= newest + 1 ? upTo : [upTo[0] as ConfigurationEntry, ...upTo.slice(-newest)];
  }

  /** Deletes all entries from `from` on. Returns the configurations among them. */
  truncateFrom(from: LogIndex): ConfigurationEntry[] {
    invariant(from > this.compacted.index && from <= this.last, `nothing to truncate at ${from}`);
    this.last = from - 1;
    this.runs = this.runs.filter((run) => run.first < from);
    const compacted = this.configurationEntries.filter((entry) => entry.index >= from);
    this.configurationEntries = this.configurationEntries.filter((entry) => entry.index < from);
    if ((this.unreadableEntry?.index ?? 0) >= from) this.unreadableEntry = undefined;
    const kept: CachedBatch[] = [];
    for (const batch of this.cache) {
      if (batch.header.last < from) kept.push(batch);
      else if (batch.header.first < from) kept.push(shortened(batch, asLogIndex(from - 1)));
    }
    this.cache = kept;
    this.cachedBytes = kept.reduce((bytes, batch) => bytes + batch.bytes.length, 0);
    return compacted;
  }

  /** Returns the cached batch that holds this entry. */
  cached(index: LogIndex): CachedBatch | undefined {
    const batch = this.cache[0];
    // Entries are applied in order, so it is the oldest batch or none.
    return batch !== undefined && batch.header.first <= index && index <= batch.header.last ? batch : undefined;
  }

  /** Removes the batches that have been applied from the cache. */
  evictUpTo(index: LogIndex): void {
    let compacted = 0;
    for (const batch of this.cache) {
      if (batch.header.last > index) break;
      compacted += 1;
      this.cachedBytes -= batch.bytes.length;
    }
    if (compacted > 0) this.cache.splice(0, compacted);
  }

  private addToCache(batch: CachedBatch): void {
    const newest = this.cache.at(-1);
    const follows = newest === undefined || newest.header.last + 1 === batch.header.first;
    if (!follows || this.cachedBytes + batch.bytes.length > limits.unappliedBytes) return;
    this.cache.push(batch);
    this.cachedBytes += batch.bytes.length;
  }
}

function shortened(batch: CachedBatch, last: LogIndex): CachedBatch {
  const entries = last - batch.header.first + 1;
  return {
    header: { ...batch.header, last },
    bytes: batchUpTo(batch.bytes, last),
    ...(batch.commands === undefined ? {} : { commands: batch.commands.slice(0, entries) }),
  };
}
