/** A server of another program that this command has started, and that does not outlive it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { stopChild, takeCharge } from './child.js';

const stopTimeoutMs = 5_000;

/**
 * A shell runs beside the server, with its standard input open to this process. When this process ends in any way, the shell ends
 * the server. When the server ends, the shell ends.
 */
const guard = 'exec 3<&0; "$0" "$@" </dev/null & server=$!; (read _ <&3; kill "$server" 2>/dev/null) & wait "$server"';

/** Starts the server. @param log a file descriptor for what it prints; undefined: that is discarded */
export function spawnServer(executable: string, args: readonly string[], log?: number): ChildProcess {
  const stdio: ['pipe', number | 'ignore', number | 'ignore'] = ['pipe', log ?? 'ignore', log ?? 'ignore'];
  const child =
    process.platform === 'win32'
      ? spawn(executable, args, { stdio })
      : spawn('/bin/sh', ['-c', guard, executable, ...args], { stdio, detached: true });
  takeCharge(child);
  return child;
}

/** Stops a server, and kills it if it has not stopped in time. */
export async function stopServer(child: ChildProcess): Promise<void> {
  // The shell stops the server when its input ends.
  await stopChild(child, stopTimeoutMs, () => (process.platform === 'win32' ? child.kill() : child.stdin?.end()));
  child.stdin?.destroy();
}
