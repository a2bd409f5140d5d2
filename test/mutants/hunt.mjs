/** Hunts mutants: one after another on a workbench, several workbenches side by side. */
import { fork } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Workbench } from './workbench.mjs';

/** @typedef {import('./mutations/mutation.mjs').Mutation} Mutation */
/** @typedef {import('./detector.mjs').Begins | import('./detector.mjs').Found | import('./detector.mjs').Survived} Said */

/**
 * @typedef {object} Outcome
 * @property {'found' | 'survived' | 'endless' | 'broken'} verdict `endless`: a seed did not end; `broken`: the tool failed
 * @property {number} [seed] where it was found, or did not end; 0: by a scenario
 * @property {string} [invariant] by what it was found
 * @property {string} [seen] what that has seen
 * @property {number} seconds
 */

/**
 * @typedef {object} Hunted
 * @property {string} id
 * @property {number} first its first seed
 * @property {number} seeds how many
 * @property {Mutation | undefined} mutation undefined: nothing is mutated
 */

/** The first seed of each hunt. */
export const firstSeed = 1;
/** A seed takes a tenth of a second; one that takes so long will not end. */
const endlessMs = 120_000;
const detector = fileURLToPath(new URL('detector.mjs', import.meta.url));

/** What is hunted like a mutant and must survive: the cores as they are. */
export const control = 'nothing';
/** It is hunted over many seeds, so in parts, which all workers share. */
const controlPart = 100;

/**
 * Hunts each of the mutations, and first of all, where `controlSeeds` is above 0, what is not mutated at all.
 *
 * @param {readonly Mutation[]} mutations
 * @param {{
 *   readonly controlSeeds: number,
 *   readonly workers: number,
 *   readonly root?: string,
 *   readonly onOutcome?: (id: string, outcome: Outcome) => void,
 *   readonly known?: (hunted: Hunted) => Outcome | undefined,
 *   readonly onHunted?: (hunted: Hunted, outcome: Outcome) => void,
 *   readonly signal?: AbortSignal,
 * }} options `known`: the outcome of an earlier run; `onHunted`: is told of each new one
 * @returns {Promise<Map<string, Outcome>>} by id
 */
export async function hunt(mutations, options) {
  const { controlSeeds, workers, root, onOutcome, known, onHunted, signal } = options;
  /** @type {Hunted[]} */
  const waiting = mutations.map((mutation) => ({ id: mutation.id, first: firstSeed, seeds: mutation.seeds, mutation }));
  waiting.unshift(...controlParts(controlSeeds));
  /** @type {Map<string, Outcome>} */
  const outcomes = new Map();
  const work = async () => {
    const bench = await Workbench.make(root);
    try {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        signal?.throwIfAborted();
        const { id } = next;
        const before = known?.(next);
        const outcome = before ?? (await huntOne(bench, next, signal));
        if (before === undefined) onHunted?.(next, outcome);
        outcomes.set(id, outcome);
        onOutcome?.(id, outcome);
      }
    } finally {
      bench.remove();
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, waiting.length) }, work));
  return outcomes;
}

/**
 * @param {number} seeds
 * @returns {Hunted[]} where it is more than one part, each is named by its first seed
 */
export function controlParts(seeds) {
  /** @type {Hunted[]} */
  const parts = [];
  for (let first = firstSeed; first < firstSeed + seeds; first += controlPart) {
    const count = Math.min(controlPart, firstSeed + seeds - first);
    const id = seeds <= controlPart ? control : `${control} from seed ${first} on`;
    parts.push({ id, first, seeds: count, mutation: undefined });
  }
  return parts;
}

/**
 * @param {Workbench} bench
 * @param {Hunted} hunted
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<Outcome>}
 */
async function huntOne(bench, { mutation, first, seeds }, signal) {
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  try {
    await bench.change(mutation);
  } catch (error) {
    return { verdict: 'broken', seen: error instanceof Error ? error.message : String(error), seconds: seconds() };
  }
  signal?.throwIfAborted();
  return new Promise((resolve) => {
    const args =
      mutation?.scenario === undefined
        ? [bench.folder, String(first), String(seeds)]
        : [bench.folder, path.join(bench.root, 'test', 'scenarios', mutation.scenario)];
    const child = fork(detector, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] });
    let errors = '';
    let seed = first;
    /** @type {Outcome | undefined} */
    let outcome;
    const giveUp = () => {
      outcome ??= { verdict: 'endless', seed, seconds: seconds() };
      child.kill('SIGKILL');
    };
    const stop = () => child.kill('SIGKILL');
    let watchdog = setTimeout(giveUp, endlessMs);
    signal?.addEventListener('abort', stop);
    child.stderr?.on('data', (chunk) => {
      errors += chunk;
    });
    child.on('message', (message) => {
      const said = /** @type {Said} */ (message);
      clearTimeout(watchdog);
      watchdog = setTimeout(giveUp, endlessMs);
      if (said.type === 'begins') seed = said.seed;
      else if (said.type === 'survived') outcome = { verdict: 'survived', seconds: seconds() };
      else
        outcome = { verdict: 'found', seed: said.seed, invariant: said.invariant, seen: said.seen, seconds: seconds() };
    });
    child.on('close', () => {
      clearTimeout(watchdog);
      signal?.removeEventListener('abort', stop);
      resolve(outcome ?? { verdict: 'broken', seed, seen: errors, seconds: seconds() });
    });
  });
}
