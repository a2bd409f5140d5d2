// What a fresh clone lacks: dependencies, a build, a NATS server. Safe to run any number of times
// and several times at once; prints a line for each thing that it does, and nothing if all exists.

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { withFolderLock } from './folder-lock.mjs';
import { findNatsServer } from './nats-server.mjs';
import { capture, root, runMain } from './run.mjs';

const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const rolldown = path.join(root, 'node_modules', 'rolldown', 'bin', 'cli.mjs');
const vite = path.join(root, 'node_modules', 'vite', 'bin', 'vite.js');
const packages = path.join(root, 'packages');
const view = path.join(packages, 'view');
const builtPage = path.join(view, 'dist', 'page', 'index.html');

/**
 * Sets the project up.
 *
 * @param {{ build?: boolean, nats?: boolean }} [wanted] `build` is true by default; `nats`: find
 *   or fetch a NATS server, unless NATS_URL names one to connect to
 * @returns {Promise<{ env: Record<string, string> }>} what to add to the environment of children
 */
export async function setUp({ build = true, nats = false } = {}) {
  checkNodeVersion();
  const cache = path.join(root, '.cache');
  mkdirSync(cache, { recursive: true });
  await withFolderLock(path.join(cache, 'setup.lock'), async () => {
    if (!areDependenciesInPlace()) await installDependencies();
    if (!build) return;
    await buildWhatChanged();
    if (isPageOlder()) await buildPage();
    if (isBundleOlder()) await bundle();
  });
  if (!nats || process.env.NATS_URL) return { env: {} };
  return { env: { CONCLAVE_NATS_SERVER: await findNatsServer() } };
}

function checkNodeVersion() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Error(`Conclave needs Node.js 20.19 or newer; this is ${process.versions.node}.`);
}

/** Whether node_modules holds what package-lock.json names, by version and integrity. */
function areDependenciesInPlace() {
  const installed = packagesOf(path.join(root, 'node_modules', '.package-lock.json'));
  const locked = packagesOf(path.join(root, 'package-lock.json'));
  if (installed === undefined || locked === undefined) return false;
  for (const [where, wanted] of Object.entries(locked)) {
    if (!where.includes('node_modules/') || wanted.optional || wanted.devOptional) continue;
    const found = installed[where];
    if (found?.version !== wanted.version || found?.integrity !== wanted.integrity) return false;
    if (!existsSync(path.join(root, where))) return false;
  }
  return true;
}

/**
 * @param {string} lockFile
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean, devOptional?: boolean }> | undefined}
 */
function packagesOf(lockFile) {
  try {
    return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

async function installDependencies() {
  console.log('Installing dependencies (npm ci)');
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  // Under `npm run` the npm that runs is named in the environment; by itself it is on the PATH.
  const npm = process.env.npm_execpath;
  const { code, output } = npm?.endsWith('.js')
    ? await capture(process.execPath, [npm, ...args], { cwd: root })
    : await capture('npm', args, { cwd: root, shell: process.platform === 'win32' });
  if (code !== 0) throw new Error(`npm ci failed:\n${output}`);
}

async function buildWhatChanged() {
  let said = false;
  const { code, output } = await capture(process.execPath, [tsc, '-b', '--verbose'], {
    cwd: root,
    onOutput: (soFar) => {
      if (said || !soFar.includes('Building project')) return;
      said = true;
      console.log('Building (tsc -b)');
    },
  });
  if (code === 0) return;
  const errors = output.split('\n').filter((line) => !/^\d\d:\d\d:\d\d|^ +\* /.test(line));
  throw new Error(`The build failed:\n${errors.join('\n').trim()}`);
}

/** Whether a source of the page was changed after the page was built. */
function isPageOlder() {
  const built = timeOf(builtPage);
  const folders = [path.join(view, 'page'), path.join(view, 'src')];
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => path.join(folder, name)),
  );
  const others = [path.join(view, 'vite.config.mjs'), path.join(packages, 'protocol', 'src', 'limits.ts')];
  return [...files, ...others].some((file) => timeOf(file) > built);
}

async function buildPage() {
  console.log('Building the page (vite build)');
  const { code, output } = await capture(process.execPath, [vite, 'build', '--config', 'vite.config.mjs'], {
    cwd: view,
  });
  if (code !== 0) throw new Error(`The page could not be built:\n${output}`);
}

/** Whether anything was built after the bundle of the command was. */
function isBundleOlder() {
  const bundled = timeOf(path.join(packages, 'cli', 'bundle', 'main.js'));
  if (timeOf(builtPage) > bundled) return true;
  return readdirSync(packages).some((name) => timeOf(path.join(packages, name, 'dist', '.tsbuildinfo')) > bundled);
}

/**
 * @param {string} file
 * @returns {number} when it was written, in milliseconds since 1970; 0 where it is not there
 */
function timeOf(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

async function bundle() {
  const config = path.join(packages, 'cli', 'rolldown.config.mjs');
  const { code, output } = await capture(process.execPath, [rolldown, '-c', config, '--logLevel', 'warn'], {
    cwd: root,
  });
  if (code !== 0) throw new Error(`The bundle of the command could not be made:\n${output}`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runMain(async () => {
    await setUp({ nats: true });
    return 0;
  });
}
