import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeFolder, makeFolderInBackground } from '../src/make-folder.js';

const base = mkdtempSync(path.join(tmpdir(), 'conclave-folders-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Both ways to create a folder. */
const ways: Record<string, (folder: string) => Promise<unknown>> = {
  makeFolder: async (folder) => makeFolder(folder),
  makeFolderInBackground,
};

describe.each(Object.entries(ways))('%s', (name, make) => {
  it('creates a folder with its parents, once', async () => {
    const folder = path.join(base, name, 'a', 'b');
    await make(folder);
    await make(folder);
    expect(statSync(folder).isDirectory()).toBe(true);
  });

  it.runIf(existsSync('/proc/self'))('fails below /proc, where mkdir of Node.js never returns', async () => {
    await expect(make('/proc/conclave/a/b')).rejects.toThrow(/ENOENT|EACCES|EPERM/);
  });

  it('fails below a file', async () => {
    const file = path.join(base, `${name}.file`);
    writeFileSync(file, '');
    await expect(make(path.join(file, 'a'))).rejects.toThrow(/EEXIST|ENOTDIR/);
  });
});

describe('makeFolder', () => {
  it('returns the first folder that it created, and gives all of them the mode', () => {
    const first = path.join(base, 'first');
    expect(makeFolder(path.join(first, 'second'), 0o700)).toBe(first);
    expect(makeFolder(path.join(first, 'second'))).toBeUndefined();
    expect(statSync(first).mode & 0o777).toBe(0o700);
  });

  it('is what all commands use', () => {
    const sources = path.resolve(import.meta.dirname, '../src');
    const names = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter((each) => each.endsWith('.ts'));
    const users = names.filter((each) => /\bmkdir(Sync)?\(/.test(readFileSync(path.join(sources, each), 'utf8')));
    expect(users).toEqual(['make-folder.ts']);
  });
});
