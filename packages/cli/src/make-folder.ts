/** Creates folders. `mkdir` of Node.js with `recursive` never returns if the file system can contain no new folders, such as `/proc`. */
import { mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * Creates a folder and its parents, if they are missing.
 * @param mode of the folders that are created
 * @returns the first folder that was created; undefined: none
 */
export function makeFolder(folder: string, mode?: number): string | undefined {
  const whole = path.resolve(folder);
  if (isFolder(whole)) return undefined;
  const parent = path.dirname(whole);
  const first = makeFolder(parent, mode);
  try {
    mkdirSync(whole, { mode });
    return first ?? whole;
  } catch (error) {
    // Another process may have created it meanwhile.
    if (isFolder(whole)) return first;
    throw error;
  }
}

/** As `makeFolder`, without blocking: the disk may hang. */
export async function makeFolderInBackground(folder: string): Promise<void> {
  if (await isFolderNow(folder)) return;
  await makeFolderInBackground(path.dirname(path.resolve(folder)));
  try {
    await mkdir(folder);
  } catch (error) {
    if (!(await isFolderNow(folder))) throw error;
  }
}

async function isFolderNow(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isDirectory();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

function isFolder(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isDirectory() === true;
}
