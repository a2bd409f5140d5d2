/**
 * Checks whether the files of an open store still have their names. A process keeps using opened files: after `rm -rf`, or when
 * another folder is moved to that name, it would write into files that nobody can find again.
 *
 * Owns: the identities of the folders and of the side file that were opened. Does not own which tables count (`level-manifest.ts`).
 */
import { constants } from 'node:fs';
import { access, open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { missingFile } from './level-log-check.js';
import { LevelManifest } from './level-manifest.js';

/** The sizes of the tables are checked each time that the files were checked this often. */
const sizesEvery = 10;

/** What is wrong with the data folder. */
export type FolderFault =
  /** The open files no longer exist under their names: permanent. */
  | { readonly type: 'gone'; readonly message: string }
  /** A condition that may end keeps the store from working. `stopsWrites`: nothing can be stored meanwhile. */
  | { readonly type: 'trouble'; readonly message: string; readonly stopsWrites: boolean };

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

  /** Call it when all files have just been opened. */
  static async begin(folder: string, levelFolder: string, sideFile: string): Promise<DataFolderMonitor> {
    return new DataFolderMonitor(
      levelFolder,
      sideFile,
      await Promise.all([folder, levelFolder, sideFile].map(identityOf)),
    );
  }

  /**
   * Checks the files.
   * @param isIdle nothing was stored since the last check: it then writes and syncs a file of its own, to detect a disk that
   *   stores nothing. This takes as long as the disk takes.
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
      return { type: 'trouble', message: problemOf(error as NodeJS.ErrnoException), stopsWrites: !isShortOfFiles };
    }
  }

  private async probe(): Promise<void> {
    const file = await open(path.join(path.dirname(this.sideFile), 'probe'), 'w');
    try {
      await file.write('.');
      await file.datasync();
    } catch (error) {
      // The free space is measured separately.
      if (!['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    } finally {
      await file.close();
    }
  }

  private async missingLevelFile(): Promise<string | undefined> {
    const missing = await missingFile(this.levelFolder);
    if (missing !== undefined) return missing;
    const names = await readdir(this.levelFolder);
    if (!names.includes('LOCK')) return `${path.join(this.levelFolder, 'LOCK')} is not there any more`;
    // The new one is created before the last one is deleted.
    if (!names.some((name) => name.endsWith('.log'))) return `${this.levelFolder} has no log any more`;
    this.checks += 1;
    return this.manifest.lostTable(names, this.checks % sizesEvery === 1);
  }
}

async function identityOf(file: string): Promise<Identity> {
  const { dev, ino } = await stat(file);
  return { file, dev, ino };
}

function gone(message: string): FolderFault {
  return { type: 'gone', message };
}

/** @returns a message with what an operator can do */
export function problemOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EMFILE':
      return 'EMFILE: this process has no free file descriptors; raise its limit (ulimit -n)';
    case 'ENFILE':
      return 'ENFILE: this machine has no free file descriptors (fs.file-max)';
    case 'EROFS':
      return 'EROFS: the file system of the data folder is read-only; look why (dmesg), then mount it for writing again';
    case 'EACCES':
    case 'EPERM':
      return `${error.code}: the data folder may not be written by this process`;
    default:
      return error.message;
  }
}
