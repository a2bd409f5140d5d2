import { mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../make-folder.js';
import type { CleanUp } from '../processes/clean-up.js';

/**
 * A folder on the chosen disk. At the end it is deleted, with those parent folders that had to be created for it and contain nothing
 * else: another command may have stored something in them meanwhile.
 */
export function scratchFolder(cleanUp: CleanUp, dataDir: string, prefix: string): string {
  const made = makeFolder(dataDir);
  const folder = mkdtempSync(path.join(path.resolve(dataDir), prefix));
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    if (made !== undefined) removeEmpty(path.dirname(folder), made);
  };
  process.once('exit', remove);
  cleanUp.add(async () => remove());
  return folder;
}

/** Deletes a folder and its parents up to `top`, as long as they are empty. */
function removeEmpty(folder: string, top: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is not empty, or was deleted meanwhile.
    return;
  }
  if (folder !== top) removeEmpty(path.dirname(folder), top);
}
