/** Programs that are made to be killed: bundled once, started, and ended with `kill -9` at a random point. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'vite';

const children = new Set<ChildProcess>();

/** Kills what a failed test has left behind. */
export function killChildren(): void {
  for (const child of children) child.kill('SIGKILL');
}

/** Bundles a program's sources into one file that Node runs, because unit tests build nothing else. Returns its path. */
export async function bundled(name: string, outDir: string): Promise<string> {
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['source', 'module', 'node'] },
    ssr: { noExternal: [/^@conclave\//] },
    build: { ssr: path.join(import.meta.dirname, `${name}.ts`), outDir, target: 'node20', minify: false },
  });
  await mkdir(outDir, { recursive: true });
  await symlink(path.resolve(import.meta.dirname, '../../../node_modules'), path.join(outDir, 'node_modules'));
  return path.join(outDir, `${name}.js`);
}

/**
 * Lets a program report so many lines, and kills it. `onLine` gets each line: what it reports until it is dead counts.
 * Answers the signal that ended it.
 */
export async function runAndKill(
  args: readonly string[],
  lines: number,
  onLine: (line: string) => void,
): Promise<NodeJS.Signals | null> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    onLine(line);
    count += 1;
    // What it writes at this very moment is cut off.
    if (count === lines) child.kill('SIGKILL');
  }
  const [, signal] = await exited;
  children.delete(child);
  return signal;
}
