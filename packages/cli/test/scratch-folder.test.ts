import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scratchFolder } from '../src/bench/scratch-folder.js';
import { CleanUp } from '../src/processes/clean-up.js';

let base: string;

beforeAll(() => {
  base = mkdtempSync(path.join(tmpdir(), 'scratch-folder-'));
});

afterAll(() => rmSync(base, { recursive: true, force: true }));

describe('scratchFolder', () => {
  it('is deleted with the parent folders that it created', async () => {
    const cleanUp = new CleanUp();
    const folder = scratchFolder(cleanUp, path.join(base, 'a', 'b'), 'bench-');
    writeFileSync(path.join(folder, 'file'), 'content');
    await cleanUp.run();
    expect(readdirSync(base)).toEqual([]);
  });

  it('keeps a parent folder in which something else was stored meanwhile, and folders that existed', async () => {
    const cleanUp = new CleanUp();
    mkdirSync(path.join(base, 'existing'));
    const folder = scratchFolder(cleanUp, path.join(base, 'existing', 'made', 'deep'), 'bench-');
    const other = path.join(base, 'existing', 'made', 'data');
    writeFileSync(other, 'data of someone else');
    await cleanUp.run();
    expect(existsSync(folder)).toBe(false);
    expect(readdirSync(path.dirname(other))).toEqual(['data']);
  });
});
