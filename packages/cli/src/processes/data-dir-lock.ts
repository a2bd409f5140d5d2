/** One `conclave up` for a folder: a second one would write over the first one's logs and fight for its peers. */
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ConclaveError } from '@conclave/protocol';

const fileName = 'up.pid';
const touchEveryMs = 1_000;
/** A claim that was not touched for so long is of a process that is gone, whoever has its number now. */
const lostAfterMs = 10_000;

/**
 * Claims the folder for this process, until it exits.
 * @param folder that is there
 * @returns gives the claim up
 * @throws ConclaveError EBUSY where another process holds it
 */
export function lockDataDir(folder: string): () => void {
  return lockFile(
    path.join(folder, fileName),
    (holder) => `process ${holder} keeps peers up in ${folder} already: stop it, or give --data-dir another folder`,
  );
}

/**
 * Claims a file that does not exist while nobody claims it, for this process, until it exits.
 * @param refusal what the error says where the process with this number holds it
 * @returns gives the claim up
 * @throws ConclaveError EBUSY where another process holds it
 */
export function lockFile(file: string, refusal: (holder: number) => string): () => void {
  if (!written(file)) {
    const holder = holderOf(file);
    if (holder !== undefined) throw new ConclaveError('EBUSY', refusal(holder));
    rmSync(file, { force: true });
    if (!written(file)) throw new ConclaveError('EBUSY', `another process has just begun in ${path.dirname(file)}`);
  }
  const touching = setInterval(() => touch(file), touchEveryMs).unref();
  const release = (): void => {
    clearInterval(touching);
    process.off('exit', release);
    rmSync(file, { force: true });
  };
  process.on('exit', release);
  return release;
}

/** False where the file is there. */
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
  try {
    const now = new Date();
    utimesSync(file, now, now);
  } catch {
    // Somebody has taken the folder away; the peers will say so.
  }
}
