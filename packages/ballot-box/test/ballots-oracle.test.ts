/** Random terms against a count that is as plain as it is slow: each entry by itself, with its own configuration. */
import type { Send } from '@conclave/actor/core';
import { type Configuration, hasQuorum, type Member } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { commands, configuration, configurationEntry, OpenBox, stored } from './open-box.js';

const first = 11;
const names = ['n1', 'n2', 'n3', 'n4', 'n5', 'n2:s9'];

/** Numbers from 0 up to `below`, the same for the same seed (mulberry32). */
function draw(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

class Oracle {
  /** Of each entry from `first` on. */
  readonly configurations: Configuration[] = [];
  readonly matches = new Map<string, number>();

  commitIndex(): number {
    for (let index = first + this.configurations.length - 1; index >= first; index--) {
      const inForce = this.configurations[index - first];
      if (inForce !== undefined && hasQuorum(inForce, (member) => this.matchOf(member) >= index)) return index;
    }
    return 0;
  }

  private matchOf({ peer_id, store_id }: Member): number {
    return this.matches.get(`${peer_id} ${store_id}`) ?? 0;
  }
}

function randomSets(below: (n: number) => number): string {
  const some = () => names.filter(() => below(2) === 0).join(' ') || 'n1';
  return below(3) === 0 ? `${some()} | ${some()}` : some();
}

function committedOf(effects: readonly unknown[]): number | undefined {
  let index: number | undefined;
  for (const { message } of effects as Send[]) if (message.name === 'feed.committed') index = message.body.index;
  return index;
}

function run(seed: number): void {
  const below = draw(seed);
  const box = new OpenBox();
  const oracle = new Oracle();
  let sets = randomSets(below);
  let last = first - 1;
  let known = 0;
  box.step(box.lead(first, last, [[1, sets]]));
  for (let stepNumber = 0; stepNumber < 200; stepNumber++) {
    let effects: readonly unknown[];
    if (below(4) === 0) {
      const changes = below(3) === 0;
      if (changes) sets = randomSets(below);
      const entries = changes ? 1 : 1 + below(4);
      for (let n = 0; n < entries; n++) oracle.configurations.push(configuration(sets));
      const run = changes ? configurationEntry(last + 1, sets) : commands(last + 1, last + entries);
      last += entries;
      effects = box.step(box.register([run]));
    } else {
      const name = names[below(names.length)] ?? 'n1';
      const match = Math.max(0, last + 3 - below(12));
      const [peer, store] = name.split(':');
      const key = `${peer} ${store ?? `s${peer?.slice(1)}`}`;
      oracle.matches.set(key, Math.max(match, oracle.matches.get(key) ?? 0));
      effects = box.step(stored(name, match));
    }
    const index = committedOf(effects);
    if (index !== undefined) expect(index, `seed ${seed}: it only rises`).toBeGreaterThan(known);
    known = index ?? known;
    expect(known, `seed ${seed}, step ${stepNumber}`).toBe(Math.max(known, oracle.commitIndex()));
  }
}

describe('the commit index', () => {
  it('is what a plain count finds, over 300 random terms', () => {
    for (let seed = 1; seed <= 300; seed++) run(seed);
  });
});
