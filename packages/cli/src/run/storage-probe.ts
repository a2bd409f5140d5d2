/**
 * Whether the data folder can be used: tried with a file of its own, written and synced. While it cannot, the process waits, and
 * its actors say why when they are asked how they are.
 */
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection, drawIncarnation, type LineLog, serveHealth } from '@conclave/actor';
import { troubleOf } from '@conclave/log-store';
import { Subjects } from '@conclave/protocol';
import { loginOfPeer } from '../login.js';
import { dataFolder, type RunOptions } from './run-options.js';

export const storageRetryMs = 1000;
/** LevelDB needs some files at once when it is opened. */
const filesAtOnce = 16;

/** Settled once the data folder can be used, if there is a log-store that needs it. */
export async function untilStorageWorks(options: RunOptions, log: LineLog): Promise<void> {
  if (!options.actors.includes('log-store')) return;
  let trouble = await tryStorage(dataFolder(options));
  if (trouble === undefined) return;
  log.write('error', 'the data folder cannot be used', { reason: trouble });
  const ending = new AbortController();
  void sayHealth(options, log, () => trouble ?? '', ending.signal).catch((error) => {
    log.write('warn', 'nobody can be told how the actors are', { error: String(error) });
  });
  while (trouble !== undefined) {
    await delay(storageRetryMs);
    trouble = await tryStorage(dataFolder(options));
  }
  ending.abort();
  log.write('info', 'the data folder can be used');
}

/** Answers for the actors of this process until it is told to end. */
async function sayHealth(options: RunOptions, log: LineLog, reason: () => string, ending: AbortSignal): Promise<void> {
  const { peer, prefix, groups, actors, natsLoginAttempts: loginAttempts } = options;
  const name = `conclave ${peer} waits for its storage`;
  const connection = await Connection.open({ login: loginOfPeer(options), loginAttempts, name, log });
  const there = { health: () => ({ healthy: false, reason: reason() }), dropped: {} };
  const incarnation = drawIncarnation();
  for (const groupId of groups) {
    for (const actor of actors) {
      serveHealth(connection, new Subjects(prefix), { groupId, peerId: peer, actor, incarnation }, there, {
        dropped: {},
      });
    }
  }
  if (!ending.aborted) await new Promise((resolve) => ending.addEventListener('abort', resolve));
  await connection.close();
}

async function tryStorage(folder: string): Promise<string | undefined> {
  const file = path.join(folder, 'probe');
  const opened: FileHandle[] = [];
  try {
    await mkdir(folder, { recursive: true });
    for (let at = 0; at < filesAtOnce; at++) opened.push(await open(file, 'a'));
    await opened[0]?.write('.');
    await opened[0]?.sync();
    return undefined;
  } catch (error) {
    return troubleOf(error as NodeJS.ErrnoException);
  } finally {
    for (const each of opened) await each.close().catch(() => undefined);
    await rm(file, { force: true }).catch(() => undefined);
  }
}
