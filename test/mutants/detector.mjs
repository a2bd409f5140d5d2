/**
 * Runs seeds of the simulator that stands in a folder until one fails, or a scenario, and says so to the process that has
 * started this one. A process of its own, as a mutant may never come to an end.
 *
 * usage: detector.mjs <folder> <first seed> <how many>
 *        detector.mjs <folder> <file of a scenario>
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * What is said: each seed before it is run, then how it ended.
 *
 * @typedef {{ readonly type: 'begins', readonly seed: number }} Begins
 * @typedef {{ readonly type: 'found', readonly seed: number, readonly invariant: string, readonly seen: string }} Found
 * @typedef {{ readonly type: 'survived' }} Survived
 */

const [folder = '', first = '1', count] = process.argv.slice(2);

/** @param {string} module of the simulator */
function load(module) {
  return import(pathToFileURL(path.join(folder, 'packages', 'simulator', 'dist', module)).href);
}

/** @param {Begins | Found | Survived} what */
function say(what) {
  return new Promise((resolve) => process.send?.(what, resolve));
}

/** @returns {Promise<Found | Survived>} */
async function search() {
  const { randomPlan, runScript } = await load('index.js');
  for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
    await say({ type: 'begins', seed });
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

/** @returns {Promise<Found | Survived>} found where the scenario says something else than what is expected of it */
async function tell() {
  const { formatScenario, parseScenario } = await load('scenario/scenario-file.js');
  const { ScenarioRun } = await load('scenario/scenario-run.js');
  const text = readFileSync(first, 'utf8');
  const blocks = parseScenario(text);
  const run = new ScenarioRun();
  const outputs = [];
  try {
    for (const block of blocks) if (block.commands.length > 0) outputs.push(run.runBlock(block));
  } catch (error) {
    return { type: 'found', seed: 0, invariant: `scenario ${path.basename(first)}`, seen: String(error) };
  }
  const said = formatScenario(blocks, outputs);
  if (said === text) return { type: 'survived' };
  return { type: 'found', seed: 0, invariant: `scenario ${path.basename(first)}`, seen: 'it says something else' };
}

await say(await (count === undefined ? tell() : search()));
process.disconnect();
