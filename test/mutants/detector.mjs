/**
 * Runs seeds of the simulator that stands in a folder until one fails, and says so to the process that has started
 * this one. A process of its own, as a mutant may never come to an end.
 *
 * usage: detector.mjs <folder> <first seed> <how many>
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * What is said: each seed before it is run, then how it ended.
 *
 * @typedef {{ readonly type: 'begins', readonly seed: number }} Begins
 * @typedef {{ readonly type: 'found', readonly seed: number, readonly invariant: string, readonly seen: string }} Found
 * @typedef {{ readonly type: 'survived' }} Survived
 */

const [folder = '', first = '1', count = '1'] = process.argv.slice(2);
const simulator = path.join(folder, 'packages', 'simulator', 'dist', 'index.js');
const { randomPlan, runScript } = await import(pathToFileURL(simulator).href);

/** @param {Begins | Found | Survived} what */
function say(what) {
  return new Promise((resolve) => process.send?.(what, resolve));
}

/** @returns {Promise<Found | Survived>} */
async function search() {
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

await say(await search());
process.disconnect();
