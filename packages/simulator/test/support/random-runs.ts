/** Random runs that have to keep all invariants. */
import { expect } from 'vitest';
import { runSeed } from '../../src/index.js';

export const timeout = 120_000;

/** Runs the seeds of [from, end). @returns how many writes were done in them */
export function expectRuns(from: number, end: number): number {
  let written = 0;
  for (let seed = from; seed < end; seed++) {
    const { violation, coverage } = runSeed(seed);
    expect(violation, `seed ${seed}`).toBeUndefined();
    written += coverage['answer put ok'] ?? 0;
  }
  return written;
}
