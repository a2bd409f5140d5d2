// Lays out what the image contains of this project: the bundled command, and the packages that its bundle imports, in the versions of
// package-lock.json. It needs the build and node_modules.
//
// usage: image-files.mjs <folder>

import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root, runMain } from './run.mjs';

/** What rolldown.config.mjs leaves outside the bundle. */
const outside = ['level', 'msgpackr'];

/**
 * Copies an installed package and all that it depends on to the same place below the folder.
 *
 * @param {string} name
 * @param {string} dependent the folder of the package that needs it
 * @param {string} to
 * @param {boolean} isOptional it may be missing, as builds for other platforms are
 */
function copyPackage(name, dependent, to, isOptional) {
  const found = locate(name, dependent);
  if (found === undefined) {
    if (isOptional) return;
    throw new Error(`${name} is not installed`);
  }
  const target = path.join(to, path.relative(root, found));
  if (existsSync(target)) return;
  cpSync(found, target, { recursive: true, filter: (file) => !file.slice(found.length).includes('node_modules') });
  const manifest = JSON.parse(readFileSync(path.join(found, 'package.json'), 'utf8'));
  for (const needed of Object.keys(manifest.dependencies ?? {}))
    copyPackage(needed, found, to, needed in (manifest.optionalDependencies ?? {}));
  for (const needed of Object.keys(manifest.optionalDependencies ?? {})) copyPackage(needed, found, to, true);
}

/**
 * @param {string} name
 * @param {string} dependent
 * @returns {string | undefined}
 */
function locate(name, dependent) {
  for (let folder = dependent; folder.startsWith(root); folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'node_modules', name);
    if (existsSync(path.join(candidate, 'package.json'))) return candidate;
  }
  return undefined;
}

await runMain(async () => {
  const [to] = process.argv.slice(2);
  if (to === undefined) throw new Error('usage: image-files.mjs <folder>');
  const command = path.join(root, 'packages', 'cli');
  for (const name of ['bin', 'bundle', 'package.json']) {
    cpSync(path.join(command, name), path.join(to, 'packages', 'cli', name), { recursive: true });
  }
  cpSync(path.join(root, 'LICENSE'), path.join(to, 'LICENSE'));
  mkdirSync(path.join(to, 'node_modules'), { recursive: true });
  for (const name of outside) copyPackage(name, command, to, false);
  return 0;
});
