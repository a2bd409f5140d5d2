/**
 * A copy of the packages in a folder of its own, in which one mutation at a time is made and built. The sources that
 * everybody works with are never touched.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { cp, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { capture, root as projectRoot } from '../../scripts/run.mjs';

/** @typedef {import('./mutations/mutation.mjs').Mutation} Mutation */

/** Of each package, what a build needs, and what makes it short. */
const copied = ['src', 'dist', 'package.json', 'tsconfig.json'];

export class Workbench {
  /**
   * @param {string} root the project
   * @returns {Promise<Workbench>}
   */
  static async make(root = projectRoot) {
    const bench = new Workbench(root, mkdtempSync(path.join(tmpdir(), 'conclave-mutants-')));
    try {
      await bench.#copy();
    } catch (error) {
      bench.remove();
      throw error;
    }
    return bench;
  }

  /**
   * @param {string} root
   * @param {string} folder
   */
  constructor(root, folder) {
    this.root = root;
    this.folder = folder;
    /** What the files held that are changed now. @type {Map<string, string>} */
    this.originals = new Map();
  }

  async #copy() {
    await cp(path.join(this.root, 'tsconfig.base.json'), path.join(this.folder, 'tsconfig.base.json'));
    const packages = readdirSync(path.join(this.root, 'packages'));
    for (const name of packages) {
      for (const part of copied) {
        const from = path.join(this.root, 'packages', name, part);
        if (!existsSync(from)) continue;
        await cp(from, path.join(this.folder, 'packages', name, part), { recursive: true, preserveTimestamps: true });
      }
    }
    const modules = path.join(this.folder, 'node_modules');
    await mkdir(path.join(modules, '@conclave'), { recursive: true });
    for (const name of readdirSync(path.join(this.root, 'node_modules'))) {
      if (name !== '@conclave') symlinkSync(path.join(this.root, 'node_modules', name), path.join(modules, name));
    }
    for (const name of packages) {
      symlinkSync(path.join(this.folder, 'packages', name), path.join(modules, '@conclave', name));
    }
  }

  /**
   * Makes a mutation, or none, in place of the one before, and builds.
   *
   * @param {Mutation | undefined} mutation
   */
  async change(mutation) {
    for (const [file, text] of this.originals) writeFileSync(file, text);
    this.originals.clear();
    for (const edit of mutation?.edits ?? []) {
      const file = path.join(this.folder, edit.file);
      const text = readFileSync(file, 'utf8');
      if (!this.originals.has(file)) this.originals.set(file, text);
      writeFileSync(file, edited(text, edit, mutation?.id ?? ''));
    }
    const tsc = path.join(this.folder, 'node_modules', 'typescript', 'bin', 'tsc');
    const { code, output } = await capture(process.execPath, [tsc, '-b', 'packages/simulator'], { cwd: this.folder });
    if (code !== 0) throw new Error(`${mutation?.id ?? 'what is not mutated'} cannot be built:\n${output}`);
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * @param {string} text
 * @param {import('./mutations/mutation.mjs').Edit} edit
 * @param {string} id
 */
export function edited(text, { file, find, replace }, id) {
  const [before, after, ...more] = text.split(find);
  if (before === undefined || after === undefined || more.length > 0) {
    const times = after === undefined ? 'not' : `${more.length + 1} times`;
    throw new Error(`mutation ${id}: stands ${times} in ${file}, and must stand there once:\n${find}`);
  }
  return before + replace + after;
}
