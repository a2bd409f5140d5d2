import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './source-file.js';

/** How many promises there are. */
const known = 38;
/** Those that are not kept in all yet: each other one has a test that names it in its title. */
const open: readonly number[] = [26, 27, 28, 37, 38];
const kept = Array.from({ length: known }, (_, index) => index + 1).filter((number) => !open.includes(number));

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const file = path.join(folder, name);
    if (name === 'node_modules' || name === 'house') return [];
    return statSync(file).isDirectory() ? filesIn(file) : [file];
  });
}

/** The numbers in `promise 7`, `promises 3 and 7`, `promises 1, 2 and 12`. */
function numbersIn(text: string): number[] {
  const phrases = text.matchAll(/\bpromises? (\d+(?:(?:, | and |, and )\d+)*)/gi);
  return [...phrases].flatMap(([, list = '']) => list.match(/\d+/g) ?? []).map(Number);
}

const packages = readdirSync(path.join(root, 'packages')).map((name) => path.join(root, 'packages', name, 'test'));
const tests = [path.join(root, 'test'), ...packages.filter((folder) => statSync(folder, { throwIfNoEntry: false }))]
  .flatMap(filesIn)
  .filter((file) => /\.test\.ts$|\/scenarios\/.*\.txt$/.test(file));
const shown = new Set(tests.flatMap((file) => numbersIn(readFileSync(file, 'utf8'))));

describe('each promise is shown by a test that names it', () => {
  it.each(kept)('promise %i', (number) => {
    expect(shown).toContain(number);
  });

  it('and no test names one that there is not', () => {
    expect([...shown].filter((number) => number < 1 || number > known)).toEqual([]);
  });
});
