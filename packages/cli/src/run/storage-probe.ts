/**
 * Checks whether the data folder can be used, by writing and syncing a file there. While it cannot be used, the process waits,
 * and health requests to its actors are answered with the reason.
 */
import { access, type FileHandle, lstat, open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { LineLog } from '@conclave/actor';
import { defaultHangsAfterMs, diskHangs, problemOf, StorageUnavailable } from '@conclave/log-store';
import { ConclaveError } from '@conclave/protocol';
import { makeFolderInBackground } from '../make-folder.js';
import { dataFolder, type RunOptions } from './run-options.js';
import { WaitingHealth } from './waiting-health.js';

const storageRetryMs = 1000;
/** LevelDB needs some files at once when it is opened. */
const filesAtOnce = 16;

/**
 * Whether this process has opened its store before. Then the data folder must still contain it, and no other store is created.
 */
export type PreviousState = 'first' | 'again';

/**
 * Calls `use`, which starts the actors and opens the store, once the data folder can be used, and resolves with its result. Without a
 * log-store in this process there is no wait. While the store itself cannot be used (StorageUnavailable), `use` is called again and
 * again: LevelDB may need more disk space than the probe, and has files of its own. At a later opening this applies to all errors but
 * ECORRUPT.
 * @throws what `use` throws otherwise
 */
export async function whenStorageWorks<T>(
  options: RunOptions,
  log: LineLog,
  before: PreviousState,
  use: () => Promise<T>,
): Promise<T> {
  if (!options.actors.includes('log-store')) return use();
  const health = new WaitingHealth(options, log);
  try {
    for (;;) {
      let problem = await probe(options, before, (reason) => health.report(reason));
      if (problem === undefined) {
        await health.pause();
        try {
          return await use();
        } catch (error) {
          const isDamaged = error instanceof ConclaveError && error.code === 'ECORRUPT';
          const isFinal = before === 'first' ? !(error instanceof StorageUnavailable) : isDamaged;
          if (isFinal) throw error;
          problem = (error as Error).message;
        }
      }
      health.report(problem);
      await delay(storageRetryMs);
    }
  } finally {
    await health.close();
  }
}

/** Returns why the folder cannot be used; undefined: it can. @param report called while the disk hangs */
async function probe(
  options: RunOptions,
  before: PreviousState,
  report: (reason: string) => void,
): Promise<string | undefined> {
  const beganMs = performance.now();
  const timer = setInterval(() => report(diskHangs(performance.now() - beganMs)), defaultHangsAfterMs);
  try {
    return await tryStorage(dataFolder(options), before);
  } finally {
    clearInterval(timer);
  }
}

/** Returns why the folder cannot be used; undefined: it can. */
async function tryStorage(folder: string, before: PreviousState): Promise<string | undefined> {
  const file = path.join(folder, 'probe');
  const opened: FileHandle[] = [];
  try {
    const obstacle = await obstacleIn(folder, file);
    if (obstacle !== undefined) return obstacle;
    if (before === 'again' && !(await holdsStore(folder))) {
      return `${folder} does not hold the store of this peer any more: is its file system mounted? If the store is lost for good, start this process again`;
    }
    await makeFolderInBackground(folder);
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

/** Returns what is at the place of the folder, of LevelDB's folder in it, or of the probe, if it is something else. */
async function obstacleIn(folder: string, probeFile: string): Promise<string | undefined> {
  for (const each of [folder, path.join(folder, 'level')]) {
    const kind = await kindOf(each);
    if (kind === 'dangling link')
      return `${each} is a link to a folder that does not exist: is its file system mounted?`;
    // What else is at the place of LevelDB's folder is damage, which is reported when the store is opened.
    if (kind === 'other' || (kind === 'file' && each === folder)) return `${each} is not a folder: move it away`;
  }
  const isFree = ['missing', 'file'].includes(await kindOf(probeFile));
  return isFree ? undefined : `${probeFile} is not a regular file: delete it`;
}

async function kindOf(name: string): Promise<'missing' | 'folder' | 'file' | 'dangling link' | 'other'> {
  try {
    const found = await stat(name);
    if (found.isDirectory()) return 'folder';
    return found.isFile() ? 'file' : 'other';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return lstat(name).then(
      () => 'dangling link',
      () => 'missing',
    );
  }
}

/**
 * Whether the folder contains a store. If the file system of the folder is not mounted, for example during a repair, the path shows the
 * empty mount point: a new store there would replace the peer's own.
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
