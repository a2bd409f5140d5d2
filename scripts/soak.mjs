import { conclave } from './conclave.mjs';
import { runMain } from './run.mjs';

await runMain(() => conclave('soak'));
