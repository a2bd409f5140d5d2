/**
 * The ballots of a leader's term: one per entry, with the configuration in force at that entry. Entries in a
 * row that have the same configuration share one run, so that the cost is by batch and not by entry.
 *
 * Owns which entries are registered, under which configuration, and the commit index that follows from what
 * has been stored where. Does not own the entries.
 *
 * Invariants:
 * 1. Only entries of the leader's own term are registered (Raft thesis, section 3.6.2), from the term's first on
 *    and without a gap. The runs cover what is registered and not committed, in order and without a gap.
 * 2. The configuration of a configuration entry governs from that entry on.
 * 3. The commit index is the highest whose own ballot is granted; all before it commit with it. It never falls.
 * 4. A match counts only up to what is registered.
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
import { quorumValue, Tally } from './tally.js';

/** The ballots `first..last`; `last` is `first - 1` in a run that waits for its first entry. */
interface Run {
  readonly first: number;
  last: number;
  readonly configuration: Configuration;
}

/** Whose votes a ballot lacks, in each of its configuration's sets. */
export interface Lacking {
  readonly peers: PeerId[];
  readonly old_peers: PeerId[];
}

export class BallotRuns {
  private readonly runs: Run[] = [];
  private readonly matches = new Tally();
  private committed = 0;

  /**
   * @param first the first entry of the term.
   * @param last the last that is registered from the start; `first - 1`: none.
   * @param configurations by index, one or more; the first is in force at `first`.
   */
  constructor(
    private readonly first: LogIndex,
    last: LogIndex,
    configurations: readonly ConfigurationEntry[],
  ) {
    for (const { index, configuration } of configurations) {
      invariant(index <= last + 1, 'a ballot-box is given a configuration beyond what it is to register');
      this.begin(Math.max(index, first), configuration);
    }
    invariant(this.runs.length > 0, 'a ballot-box is opened without a configuration');
    this.latest.last = last;
  }

  /** The last entry that is registered. */
  get registeredIndex(): LogIndex {
    return this.latest.last as LogIndex;
  }

  /** What is known to be committed; 0: nothing of this term. */
  get commitIndex(): LogIndex {
    return this.committed as LogIndex;
  }

  /** The latest that is registered. */
  get configuration(): Configuration {
    return this.latest.configuration;
  }

  /** Registers the entries `first..last`. @param configuration what the first holds, where it is one of the configuration. */
  register(first: LogIndex, last: LogIndex, configuration?: Configuration): void {
    invariant(first === this.latest.last + 1 && last >= first, 'entries are registered without a gap');
    if (configuration !== undefined) this.begin(first, configuration);
    this.latest.last = last;
  }

  /** Takes note of how far a member's log is synced and the leader's. */
  stored(peerId: PeerId, storeId: StoreId, matchIndex: LogIndex): 'raised' | 'known' | 'full' {
    return this.matches.note(peerId, storeId, matchIndex);
  }

  /** Counts the ballots, from the latest down: the first that is granted takes all before it along. True: the commit index rose. */
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

  /** Whose votes the lowest ballot lacks that is not granted; nobody's where all are. */
  lacking(): Lacking {
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
