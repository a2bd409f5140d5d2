/** The sources of a NATS server: the official releases, Go, Debian. */
import { createHash } from 'node:crypto';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../make-folder.js';
import { runTool } from './run-tool.js';

const releasesUrl = 'https://github.com/nats-io/nats-server/releases/download';
const goModule = 'github.com/nats-io/nats-server/v2';
const downloadTimeoutMs = 120_000;
const checksumsTimeoutMs = 20_000;

/** The file name of the server on this platform. */
export const serverFileName = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server';

/** The options of a source. */
export interface Fetch {
  /** An empty folder for this source, deleted afterwards. */
  readonly folder: string;
  /** `v2.15.2` */
  readonly release: string;
  /** Called with a line for each step that takes long. */
  readonly report: (line: string) => void;
}

/**
 * Puts a server into the folder.
 * @returns its path; undefined if this source has no server for this machine
 * @throws Error if it should have one and failed
 */
export type ServerSource = (fetch: Fetch) => Promise<string | undefined>;

/** The official release for this platform, verified by the checksums of that release. */
export const fromRelease: ServerSource = async ({ folder, release, report }) => {
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  if (!['linux', 'darwin'].includes(process.platform) || architecture === undefined) return undefined;
  const name = `nats-server-${release}-${process.platform}-${architecture}`;
  const archive = `${name}.tar.gz`;
  report(`Fetching a NATS server (official release ${release})`);
  const sums = await download(`${releasesUrl}/${release}/SHA256SUMS`, checksumsTimeoutMs);
  const wanted = sums
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+\*?/))
    .find(([, file]) => file === archive)?.[0];
  if (wanted === undefined) throw new Error(`the checksums of the release do not name ${archive}`);
  const bytes = await download(`${releasesUrl}/${release}/${archive}`, downloadTimeoutMs);
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== wanted.toLowerCase()) {
    throw new Error(`${archive}: its SHA-256 is ${found}, and the release lists ${wanted}`);
  }
  writeFileSync(path.join(folder, archive), bytes);
  const unpack = await runTool('tar', ['-xzf', archive, `${name}/nats-server`], { cwd: folder });
  if (unpack.code !== 0) throw new Error(`${archive}: ${unpack.output.trim()}`);
  return path.join(folder, name, 'nats-server');
};

/** The same release, built by Go from its module, if Go is installed. */
export const fromGo: ServerSource = async ({ folder, release, report }) => {
  if ((await runTool('go', ['version'])).code !== 0) return undefined;
  report(`Building a NATS server (${release}, with Go: a minute or two)`);
  const env = { ...process.env, GOBIN: folder, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' };
  const args = ['install', '-ldflags=-s -w', `${goModule}@${release}`];
  const { code, output } = await runTool('go', args, { cwd: folder, env });
  if (code !== 0) throw new Error(`Go: ${output.trim().split('\n').slice(-6).join('\n  ')}`);
  return path.join(folder, serverFileName);
};

/**
 * The package of Debian, if this system is Debian. apt fetches it and verifies its signatures, with lists and caches in the
 * folder: nothing on the system changes, and root is not needed.
 */
export const fromDebian: ServerSource = async ({ folder, report }) => {
  if (process.platform !== 'linux') return undefined;
  for (const tool of ['apt-get', 'dpkg']) {
    if ((await runTool(tool, ['--version'])).code !== 0) return undefined;
  }
  report("Fetching a NATS server (Debian's package)");
  const apt = await aptIn(folder);
  // One unreachable source makes the whole update fail, although the source of Debian may have succeeded.
  const update = await apt('update');
  const fetched = await apt('download', 'nats-server');
  const archive = readdirSync(folder).find((name) => name.endsWith('.deb'));
  if (fetched.code !== 0 || archive === undefined) {
    const printed = `${fetched.output}\n${update.code === 0 ? '' : update.output}`.trim();
    throw new Error(`Debian's package: ${printed.split('\n').slice(0, 6).join('\n  ')}`);
  }
  const unpacked = path.join(folder, 'package');
  const unpack = await runTool('dpkg', ['-x', path.join(folder, archive), unpacked]);
  if (unpack.code !== 0) throw new Error(`Debian's package: ${unpack.output.trim()}`);
  for (const place of ['usr/sbin', 'usr/bin']) {
    const file = path.join(unpacked, place, serverFileName);
    if (statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  }
  throw new Error("Debian's package holds no nats-server");
};

async function aptIn(folder: string) {
  const lists = path.join(folder, 'lists');
  const archives = path.join(folder, 'cache');
  makeFolder(path.join(lists, 'partial'));
  makeFolder(path.join(archives, 'archives', 'partial'));
  const settings = [
    `Dir::State::Lists=${lists}`,
    `Dir::Cache=${archives}`,
    // As root, apt would download as another user, who may not write here.
    'APT::Sandbox::User=root',
    'Acquire::Languages=none',
    'Acquire::Retries=2',
  ];
  const options = settings.flatMap((setting) => ['-o', setting]);
  return (...args: string[]) => runTool('apt-get', [...options, '-qq', ...args], { cwd: folder });
}

async function download(url: string, timeoutMs: number): Promise<Buffer> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    const { message, cause } = error as Error;
    throw new Error(`${url}: ${cause instanceof Error ? cause.message : message}`);
  }
}
