/** Hunts mutants: one after another on a workbench, several workbenches side by side. */
import { fork } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Workbench } from './workbench.mjs';

/** @typedef {import('./mutations/mutation.mjs').Mutation} Mutation */
/** @typedef {import('./detector.mjs').Begins | import('./detector.mjs').Found | import('./detector.mjs').Survived} Said */
/** @typedef {import('./detector.mjs').Search} Search */

/**
 * @typedef {object} Outcome
 * @property {'found' | 'survived' | 'endless' | 'broken'} verdict `endless`: a seed did not end; `broken`: the tool failed
 * @property {number} [seed] where it was found, or did not end; 0: by a scenario or a test
 * @property {string} [invariant] by what it was found
 * @property {string} [seen] what that has seen
 * @property {number} seconds
 */

/**
 * @typedef {object} Hunted
 * @property {string} id
 * @property {Mutation | undefined} mutation undefined: nothing is mutated
 * @property {Search} search what is to find it
 */

/** The first seed of each hunt. */
export const firstSeed = 1;
/** A seed takes a tenth of a second; one that takes so long will not end. */
const endlessMs = 120_000;
const detector = fileURLToPath(new URL('detector.mjs', import.meta.url));

/** What is hunted like a mutant and must survive: the cores as they are. */
export const control = 'nothing';
/** It is hunted over many seeds, so in parts, which all workers share. */
const controlPart = 50;

/**
 * Hunts each of the mutations; then, in the cores as they are, by each seed and scenario that has found a mutant: what is found there
 * shows nothing.
 *
 * @param {readonly Mutation[]} mutations
 * @param {{
 *   readonly controlSeeds: number,
 *   readonly workers: number,
 *   readonly root?: string,
 *   readonly foundAt?: ReadonlyMap<string, number>,
 *   readonly onOutcome?: (id: string, outcome: Outcome) => void,
 *   readonly known?: (hunted: Hunted) => Outcome | undefined,
 *   readonly onHunted?: (hunted: Hunted, outcome: Outcome) => void,
 *   readonly signal?: AbortSignal,
 * }} options `controlSeeds`: how many seeds the cores as they are survive at least; `foundAt`: by id, the seed to try first; `known`:
 *   the outcome of an earlier run; `onHunted`: is called with each new one
 * @returns {Promise<Map<string, Outcome>>} by id
 */
export async function hunt(mutations, options) {
  const { controlSeeds, workers, root, foundAt } = options;
  /** @type {Map<string, Outcome>} */
  const outcomes = new Map();
  /** @type {Promise<Workbench>[]} */
  const benches = Array.from({ length: workers }, () => Workbench.make(root));
  try {
    const mutants = mutations.map((mutation) => huntedOf(mutation, foundAt?.get(mutation.id)));
    const isKnown = (/** @type {Hunted} */ hunted) => options.known?.(hunted) !== undefined;
    const unknown = mutations.filter((_, at) => !isKnown(/** @type {Hunted} */ (mutants[at])));
    const faults = await checked(benches, unknown);
    for (const [id, seen] of faults) {
      const outcome = /** @type {const} */ ({ verdict: 'broken', seen, seconds: 0 });
      outcomes.set(id, outcome);
      options.onOutcome?.(id, outcome);
    }
    const built = mutants.filter(({ id }) => !faults.has(id)).sort((a, b) => costOf(a, foundAt) - costOf(b, foundAt));
    await huntAll(built, benches, options, outcomes);
    const seeds = [...outcomes.values()].flatMap(({ seed }) => (seed === undefined || seed === 0 ? [] : [seed]));
    const scenarios = mutations.flatMap(({ scenario }) => scenario ?? []);
    await huntAll(controlParts(controlSeeds, seeds, scenarios), benches, options, outcomes);
  } finally {
    for (const bench of await Promise.allSettled(benches)) if (bench.status === 'fulfilled') bench.value.remove();
  }
  return outcomes;
}

