/**
 * The ballots of a leader's term: one for each entry, with the configuration effective at that entry. Consecutive entries with the
 * same configuration share one run, so that the cost depends on batches and not on entries.
 *
 * Owns: which entries are registered, under which configuration, and the commit index that follows from the acknowledgements. Does
 * not own the entries.
 *
 * Invariants:
 * 1. Only entries of the leader's own term are registered (Raft thesis, section 3.6.2), without a gap, beginning with the first entry
 *    of the term. The runs cover all entries that are registered and not committed, in order and without a gap. The first run may
 *    begin with committed entries.
 * 2. The configuration in a configuration entry is effective from that entry on.
 * 3. The commit index is the highest entry whose own ballot is granted; all entries before it are committed with it. It never
 *    decreases.
 * 4. A match index counts only up to the last registered entry.
 */
import {
  type Configuration,
  type ConfigurationEntry,
  invariant,
  type LogIndex,
  type Member,
  type PeerId,
  type StoreId,
} from '@conclave/protocol';
import { MemberValues, quorumValue } from './member-values.js';

/** The ballots of the entries `first..last`; `last` is `first - 1` in a run that has no entry yet. */
interface Run {
  readonly first: number;
  last: number;
  readonly configuration: Configuration;
}

/** The members that have not stored the entry of a ballot, in each set of its configuration. */
export interface MissingVotes {
  readonly peers: PeerId[];
  readonly old_peers: PeerId[];
}

export class BallotRuns {
  private readonly runs: Run[] = [];
  private readonly matches = new MemberValues();
  private committed = 0;

  /**
   * @param first the first entry of the term
   * @param last the last entry that is registered from the start; `first - 1`: none
   * @param configurations one or more, in the order of their indexes; the first one is effective at `first`
   */
  constructor(
    private readonly first: LogIndex,
    last: LogIndex,
    configurations: readonly ConfigurationEntry[],
  ) {
    for (const { index, configuration } of configurations) {
      invariant(index <= last + 1, 'a configuration is at most one entry after the last registered one');
      this.begin(Math.max(index, first), configuration);
    }
    invariant(this.runs.length > 0, 'a ballot-box is opened with a configuration');
    this.latest.last = last;
  }

  /** The last registered entry. */
  get registeredIndex(): LogIndex {
    return this.latest.last as LogIndex;
  }

  /** The commit index; 0: nothing of this term. */
  get commitIndex(): LogIndex {
    return this.committed as LogIndex;
  }

  /** The latest registered configuration. */
  get configuration(): Configuration {
    return this.latest.configuration;
  }

  /** Registers the entries `first..last`. @param configuration the configuration in the first entry, if that is a configuration entry */
  register(first: LogIndex, last: LogIndex, configuration?: Configuration): void {
    invariant(first === this.latest.last + 1 && last >= first, 'entries are registered without a gap');
    if (configuration !== undefined) this.begin(first, configuration);
    this.latest.last = last;
  }

  /**
   * Records up to which index a member's log is synced and matches the leader's.
   * @returns `raised`: the index is higher than before; `known`: it is not; `full`: it was dropped, because the values of too many
   * members are kept
   */
  stored(peerId: PeerId, storeId: StoreId, matchIndex: LogIndex): 'raised' | 'known' | 'full' {
    return this.matches.record(peerId, storeId, matchIndex);
  }

  /** Raises the commit index to the highest entry whose ballot is granted, beginning with the latest run. @returns whether it rose */
  count(): boolean {
    for (let position = this.runs.length - 1; position >= 0; position--) {
      const run = this.runs[position];
      if (run === undefined || run.last <= this.committed) return false;
      const stored = quorumValue(run.configuration, (member) => this.matches.of(member));
      const granted = Math.min(stored, run.last);
      if (granted < run.first || granted <= this.committed) continue;
      this.committed = granted;
      this.runs.splice(0, position);
      return true;
    }
    return false;
  }

  /** @returns the missing votes of the lowest entry that is not committed; none if all registered entries are */
  missing(): MissingVotes {
    const index = Math.max(this.committed + 1, this.first);
    const run = this.runs.find(({ first, last }) => first <= index && index <= last);
    if (run === undefined) return { peers: [], old_peers: [] };
    const without = (members: readonly Member[]): PeerId[] =>
      members.filter((member) => this.matches.of(member) < index).map(({ peer_id }) => peer_id);
    return { peers: without(run.configuration.peers), old_peers: without(run.configuration.old_peers) };
  }

  private get latest(): Run {
    const run = this.runs.at(-1);
    invariant(run !== undefined, 'there is always an effective configuration');
    return run;
  }

  /**
   * Begins a run. It replaces the latest run if that one has no entry. No granted ballot is lost by this: a run without an entry has
   * no ballot.
   */
  private begin(first: number, configuration: Configuration): void {
    const before = this.runs.at(-1);
    if (before !== undefined) {
      if (first <= before.first) this.runs.pop();
      else before.last = first - 1;
    }
    this.runs.push({ first, last: first - 1, configuration });
  }
}
