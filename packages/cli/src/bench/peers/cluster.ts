/** Three servers of another program on free ports of 127.0.0.1. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ConclaveError } from '@conclave/protocol';
import { makeFolder } from '../../make-folder.js';
import { hasEnded } from '../../processes/child.js';
import type { CleanUp } from '../../processes/clean-up.js';
import { freePorts } from '../../processes/free-ports.js';
import { spawnServer, stopServer } from '../../processes/guarded-server.js';

export const servers = 3;
/** Another process may take a port before a server does. */
const attempts = 3;

export interface Member {
  /** Unique within the cluster. */
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly folder: string;
}

export interface ClusterOptions {
  readonly executable: string;
  readonly folder: string;
  /** Returns the arguments of a member; called before any of them starts. */
  readonly argumentsOf: (member: Member, all: readonly Member[]) => readonly string[];
  /** Resolves with the URL of the leader when the cluster serves; retries until `isOver` returns true, and then rejects. */
  readonly untilReady: (all: readonly Member[], isOver: () => boolean) => Promise<string>;
}

/**
 * Starts the servers of a cluster; the clean-up stops them.
 * @returns the URL of the leader
 * @throws ConclaveError EUNREACHABLE if they do not start, with the last line that one of them printed
 */
export async function startCluster(cleanUp: CleanUp, options: ClusterOptions): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const folder = path.join(options.folder, String(attempt));
    const ports = await freePorts(2 * servers);
    const members = Array.from({ length: servers }, (_, index) => {
      const name = `m${index + 1}`;
      const [clientPort = 0, peerPort = 0] = ports.slice(2 * index);
      return { name, clientPort, peerPort, folder: path.join(folder, name) };
    });
    for (const member of members) makeFolder(member.folder);
    const children = members.map((member) => {
      const log = openSync(logOf(member), 'w');
      const child = spawnServer(options.executable, options.argumentsOf(member, members), log);
      closeSync(log);
      child.once('error', () => undefined);
      return child;
    });
    const stop = async (): Promise<void> => {
      await Promise.all(children.map(stopServer));
    };
    cleanUp.add(stop);
    try {
      return await options.untilReady(members, () => children.some(hasEnded));
    } catch (error) {
      const ended = members.find((_, index) => hasEnded(children[index] as (typeof children)[number]));
      const why = ended === undefined ? String(error) : `${ended.name} ended: ${lastLine(logOf(ended))}`;
      await stop();
      if (attempt === attempts) throw new ConclaveError('EUNREACHABLE', `the servers do not start: ${why}`);
    }
  }
}

function logOf({ folder }: Member): string {
  return path.join(folder, 'server.log');
}

function lastLine(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').at(-1) ?? '';
}
