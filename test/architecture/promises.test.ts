import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './source-file.js';

/** The numbers of the rows in docs/promises.md, in their order. */
const promises = [...readFileSync(path.join(root, 'docs/promises.md'), 'utf8').matchAll(/^\| (\d+) \|/gm)].map(
  ([, number]) => Number(number),
);
const known = promises.length;

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const file = path.join(folder, name);
    if (name === 'node_modules' || name === 'architecture') return [];
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

describe('docs/promises.md', () => {
  it('numbers the promises from 1 without a gap', () => {
    expect(promises).toEqual(promises.map((_, index) => index + 1));
    expect(known).toBeGreaterThanOrEqual(38);
  });

  it.each(promises)('promise %i has a test that names it', (number) => {
    expect(shown).toContain(number);
  });

  it('has every promise that a test names', () => {
    expect([...shown].filter((number) => number < 1 || number > known)).toEqual([]);
  });
});
