/**
 * Checks whether the data folder can be used, by writing and syncing a file there. While it cannot be used, the process waits,
 * and health requests to its actors are answered with the reason.
 */
import { access, type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection, type LineLog, newIncarnation, serveHealth } from '@conclave/actor';
import { problemOf } from '@conclave/log-store';
import { Subjects } from '@conclave/protocol';
import { loginOfPeer } from '../login.js';
import { dataFolder, type RunOptions } from './run-options.js';

export const storageRetryMs = 1000;
/** LevelDB needs some files at once when it is opened. */
const filesAtOnce = 16;

/**
 * Whether this process has opened its store before. Then the data folder must still contain it, and no other store is created.
 */
export type PreviousState = 'first' | 'again';

/** Resolves once the data folder can be used, if there is a log-store that needs it. */
export async function waitForStorage(options: RunOptions, log: LineLog, before: PreviousState): Promise<void> {
  if (!options.actors.includes('log-store')) return;
  let trouble = await tryStorage(dataFolder(options), before);
  if (trouble === undefined) return;
  log.write('error', 'the data folder cannot be used', { reason: trouble });
  const ending = new AbortController();
  void answerHealthRequests(options, log, () => trouble ?? '', ending.signal).catch((error) => {
    log.write('warn', 'health requests cannot be answered', { error: String(error) });
  });
  while (trouble !== undefined) {
    await delay(storageRetryMs);
    trouble = await tryStorage(dataFolder(options), before);
  }
  ending.abort();
  log.write('info', 'the data folder can be used');
}

/** Answers health requests for the actors of this process until it is closed. */
async function answerHealthRequests(
  options: RunOptions,
  log: LineLog,
  reason: () => string,
  ending: AbortSignal,
): Promise<void> {
  const { peer, prefix, groups, actors, natsLoginAttempts: loginAttempts } = options;
  const name = `conclave ${peer} waits for its storage`;
  const connection = await Connection.open({ login: loginOfPeer(options), loginAttempts, name, log });
  const there = { health: () => ({ healthy: false, reason: reason() }), dropped: {} };
  const incarnation = newIncarnation();
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

/** Returns why the folder cannot be used; undefined: it can. */
async function tryStorage(folder: string, before: PreviousState): Promise<string | undefined> {
  const file = path.join(folder, 'probe');
  const opened: FileHandle[] = [];
  try {
    if (before === 'again' && !(await holdsStore(folder))) {
      return `${folder} does not hold the store of this peer any more: is its file system mounted? If the store is lost for good, start this process again`;
    }
    await mkdir(folder, { recursive: true });
    for (let at = 0; at < filesAtOnce; at++) opened.push(await open(file, 'a'));
    await opened[0]?.write('.');
    await opened[0]?.sync();
    return undefined;
  } catch (error) {
    return problemOf(error as NodeJS.ErrnoException);
  } finally {
    for (const each of opened) await each.close().catch(() => undefined);
    await rm(file, { force: true }).catch(() => undefined);
  }
}

/**
 * Whether the folder contains a store. If the file system of the folder was unmounted for a repair, the folder below it is empty:
 * a new store there would replace the peer's own.
 */
async function holdsStore(folder: string): Promise<boolean> {
  try {
    await access(path.join(folder, 'level', 'CURRENT'));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
