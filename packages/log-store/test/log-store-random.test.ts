/**
 * Random lives of a log-store, each from a seed: appends, truncations, votes, commits, snapshots taken and installed,
 * writes that are cut off by a crash or overtaken by another session, garbage that are cleared away some time. What
 * comes back must be the log as it was after some message, none that was acknowledged missing.
 */
import { asLogIndex, batchFrom, batchHeader, type Message } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { chunkKey } from '../src/core/index.js';
import { chunkMessage, endMessage, type Source, snapshotOf, type TestSnapshot } from './snapshots.js';
import { append, batch, groupId, type Opened, open, openedIn, StoreHarness, vote } from './store-harness.js';

/** What a node believes after a message: the term of each entry, its own term and vote, and what is committed. */
interface Belief {
  readonly terms: readonly number[];
  readonly term: number;
  readonly vote: string;
  readonly commit: number;
  /** Entries up to here are gone, and what stands for them. */
  readonly base: number;
  readonly snapshot: TestSnapshot | undefined;
  readonly incoming: Transfer | undefined;
}

/** A snapshot of which so many chunks have been sent. */
interface Transfer {
  readonly source: Source;
  readonly snapshot: TestSnapshot;
  readonly sent: number;
}

const atFirst: Belief = { terms: [], term: 1, vote: '', commit: 0, base: 0, snapshot: undefined, incoming: undefined };

class Life {
  private state: number;
  private bench = new StoreHarness();
  private session = 0;
  private runs = 1;
  private nonces = 0;
  private acknowledged = 0;
  /** By sequence number; the first is what was opened. */
  private beliefs: Belief[] = [atFirst];
  private snapshots = 0;
  readonly seen = newTally();

  constructor(seed: number) {
    this.state = seed;
    this.bench.start();
    this.openSession();
  }

