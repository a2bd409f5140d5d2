/** A NATS server that the command has started on this machine. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConclaveError } from '@conclave/protocol';
import { makeFolder } from '../make-folder.js';
import { hasEnded } from './child.js';
import { spawnServer, stopServer } from './guarded-server.js';

const startTimeoutMs = 15_000;
const lookEveryMs = 20;

export interface NatsServer {
  /** `nats://127.0.0.1:<port>` */
  readonly url: string;
  readonly pid: number;
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
  makeFolder(folder);
  const log = path.join(folder, 'nats-server.log');
  const portsFolder = path.join(folder, 'nats-ports');
  rmSync(portsFolder, { recursive: true, force: true });
  makeFolder(portsFolder);
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
  const child = spawnServer(executable, args);
  let failure = 'it ended at once';
  child.once('error', (error) => {
    failure = error.message;
  });
  const deadline = performance.now() + startTimeoutMs;
  const pidFile = `${path.basename(executable)}_`;
  while (!hasEnded(child) && performance.now() < deadline) {
    const address = readAddress(portsFolder, pidFile);
    if (address !== undefined) return { ...address, stop: () => stopServer(child) };
    await sleep(lookEveryMs);
  }
  await stopServer(child);
  throw new ConclaveError('EUNREACHABLE', `nats-server did not start: ${lastLine(log) ?? failure}`);
}

/** Returns the address in the note that the server writes when it listens; the note's name ends with the server's process id. */
function readAddress(folder: string, begin: string): { url: string; pid: number } | undefined {
  const file = listFolder(folder).find((name) => name.startsWith(begin));
  if (file === undefined) return undefined;
  try {
    const ports = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as { nats?: string[] };
    const url = ports.nats?.[0];
    return url === undefined ? undefined : { url, pid: Number.parseInt(file.slice(begin.length), 10) };
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
