// Finds a NATS server to run, or puts one into the project's cache. In this order:
//
// 1. the one that CONCLAVE_NATS_SERVER names (how a parent process hands it down);
// 2. `nats-server` on the PATH, or where system packages put it;
// 3. the one in the cache;
// 4. the official release for this platform, checked against the release's own checksums;
// 5. the same version, built by Go where that is installed;
// 6. Debian's package, fetched and unpacked into the cache without root;
// 7. none: an error that names the command which installs it.
//
// The tests ask for the oldest version that Conclave supports, too: what is installed does not count then, and Debian's package comes
// before what Go builds.

import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { withFolderLock } from './folder-lock.mjs';
import { capture, root, runMain } from './run.mjs';

/** The newest release, which is run unless another is there, and the oldest that Conclave supports. */
const NEWEST = 'v2.15.2';
const OLDEST = 'v2.9.25';
const RELEASES_URL = 'https://github.com/nats-io/nats-server/releases/download';
const GO_MODULE = 'github.com/nats-io/nats-server/v2';
const DOWNLOAD_TIMEOUT_MS = 120_000;
const CHECKSUMS_TIMEOUT_MS = 20_000;

const executable = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server';
const cache = path.join(root, '.cache', 'nats-server', `${process.platform}-${process.arch}`);

/**
 * The path of a NATS server that runs on this machine: what is installed, else the newest release. Idempotent; any number of
 * processes may ask at once.
 *
 * @returns {Promise<string>}
 * @throws {Error} with the command that installs one, where none is found and none can be fetched
 */
export async function findNatsServer() {
  return (await findInstalled()) ?? cachedServer(NEWEST, [fromRelease, fromGo, fromDebian]);
}

/**
 * The path of the oldest NATS server that Conclave supports. Idempotent, as `findNatsServer` is.
 *
 * @returns {Promise<string>}
 * @throws {Error} where none can be fetched
 */
export function findOldestNatsServer() {
  return cachedServer(OLDEST, [fromRelease, fromDebian, fromGo]);
}

/** @typedef {(work: string, release: string) => Promise<string | undefined>} Source puts a server into a folder, and says where */

/**
 * @param {string} release
 * @param {Source[]} sources the preferred one first
 */
async function cachedServer(release, sources) {
  const cached = path.join(cache, release, executable);
  if (await runs(cached)) return cached;
  mkdirSync(path.dirname(cached), { recursive: true });
  return withFolderLock(`${path.dirname(cached)}.lock`, async () => {
    if (!(await runs(cached))) await fetchIntoCache(cached, release, sources);
    return cached;
  });
}

async function findInstalled() {
  const named = process.env.CONCLAVE_NATS_SERVER;
  if (named) {
    if (await runs(named)) return named;
    throw new Error(`CONCLAVE_NATS_SERVER names ${named}, which is not a NATS server that runs.`);
  }
  for (const folder of searchPath()) {
    const candidate = path.join(folder, executable);
    if (await runs(candidate)) return candidate;
  }
  return undefined;
}

function searchPath() {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter(path.isAbsolute);
  // Debian's package installs into /usr/sbin, which only root has on the PATH.
  if (process.platform !== 'win32') {
    folders.push('/usr/local/bin', '/usr/local/sbin', '/usr/sbin', '/opt/homebrew/bin');
  }
  return [...new Set(folders)];
}

/** @param {string} file */
async function runs(file) {
  try {
    if (!statSync(file).isFile()) return false;
    accessSync(file, constants.X_OK);
  } catch {
    return false;
  }
  const { code, output } = await capture(file, ['--version']);
  return code === 0 && output.includes('nats-server');
}

/**
 * @param {string} cached where it is to be
 * @param {string} release
 * @param {Source[]} sources
 */
