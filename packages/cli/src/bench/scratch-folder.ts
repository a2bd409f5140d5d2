import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../make-folder.js';
import type { CleanUp } from '../processes/clean-up.js';

/** A folder on the chosen disk. At the end it is deleted, with all parent folders that had to be created for it. */
export function scratchFolder(cleanUp: CleanUp, dataDir: string, prefix: string): string {
  const made = makeFolder(dataDir);
  const folder = mkdtempSync(path.join(path.resolve(dataDir), prefix));
  const remove = (): void => rmSync(made ?? folder, { recursive: true, force: true, maxRetries: 5 });
  process.once('exit', remove);
  cleanUp.add(async () => remove());
  return folder;
}
