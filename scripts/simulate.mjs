// Runs the simulator, on a project that is set up.

import path from 'node:path';
import { hand, root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';

await runMain(async () => {
  await setUp();
  const command = path.join(root, 'packages', 'simulator', 'dist', 'command', 'simulate.js');
  return hand(process.execPath, [command, ...process.argv.slice(2)]);
});
