/** A child process that ends when this process ends. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const running = new Set<ChildProcess>();
let watching = false;

/**
 * Manages a child that was spawned with `detached`. Ctrl-C of a terminal does not reach such a child: this process stops its
 * children in order. On `exit` it kills the child's whole process group.
 */
export function takeCharge(child: ChildProcess): void {
  if (!watching) process.once('exit', killAll);
  watching = true;
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
}

/** Requests a child to stop, and kills it if it has not stopped in time. */
export async function stopChild(child: ChildProcess, withinMs: number, ask: () => void): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  ask();
  const timer = setTimeout(() => killGroup(child), withinMs);
  try {
    await ended;
  } finally {
    clearTimeout(timer);
  }
}

export function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

function killAll(): void {
  for (const child of running) killGroup(child);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}
