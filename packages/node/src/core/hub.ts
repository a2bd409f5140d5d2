/** What the parts of a node ask of it as a whole. NodeCore implements it; the parts know this alone. */
import type { LogIndex, Term } from '@conclave/protocol';

export interface NodeHub {
  /** Raises the term in memory and becomes (or stays) a follower in it. It is stored before it is spoken. */
  raiseTerm(term: Term, reason: string): void;
  /** Gives up candidacy or leadership within the term. */
  becomeFollower(reason: string): void;
  /** A reset begins another history: a follower of nobody, in a term that is stored with it. */
  beginHistory(term: Term, reason: string): void;
  /** The election is won: the node leads its term. */
  becomeLeader(): void;
  /** All entries up to here are committed. */
  commitTo(index: LogIndex): void;
}
