/**
 * Random lives of a log-store, each from a seed: appends, truncations, votes, commits, writes that are cut off by a crash
 * or overtaken by another session. What comes back must be the log as it was after some message, none that was
 * acknowledged missing.
 */
import { asLogIndex, batchHeader, type Message } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { append, batch, groupId, open, openedIn, StoreOnABench, vote } from './store-on-a-bench.js';

/** What a node believes after a message: the term of each entry, its own term and vote, and what is committed. */
interface Belief {
  readonly terms: readonly number[];
  readonly term: number;
  readonly vote: string;
  readonly commit: number;
}

class Life {
  private state: number;
  private bench = new StoreOnABench();
  private session = 0;
  private runs = 1;
  private nonces = 0;
  private acknowledged = 0;
  /** By sequence number; the first is what was opened. */
  private beliefs: Belief[] = [{ terms: [], term: 1, vote: '', commit: 0 }];
  readonly seen = { crashes: 0, overtaken: 0, truncations: 0, lost: 0 };

  constructor(seed: number) {
    this.state = seed;
    this.bench.start();
    this.openSession();
  }

  live(steps: number): void {
    for (let step = 0; step < steps; step++) {
      const chance = this.below(100);
      if (chance < 45) this.appendSome();
      else if (chance < 55) this.truncateSome();
      else if (chance < 60) this.castVote();
      else if (chance < 75) this.bench.idle();
      else if (chance < 94) this.syncSome();
      else if (chance < 97) this.crash();
      else this.overtake();
    }
  }

  /** Mulberry32. */
  private below(bound: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  }

  private get now(): Belief {
    return this.beliefs.at(-1) as Belief;
  }

  private get seq(): number {
    return this.beliefs.length;
  }

  private appendSome(): void {
    const { now } = this;
    const term = now.term + (this.below(10) === 0 ? 1 : 0);
    const counts = Array.from({ length: this.below(3) }, () => 1 + this.below(4));
    this.send(now, now.terms.length, term, counts);
  }

  private truncateSome(): void {
    const { now } = this;
    const keep = now.commit + this.below(now.terms.length - now.commit + 1);
    if (keep === now.terms.length) return;
    this.seen.truncations += 1;
    this.send(now, keep, now.term + 1, this.below(4) === 0 ? [] : [1 + this.below(4)]);
  }

  /** Appends batches of so many entries behind the first `keep` ones. */
  private send(now: Belief, keep: number, term: number, counts: readonly number[]): void {
    const terms = now.terms.slice(0, keep);
    const batches = counts.map((count) => {
      const made = batch(terms.length + 1, count, term);
      terms.push(...Array.from({ length: count }, () => term));
      return made;
    });
    const commit = now.commit + this.below(Math.floor((terms.length - now.commit) / 2) + 1);
    const truncateFrom = keep < now.terms.length ? keep + 1 : 0;
    const { seq, session } = this;
    this.hear(append({ seq, session, term, truncateFrom, verified: terms.length, commit, batches }));
    this.beliefs.push({ terms, term, vote: term > now.term ? '' : now.vote, commit });
  }

  private castVote(): void {
    const { now, seq, session } = this;
    const term = now.term + 1;
    this.hear(vote(seq, term, 'n3', session));
    this.beliefs.push({ ...now, term, vote: 'n3' });
  }

  private syncSome(): void {
    if (this.bench.isWriting) this.listen(this.bench.sync());
  }

  private hear(...messages: Parameters<StoreOnABench['hear']>): void {
    this.listen(this.bench.hear(...messages));
  }

  private listen(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.name === 'node.ack') this.acknowledged = Math.max(this.acknowledged, message.body.seq);
      if (message.name !== 'feed.stored') continue;
      const { seq, match_index } = message.body;
      expect(match_index, 'a leader is told what was verified').toBe(this.beliefs[seq]?.terms.length);
    }
  }

  private crash(): void {
    this.seen.crashes += 1;
    this.runs += 1;
    this.bench.restart(`run-${this.runs}`);
    this.openSession();
  }

  private overtake(): void {
    this.seen.overtaken += 1;
    this.openSession();
  }

  /** Opens the next session and compares what is reported with what was believed. */
  private openSession(): void {
    this.nonces += 1;
    this.bench.hear(open(`nonce-${this.nonces}`, this.bench.incarnation, this.session));
    const { acknowledged } = this;
    if (this.bench.isWriting) this.listen(this.bench.sync());
    this.session += 1;
    const opened = openedIn(this.bench.write());
    const found = this.stored(opened.last_index);
    const at = this.beliefs.findLastIndex((belief, seq) => {
      return seq >= this.acknowledged && belief.term === Math.max(opened.term, 1) && equal(belief.terms, found);
    });
    expect(at, `the log is as it was after some message from ${acknowledged} on`).toBeGreaterThanOrEqual(0);
    const belief = this.beliefs[at] as Belief;
    expect(opened.voted_for).toBe(belief.vote);
    expect(opened.commit_index).toBeLessThanOrEqual(belief.commit);
    expect(opened.term_runs).toEqual(runsOf(found));
    if (at < this.beliefs.length - 1) this.seen.lost += 1;
    this.beliefs = [{ ...belief, commit: opened.commit_index }];
    this.acknowledged = 0;
  }

  /** The term of each entry that is stored, found without gaps. */
  private stored(last: number): number[] {
    const range = { fromIndex: asLogIndex(1), lastIndex: asLogIndex(2 ** 40), maxBytes: 1e9, maxBatches: 1e9 };
    const terms: number[] = [];
    for (const { value } of this.bench.storage.readNow(groupId, range)) {
      const header = batchHeader(value);
      expect(header.first).toBe(terms.length + 1);
      for (let index = header.first; index <= header.last; index++) terms.push(header.term);
    }
    expect(terms.length).toBe(last);
    return terms;
  }
}

function equal(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((term, at) => term === others[at]);
}

function runsOf(terms: readonly number[]): { first: number; term: number }[] {
  return terms.flatMap((term, at) => (term === terms[at - 1] ? [] : [{ first: at + 1, term }]));
}

describe('a random life', () => {
  it('loses nothing that was acknowledged, whatever the seed', () => {
    const seen = { crashes: 0, overtaken: 0, truncations: 0, lost: 0 };
    for (let seed = 1; seed <= 150; seed++) {
      const life = new Life(seed);
      try {
        life.live(150);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
      for (const kind of ['crashes', 'overtaken', 'truncations', 'lost'] as const) seen[kind] += life.seen[kind];
    }
    for (const [kind, times] of Object.entries(seen)) expect(times, kind).toBeGreaterThan(100);
  });
});
