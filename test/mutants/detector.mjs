/**
 * Runs what is to find a mutant in the folder of a workbench, until it has: seeds of the simulator, a scenario, or a unit test. It
 * reports to the process that has started this one. A process of its own, as a mutant may never come to an end.
 *
 * usage: detector.mjs <folder> <what, as JSON>
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** @typedef {{ readonly seeds: readonly number[] } | { readonly scenario: string } | { readonly test: string }} Search */

/**
 * What is said: each seed before it is run, then how it ended.
 *
 * @typedef {{ readonly type: 'begins', readonly seed: number }} Begins
 * @typedef {{ readonly type: 'found', readonly seed: number, readonly invariant: string, readonly seen: string }} Found
 * @typedef {{ readonly type: 'survived' }} Survived
 */

const [folder = '', asked = '{}'] = process.argv.slice(2);
/** @type {Search} */
const search = JSON.parse(asked);

/** @param {string} module of the simulator */
function load(module) {
  return import(pathToFileURL(path.join(folder, 'packages', 'simulator', 'dist', module)).href);
}

/** @param {Begins | Found | Survived} what */
function report(what) {
  return new Promise((resolve) => process.send?.(what, resolve));
}

/**
 * @param {readonly number[]} seeds
 * @returns {Promise<Found | Survived>}
 */
async function runSeeds(seeds) {
  const { randomPlan, runScript } = await load('index.js');
  for (const seed of seeds) {
    await report({ type: 'begins', seed });
    try {
      runScript(randomPlan(seed), seed);
    } catch (error) {
      // What is no invariant of the simulator is a fault of this tool, or of the simulator itself.
      if (!(error instanceof Error) || !('invariant' in error)) throw error;
      const [seen = ''] = String('seen' in error ? error.seen : error.message).split('\n');
      return { type: 'found', seed, invariant: String(error.invariant), seen };
    }
  }
  return { type: 'survived' };
}

/**
 * @param {string} file of the scenario
 * @returns {Promise<Found | Survived>} found if the scenario prints something else than what is expected
 */
async function runScenario(file) {
  const { formatScenario, parseScenario } = await load('scenario/scenario-file.js');
  const { ScenarioRun } = await load('scenario/scenario-run.js');
  const text = readFileSync(file, 'utf8');
  const invariant = `scenario ${path.basename(file)}`;
  const blocks = parseScenario(text);
  const run = new ScenarioRun();
  const outputs = [];
  try {
    for (const block of blocks) if (block.commands.length > 0) outputs.push(run.runBlock(block));
  } catch (error) {
    return { type: 'found', seed: 0, invariant, seen: String(error) };
  }
  if (formatScenario(blocks, outputs) === text) return { type: 'survived' };
  return { type: 'found', seed: 0, invariant, seen: 'it prints something else' };
}

/**
 * @param {string} file of a package's unit test, from the workbench's folder
 * @returns {Promise<Found | Survived>} found where a test fails; a file that cannot be run finds nothing
 */
async function runTest(file) {
  const { startVitest } = await import('vitest/node');
  const conditions = ['source', 'module', 'node', 'development|production'];
  const vitest = await startVitest(
    'test',
    [file],
    { root: folder, config: false, watch: false, reporters: [{}], include: [file], maxWorkers: 1, bail: 1 },
    { resolve: { conditions }, ssr: { resolve: { conditions } }, server: { watch: null } },
  );
  const modules = vitest.state.getTestModules();
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const failed = tests.find((one) => one.result().state === 'failed');
  const errors = [...modules.flatMap((module) => module.errors()), ...vitest.state.getUnhandledErrors()];
  await vitest.close();
  if (failed !== undefined) {
    const [seen = ''] = String(failed.result().errors?.[0]?.message).split('\n');
    return { type: 'found', seed: 0, invariant: `test ${file}: ${failed.fullName}`, seen };
  }
  if (tests.length === 0 || errors.length > 0) throw new Error(`${file} cannot be run: ${JSON.stringify(errors)}`);
  return { type: 'survived' };
}

/** @returns {Promise<Found | Survived>} */
function find() {
  if ('test' in search) return runTest(search.test);
  if ('scenario' in search) return runScenario(search.scenario);
  return runSeeds(search.seeds);
}

await report(await find());
process.disconnect();
