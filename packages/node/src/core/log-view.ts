/**
 * What a node knows of its log: all that it has accepted, durable or not. It owns the terms of all entries, the
 * configurations, and the batches that are not yet applied; the entries themselves are the log-store's.
 *
 * Invariants:
 * 1. Entries up to `base` are gone: a snapshot stands for them, and all of them are committed. Of these only the term
 *    of the last one is known. `base.index <= lastIndex`; the log is without gaps behind the base.
 * 2. `runs` rise in index and in term; the last run reaches to `lastIndex`.
 * 3. `configurations` rise in index; the last one is in force. They reach below the base.
 * 4. A configuration that this build cannot read, or not all of it, was accepted in this run if `unreadable` says so.
 * 5. The cached batches are without gaps; what they lack is read from the log-store.
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

/** A batch in memory. `commands`: what the entries decode to, where this peer decoded them already. */
export interface CachedBatch {
  readonly header: BatchHeader;
  readonly bytes: Uint8Array;
  readonly commands?: readonly unknown[];
}

/** The last entry that is gone, and its term; of a whole log 0 and 0. */
export interface LogBase {
  readonly index: LogIndex;
  readonly term: Term;
}

export class LogView {
  private gone: LogBase = { index: asLogIndex(0), term: asTerm(0) };
  private last = 0;
  private runs: TermRun[] = [];
  private configurationEntries: ConfigurationEntry[] = [];
  private unreadableEntry: { readonly index: LogIndex; readonly reason: string } | undefined;
  private cache: CachedBatch[] = [];
  private cachedBytes = 0;

  /** Takes what the log-store found at its opening. */
  load(found: {
    readonly base: LogBase;
    readonly lastIndex: LogIndex;
    readonly termRuns: readonly TermRun[];
    readonly configurations: readonly ConfigurationEntry[];
  }): void {
    this.gone = found.base;
    this.last = found.lastIndex;
    this.runs = [...found.termRuns];
    this.configurationEntries = [...found.configurations];
    this.cache = [];
    this.cachedBytes = 0;
  }

  /** Entries up to here are gone. */
  get base(): LogBase {
    return this.gone;
  }

  get firstIndex(): LogIndex {
    return asLogIndex(this.gone.index + 1);
  }

  get lastIndex(): LogIndex {
    return asLogIndex(this.last);
  }

  get lastTerm(): Term {
    return this.termAt(this.lastIndex) ?? asTerm(0);
  }

  /** The term of an entry, or of the base (0 for index 0); undefined where there is no such entry. */
  termAt(index: LogIndex): Term | undefined {
    if (index <= this.gone.index) return index === this.gone.index ? this.gone.term : undefined;
    return index > this.last ? undefined : this.runAt(index)?.term;
  }

  /** The first index of the run of terms that holds this entry, as far as it is in the log. */
  firstOfTermAt(index: LogIndex): LogIndex {
    const run = this.runAt(index);
    return run === undefined ? asLogIndex(0) : asLogIndex(Math.max(run.first, this.firstIndex));
  }

  /** The last index of the run of terms that holds this entry. */
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

  /** In order of index; the last one is in force. */
  get configurations(): readonly ConfigurationEntry[] {
    return this.configurationEntries;
  }

  /** The configuration in force: the latest in the log, committed or not. */
  get configuration(): ConfigurationEntry | undefined {
    return this.configurationEntries.at(-1);
  }

  /** The configuration in force at an entry. */
  configurationAt(index: LogIndex): ConfigurationEntry | undefined {
    return this.configurationEntries.findLast((entry) => entry.index <= index);
  }

  /** Appends a batch, which must follow the last entry. Answers the configuration in it, if it holds one that can be read. */
  append(batch: CachedBatch): Configuration | undefined {
    const { header } = batch;
    invariant(header.first === this.last + 1, `batch ${header.first} does not follow entry ${this.last}`);
    const lastTerm = this.lastTerm;
    invariant(header.term >= lastTerm, `term ${header.term} of entry ${header.first} is below term ${lastTerm}`);
    const begins = header.term > lastTerm || this.runs.length === 0;
    if (begins) this.runs.push({ first: header.first, term: header.term });
    this.last = header.last;
    this.remember(batch);
    if (header.kind !== 'configuration') return undefined;
    const payload = batchPayloads(batch.bytes)[0] as Uint8Array;
    const reason = configurationProblem(payload);
    if (reason !== '') this.unreadableEntry ??= { index: header.first, reason };
    const configuration = readConfiguration(payload);
    if (configuration !== undefined) this.configurationEntries.push({ index: header.first, configuration });
    return configuration;
  }

  /** The first configuration that this build cannot read, or not all of it: it does not know who belongs to the group. */
  get unreadable(): { readonly index: LogIndex; readonly reason: string } | undefined {
    return this.unreadableEntry;
  }

  /** Lets go of all entries up to this one, which is committed. */
  compactTo(index: LogIndex): void {
    if (index <= this.gone.index) return;
    const term = this.termAt(index);
    invariant(term !== undefined, `entry ${index} is to be the base of the log, and is not in it`);
    this.gone = { index, term };
    this.runs = this.runs.filter((run, at) => run.first > index || (this.runs[at + 1]?.first ?? Infinity) > index + 1);
  }

  /** The configurations up to an entry that a snapshot of it tells: the first and the newest. */
  configurationsUpTo(index: LogIndex): ConfigurationEntry[] {
    const upTo = this.configurationEntries.filter((entry) => entry.index <= index);
    const { reportedConfigurations: newest } = limits;
    return upTo.length <= newest + 1 ? upTo : [upTo[0] as ConfigurationEntry, ...upTo.slice(-newest)];
  }

  /** Deletes all entries from `from` on. Answers the configurations that went with them. */
  truncateFrom(from: LogIndex): ConfigurationEntry[] {
    invariant(from > this.gone.index && from <= this.last, `nothing to truncate at ${from}`);
    this.last = from - 1;
    this.runs = this.runs.filter((run) => run.first < from);
    const gone = this.configurationEntries.filter((entry) => entry.index >= from);
    this.configurationEntries = this.configurationEntries.filter((entry) => entry.index < from);
    if ((this.unreadableEntry?.index ?? 0) >= from) this.unreadableEntry = undefined;
    const kept: CachedBatch[] = [];
    for (const batch of this.cache) {
      if (batch.header.last < from) kept.push(batch);
      else if (batch.header.first < from) kept.push(shortened(batch, asLogIndex(from - 1)));
    }
    this.cache = kept;
    this.cachedBytes = kept.reduce((bytes, batch) => bytes + batch.bytes.length, 0);
    return gone;
  }

  /** The cached batch that holds this entry. */
  cached(index: LogIndex): CachedBatch | undefined {
    const batch = this.cache[0];
    // Asked for in order, so it is the oldest or none.
    return batch !== undefined && batch.header.first <= index && index <= batch.header.last ? batch : undefined;
  }

  /** Forgets the batches that have been applied. */
  forgetUpTo(index: LogIndex): void {
    let gone = 0;
    for (const batch of this.cache) {
      if (batch.header.last > index) break;
      gone += 1;
      this.cachedBytes -= batch.bytes.length;
    }
    if (gone > 0) this.cache.splice(0, gone);
  }

  private remember(batch: CachedBatch): void {
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
