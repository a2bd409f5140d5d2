/** Processes and folders of a test. None of them outlives the test, even if it crashes: see guard.mjs. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

let guard: ChildProcess | undefined;

/** Starts a process that does not outlive this one. */
export function spawnGuarded(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, [...args], options);
  const { pid } = child;
  if (pid !== undefined) {
    tellGuard({ add: true, processId: pid });
    child.once('exit', () => tellGuard({ add: false, processId: pid }));
  }
  return child;
}

/** Makes a folder that does not outlive this process. */
export function makeFolder(name: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `conclave-${name}-`));
  tellGuard({ add: true, folder });
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  tellGuard({ add: false, folder });
}

/** Resolves with the exit of the process. */
export function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve({ code: child.exitCode, signal: child.signalCode });
  }
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
}

/** The command lines of running processes that contain this text; of none where the system is not Linux. */
export function processesThatName(text: string): string[] {
  if (process.platform !== 'linux') return [];
  const lines = readdirSync('/proc').map((entry) => (/^\d+$/.test(entry) ? commandLineOf(entry) : ''));
  return lines.filter((line) => line.includes(text));
}

function commandLineOf(processId: string): string {
  try {
    return readFileSync(`/proc/${processId}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

function tellGuard(line: { add: boolean; processId?: number; folder?: string }): void {
  guard ??= startGuard();
  guard.stdin?.write(`${JSON.stringify(line)}\n`);
}

function startGuard(): ChildProcess {
  const script = fileURLToPath(new URL('guard.mjs', import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'ignore', 'inherit'], detached: true });
  // Neither it nor its input keeps this process from ending.
  child.unref();
  (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return child;
}
