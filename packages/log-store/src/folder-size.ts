/** The size of a folder. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';

/** Returns the bytes of the files of a folder, without its subfolders. A file that disappears meanwhile is not counted. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder)) {
    try {
      bytes += (await stat(path.join(folder, name))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return bytes;
}
