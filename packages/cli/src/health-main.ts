/** Where the process of `conclave health` begins. */
import { findTroubles, readAsked } from './health-check.js';

const asked = readAsked(process.argv.slice(3), process.env);
if (asked === undefined) {
  await import('./main.js');
} else {
  const troubles = await findTroubles(asked);
  for (const trouble of troubles) process.stderr.write(`conclave: ${trouble}\n`);
  process.exitCode = troubles.length === 0 ? 0 : 1;
}
