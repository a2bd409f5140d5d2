/** The entry point of the process of `conclave health`. */
import { checkHealth, readAsked, reportHealth } from './health-check.js';

const asked = readAsked(process.argv.slice(3), process.env);
if (asked === undefined) await import('./main.js');
else {
  // The exit code counts even if nobody reads the output.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  reportHealth(await checkHealth(asked), asked.json);
}
