/** The NATS servers of the tests, with the cache of the project's scripts. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as cli from '../../packages/cli/src/nats-server/find-server.js';

const cache = path.join(fileURLToPath(new URL('../..', import.meta.url)), '.cache', 'nats-server');

/** The path of the server that is installed, else of the newest release. */
export function findNatsServer(): Promise<string> {
  return cli.findNatsServer({ cache });
}

/** The path of the oldest server that Conclave supports. */
export function findOldestNatsServer(): Promise<string> {
  return cli.findOldestNatsServer({ cache });
}