async function fetchIntoCache(cached, release, sources) {
  const failures = [];
  for (const source of sources) {
    const work = mkdtempSync(path.join(path.dirname(cached), 'fetch-'));
    try {
      const file = await source(work, release);
      if (file === undefined) continue;
      chmodSync(file, 0o755);
      if (!(await runs(file))) throw new Error(`${path.basename(file)} does not run here`);
      renameSync(file, cached);
      return;
    } catch (error) {
      failures.push(`- ${error instanceof Error ? error.message : error}`);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  throw new Error(
    [
      'There is no NATS server here, and fetching one failed:',
      ...failures,
      `Install one (${installCommand()}), or set NATS_URL to the address of one that runs.`,
    ].join('\n'),
  );
}

/**
 * Debian's package, by apt's own means (and so with its signatures checked), but with lists and
 * caches in `work`: nothing on the system changes, and no root is needed.
 *
 * @param {string} work
 * @returns {Promise<string | undefined>} undefined where this is no Debian
 */
async function fromDebian(work) {
  if (process.platform !== 'linux') return undefined;
  for (const tool of ['apt-get', 'dpkg']) {
    if ((await capture(tool, ['--version'])).code !== 0) return undefined;
  }
  console.log("Fetching a NATS server (Debian's package)");
  const lists = path.join(work, 'lists');
  const archives = path.join(work, 'cache');
  mkdirSync(path.join(lists, 'partial'), { recursive: true });
  mkdirSync(path.join(archives, 'archives', 'partial'), { recursive: true });
  const apt = (/** @type {string[]} */ ...args) =>
    capture(
      'apt-get',
      [
        ...['-o', `Dir::State::Lists=${lists}`],
        ...['-o', `Dir::Cache=${archives}`],
        // Root would hand the download to a user who may not write here.
        ...['-o', 'APT::Sandbox::User=root'],
        ...['-o', 'Acquire::Languages=none'],
        ...['-o', 'Acquire::Retries=2'],
        ...['-qq', ...args],
      ],
      { cwd: work },
    );
  // A source that cannot be reached fails the update as a whole, though Debian's own may be fine.
  const update = await apt('update');
  const download = await apt('download', 'nats-server');
  const archive = readdirSync(work).find((name) => name.endsWith('.deb'));
  if (download.code !== 0 || archive === undefined) {
    const said = `${download.output}\n${update.code === 0 ? '' : update.output}`.trim();
    throw new Error(`Debian's package: ${said.split('\n').slice(0, 6).join('\n  ')}`);
  }
  const unpacked = path.join(work, 'package');
  const unpack = await capture('dpkg', ['-x', path.join(work, archive), unpacked]);
  if (unpack.code !== 0) throw new Error(`Debian's package: ${unpack.output.trim()}`);
  for (const folder of ['usr/sbin', 'usr/bin']) {
    const file = path.join(unpacked, folder, executable);
    if (statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  }
  throw new Error("Debian's package holds no nats-server");
}

/**
 * Built by Go, from the module of that version.
 *
 * @param {string} work
 * @param {string} release
 * @returns {Promise<string | undefined>} undefined where Go is not installed
 */
async function fromGo(work, release) {
  if ((await capture('go', ['version'])).code !== 0) return undefined;
  console.log(`Building a NATS server (${release}, with Go: a minute or two)`);
  const env = { ...process.env, GOBIN: work, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' };
  const { code, output } = await capture('go', ['install', '-ldflags=-s -w', `${GO_MODULE}@${release}`], {
    cwd: work,
    env,
  });
  if (code !== 0) throw new Error(`Go: ${output.trim().split('\n').slice(-6).join('\n  ')}`);
  return path.join(work, executable);
}

/**
 * The official release.
 *
 * @param {string} work
 * @param {string} release
 * @returns {Promise<string | undefined>} undefined where there is none for this platform
 */
async function fromRelease(work, release) {
  /** @type {Record<string, string>} */
  const archs = { x64: 'amd64', arm64: 'arm64' };
  const arch = archs[process.arch];
  if (!['linux', 'darwin'].includes(process.platform) || arch === undefined) return undefined;
  const name = `nats-server-${release}-${process.platform}-${arch}`;
  const archive = `${name}.tar.gz`;
  console.log(`Fetching a NATS server (official release ${release})`);
  const sums = await download(`${RELEASES_URL}/${release}/SHA256SUMS`, CHECKSUMS_TIMEOUT_MS);
  const wanted = sums
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+\*?/))
    .find(([, file]) => file === archive)?.[0];
  if (wanted === undefined) throw new Error(`the release's checksums do not name ${archive}`);
  const bytes = await download(`${RELEASES_URL}/${release}/${archive}`, DOWNLOAD_TIMEOUT_MS);
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== wanted.toLowerCase()) {
    throw new Error(`${archive}: its SHA-256 is ${found}, the release says ${wanted}`);
  }
  writeFileSync(path.join(work, archive), bytes);
  const unpack = await capture('tar', ['-xzf', archive, `${name}/nats-server`], { cwd: work });
  if (unpack.code !== 0) throw new Error(`${archive}: ${unpack.output.trim()}`);
  return path.join(work, name, 'nats-server');
}

/**
 * @param {string} url
 * @param {number} timeoutMs
 */
async function download(url, timeoutMs) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    const { message, cause } = /** @type {Error} */ (error);
    throw new Error(`${url}: ${cause instanceof Error ? cause.message : message}`);
  }
}

function installCommand() {
  if (process.platform === 'linux') return 'sudo apt-get install nats-server';
  if (process.platform === 'darwin') return 'brew install nats-server';
  return 'go install github.com/nats-io/nats-server/v2@latest';
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runMain(async () => {
    console.log(await findNatsServer());
    return 0;
  });
}
