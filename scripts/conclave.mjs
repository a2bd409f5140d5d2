// Hands over to the `conclave` command, on a project that is set up.

import path from 'node:path';
import { hand, root } from './run.mjs';
import { setUp } from './setup.mjs';

/**
 * @param {string} word the command's first word; the script's own arguments follow it
 * @returns {Promise<number>} its exit code
 */
export async function conclave(word) {
  const { env } = await setUp({ nats: true });
  const command = path.join(root, 'packages', 'cli', 'bin', 'conclave.js');
  return hand(process.execPath, [command, word, ...process.argv.slice(2)], env);
}
