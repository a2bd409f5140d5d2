/**
 * Checks whether the files of an open store still exist under their paths. A process can use opened files after `rm -rf`, or after
 * another folder was moved to their path: it would write into files that nobody can find again.
 *
 * Owns: the identities of the folders and files that were opened. Does not own which tables and logs must exist (`level-manifest.ts`).
 */
import { constants } from 'node:fs';
import { access, open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { missingFile } from './level-log-check.js';
import { LevelManifest } from './level-manifest.js';
import { problemOf } from './storage-unavailable.js';

/** One of this many checks also checks the sizes of the tables. */
const sizesEvery = 10;

/** What is wrong with the data folder. */
export type FolderFault =
  /** The open files no longer exist under their names: permanent. */
  | { readonly type: 'gone'; readonly message: string }
  /** The store cannot work now, but may work again later. `stopsWrites`: nothing can be stored meanwhile. */
  | { readonly type: 'problem'; readonly message: string; readonly stopsWrites: boolean };

interface Identity {
  readonly file: string;
  readonly dev: number;
  readonly ino: number;
}

export class DataFolderMonitor {
  private readonly manifest: LevelManifest;
  private checks = 0;

  private constructor(
    private readonly levelFolder: string,
    private readonly sideFile: string,
    private readonly opened: readonly Identity[],
  ) {
    this.manifest = new LevelManifest(levelFolder);
  }

  /** Must be called right after all files were opened. */
  static async begin(folder: string, levelFolder: string, sideFile: string): Promise<DataFolderMonitor> {
    return new DataFolderMonitor(
      levelFolder,
      sideFile,
      // With another `LOCK`, a second process could open the store.
      await Promise.all([folder, levelFolder, path.join(levelFolder, 'LOCK'), sideFile].map(identityOf)),
    );
  }

  /**
   * Checks the files.
   * @param isIdle nothing was stored since the last check. Then the check writes and syncs a file of its own, to detect a disk that
   *   stores nothing. If the disk hangs, the check hangs, too.
   * @returns what is wrong; undefined: nothing
   */
  async check(isIdle: boolean): Promise<FolderFault | undefined> {
    try {
      for (const { file, dev, ino } of this.opened) {
        const now = await identityOf(file);
        if (now.dev !== dev || now.ino !== ino) return gone(`${file} is another one than the one that is open`);
      }
      const missing = await this.missingLevelFile();
      if (missing !== undefined) return gone(missing);
      await access(this.sideFile, constants.W_OK);
      await (await open(this.sideFile, 'r+')).close();
      if (isIdle) await this.probe();
      return undefined;
    } catch (error) {
      const { code, path: file } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR')
        return gone(`${file ?? 'a file that is open'} is not there any more`);
      const isShortOfFiles = code === 'EMFILE' || code === 'ENFILE';
      return { type: 'problem', message: problemOf(error as NodeJS.ErrnoException), stopsWrites: !isShortOfFiles };
    }
  }

  private async probe(): Promise<void> {
    const file = await open(path.join(path.dirname(this.sideFile), 'probe'), 'w');
    try {
      await file.write('.');
      await file.datasync();
    } catch (error) {
      // A full disk is no fault here: `DiskMonitor` measures the free space.
      if (!['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    } finally {
      await file.close();
    }
  }

  private async missingLevelFile(): Promise<string | undefined> {
    const missing = await missingFile(this.levelFolder);
    if (missing !== undefined) return missing;
    const names = await readdir(this.levelFolder);
    // LevelDB creates its next log before it deletes the last one, so there is always one.
    if (!names.some((name) => name.endsWith('.log'))) return `${this.levelFolder} has no log any more`;
    this.checks += 1;
    return this.manifest.lostFile(names, this.checks % sizesEvery === 1);
  }
}

async function identityOf(file: string): Promise<Identity> {
  const { dev, ino } = await stat(file);
  return { file, dev, ino };
}

function gone(message: string): FolderFault {
  return { type: 'gone', message };
}