  live(steps: number): void {
    for (let step = 0; step < steps; step++) {
      const chance = this.below(100);
      if (chance < 35) this.appendSome();
      else if (chance < 41) this.truncateSome();
      else if (chance < 44) this.castVote();
      else if (chance < 57) this.goOnWithSnapshot();
      else if (chance < 60) this.bench.clear();
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
    this.receive(append({ seq, session, term, truncateFrom, verified: terms.length, commit, batches }));
    this.beliefs.push({ ...now, terms, term, vote: term > now.term ? '' : now.vote, commit });
  }

  private castVote(): void {
    const { now, seq, session } = this;
    const term = now.term + 1;
    this.receive(vote(seq, term, 'n3', session));
    this.beliefs.push({ ...now, term, vote: 'n3' });
  }

  // ---- snapshots ---------------------------------------------------------------------------------

  /** Sends the next chunk of the snapshot that is on its way, or its end; or begins another one. */
  private goOnWithSnapshot(): void {
    const { incoming } = this.now;
    if (incoming === undefined || this.below(12) === 0) this.beginSnapshot();
    else if (incoming.sent === incoming.snapshot.head.chunks) this.endSnapshot(incoming);
    else this.sendChunk(incoming);
  }

  private beginSnapshot(): void {
    const { now } = this;
    this.snapshots += 1;
    const id = `s${this.snapshots}`;
    const chunks = 1 + this.below(3);
    const oldest = Math.max(now.snapshot?.head.index ?? 0, 1);
    if (this.below(2) === 0) {
      if (now.commit < oldest) return;
      const index = oldest + this.below(now.commit - oldest + 1);
      const snapshot = snapshotOf(id, index, now.terms[index - 1] ?? 0, chunks);
      return this.sendChunk({ source: 'taken', snapshot, sent: 0 });
    }
    const index = now.commit + 1 + this.below(8);
    const ownTerm = this.below(2) === 0 ? now.terms[index - 1] : undefined;
    const snapshot = snapshotOf(id, index, ownTerm ?? now.term + 1, chunks);
    this.sendChunk({ source: 'installed', snapshot, sent: 0 });
  }

  private sendChunk(transfer: Transfer): void {
    const { seq, session, now } = this;
    this.receive(chunkMessage({ seq, session }, transfer.snapshot, transfer.sent, transfer.source));
    this.beliefs.push({ ...now, incoming: { ...transfer, sent: transfer.sent + 1 } });
  }

  private endSnapshot({ source, snapshot }: Transfer): void {
    const { seq, session, now } = this;
    const { index, term } = snapshot.head;
    const to = source === 'installed' ? index : now.base + this.below(index - now.base + 1);
    const raised = source === 'installed' ? Math.max(now.term, term) : now.term;
    this.receive(endMessage({ seq, session, source, term: raised, compactTo: to }, snapshot));
    const holds = now.terms[index - 1] === term && index >= now.base;
    const counts =
      index >= (now.snapshot?.head.index ?? 0) && (holds || (source === 'installed' && index > now.commit));
    if (!counts) {
      this.beliefs.push({ ...now, incoming: undefined });
      return;
    }
    if (source === 'taken') this.seen.taken += 1;
    else this.seen[holds ? 'installedBeforeTail' : 'installedInPlace'] += 1;
    this.beliefs.push({
      terms: holds ? now.terms : Array.from({ length: index }, () => term),
      term: raised,
      vote: raised > now.term ? '' : now.vote,
      commit: Math.max(now.commit, index),
      base: to,
      snapshot,
      incoming: undefined,
    });
  }

  private syncSome(): void {
    if (this.bench.isWriting) this.listen(this.bench.sync());
  }

  private receive(...messages: Parameters<StoreHarness['receive']>): void {
    this.listen(this.bench.receive(...messages));
  }

  private listen(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.name === 'node.ack') this.acknowledged = Math.max(this.acknowledged, message.body.seq);
      if (message.name !== 'feed.stored') continue;
      const { seq, match_index } = message.body;
      expect(match_index, 'a leader receives what was verified').toBe(this.beliefs[seq]?.terms.length);
    }
  }

  private crash(): void {
    this.seen.crashes += 1;
    this.runs += 1;
    if (this.below(2) === 0) this.bench.syncUnheard();
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
    this.bench.receive(open(`nonce-${this.nonces}`, this.bench.incarnation, this.session));
    const { acknowledged } = this;
    if (this.bench.isWriting) this.listen(this.bench.sync());
    this.session += 1;
    const opened = openedIn(this.bench.write());
    const { base_index } = opened;
    const found = this.stored(base_index, opened.last_index);
    const at = this.beliefs.findLastIndex((belief, seq) => {
      if (seq < this.acknowledged || belief.term !== Math.max(opened.term, 1) || belief.base !== base_index)
        return false;
      return snapshotsAre(opened, belief) && equal(belief.terms.slice(base_index), found);
    });
    expect(at, `the log is as it was after some message from ${acknowledged} on`).toBeGreaterThanOrEqual(0);
    const belief = this.beliefs[at] as Belief;
    expect(opened.voted_for).toBe(belief.vote);
    expect(opened.commit_index).toBeLessThanOrEqual(belief.commit);
    expect(opened.term_runs).toEqual(runsOf(found, base_index));
    if (base_index > 0) expect(opened.base_term).toBe(belief.terms[base_index - 1]);
    this.checkSnapshot(belief.snapshot);
    if (at < this.beliefs.length - 1) this.seen.lost += 1;
    const incoming = opened.installing === null ? undefined : belief.incoming;
    if (incoming !== undefined) this.seen.resumed += 1;
    this.beliefs = [{ ...belief, commit: opened.commit_index, incoming }];
    this.acknowledged = 0;
  }

  /** The snapshot that counts has all its chunks. */
  private checkSnapshot(snapshot: TestSnapshot | undefined): void {
    if (snapshot === undefined) return;
    const slot = this.bench.core.durableState.snapshot?.slot ?? 0;
    const chunks = snapshot.chunks.map((_, number) => this.bench.storage.rows.get(chunkKey(groupId, slot, number)));
    expect(chunks).toEqual(snapshot.chunks);
  }

  /** The term of each entry that is stored behind the base, found without gaps. */
  private stored(base: number, last: number): number[] {
    if (last === base) return [];
    const range = { fromIndex: asLogIndex(base + 1), lastIndex: asLogIndex(last), maxBytes: 1e9, maxBatches: 1e9 };
    const terms: number[] = [];
    for (const { value } of this.bench.storage.readNow(groupId, range)) {
      const header = batchHeader(terms.length === 0 ? batchFrom(value, asLogIndex(base + 1)) : value);
      expect(header.first).toBe(base + terms.length + 1);
      for (let index = header.first; index <= header.last; index++) terms.push(header.term);
    }
    expect(base + terms.length).toBe(last);
    return terms;
  }
}

function newTally() {
  const snapshots = { taken: 0, installedBeforeTail: 0, installedInPlace: 0, resumed: 0 };
  return { crashes: 0, overtaken: 0, truncations: 0, lost: 0, ...snapshots };
}

/** Whether what is reported of snapshots is what is believed. One that was being taken is not reported. */
function snapshotsAre({ snapshot, installing }: Opened, belief: Belief): boolean {
  const { incoming } = belief;
  const isSame = snapshot?.snapshot_id === belief.snapshot?.id;
  if (incoming?.source !== 'installed') return isSame && installing === null;
  return isSame && installing?.snapshot_id === incoming.snapshot.id && installing.stored === incoming.sent;
}

function equal(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((term, at) => term === others[at]);
}

function runsOf(terms: readonly number[], base: number): { first: number; term: number }[] {
  return terms.flatMap((term, at) => (term === terms[at - 1] ? [] : [{ first: base + at + 1, term }]));
}

describe('a random life', () => {
  it('loses nothing that was acknowledged, whatever the seed', () => {
    const seen = newTally();
    for (let seed = 1; seed <= 150; seed++) {
      const life = new Life(seed);
      try {
        life.live(150);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
      for (const kind of Object.keys(seen) as (keyof typeof seen)[]) seen[kind] += life.seen[kind];
    }
    for (const [kind, times] of Object.entries(seen)) expect(times, kind).toBeGreaterThan(100);
  });
});
