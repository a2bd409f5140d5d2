// Takes rules out of the cores, one at a time, and has the simulator find each of these mutants. See docs/mutants.md.
//
// usage: mutants.mjs [--write] [--resume] [--workers N] [mutant ...]     (none: all of them)

import { runMutants } from '../test/mutants/run-mutants.mjs';
import { runMain } from './run.mjs';
import { setUp } from './setup.mjs';

const maxWorkers = 2;

await runMain(async () => {
  await setUp();
  const args = process.argv.slice(2);
  const at = args.indexOf('--workers');
  const workers = at < 0 ? maxWorkers : Number(args.splice(at, 2)[1]);
  if (!(workers >= 1 && workers <= maxWorkers)) throw new Error(`--workers is 1 or ${maxWorkers}.`);
  const abort = new AbortController();
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.once(signal, () => abort.abort());
  const [write, resume] = [args.includes('--write'), args.includes('--resume')];
  const only = args.filter((arg) => arg !== '--write' && arg !== '--resume');
  return runMutants({ only, workers, write, resume, signal: abort.signal });
});
