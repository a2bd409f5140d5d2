/** How the parts of a node change its role, term and commit index. `RoleChanges` implements it. */
import type { LogIndex, Term } from '@conclave/protocol';

export interface RoleControl {
  /** Raises the term in memory and becomes (or stays) a follower in it. It is stored before it is sent. */
  raiseTerm(term: Term, reason: string): void;
  /**
   * Ends a candidacy or leadership within the term.
   * @param mayHaveSuccessor whether another peer may have been elected; false by default
   */
  becomeFollower(reason: string, mayHaveSuccessor?: boolean): void;
  /** A reset begins another history: a follower without a leader, in a term that is stored with the history. */
  beginHistory(term: Term, reason: string): void;
  /** The election is won: the node leads its term. */
  becomeLeader(): void;
  /** All entries up to here are committed. */
  commitTo(index: LogIndex): void;
}
