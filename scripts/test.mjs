// Runs the tests on a project that is set up. With --compose, those that need Docker; without,
// all others. What else it is given goes to Vitest.

import path from 'node:path';
import { hand, root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';

await runMain(async () => {
  const args = process.argv.slice(2).filter((arg) => arg !== '--compose');
  const compose = args.length < process.argv.length - 2;
  const { env } = await setUp({ nats: !compose });
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const config = compose ? ['--config', 'vitest.compose.config.ts'] : [];
  return hand(process.execPath, [vitest, 'run', ...config, ...args], env);
});
