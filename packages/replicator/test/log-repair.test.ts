/** A replicator against followers with the logs of figure 7 of the Raft paper, and against random ones, with losses. */
import {
  asLogIndex,
  asTerm,
  type Body,
  batchHeader,
  encodeBatch,
  type Message,
  type ReplicatorMessage,
} from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { commands, LedGroup, rejected, stored } from './replicator-harness.js';

const term = 8;

/** A follower that holds the terms of its entries, and stores at once what it takes. */
class Follower {
  acknowledged = 0;

  constructor(readonly terms: number[]) {}

  onAppendEntries(body: Body<'node.append_entries'>): ReplicatorMessage {
    const { terms } = this;
    const there = body.prev_index === 0 ? 0 : terms[body.prev_index - 1];
    if (there !== body.prev_term) {
      const conflict = there === undefined ? 0 : terms.indexOf(there) + 1;
      return rejected('n2', body.request_id, terms.length, [there ?? 0, conflict], { term: asTerm(term) });
    }
    let verified: number = body.prev_index;
    for (const bytes of body.batches) {
      const header = batchHeader(bytes);
      expect(header.first, 'entries follow each other').toBe(verified + 1);
      for (let index: number = header.first; index <= header.last; index++) this.take(index, header.term);
      verified = header.last;
    }
    this.acknowledged = Math.max(this.acknowledged, verified);
    return stored('n2', verified, { leader_term: asTerm(term) });
  }

  private take(index: number, ofTerm: number): void {
    if (this.terms[index - 1] === ofTerm) return;
    expect(index, 'nothing that was acknowledged in this term is truncated').toBeGreaterThan(this.acknowledged);
    this.terms.splice(index - 1);
    this.terms.push(ofTerm);
  }
}

/** The leader's log in batches, as its log-store reads them. */
class LeaderLog {
  readonly batches: Uint8Array[] = [];

  constructor(terms: readonly number[], maxEntries: number) {
    for (let first = 0; first < terms.length; ) {
      let end = first + 1;
      while (end < terms.length && terms[end] === terms[first] && end - first < maxEntries) end += 1;
      const payloads = Array.from({ length: end - first }, () => new Uint8Array([1]));
      this.batches.push(encodeBatch('commands', asTerm(terms[first] ?? 0), asLogIndex(first + 1), payloads));
      first = end;
    }
  }

  read(group: LedGroup, body: Body<'log-store.read'>): ReplicatorMessage {
    const place = this.batches.findIndex((bytes) => batchHeader(bytes).last >= body.from_index);
    if (place < 0) return group.entries(body.request_id, body.from_index, 0, [], { refusal: 'beyond_end' });
    const found: Uint8Array[] = [];
    let size = 0;
    for (const bytes of this.batches.slice(place)) {
      if (found.length > 0 && size + bytes.length > body.max_bytes) break;
      found.push(bytes);
      size += bytes.length;
    }
    const before = this.batches[place - 1];
    return group.entries(body.request_id, body.from_index, before === undefined ? 0 : batchHeader(before).term, found);
  }
}

/** A leader in term 8 with this log, and one follower: what goes between them, in order, and some of it lost. */
class Repair {
  readonly group = new LedGroup();
  private readonly log: LeaderLog;
  private readonly onTheWay: Message[] = [];
  /** Requests that the follower refused. */
  mismatches = 0;

  constructor(
    private readonly leader: readonly number[],
    readonly follower: Follower,
    private readonly isLost: () => boolean = () => false,
    maxEntries = 2,
  ) {
    this.log = new LeaderLog(leader, maxEntries);
    this.receive(this.group.lead('n2', leader.length, leader.at(-1) ?? 0, { term: asTerm(term) }));
    const first = this.group.append(commands(leader.length + 1, leader.length + 1, term));
    this.receive({ ...first, body: { ...first.body, term: asTerm(term) } });
    this.carryAll();
  }

  /** Ticks until the logs are the same, at most so often. */
  run(maxTicks: number): void {
    for (let tick = 0; tick < maxTicks && !this.isRepaired(); tick++) {
      this.receive(this.group.tickMessage(100, { term: asTerm(term) }));
      this.carryAll();
    }
    expect(this.follower.terms).toEqual([...this.leader, term]);
    expect(this.group.core.dropped.acknowledged_entries_missing).toBeUndefined();
  }

  isRepaired(): boolean {
    return this.follower.acknowledged === this.leader.length + 1;
  }

  private receive(message: ReplicatorMessage): void {
    for (const effect of this.group.step(message)) if (effect.type === 'send') this.onTheWay.push(effect.message);
  }

  private carryAll(): void {
    for (let next = this.onTheWay.shift(); next !== undefined; next = this.onTheWay.shift()) {
      if (!this.isLost()) this.carry(next);
    }
  }

  private carry(message: Message): void {
    if (message.name === 'log-store.read') this.receive(this.log.read(this.group, message.body));
    if (message.name !== 'node.append_entries') return;
    const answer = this.follower.onAppendEntries(message.body);
    // Entries that were sent with a probe are rejected with it.
    if (answer.name === 'replicator.rejected' && message.body.batches.length === 0) this.mismatches += 1;
    if (!this.isLost()) this.receive(answer);
  }
}

describe('figure 7', () => {
  const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  it.each([
    ['a', [1, 1, 1, 4, 4, 5, 5, 6, 6], 1],
    ['b', [1, 1, 1, 4], 1],
    ['c', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6], 0],
    ['d', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], 0],
    ['e', [1, 1, 1, 4, 4, 4, 4], 2],
    ['f', [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], 2],
  ])('%s is repaired without waiting for a tick, after %s with %i refusals', (_name, terms, refusals) => {
    const repair = new Repair(leader, new Follower([...terms]));
    expect(repair.isRepaired()).toBe(true);
    expect(repair.mismatches).toBe(refusals);
    repair.run(0);
  });
});

describe('random logs', () => {
  /** Numbers in [0, 1), the same for the same seed (mulberry32). */
  function draws(seed: number): () => number {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  /** A beginning that both have, and behind it terms that rise from there on. */
  function grow(draw: () => number, common: readonly number[], parity: number): number[] {
    const terms = [...common];
    let last = common.at(-1) ?? 1;
    for (let n = Math.floor(draw() * 12); n > 0; n--) {
      // No term has two leaders: what is not common has terms of its own.
      if (terms.length === common.length || draw() < 0.4) last = Math.min(7, last + 1 + ((last + 1 + parity) % 2));
      if (last % 2 !== parity % 2) break;
      terms.push(last);
    }
    return terms;
  }

  it('are repaired, also if a third of all messages is lost', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const draw = draws(seed);
      const common = grow(draw, [], 0).map(() => 1);
      const leader = grow(draw, common, 0);
      const follower = new Follower(grow(draw, common, 1));
      const loss = seed % 3 === 0 ? 0 : draw() / 3;
      const repair = new Repair(leader, follower, () => draw() < loss, 1 + Math.floor(draw() * 4));
      repair.run(loss === 0 ? 0 : 500);
    }
  });
});
