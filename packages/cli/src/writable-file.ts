/** Whether a file can be written, for commands that write it only after long work. Nothing is created or changed. */
import { access, constants, stat } from 'node:fs/promises';
import path from 'node:path';

/** @throws Error if it is known now that the file cannot be written */
export async function checkWritable(file: string): Promise<void> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (found === undefined) return checkFolder(file);
  if (found.isDirectory()) throw new Error(`${file} is a folder: name a file`);
  await access(file, constants.W_OK);
}

/** @throws Error if it is known now that no file can be created in the folder of this one */
export async function checkFolder(file: string): Promise<void> {
  const folder = path.dirname(path.resolve(file));
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new Error(`${file} cannot be written: there is no folder ${folder}`);
  });
  if (!found.isDirectory()) throw new Error(`${file} cannot be written: ${folder} is not a folder`);
  await access(folder, constants.W_OK | constants.X_OK);
}
