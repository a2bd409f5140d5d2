/** The built page: a few files, which are read once. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export interface PageFile {
  readonly type: string;
  readonly content: Uint8Array<ArrayBuffer>;
  readonly compressed: Uint8Array<ArrayBuffer>;
}

/**
 * Returns the folder of the built page: beside the command's bundle, or in this package.
 * @throws Error if it was not built
 */
export function findPage(): string {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const folders = [path.join(here, 'page'), path.join(here, '..', '..', 'dist', 'page')];
  const found = folders.find((folder) => existsSync(path.join(folder, 'index.html')));
  if (found === undefined)
    throw new Error(`the page was not built (npm run build): it is in none of ${folders.join(', ')}`);
  return found;
}

/** Reads the files of the page, by their paths in URLs. */
export function readPage(folder: string): Map<string, PageFile> {
  const files = new Map<string, PageFile>();
  for (const name of readdirSync(folder)) {
    const type = types[path.extname(name)];
    if (type === undefined) continue;
    const content = new Uint8Array(readFileSync(path.join(folder, name)));
    files.set(`/${name}`, { type, content, compressed: new Uint8Array(gzipSync(content)) });
  }
  const index = files.get('/index.html');
  if (index !== undefined) files.set('/', index);
  return files;
}
