/** A NATS server that the command has started on this machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConclaveError } from '@conclave/protocol';
import { hasEnded, stopChild, takeCharge } from './child.js';

const startTimeoutMs = 15_000;
const stopTimeoutMs = 5_000;
const lookEveryMs = 20;

/**
 * A shell runs beside the server, with its standard input open to this process. When this process ends in any way, the shell ends
 * the server. When the server ends, the shell ends.
 */
const guard = 'exec 3<&0; "$0" "$@" </dev/null & server=$!; (read _ <&3; kill "$server") & wait "$server"';

export interface NatsServer {
  /** `nats://127.0.0.1:<port>` */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts a server that listens on 127.0.0.1.
 *
 * @param folder for its log and its note of its port; created if it does not exist
 * @param port the port of the server; 0: any free one
 * @param more arguments of its command line
 * @throws ConclaveError EUNREACHABLE if it does not start, for example because the port is taken
 */
export async function startNatsServer(
  executable: string,
  folder: string,
  port = 0,
  more: readonly string[] = [],
): Promise<NatsServer> {
  mkdirSync(folder, { recursive: true });
  const log = path.join(folder, 'nats-server.log');
  const portsFolder = path.join(folder, 'nats-ports');
  rmSync(portsFolder, { recursive: true, force: true });
  mkdirSync(portsFolder, { recursive: true });
  const args = [
    '-a',
    '127.0.0.1',
    '-p',
    String(port === 0 ? -1 : port),
    '-l',
    log,
    '--ports_file_dir',
    portsFolder,
    ...more,
  ];
  const child = spawnGuarded(executable, args);
  takeCharge(child);
  let failure = 'it ended at once';
  child.once('error', (error) => {
    failure = error.message;
  });
  const deadline = performance.now() + startTimeoutMs;
  const pidFile = `${path.basename(executable)}_`;
  while (!hasEnded(child) && performance.now() < deadline) {
    const url = readUrl(portsFolder, pidFile);
    if (url !== undefined) return { url, stop: () => stop(child) };
    await sleep(lookEveryMs);
  }
  await stop(child);
  throw new ConclaveError('EUNREACHABLE', `nats-server did not start: ${lastLine(log) ?? failure}`);
}

function spawnGuarded(executable: string, args: readonly string[]): ChildProcess {
  if (process.platform === 'win32') return spawn(executable, args, { stdio: ['pipe', 'ignore', 'ignore'] });
  return spawn('/bin/sh', ['-c', guard, executable, ...args], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
}

async function stop(child: ChildProcess): Promise<void> {
  // The shell stops the server when its input ends.
  await stopChild(child, stopTimeoutMs, () => (process.platform === 'win32' ? child.kill() : child.stdin?.end()));
  child.stdin?.destroy();
}

/** Returns the address in the note that the server writes when it listens. */
function readUrl(folder: string, begin: string): string | undefined {
  const file = listFolder(folder).find((name) => name.startsWith(begin));
  if (file === undefined) return undefined;
  try {
    const ports = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as { nats?: string[] };
    return ports.nats?.[0];
  } catch {
    return undefined; // Half written: look again.
  }
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function lastLine(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').at(-1);
  } catch {
    return undefined;
  }
}
