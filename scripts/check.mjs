// The checks that run no code of ours: format, lint, types. They only read.
//
// usage: check.mjs [format] [lint] [types]     (none: all of them)

import path from 'node:path';
import { hand, root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';

const biome = path.join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');

/** The commands of each check. @type {Record<string, string[][]>} */
const checks = {
  format: [[biome, 'format']],
  lint: [[biome, 'check', '--formatter-enabled=false', '--error-on-warnings']],
  // The page runs in browsers, whose types nothing else may use.
  types: [
    [tsc, '-p', 'tsconfig.check.json'],
    [tsc, '-p', 'packages/view/page'],
  ],
};

await runMain(async () => {
  await setUp({ build: false });
  const asked = process.argv.slice(2);
  let failed = 0;
  for (const name of asked.length > 0 ? asked : Object.keys(checks)) {
    const commands = checks[name];
    if (commands === undefined) throw new Error(`There is no check named ${name}.`);
    let isGood = true;
    for (const command of commands) isGood = (await hand(process.execPath, command)) === 0 && isGood;
    if (isGood) {
      console.log(`${name}: ok`);
    } else {
      console.error(`${name}: failed`);
      failed += 1;
    }
  }
  return failed === 0 ? 0 : 1;
});
