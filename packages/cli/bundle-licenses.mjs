// The licenses of the packages that a bundle contains, as a file beside it: most demand that their text goes with the code.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const fileName = 'THIRD-PARTY-LICENSES.txt';

/**
 * A rolldown plugin.
 *
 * @param {string} pagePackage the package whose `devDependencies` are in the page of browsers
 * @returns {import('rolldown').Plugin}
 */
export function bundleLicenses(pagePackage) {
  return {
    name: 'bundle-licenses',
    generateBundle(_options, bundle) {
      const modules = Object.values(bundle).flatMap((output) => (output.type === 'chunk' ? output.moduleIds : []));
      const folders = new Set(
        [...modules.map(packageFolder), ...pageFolders(pagePackage)].filter((folder) => folder !== undefined),
      );
      const source = [...folders]
        .toSorted()
        .map(noticeOf)
        .join(`\n${'-'.repeat(78)}\n\n`);
      this.emitFile({ type: 'asset', fileName, source });
    },
  };
}

/**
 * @param {string} file
 * @returns {string | undefined} the installed package that the module is of; undefined where it is one of ours
 */
function packageFolder(file) {
  const at = file.lastIndexOf(`${path.sep}node_modules${path.sep}`);
  if (at < 0) return undefined;
  const words = file.slice(at).split(path.sep);
  return file.slice(0, at) + words.slice(0, words[2]?.startsWith('@') ? 4 : 3).join(path.sep);
}

/**
 * @param {string} pagePackage
 * @returns {string[]}
 */
function pageFolders(pagePackage) {
  const { devDependencies } = JSON.parse(readFileSync(path.join(pagePackage, 'package.json'), 'utf8'));
  const { resolve } = createRequire(path.join(pagePackage, 'package.json'));
  return Object.keys(devDependencies).map((name) => packageFolder(resolve(name)) ?? name);
}

/** @param {string} folder */
function noticeOf(folder) {
  const manifest = path.join(folder, 'package.json');
  const { name, version, license } = existsSync(manifest)
    ? JSON.parse(readFileSync(manifest, 'utf8'))
    : { name: path.basename(folder), version: '', license: '' };
  const texts = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
    .map((file) => readFileSync(path.join(folder, file), 'utf8').trimEnd());
  return [`${name} ${version} (${license})`, '', ...texts, ''].join('\n');
}
