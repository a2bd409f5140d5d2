/** The `conclave` command as a process. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { exitOf, spawnGuarded } from './leftovers.js';

const command = fileURLToPath(new URL('../../packages/cli/bin/conclave.js', import.meta.url));

export interface CommandRun {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly error: string }>;
}

/** Starts it; it finds NATS at `natsUrl`. `more`: of its environment. */
export function startCommand(
  natsUrl: string,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): CommandRun {
  const env = { ...process.env, NATS_URL: natsUrl, ...more };
  const child = spawnGuarded(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
  let [out, error] = ['', ''];
  child.stdout?.on('data', (data: Buffer) => {
    out += data.toString();
  });
  child.stderr?.on('data', (data: Buffer) => {
    error += data.toString();
  });
  const ended = Promise.all([exitOf(child), once(child, 'close')]).then(([{ code }]) => ({ code, out, error }));
  return { child, ended };
}
