/**
 * Finds a NATS server to run, or fetches one into a cache. In this order:
 *
 * 1. the one that CONCLAVE_NATS_SERVER names;
 * 2. `nats-server` on the PATH, or in the folders of system packages;
 * 3. the one in the cache;
 * 4. the official release for this platform, verified by the checksums of that release;
 * 5. the same release, built by Go if that is installed;
 * 6. the package of Debian, unpacked into the cache without root.
 *
 * The tests also use the oldest release that Conclave supports. For this one, an installed server is not used, and the package of
 * Debian comes before Go.
 */
import { chmodSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { ConclaveError } from '@conclave/protocol';
import { makeFolder } from '../make-folder.js';
import { lockFile } from '../processes/data-dir-lock.js';
import { findProgram, versionOf } from '../processes/find-program.js';
import { isBusy, retryUntil } from '../retry-until.js';
import { print } from '../terminal-text.js';
import { fromDebian, fromGo, fromRelease, type ServerSource, serverFileName } from './server-sources.js';

/** The release that is fetched, and the oldest that Conclave supports. */
const newestRelease = 'v2.15.2';
const oldestRelease = 'v2.9.25';
/** How long another process that fetches the same release may take: Go builds for minutes on a slow machine. */
const fetchTimeoutMs = 900_000;

export interface FindOptions {
  readonly environment?: NodeJS.ProcessEnv;
  /** The folder with the fetched servers. */
  readonly cache?: string;
  /** Called with a line for each step that takes long. */
  readonly report?: (line: string) => void;
  /** The sources of a server, the preferred one first. */
  readonly sources?: readonly ServerSource[];
}

/**
 * Returns the path of a NATS server that runs on this machine: an installed one, otherwise the newest release. Any number of
 * processes may call this at the same time.
 * @throws ConclaveError ENOENT if none is found and none can be fetched; its text names the command that installs one
 */
export async function findNatsServer(options: FindOptions = {}): Promise<string> {
  const installed = await findInstalled(options.environment ?? process.env);
  return installed ?? cachedServer(newestRelease, { sources: [fromRelease, fromGo, fromDebian], ...options });
}

/**
 * Returns the path of the oldest NATS server that Conclave supports.
 * @throws ConclaveError ENOENT if it cannot be fetched
 */
export function findOldestNatsServer(options: FindOptions = {}): Promise<string> {
  return cachedServer(oldestRelease, { sources: [fromRelease, fromDebian, fromGo], ...options });
}

/** Returns the folder of this user's caches, on Linux according to the XDG specification. */
export function userCache(environment: NodeJS.ProcessEnv = process.env): string {
  const given = environment.XDG_CACHE_HOME;
  if (given !== undefined && path.isAbsolute(given)) return path.join(given, 'conclave');
  if (process.platform === 'darwin') return path.join(homedir(), 'Library', 'Caches', 'conclave');
  return path.join(homedir(), '.cache', 'conclave');
}

async function cachedServer(release: string, options: FindOptions): Promise<string> {
  const cache = options.cache ?? path.join(userCache(options.environment), 'nats-server');
  const folder = path.join(cache, `${process.platform}-${process.arch}`);
  const cached = path.join(folder, release, serverFileName);
  if (await isServer(cached)) return cached;
  makeFolder(path.dirname(cached));
  const claim = path.join(folder, `${release}.pid`);
  const refusal = (holder: number) => `process ${holder} is fetching a NATS server`;
  const giveUp = await retryUntil(
    'another process fetches it',
    fetchTimeoutMs,
    async () => lockFile(claim, refusal),
    isBusy,
  );
  try {
    if (!(await isServer(cached))) await fetchIntoCache(cached, release, options);
    return cached;
  } finally {
    giveUp();
  }
}

async function findInstalled(environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  const options = { title: 'a NATS server', variable: 'CONCLAVE_NATS_SERVER', prints: 'nats-server', environment };
  return (await findProgram(serverFileName, options))?.file;
}

async function isServer(file: string): Promise<boolean> {
  return (await versionOf(file, 'nats-server')) !== undefined;
}

async function fetchIntoCache(cached: string, release: string, options: FindOptions): Promise<void> {
  const { sources = [], report = writeToStandardError } = options;
  const failures: string[] = [];
  for (const source of sources) {
    const folder = mkdtempSync(path.join(path.dirname(cached), 'fetch-'));
    try {
      const file = await source({ folder, release, report });
      if (file === undefined) continue;
      chmodSync(file, 0o755);
      if (!(await isServer(file))) throw new Error(`${path.basename(file)} does not run here`);
      renameSync(file, cached);
      return;
    } catch (error) {
      failures.push(`- ${error instanceof Error ? error.message : error}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  throw new ConclaveError(
    'ENOENT',
    [
      'there is no NATS server here, and fetching one failed:',
      ...failures,
      `Install one (${installCommand()}), or set NATS_URL to the address of one that runs.`,
    ].join('\n'),
  );
}

function installCommand(): string {
  if (process.platform === 'linux') return 'sudo apt-get install nats-server';
  if (process.platform === 'darwin') return 'brew install nats-server';
  return 'go install github.com/nats-io/nats-server/v2@latest';
}

function writeToStandardError(line: string): void {
  print(process.stderr, `${line}\n`);
}
