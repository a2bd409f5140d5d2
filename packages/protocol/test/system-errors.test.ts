import { readFileSync, renameSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemErrorReason, systemErrorText } from '../src/index.js';

function errorOf(act: () => void): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('an error of a file function', () => {
  const missing = path.join(tmpdir(), "conclave, it's missing");

  test('names the file and the reason, without the code and the function of Node.js', () => {
    const error = errorOf(() => statSync(missing));
    expect(systemErrorReason(error)).toBe('no such file or directory');
    expect(systemErrorText(error)).toBe(`${missing}: no such file or directory`);
  });

  test('names both files of a rename', () => {
    const error = errorOf(() => renameSync(missing, `${missing}-2`));
    expect(systemErrorText(error)).toBe(`${missing} to ${missing}-2: no such file or directory`);
  });

  test('without a path has only the reason', () => {
    expect(systemErrorText(errorOf(() => readFileSync(tmpdir())))).toBe('illegal operation on a directory');
  });
});

test('another error has its message', () => {
  expect(systemErrorText(new Error('ENOENT: there is no key "a"'))).toBe('ENOENT: there is no key "a"');
  expect(systemErrorText('gone')).toBe('gone');
});
