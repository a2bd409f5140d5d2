// The NATS server of the project's scripts and tests: what `conclave up` finds or fetches, with the cache in this folder. It needs the
// build.

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, runMain } from './run.mjs';

const cache = path.join(root, '.cache', 'nats-server');
const built = path.join(root, 'packages', 'cli', 'dist', 'nats-server', 'find-server.js');

/**
 * The path of a NATS server that runs on this machine: what is installed, else the newest release.
 *
 * @returns {Promise<string>}
 * @throws {Error} with the command that installs one, where none is found and none can be fetched
 */
export async function findNatsServer() {
  /** @type {typeof import('../packages/cli/src/nats-server/find-server.js')} */
  const cli = await import(pathToFileURL(built).href);
  return cli.findNatsServer({ cache });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  // Without `await`: setup.mjs imports this file, and would wait for it for ever.
  void runMain(async () => {
    const { setUp } = await import('./setup.mjs');
    await setUp();
    console.log(await findNatsServer());
    return 0;
  });
}
