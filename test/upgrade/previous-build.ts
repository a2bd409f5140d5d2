/** The build of the previous release: its sources from this clone's history, built once in the project's cache. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface PreviousRelease {
  readonly commit: string;
  /** The highest feature level that it supports. */
  readonly level: number;
}

/** Which release the upgrade is tested from: `previous-release.json`, which each release sets to its predecessor. */
export const previousRelease = JSON.parse(
  readFileSync(new URL('./previous-release.json', import.meta.url), 'utf8'),
) as PreviousRelease;

/**
 * Builds it, unless that was done before.
 * @returns its `conclave` command, as a file that Node runs
 * @throws Error where the commit is not in this clone, or does not build: the upgrade cannot be tested then
 */
export function buildPreviousRelease(): string {
  const { commit } = previousRelease;
  const folder = path.join(root, '.cache', 'previous-release', commit);
  // Not below node_modules: the compiler builds no project there.
  const command = path.join(folder, 'packages', 'cli', 'bin', 'conclave.js');
  if (existsSync(folder)) return command;
  const found = run('git', ['cat-file', '-t', commit], root, true);
  if (found?.trim() !== 'commit') {
    throw new Error(
      `the previous release, ${commit}, is not in this clone: fetch the whole history (git fetch --unshallow)`,
    );
  }
  const making = `${folder}.${process.pid}`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  const archive = path.join(making, 'sources.tar');
  run('git', ['archive', '--format=tar', '-o', archive, commit], root);
  run('tar', ['-xf', archive], making);
  run('npm', ['ci', '--no-audit', '--no-fund', '--prefer-offline'], making);
  run(process.execPath, [path.join(making, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'], making);
  renameSync(making, folder);
  return command;
}

function run(command: string, args: readonly string[], cwd: string, mayFail = false): string | undefined {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    if (mayFail) return undefined;
    throw new Error(`${command} ${args.join(' ')} failed: ${(error as { stderr?: string }).stderr ?? error}`);
  }
}
