// Runs the tests on a project that is set up. With --compose, those that need Docker; with --long, those that take long; with
// --exhaustive, those that take tens of minutes; without any, all others. What else it is given goes to Vitest.

import path from 'node:path';
import { hand, root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';

const configs = new Map([
  ['--compose', 'vitest.compose.config.ts'],
  ['--long', 'vitest.long.config.ts'],
  ['--exhaustive', 'vitest.exhaustive.config.ts'],
]);

await runMain(async () => {
  const given = process.argv.slice(2);
  const args = given.filter((arg) => !configs.has(arg));
  const config = given.flatMap((arg) => configs.get(arg) ?? []);
  const { env } = await setUp({ nats: !given.includes('--compose') });
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  return hand(process.execPath, [vitest, 'run', ...config.flatMap((file) => ['--config', file]), ...args], env);
});
