/**
 * The entry point of the process of `conclave run`. It loads no other command: a peer has up to four such processes, and each would
 * keep the code of all commands in memory. Only a configuration file needs them.
 */
import { createRunProgram, namesConfiguration } from './run-program.js';
import { start } from './start.js';

if (namesConfiguration(process.argv.slice(2))) await import('./main.js');
else await start(createRunProgram);
