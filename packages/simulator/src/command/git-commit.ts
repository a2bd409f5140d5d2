/** Which commit the sources are of, for reports. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The commit, with `+` where files differ from it; `unknown` where git cannot tell. */
export function gitCommit(): string {
  try {
    const commit = git('rev-parse', '--short=12', 'HEAD');
    return git('status', '--porcelain') === '' ? commit : `${commit}+`;
  } catch {
    return 'unknown';
  }
}

function git(...args: string[]): string {
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  return execFileSync('git', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}
