import { describe, expect, it } from 'vitest';
import { roomFaults } from './room-rules.js';
import { type SourceFile, sourceFiles } from './source-file.js';

/** Cores that are divided into rooms. */
const cores = ['packages/node/src/core'];

/** It parses every file of these cores, which is slow where other tests run beside it. */
const timeout = 60_000;

it.each(cores)('the rooms of %s import each other without a cycle, through their index files', { timeout }, (core) => {
  const files = sourceFiles(core);
  expect(files.filter((file) => file.path.slice(core.length + 1).includes('/')).length).toBeGreaterThan(0);
  expect(roomFaults(core, files)).toEqual([]);
});

describe('the rules of rooms', () => {
  const core = 'packages/x/src/core';
  const file = (name: string, text: string): SourceFile => ({ path: `${core}/${name}`, text });

  it('allow an import within a room, of an index file, and of a file in the folder of the core', () => {
    const files = [
      file('a/one.ts', "import { two } from './two.js';\nimport { three } from '../b/index.js';"),
      file('b/index.ts', "export { three } from './three.js';"),
      file('b/three.ts', "import { four } from '../four.js';"),
    ];
    expect(roomFaults(core, files)).toEqual([]);
  });

  it('find an import past an index file', () => {
    expect(roomFaults(core, [file('a/one.ts', "import type { Three } from '../b/three.js';")])).toEqual([
      `${core}/a/one.ts:1: ../b/three.js is inside the room b`,
    ]);
  });

  it('find a cycle', () => {
    const files = [
      file('a/one.ts', "import { b } from '../b/index.js';"),
      file('b/two.ts', "import { c } from '../c.js';"),
      file('c.ts', "import { a } from './a/index.js';"),
    ];
    expect(roomFaults(core, files)).toEqual(['the rooms form a cycle: a -> b -> c.ts -> a']);
  });
});
