/** What a process of `conclave run` loads and keeps in memory (decision 0136). */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const folder = path.resolve(import.meta.dirname, '../../packages/cli/bundle');
const files = readdirSync(folder).filter((name) => name.endsWith('.js'));
const textOf = (name: string) => readFileSync(path.join(folder, name), 'utf8');

/** The files that are loaded together with `name`, which excludes what it loads when needed. */
function loadedWith(name: string, found = new Set<string>()): Set<string> {
  if (found.has(name)) return found;
  found.add(name);
  for (const [, imported = ''] of textOf(name).matchAll(/^(?:import|export) .*?"\.\/([^"]+)";$/gm)) {
    loadedWith(imported, found);
  }
  return found;
}

test('each character of the bundle fits into one byte', () => {
  expect(files).toContain('run-main.js');
  for (const name of files) expect(textOf(name).search(/[^\0-\x7f]/), name).toBe(-1);
});

test('a process without nodes does not load their code', () => {
  const loaded = loadedWith('run-main.js');
  const defines = (name: string, className: string) =>
    new RegExp(`class ${className} |${className} = class `).test(textOf(name));
  const filesWith = (className: string) => files.filter((name) => defines(name, className));
  expect(filesWith('BallotBoxCore').some((name) => loaded.has(name))).toBe(true);
  for (const className of ['NodeCore', 'KvStateMachine']) {
    expect(filesWith(className), className).not.toEqual([]);
    expect(
      filesWith(className).filter((name) => loaded.has(name)),
      className,
    ).toEqual([]);
  }
});
