/** Finds programs that are installed on this machine. */
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { ConclaveError } from '@conclave/protocol';
import { runTool } from '../nats-server/run-tool.js';

export interface ProgramOptions {
  /** `a NATS server` */
  readonly title: string;
  /** The environment variable that names the file. */
  readonly variable: string;
  /** What the program prints with `--version`, a part of it. */
  readonly prints: string;
  readonly environment: NodeJS.ProcessEnv;
}

export interface Program {
  readonly file: string;
  /** What it prints with `--version`. */
  readonly version: string;
}

/**
 * Returns the program that the variable names, else the one on the PATH or in the folders of system packages; undefined: there is
 * none.
 * @throws ConclaveError ENOENT if the variable names a file that is not this program
 */
export async function findProgram(fileName: string, options: ProgramOptions): Promise<Program | undefined> {
  const { title, variable, prints, environment } = options;
  const named = environment[variable];
  if (named !== undefined && named !== '') {
    const version = await versionOf(named, prints);
    if (version !== undefined) return { file: named, version };
    throw new ConclaveError('ENOENT', `${variable} names ${named}, which is not ${title} that runs`);
  }
  for (const folder of searchPath(environment)) {
    const file = path.join(folder, fileName);
    const version = await versionOf(file, prints);
    if (version !== undefined) return { file, version };
  }
  return undefined;
}

/** Returns what a program prints with `--version`; undefined if it is not there, does not run, or is another program. */
export async function versionOf(file: string, prints: string): Promise<string | undefined> {
  try {
    if (!statSync(file).isFile()) return undefined;
    accessSync(file, constants.X_OK);
  } catch {
    return undefined;
  }
  const { code, output } = await runTool(file, ['--version']);
  return code === 0 && output.includes(prints) ? output : undefined;
}

function searchPath({ PATH = '' }: NodeJS.ProcessEnv): readonly string[] {
  const folders = PATH.split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  // The package of Debian installs into /usr/sbin, which is on the PATH of root only.
  const usual =
    process.platform === 'win32' ? [] : ['/usr/local/bin', '/usr/local/sbin', '/usr/sbin', '/opt/homebrew/bin'];
  return [...new Set([...folders, ...usual])];
}
