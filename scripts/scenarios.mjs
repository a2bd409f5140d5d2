// Runs the scenarios of test/scenarios on a project that is set up. With --rewrite, each file is given the output that
// it has now. What else it is given goes to Vitest: `npm run scenarios -- -t repair` runs those of that name.

import path from 'node:path';
import { hand, root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';

await runMain(async () => {
  const args = process.argv.slice(2).filter((arg) => arg !== '--rewrite');
  const rewrite = args.length < process.argv.length - 2;
  await setUp();
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const env = rewrite ? { CONCLAVE_REWRITE: '1' } : {};
  return hand(
    process.execPath,
    [vitest, 'run', '--project', 'unit', 'packages/simulator/test/scenarios', ...args],
    env,
  );
});
