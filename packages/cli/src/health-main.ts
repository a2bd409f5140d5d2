/** The entry point of the process of `conclave health`. */
import { checkHealth, readQuery, reportHealth } from './health-check.js';

const query = readQuery(process.argv.slice(3), process.env);
if (query === undefined) await import('./main.js');
else {
  // The exit code counts even if nobody reads the output.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  reportHealth(await checkHealth(query), query.json);
}
