import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { coreFaults } from './core-rules.js';
import { packageNames, root, sourceFiles } from './source-file.js';

describe("the project's cores", () => {
  const files = packageNames().flatMap((name) => sourceFiles(`packages/${name}/src/core`));

  it('exist', () => {
    expect(files.map((file) => file.path)).toContain('packages/actor/src/core/index.ts');
  });

  it('do no I/O and use neither clocks nor randomness', () => {
    expect(files.flatMap(coreFaults)).toEqual([]);
  });
});

const sample = 'packages/node/src/core/election/a.ts';

describe('the rules', () => {
  it('accept a valid core', () => {
    const text = [
      'import type { Term } from "@conclave/protocol";',
      'import { stop } from "@conclave/actor/core";',
      'export * from "./ballot.js";',
      'export { step } from "../step.js";',
      '// new Date() and Math.random() in a comment are no sin',
      'const words = "Promise, setTimeout";',
      'interface Timer { process: number; console?: string }',
      'export const of = (timer: Timer): number => timer.process + Math.max(1, 2);',
      'export const made = { process: 1, console: words };',
    ].join('\n');
    expect(coreFaults({ path: sample, text })).toEqual([]);
  });

  it.each([
    ['import { readFileSync } from "node:fs";', 'a core does not import node:fs'],
    ['import type { Stats } from "node:fs";', 'a core does not import node:fs'],
    ['import { connect } from "nats";', 'a core does not import nats'],
    ['import { Level } from "level";', 'a core does not import level'],
    ['import pino from "pino";', 'a core does not import pino'],
    ['import { host } from "@conclave/actor";', 'a core does not import @conclave/actor'],
    ['export * from "../../shell.js";', '../../shell.js is outside the core'],
    ['export const now = () => Date.now();', 'uses Date'],
    ['export const now = () => new Date();', 'uses Date'],
    ['export let at: Date | undefined;', 'uses Date'],
    ['export const now = () => performance.now();', 'uses performance'],
    ['export const draw = () => Math.random();', 'uses Math.random'],
    ['export const draw = () => Math["random"]();', 'uses Math.random'],
    ['const { random } = Math;', 'takes Math apart'],
    ['setTimeout(() => {}, 1);', 'uses setTimeout'],
    ['setInterval(() => {}, 1);', 'uses setInterval'],
    ['setImmediate(() => {});', 'uses setImmediate'],
    ['queueMicrotask(() => {});', 'uses queueMicrotask'],
    ['export const id = crypto.randomUUID();', 'uses crypto'],
    ['export const env = process.env;', 'uses process'],
    ['export const all = { process };', 'uses process'],
    ['globalThis.setTimeout(() => {}, 1);', 'uses globalThis'],
    ['console.log("hello");', 'uses console'],
    ['export const wait = (): Promise<void> => other();', 'uses Promise'],
    ['export async function step() {}', 'has an async function'],
    ['export const step = async () => {};', 'has an async function'],
    ['export class A { async step() {} }', 'has an async function'],
    ['await other();', 'awaits'],
    ['export {}; for await (const a of all) a();', 'awaits'],
    ['export const here = import.meta.url;', 'uses import.meta'],
  ])('reject %s', (text, fault) => {
    expect(coreFaults({ path: sample, text })).toEqual([`${sample}:1: ${fault}`]);
  });

  it('reject a dynamic import', () => {
    expect(coreFaults({ path: sample, text: 'export const a = () => import("level");' })).toEqual([
      `${sample}:1: a core does not import level`,
      `${sample}:1: imports dynamically`,
    ]);
  });

  it('name the line', () => {
    expect(coreFaults({ path: sample, text: '\n\nDate.now();' })).toEqual([`${sample}:3: uses Date`]);
  });
});

describe("the linter's rules for cores", () => {
  const bad: Record<string, string> = {
    'bad-builtin': 'import { readFileSync } from "node:fs";\nreadFileSync("a");\n',
    'bad-third-party': 'import { connect } from "nats";\nconnect();\n',
    'bad-shell': 'import { host } from "@conclave/actor";\nhost();\n',
    'bad-time': 'export const now = () => Date.now();\n',
    'bad-timer': 'setTimeout(() => {}, 1);\n',
    'bad-promise': 'export const all = () => Promise.resolve();\n',
  };
  const good = [
    'import { stop } from "@conclave/actor/core";',
    'import { termOf } from "@conclave/protocol";',
    'import { step } from "../step.js";',
    'import { vote } from "./vote.js";',
    '',
    'stop(termOf(step(vote)));',
    '',
  ].join('\n');

  it('reject the same, in cores only', async () => {
    const project = mkdtempSync(path.join(tmpdir(), 'conclave-lint-'));
    try {
      copyFileSync(path.join(root, 'biome.json'), path.join(project, 'biome.json'));
      for (const folder of ['packages/node/src/core/election', 'packages/node/src/shell']) {
        mkdirSync(path.join(project, folder), { recursive: true });
        for (const [name, text] of Object.entries({ ...bad, good })) {
          writeFileSync(path.join(project, folder, `${name}.ts`), text);
        }
      }
      const core = 'packages/node/src/core/election';
      expect(await restrictionsIn(project)).toEqual([
        `${core}/bad-builtin.ts: lint/style/noRestrictedImports`,
        `${core}/bad-promise.ts: lint/style/noRestrictedGlobals`,
        `${core}/bad-shell.ts: lint/style/noRestrictedImports`,
        `${core}/bad-third-party.ts: lint/style/noRestrictedImports`,
        `${core}/bad-time.ts: lint/style/noRestrictedGlobals`,
        `${core}/bad-timer.ts: lint/style/noRestrictedGlobals`,
      ]);
    } finally {
      rmSync(project, { recursive: true, force: true });
    }
  });

  interface Report {
    diagnostics: { category: string; location: { path: string } }[];
  }

  /** What the linter's `noRestricted...` rules contain for a folder, sorted. */
  async function restrictionsIn(folder: string): Promise<string[]> {
    const biome = path.join(root, 'node_modules/@biomejs/biome/bin/biome');
    const args = [biome, 'lint', '--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none'];
    const output = await new Promise<string>((resolve) => {
      execFile(process.execPath, args, { cwd: folder }, (_error, stdout) => resolve(stdout));
    });
    const { diagnostics } = JSON.parse(output) as Report;
    return diagnostics
      .filter(({ category }) => category.includes('noRestricted'))
      .map(({ category, location }) => `${location.path}: ${category}`)
      .sort();
  }
});
