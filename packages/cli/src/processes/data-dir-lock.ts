/** Allows one `conclave up` per folder: a second one would overwrite the logs of the first and disturb its peers. */
import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ConclaveError } from '@conclave/protocol';

const fileName = 'up.pid';
const touchEveryMs = 1_000;
/** A lock that was not touched for this long belongs to a process that has ended, even if another process has its id now. */
const lostAfterMs = 10_000;

/**
 * Locks the folder for this process, until it exits.
 * @param folder an existing folder
 * @returns releases the lock
 * @throws ConclaveError EBUSY if another process holds it
 */
export function lockDataDir(folder: string): () => void {
  return lockFile(
    path.join(folder, fileName),
    (holder) => `process ${holder} keeps peers up in ${folder} already: stop it, or give --data-dir another folder`,
  );
}

/**
 * Creates a lock file for this process, until it exits. The file does not exist while no process holds the lock.
 * @param refusal returns the text of the error if the process with this id holds it
 * @returns releases the lock
 * @throws ConclaveError EBUSY if another process holds it
 */
export function lockFile(file: string, refusal: (holder: number) => string): () => void {
  if (!written(file)) {
    const holder = holderOf(file);
    if (holder !== undefined) throw new ConclaveError('EBUSY', refusal(holder));
    removeLost(file, refusal);
    if (!written(file)) throw new ConclaveError('EBUSY', `another process has just begun in ${path.dirname(file)}`);
  }
  const touching = setInterval(() => touch(file), touchEveryMs).unref();
  const release = (): void => {
    clearInterval(touching);
    process.off('exit', release);
    if (isOwn(file)) rmSync(file, { force: true });
  };
  process.on('exit', release);
  return release;
}

/**
 * Removes a lock file that nobody holds.
 * @throws ConclaveError EBUSY if another process has replaced it meanwhile
 */
function removeLost(file: string, refusal: (holder: number) => string): void {
  const moved = `${file}.${randomUUID()}`;
  try {
    renameSync(file, moved);
  } catch {
    return; // Another process has removed it.
  }
  const holder = holderOf(moved);
  try {
    if (holder !== undefined) linkSync(moved, file);
  } catch {
    // A third process has begun meanwhile: it holds the lock now.
  }
  rmSync(moved, { force: true });
  if (holder !== undefined) throw new ConclaveError('EBUSY', refusal(holder));
}

/** Whether this process still holds the lock: another one takes over the lock of a process that was suspended for long. */
function isOwn(file: string): boolean {
  try {
    return Number(readFileSync(file, 'utf8')) === process.pid;
  } catch {
    return false;
  }
}

/** Returns false if the file exists. */
function written(file: string): boolean {
  try {
    writeFileSync(file, `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function holderOf(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    const isFresh = Date.now() - statSync(file).mtimeMs < lostAfterMs;
    return isFresh && isRunning(pid) ? pid : undefined;
  } catch {
    return undefined; // It has just been given up.
  }
}

function isRunning(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function touch(file: string): void {
  if (!isOwn(file)) return;
  try {
    const now = new Date();
    utimesSync(file, now, now);
  } catch {
    // The folder was deleted; the peers report that.
  }
}
