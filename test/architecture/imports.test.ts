import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { importCycles, KNOWN_CYCLES } from './import-cycles.js';
import { importFaults, type Manifest, type PackageFacts } from './import-rules.js';
import { packageNames, root, sourceFiles } from './source-file.js';

/** It parses every source of the project, which is slow where other tests run beside it. */
const timeout = 60_000;

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(path.join(root, file), 'utf8')) as T;
}

function readPackage(folder: string): PackageFacts {
  const config = readJson<{ references?: { path: string }[] }>(`packages/${folder}/tsconfig.json`);
  return {
    folder,
    manifest: readJson<Manifest>(`packages/${folder}/package.json`),
    references: (config.references ?? []).map((reference) => path.basename(reference.path)),
    files: sourceFiles(`packages/${folder}/src`),
  };
}

describe('the project', () => {
  const packages = packageNames().map(readPackage);

  it('has the packages of the rules, each with sources', () => {
    expect(packages.map(({ folder }) => folder)).toEqual(
      expect.arrayContaining(['protocol', 'actor', 'node', 'log-store', 'client', 'cli']),
    );
    expect(packages.filter(({ files }) => files.length === 0)).toEqual([]);
  });

  it('imports one way only', { timeout }, () => {
    expect(importFaults(packages)).toEqual([]);
  });

  it('has no import cycles between files', { timeout }, () => {
    expect(importCycles(packages.flatMap(({ files }) => files))).toEqual(KNOWN_CYCLES);
  });

  it('builds every package', () => {
    const { references } = readJson<{ references: { path: string }[] }>('tsconfig.json');
    expect(references.map((reference) => path.basename(reference.path)).toSorted()).toEqual(
      packages.map(({ folder }) => folder),
    );
  });
});

describe('the rules', () => {
  const actor: PackageFacts = {
    folder: 'actor',
    manifest: { name: '@conclave/actor', exports: { '.': {}, './core': {} } },
    references: [],
    files: [],
  };

  function faultsOf(text: string, dependencies: string[] = ['@conclave/actor']): string[] {
    const node: PackageFacts = {
      folder: 'node',
      manifest: {
        name: '@conclave/node',
        dependencies: Object.fromEntries(dependencies.map((name) => [name, '0.1.0'])),
      },
      references: dependencies
        .filter((name) => name.startsWith('@conclave/'))
        .map((name) => name.slice('@conclave/'.length)),
      files: [{ path: 'packages/node/src/shell/a.ts', text }],
    };
    return importFaults([actor, node]);
  }

  const where = 'packages/node/src/shell/a.ts:1';

  it('accept valid imports', () => {
    const text = [
      'import { readFile } from "node:fs/promises";',
      'import type { Actor } from "@conclave/actor";',
      'export * from "@conclave/actor/core";',
      'import { b } from "../b.js";',
    ].join('\n');
    expect(faultsOf(text)).toEqual([]);
  });

  it.each([
    ['an undeclared package', 'import "zod";', 'zod is not declared'],
    ["a type's import", 'import type { A } from "zod";', 'zod is not declared'],
    ['a re-export', 'export * from "zod/v4";', 'zod is not declared'],
    ['a dynamic import', 'void import("zod");', 'zod is not declared'],
    ['an import in a type', 'type A = import("zod").A;', 'zod is not declared'],
    ['a bare builtin', 'import "fs";', 'fs is not declared'],
    [
      'a deep import',
      'import "@conclave/actor/src/index.js";',
      '@conclave/actor/src/index.js is not exported by @conclave/actor',
    ],
    ['a way around', 'import "../../../kv/src/index.js";', "../../../kv/src/index.js leaves the package's sources"],
    ['an import of itself', 'import "@conclave/node";', '@conclave/node is this package itself'],
    ['a computed import', 'void import(name);', 'imports a specifier that is computed'],
  ])('reject %s', (_what, text, fault) => {
    expect(faultsOf(text)).toEqual([`${where}: ${fault}`]);
  });

  it('reject a dependency on a sibling, and on a third party of another package', () => {
    expect(faultsOf('', ['@conclave/log-store'])).toEqual(['packages/node must not depend on @conclave/log-store']);
    expect(faultsOf('', ['nats'])).toEqual(['packages/node must not depend on nats']);
  });

  it('reject a package that is not listed', () => {
    expect(importFaults([{ ...actor, folder: 'utils' }])).toEqual([
      'packages/utils has no place in the order of imports',
    ]);
  });

  it('reject a tsconfig.json that differs from package.json', () => {
    expect(importFaults([{ ...actor, references: ['protocol'] }])).toEqual([
      'packages/actor: tsconfig.json refers to [protocol], package.json to []',
    ]);
  });

  it('find import cycles, also of types and re-exports', () => {
    const file = (name: string, text: string) => ({ path: `packages/node/src/${name}.ts`, text });
    const files = [
      file('main', 'import { a } from "./a.js"; import "node:fs"; import "@conclave/actor";'),
      file('a', 'import type { B } from "./b.js"; import { leaf } from "./leaf.js";'),
      file('b', 'export * from "./core/c.js";'),
      file('core/c', 'import { a } from "../a.js";'),
      file('leaf', 'export const leaf = 1;'),
      file('self', 'import "./self.js";'),
    ];
    const inPackage = (names: string[]) => names.map((name) => `packages/node/src/${name}.ts`);
    expect(importCycles(files)).toEqual([inPackage(['a', 'b', 'core/c']), inPackage(['self'])]);
  });
});
