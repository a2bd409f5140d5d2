/** The entry point of the process: the program with all its commands. */
import { applyConfiguration } from './configuration/apply.js';
import { createProgram } from './program.js';
import { start } from './start.js';

await start(createProgram, (program) => applyConfiguration(program, createProgram, process.argv.slice(2)));
