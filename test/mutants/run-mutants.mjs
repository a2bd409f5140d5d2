/** `npm run mutants`: hunts all mutants, and prints the table. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../scripts/run.mjs';
import { control, hunt } from './hunt.mjs';
import { mutations } from './mutations/all.mjs';
import { OutcomeStore } from './outcome-store.mjs';
import { rulesTable, seedsInTable } from './tables.mjs';

/** @typedef {import('./hunt.mjs').Outcome} Outcome */

/** The unchanged cores must pass this many seeds, and each seed that has found a mutant. */
const controlSeeds = 100;
const document = path.join(root, 'docs', 'mutants.md');

/**
 * @param {{ only: readonly string[], workers: number, write: boolean, resume: boolean, signal: AbortSignal }} options `only`:
 *   ids, or none for all of them; `write`: put the tables into docs/mutants.md; `resume`: take over what an earlier run of
 *   the same sources has found
 * @returns {Promise<number>} the exit code: 0 where every mutant was found, and nothing where nothing is mutated
 */
export async function runMutants({ only, workers, write, resume, signal }) {
  const hunted = only.length === 0 ? mutations : mutations.filter(({ id }) => only.includes(id));
  const unknown = only.filter((id) => !mutations.some((mutation) => mutation.id === id));
  if (unknown.length > 0) throw new Error(`There is no mutant named ${unknown.join(', ')}.`);
  const begun = performance.now();
  let done = 0;
  const store = new OutcomeStore(root);
  const outcomes = await hunt(hunted, {
    controlSeeds: only.length === 0 ? controlSeeds : 1,
    workers,
    signal,
    foundAt: seedsInTable(readFileSync(document, 'utf8')),
    ...(resume ? { known: (one) => store.get(one) } : {}),
    onHunted: (one, outcome) => store.keep(one, outcome),
    onOutcome: (id, outcome) => {
      done += 1;
      console.log(`${String(done).padStart(3)}/${hunted.length} ${lineOf(id, outcome)}`);
    },
  });
  const failures = [...outcomes].filter(
    ([id, { verdict }]) => verdict !== (id.startsWith(control) ? 'survived' : 'found'),
  );
  for (const [id, { verdict, seed, seen }] of failures) {
    console.error(
      `${id}: ${verdict}${seed === undefined ? '' : ` at seed ${seed}`}${seen === undefined ? '' : `: ${seen}`}`,
    );
  }
  const minutes = ((performance.now() - begun) / 60_000).toFixed(1);
  console.log(`${hunted.length} mutants, ${failures.length} failures, ${minutes} minutes`);
  if (write) writeDocument(outcomes);
  return failures.length === 0 ? 0 : 1;
}

/**
 * @param {string} id
 * @param {Outcome} outcome
 */
function lineOf(id, { verdict, seed, invariant, seconds }) {
  const allowed = mutations.find((mutation) => mutation.id === id)?.seeds;
  const of = allowed ? ` of ${allowed}` : '';
  const at = seed ? ` at seed ${seed}${of}` : '';
  const where = verdict === 'found' ? `found by ${invariant}${at}` : `${verdict}${at}`;
  return `${id.padEnd(44)} ${where} (${seconds.toFixed(1)} s)`;
}

/** @param {ReadonlyMap<string, Outcome>} outcomes */
function writeDocument(outcomes) {
  const text = readFileSync(document, 'utf8');
  const begin = '<!-- mutants: written by npm run mutants -- --write -->\n';
  const end = '<!-- end of mutants -->';
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`${document} has no place for the tables.`);
  writeFileSync(document, `${before}${begin}\n${rulesTable(outcomes)}\n${end}${after}`);
}
