// Runs test/chaos, which is TypeScript as all tests are: Vite, which the tests are read with, reads it.

import path from 'node:path';
import { runnerImport } from 'vite';
import { root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';

await runMain(async () => {
  const { env } = await setUp({ nats: true });
  Object.assign(process.env, env);
  const { module } = await runnerImport(path.join(root, 'test', 'chaos', 'main.ts'), { logLevel: 'error' });
  return module.main(process.argv.slice(2));
});
