/**
 * The ballots of a leader's term: one for each entry, with the configuration effective at that entry. Consecutive entries with the
 * same configuration share one run, so that the cost depends on batches and not on entries.
 *
 * Owns: which entries are registered, under which configuration, and the commit index that follows from the acknowledgements. Does
 * not own the entries.
 *
 * Invariants:
 * 1. Only entries of the leader's own term are registered (Raft thesis, section 3.6.2), from the term's first on
 *    and without a gap. The runs cover what is registered and not committed, in order and without a gap.
 * 2. The configuration of a configuration entry governs from that entry on.
 * 3. The commit index is the highest whose own ballot is granted; all before it commit with it. It never falls.
 * 4. A match index counts only up to what is registered.
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

/** The ballots `first..last`; `last` is `first - 1` in a run that waits for its first entry. */
interface Run {
  readonly first: number;
  last: number;
  readonly configuration: Configuration;
}

/** The members whose votes a ballot lacks, in each set of its configuration. */
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
   * @param configurations by index, one or more; the first is effective at `first`
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

  /** Registers the entries `first..last`. @param configuration that of the first entry, if it is a configuration entry */
  register(first: LogIndex, last: LogIndex, configuration?: Configuration): void {
    invariant(first === this.latest.last + 1 && last >= first, 'entries are registered without a gap');
    if (configuration !== undefined) this.begin(first, configuration);
    this.latest.last = last;
  }

  /** Records how far a member's log is synced and matches. */
  stored(peerId: PeerId, storeId: StoreId, matchIndex: LogIndex): 'raised' | 'known' | 'full' {
    return this.matches.record(peerId, storeId, matchIndex);
  }

  /** Counts the ballots from the latest run down: a granted one commits all before it. @returns whether the commit index rose */
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

  /** @returns the members whose votes the lowest ungranted ballot lacks; none if all are granted */
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
    invariant(run !== undefined, 'there is always a configuration in force');
    return run;
  }

  private begin(first: number, configuration: Configuration): void {
    const before = this.runs.at(-1);
    if (before !== undefined) {
      if (first <= before.first) this.runs.pop();
      else before.last = first - 1;
    }
    this.runs.push({ first, last: first - 1, configuration });
  }
}