/**
 * @param {readonly Promise<Workbench>[]} benches
 * @param {readonly Mutation[]} mutations
 * @returns {Promise<Map<string, string>>} by id, why a mutation cannot be built
 */
async function checked([making], mutations) {
  return making === undefined ? new Map() : (await making).check(mutations);
}

/**
 * @param {readonly Hunted[]} hunted
 * @param {readonly Promise<Workbench>[]} benches
 * @param {Parameters<typeof hunt>[1]} options
 * @param {Map<string, Outcome>} outcomes
 */
async function huntAll(hunted, benches, { known, onHunted, onOutcome, signal }, outcomes) {
  const waiting = [...hunted];
  const work = async (/** @type {Promise<Workbench>} */ making) => {
    const bench = await making;
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      signal?.throwIfAborted();
      const before = known?.(next);
      const outcome = before ?? (await huntOne(bench, next, signal));
      if (before === undefined) onHunted?.(next, outcome);
      outcomes.set(next.id, outcome);
      onOutcome?.(next.id, outcome);
    }
  };
  await Promise.all(benches.map(work));
}

/**
 * @param {Mutation} mutation
 * @param {number | undefined} foundAt the seed that is tried first
 * @returns {Hunted}
 */
function huntedOf(mutation, foundAt) {
  const { id, scenario, test, seeds: allowed } = mutation;
  if (test !== undefined) return { id, mutation, search: { test } };
  if (scenario !== undefined) return { id, mutation, search: { scenario } };
  const seeds = Array.from({ length: allowed }, (_, at) => firstSeed + at);
  const isAllowed = foundAt !== undefined && seeds.includes(foundAt);
  return { id, mutation, search: { seeds: isAllowed ? [...new Set([foundAt, ...seeds])] : seeds } };
}

/**
 * How long a hunt may take: what is found fast goes first.
 *
 * @param {Hunted} hunted
 * @param {ReadonlyMap<string, number> | undefined} foundAt
 */
function costOf({ id, search }, foundAt) {
  return 'seeds' in search ? (foundAt?.get(id) ?? search.seeds.length) : 0;
}

/**
 * @param {number} seedCount how many seeds from the first one on, whatever was found
 * @param {readonly number[]} found the seeds at which mutants were found
 * @param {readonly string[]} scenarios that find mutants
 * @returns {Hunted[]} where it is more than one part, each has a name of its own
 */
export function controlParts(seedCount, found, scenarios) {
  const first = Array.from({ length: seedCount }, (_, at) => firstSeed + at);
  const seeds = [...new Set([...first, ...found])].sort((a, b) => a - b);
  /** @type {Hunted[]} */
  const parts = [];
  for (let at = 0; at < seeds.length; at += controlPart) {
    const part = seeds.slice(at, at + controlPart);
    const id = seeds.length <= controlPart ? control : `${control}, seeds ${part[0]} to ${part.at(-1)}`;
    parts.push({ id, mutation: undefined, search: { seeds: part } });
  }
  for (const scenario of new Set(scenarios)) {
    parts.push({ id: `${control}, ${scenario}`, mutation: undefined, search: { scenario } });
  }
  return parts;
}

/**
 * @param {Workbench} bench
 * @param {Hunted} hunted
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<Outcome>}
 */
async function huntOne(bench, { mutation, search }, signal) {
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  try {
    await bench.change(mutation);
  } catch (error) {
    return { verdict: 'broken', seen: error instanceof Error ? error.message : String(error), seconds: seconds() };
  }
  signal?.throwIfAborted();
  return new Promise((resolve) => {
    const asked =
      'scenario' in search ? { scenario: path.join(bench.root, 'test', 'scenarios', search.scenario) } : search;
    const args = [bench.folder, JSON.stringify(asked)];
    const child = fork(detector, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] });
    let errors = '';
    let seed = 'seeds' in search ? search.seeds[0] : 0;
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
