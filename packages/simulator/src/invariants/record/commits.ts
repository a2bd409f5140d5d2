/**
 * All entries that ballot-boxes have reported as committed: one chain that only grows.
 *
 * Owns the chain, and how much of it each term has committed.
 *
 * Invariant: each entry of the chain follows the previous one; what does not fit is a conflict.
 */
import { type Entry, hasEntry } from './log-tree.js';

export class Commits {
  /** What does not fit the chain; undefined: everything does. */
  conflict: string | undefined;
  /** By index, from 1 on. */
  private readonly chain: Entry[] = [];
  private readonly histories = new Set<string>();
  /** By the term of the leader: the highest entry that it has committed. */
  private readonly highest = new Map<number, Entry>();
  /** Histories that were abandoned for others. */
  private readonly left = new Set<string>();

  /**
   * A peer was reset: its old history ends, and a new one begins with what that peer knew to be committed. If several
   * are reset alike, with what the most advanced one knew.
   */
  continueHistory(from: string, to: string, known: Entry | undefined): void {
    if (this.left.has(from)) {
      const isFurther = known !== undefined && known.index > this.chain.length && this.histories.has(to);
      if (!isFurther || (this.last !== undefined && !hasEntry(known, this.last))) return;
    }
    this.left.add(from);
    this.histories.clear();
    this.histories.add(to);
    this.highest.clear();
    this.chain.length = 0;
    for (let entry = known; entry !== undefined; entry = entry.prev) this.chain.push(entry);
    this.chain.reverse();
  }

  /** The last committed entry. */
  get last(): Entry | undefined {
    return this.chain.at(-1);
  }

  at(index: number): Entry | undefined {
    return this.chain[index - 1];
  }

  /** The histories (`group_uid`) in which something was committed. */
  get groupUids(): ReadonlySet<string> {
    return this.histories;
  }

  /** The last entry that leaders of earlier terms have committed. */
  before(term: number): Entry | undefined {
    let furthest: Entry | undefined;
    for (const [other, entry] of this.highest) {
      if (other < term && entry.index > (furthest?.index ?? 0)) furthest = entry;
    }
    return furthest;
  }

  /** Whether a leader of this term is known to have committed up to that entry. */
  isKnown(term: number, index: number): boolean {
    return (this.highest.get(term)?.index ?? 0) >= index;
  }

  /** An entry of a leader, of its own term, is committed, with all before it. */
  add(entry: Entry): void {
    this.histories.add(entry.groupUid);
    this.highest.set(entry.term, entry);
    const isOtherHistory = this.last !== undefined && this.last.groupUid !== entry.groupUid;
    if (isOtherHistory) return;
    const news: Entry[] = [];
    let oldest: Entry | undefined = entry;
    while (oldest !== undefined && oldest.index > this.chain.length) {
      news.push(oldest);
      oldest = oldest.prev;
    }
    if (oldest !== this.at(oldest?.index ?? 0)) {
      this.conflict ??= `entry ${oldest?.index} of term ${oldest?.term} is committed in the place of one of term ${this.at(oldest?.index ?? 0)?.term}`;
      return;
    }
    this.chain.push(...news.reverse());
  }
}
