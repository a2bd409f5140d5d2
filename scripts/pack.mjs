// Packs what users install: a tarball of each package, checked as a registry's readers would read it.
//
// usage: pack.mjs [--out <folder>]     (default: packed)
//
// A tarball is made of a copy of the package (`stage`), as the package of this repository differs: its exports name sources, its build has
// source maps of them, and the command's dependencies are in its bundle.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { schemasDocument } from './asyncapi-document.mjs';
import { capture, root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';

const packages = path.join(root, 'packages');

/** What of a package's manifest is as it is here. */
const kept = ['name', 'version', 'description', 'license', 'type', 'engines'];

/** @typedef {Record<string, any>} Manifest */

/**
 * What is in each tarball beside LICENSE and README.md: copies files into the folder, and returns the rest of its manifest.
 *
 * @type {Record<string, (folder: string, manifest: Manifest) => Manifest | Promise<Manifest>>}
 */
const contents = { protocol: protocolLibrary, client: library, observer: library, cli: command };

/**
 * @param {string} out the folder for the tarballs
 * @returns {Promise<string[]>} their paths, in an order in which each comes after those that it needs
 * @throws {Error} where a check finds a problem
 */
export async function pack(out) {
  await setUp();
  mkdirSync(out, { recursive: true });
  const work = mkdtempSync(path.join(tmpdir(), 'conclave-pack-'));
  try {
    const tarballs = [];
    for (const name of Object.keys(contents)) tarballs.push(await packOne(name, work, out));
    return tarballs;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * @param {string} name
 * @param {string} work
 * @param {string} out
 */
async function packOne(name, work, out) {
  const stage = path.join(work, name);
  mkdirSync(stage);
  /** @type {Manifest} */
  const manifest = JSON.parse(readFileSync(path.join(packages, name, 'package.json'), 'utf8'));
  const rest = await contents[name]?.(stage, manifest);
  const staged = { ...Object.fromEntries(kept.map((key) => [key, manifest[key]])), ...rest };
  writeFileSync(path.join(stage, 'package.json'), `${JSON.stringify(staged, undefined, 2)}\n`);
  cpSync(path.join(root, 'LICENSE'), path.join(stage, 'LICENSE'));
  cpSync(path.join(packages, name, 'README.md'), path.join(stage, 'README.md'));
  const npm = process.env.npm_execpath;
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', out];
  const { code, output } = npm?.endsWith('.js')
    ? await capture(process.execPath, [npm, ...args], { cwd: stage })
    : await capture('npm', args, { cwd: stage, shell: process.platform === 'win32' });
  if (code !== 0) throw new Error(`npm pack of ${name} failed:\n${output}`);
  const tarball = path.join(out, tarballName(staged));
  await check(tarball);
  return tarball;
}

/** @param {Manifest} manifest */
function tarballName({ name, version }) {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
}

/**
 * @param {string} stage
 * @param {Manifest} manifest
 * @returns {Manifest}
 */
function library(stage, manifest) {
  const folder = path.join(packages, manifest.name.split('/')[1]);
  copyBuilt(path.join(folder, 'dist'), path.join(folder, 'src'), path.join(stage, 'dist'));
  const entries = Object.entries(manifest.exports).map(([entry, { source, ...conditions }]) => [entry, conditions]);
  return { exports: Object.fromEntries(entries), files: ['dist'], dependencies: manifest.dependencies };
}

/**
 * The protocol's library, and its JSON Schemas for programs in other languages.
 *
 * @param {string} stage
 * @param {Manifest} manifest
 * @returns {Promise<Manifest>}
 */
async function protocolLibrary(stage, manifest) {
  const rest = library(stage, manifest);
  const protocol = await import(pathToFileURL(path.join(packages, 'protocol', 'dist', 'index.js')).href);
  writeFileSync(path.join(stage, 'schemas.json'), schemasDocument(protocol));
  const exports = { ...rest.exports, './schemas.json': './schemas.json' };
  return { ...rest, exports, files: [...rest.files, 'schemas.json'] };
}

/**
 * The command is its bundle, which holds the actors; what a custom state machine imports is its only entry.
 *
 * @param {string} stage
 * @param {Manifest} manifest
 * @returns {Manifest}
 */
function command(stage, { bin, dependencies }) {
  for (const folder of ['bin', 'bundle']) {
    cpSync(path.join(packages, 'cli', folder), path.join(stage, folder), { recursive: true });
  }
  const types = path.join(stage, 'types');
  mkdirSync(types);
  const index = readFileSync(path.join(packages, 'cli', 'dist', 'index.d.ts'), 'utf8');
  writeFileSync(
    path.join(types, 'index.d.ts'),
    withoutMapLine(index).replaceAll('@conclave/actor/core', './state-machine.js'),
  );
  const stateMachine = readFileSync(path.join(packages, 'actor', 'dist', 'core', 'state-machine.d.ts'), 'utf8');
  writeFileSync(path.join(types, 'state-machine.d.ts'), withoutMapLine(stateMachine));
  mkdirSync(path.join(stage, 'man'));
  writeFileSync(path.join(stage, 'man', 'conclave.1'), manPage());
  // `level` and `msgpackr` bring native code along; the types and a state machine's errors are of `@conclave/protocol`.
  const outside = ['@conclave/protocol', 'level', 'msgpackr'];
  return {
    bin,
    man: ['./man/conclave.1'],
    exports: { '.': { types: './types/index.d.ts', default: './bundle/index.js' } },
    files: ['bin', 'bundle', 'man', 'types'],
    dependencies: Object.fromEntries(outside.map((name) => [name, dependencies[name]])),
  };
}

/** What the command prints as its man page. */
function manPage() {
  const file = path.join(packages, 'cli', 'bin', 'conclave.js');
  const env = { PATH: process.env.PATH };
  return execFileSync(process.execPath, [file, 'man'], { encoding: 'utf8', env });
}

/**
 * Copies what `tsc -b` has built of the sources that are there, without its notes for itself and its maps of sources that are not in
 * the tarball. The build of a deleted source stays in its folder.
 *
 * @param {string} from
 * @param {string} sources
 * @param {string} to
 */
function copyBuilt(from, sources, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    const original = path.join(sources, entry.name.replace(/\.(js|d\.ts)$/, '.ts'));
    if (!existsSync(original)) continue;
    if (entry.isDirectory()) copyBuilt(source, original, target);
    else writeFileSync(target, withoutMapLine(readFileSync(source, 'utf8')));
  }
}

/** @param {string} text */
function withoutMapLine(text) {
  return text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n');
}

/** @param {string} tarball */
async function check(tarball) {
  const { publint } = await import('publint');
  const { formatMessage } = await import('publint/utils');
  const bytes = readFileSync(tarball);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const { messages, pkg } = await publint({ pack: { tarball: /** @type {ArrayBuffer} */ (buffer) }, strict: true });
  const problems = messages.map((message) => `publint: ${formatMessage(message, pkg)}`);
  const attw = path.join(root, 'node_modules', '@arethetypeswrong', 'cli', 'dist', 'index.js');
  // These are modules that any supported Node.js can import and require; older ways to resolve them are not asked for.
  const types = await capture(process.execPath, [attw, tarball, '--profile', 'esm-only', '--no-color', '--no-emoji']);
  if (types.code !== 0) problems.push(`attw: ${types.output}`);
  if (problems.length > 0) throw new Error(`${path.basename(tarball)}:\n${problems.join('\n')}`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runMain(async () => {
    const [flag, folder] = process.argv.slice(2);
    if (flag !== undefined && (flag !== '--out' || folder === undefined))
      throw new Error('usage: pack.mjs [--out <folder>]');
    for (const tarball of await pack(path.resolve(folder ?? path.join(root, 'packed')))) console.log(tarball);
    return 0;
  });
}
