import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDataDir } from '../src/processes/data-dir-lock.js';

describe('the claim on a folder', () => {
  let folder = '';
  let file = '';
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'conclave-claim-'));
    file = path.join(folder, 'up.pid');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is held by one at a time, and can be had again', () => {
    const release = lockDataDir(folder);
    expect(() => lockDataDir(folder)).toThrow(`process ${process.pid} keeps peers up in ${folder} already`);
    release();
    expect(existsSync(file)).toBe(false);
    lockDataDir(folder)();
  });

  it.each([
    ['of a process that is gone', `${2 ** 30}\n`, 0],
    ['that was not touched for long, whichever process has the number now', `${process.pid}\n`, 60],
    ['that makes no sense', 'nonsense', 0],
    ['that is empty', '', 0],
  ])('takes over a claim %s', (_, text, secondsAgo) => {
    writeFileSync(file, text);
    const then = new Date(Date.now() - secondsAgo * 1000);
    utimesSync(file, then, then);
    lockDataDir(folder)();
  });

  it('leaves a claim alone that another process has taken over, because this one was suspended for long', () => {
    const release = lockDataDir(folder);
    writeFileSync(file, '1\n');
    release();
    expect(readFileSync(file, 'utf8')).toBe('1\n');
    expect(readdirSync(folder)).toEqual(['up.pid']);
  });
});
