// Outlives a test process by a moment: when that one ends, however it ends, what it has left running is killed and
// the folders it has left are removed. It receives both line by line on its standard input.

import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** @type {Set<number>} */
const processes = new Set();
/** @type {Set<string>} */
const folders = new Set();

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { add, processId, folder } = JSON.parse(line);
    if (processId !== undefined) add ? processes.add(processId) : processes.delete(processId);
    if (folder !== undefined) add ? folders.add(folder) : folders.delete(folder);
  })
  .on('close', () => {
    for (const processId of processes) kill(processId);
    // What was killed may be writing still.
    for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  });

// Ctrl-C reaches the whole group of processes; this one has its work before it then.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

/** @param {number} processId */
function kill(processId) {
  try {
    process.kill(processId, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
