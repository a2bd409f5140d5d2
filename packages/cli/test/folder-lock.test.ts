import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const runFile = new URL('../../../scripts/run.mjs', import.meta.url).href;
const lockFile = new URL('../../../scripts/folder-lock.mjs', import.meta.url).href;

describe('scripts/folder-lock.mjs', () => {
  let folder = '';
  const started: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'conclave-folder-lock-'));
  });
  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  /** Starts a process that takes the lock and keeps it. It prints `waits` once it has prepared what it needs, and `holds`. */
  function start(): ChildProcess {
    const script = `import { withFolderLock } from ${JSON.stringify(lockFile)};
      const held = withFolderLock(${JSON.stringify(path.join(folder, 'lock'))}, () => {
        console.log('holds');
        return new Promise((resolve) => setTimeout(resolve, 60_000));
      });
      console.log('waits');
      await held;`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    started.push(child);
    return child;
  }

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'leaves nothing behind on %s, neither while it waits nor while it holds',
    async (signal) => {
      const holder = start();
      await printed(holder, 'holds');
      const waiter = start();
      await printed(waiter, 'waits');
      expect(readdirSync(folder)).toHaveLength(2);
      waiter.kill(signal);
      expect(await once(waiter, 'exit')).toEqual([null, signal]);
      expect(readdirSync(folder)).toEqual(['lock']);
      holder.kill(signal);
      expect(await once(holder, 'exit')).toEqual([null, signal]);
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  it('is not released before the command that runs under it has ended, as `npm ci` in the set-up', async () => {
    const mark = path.join(folder, 'ended');
    const command = `process.on('SIGINT', () => setTimeout(() => {
        require('node:fs').writeFileSync(${JSON.stringify(mark)}, '');
        process.exit();
      }, 300));
      console.log('runs');
      setTimeout(() => undefined, 60_000);`;
    const script = `import { withFolderLock } from ${JSON.stringify(lockFile)};
      import { capture } from ${JSON.stringify(runFile)};
      await withFolderLock(${JSON.stringify(path.join(folder, 'lock'))}, () =>
        capture(process.execPath, ['-e', ${JSON.stringify(command)}], { onOutput: () => console.log('runs') }));`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    started.push(holder);
    await printed(holder, 'runs');
    holder.kill('SIGINT');
    expect(await once(holder, 'exit')).toEqual([null, 'SIGINT']);
    expect(readdirSync(folder)).toEqual(['ended']);
  });
});

/** Resolves when a process has printed this line. */
async function printed(child: ChildProcess, line: string): Promise<void> {
  for await (const found of createInterface({ input: child.stdout as Readable })) if (found === line) return;
  throw new Error(`the process has ended, and has not printed "${line}"`);
}
