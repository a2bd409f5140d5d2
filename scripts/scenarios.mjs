// Runs the scenarios of test/scenarios on a project that is set up. With --rewrite, each file is given the output that
// it has now. With --record <file>, those that run are recorded, for `conclave view --replay <file>`. What else it is given goes to
// Vitest: `npm run scenarios -- -t repair` runs those of that name.

import path from 'node:path';
import { hand, root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';

await runMain(async () => {
  const args = process.argv.slice(2);
  const rewrite = args.includes('--rewrite');
  if (rewrite) args.splice(args.indexOf('--rewrite'), 1);
  const [flag, recording] = args.includes('--record') ? args.splice(args.indexOf('--record'), 2) : [];
  if (flag !== undefined && recording === undefined) throw new Error('--record needs the name of a file');
  await setUp();
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const env = {
    ...(rewrite ? { CONCLAVE_REWRITE: '1' } : {}),
    ...(recording === undefined ? {} : { CONCLAVE_RECORD: path.resolve(recording) }),
  };
  return hand(
    process.execPath,
    [vitest, 'run', '--project', 'unit', 'packages/simulator/test/scenarios', ...args],
    env,
  );
});
