/**
 * A copy of the packages in a folder of its own, in which one mutation at a time is made. The project's sources are never changed.
 *
 * A mutation takes milliseconds: only the files that it edits are compiled, without a type check. The types of all mutations are checked
 * once, as many at a time as do not change the same text.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { cp, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { transformWithOxc } from 'vite';
import { capture, root as projectRoot } from '../../scripts/run.mjs';

/** @typedef {import('./mutations/mutation.mjs').Mutation} Mutation */

/** The files of each package that a build and a unit test need, and that make a build short. */
const copied = ['src', 'test', 'dist', 'package.json', 'tsconfig.json'];

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
    // For example, unit tests that start a NATS server use them.
    for (const name of ['test', 'scripts']) {
      const from = path.join(this.root, name);
      if (existsSync(from)) symlinkSync(from, path.join(this.folder, name));
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
   * Makes a mutation, or none, in place of the one before.
   *
   * @param {Mutation | undefined} mutation
   */
  async change(mutation) {
    this.#restore();
    for (const file of this.#write(mutation === undefined ? [] : [mutation])) await this.#compile(file);
  }

  /**
   * Leaves the packages as they were.
   *
   * @param {readonly Mutation[]} mutations
   * @returns {Promise<Map<string, string>>} by id, why a mutation cannot be built
   */
  async check(mutations) {
    /** @type {Map<string, string>} */
    const faults = new Map();
    const batches = this.#batches(mutations, faults);
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      this.#restore();
      this.#write(batch);
      const errors = await this.#build();
      if (errors === '') continue;
      const half = Math.ceil(batch.length / 2);
      if (batch.length > 1) batches.unshift(batch.slice(0, half), batch.slice(half));
      else for (const { id } of batch) faults.set(id, `${id} cannot be built:\n${errors}`);
    }
    this.#restore();
    const errors = await this.#build();
    if (errors !== '') throw new Error(`what is not mutated cannot be built:\n${errors}`);
    return faults;
  }

  /**
   * @param {readonly Mutation[]} mutations
   * @param {Map<string, string>} faults gets those whose text is not there
   * @returns {Mutation[][]} each of mutations that can be made together
   */
  #batches(mutations, faults) {
    /** @type {{ texts: Map<string, string>, mutations: Mutation[] }[]} */
    const batches = [];
    for (const mutation of mutations) {
      try {
        this.#edit(mutation, new Map());
      } catch (error) {
        faults.set(mutation.id, error instanceof Error ? error.message : String(error));
        continue;
      }
      const place = batches.find((batch) => this.#joins(batch, mutation));
      if (place === undefined) batches.push({ texts: this.#edit(mutation, new Map()), mutations: [mutation] });
    }
    return batches.map((batch) => batch.mutations);
  }

  /**
   * @param {{ texts: Map<string, string>, mutations: Mutation[] }} batch gets the mutation, if it can be made beside the others
   * @param {Mutation} mutation
   */
  #joins(batch, mutation) {
    try {
      batch.texts = this.#edit(mutation, batch.texts);
    } catch {
      return false;
    }
    batch.mutations.push(mutation);
    return true;
  }

  /**
   * @param {Mutation} mutation
   * @param {ReadonlyMap<string, string>} texts of files that differ from those on the disk
   * @returns {Map<string, string>} with the mutation
   */
  #edit(mutation, texts) {
    const changed = new Map(texts);
    for (const edit of mutation.edits) {
      const file = path.join(this.folder, edit.file);
      changed.set(file, edited(changed.get(file) ?? readFileSync(file, 'utf8'), edit, mutation.id));
    }
    return changed;
  }

  /**
   * @param {readonly Mutation[]} mutations
   * @returns {string[]} the files that have changed
   */
  #write(mutations) {
    /** @type {Map<string, string>} */
    let texts = new Map();
    for (const mutation of mutations) texts = this.#edit(mutation, texts);
    for (const [file, text] of texts) this.#change(file, text);
    return [...texts.keys()];
  }

  /**
   * @param {string} file
   * @param {string} text
   */
  #change(file, text) {
    if (!this.originals.has(file)) this.originals.set(file, readFileSync(file, 'utf8'));
    writeFileSync(file, text);
  }

  #restore() {
    for (const [file, text] of this.originals) writeFileSync(file, text);
    this.originals.clear();
  }

  /** @param {string} file a source, whose text is compiled to where a build puts it */
  async #compile(file) {
    const options = { target: 'es2023', sourcemap: false, typescript: { onlyRemoveTypeImports: true } };
    const { code } = await transformWithOxc(readFileSync(file, 'utf8'), file, options);
    this.#change(file.replace(`${path.sep}src${path.sep}`, `${path.sep}dist${path.sep}`).replace(/\.ts$/, '.js'), code);
  }

  /** @returns {Promise<string>} the errors */
  async #build() {
    const tsc = path.join(this.folder, 'node_modules', 'typescript', 'bin', 'tsc');
    const { code, output } = await capture(process.execPath, [tsc, '-b', 'packages/simulator'], { cwd: this.folder });
    return code === 0 ? '' : output || `tsc ended with ${code}`;
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
    throw new Error(`mutation ${id}: the text is ${times} in ${file}, and must be there once:\n${find}`);
  }
  return before + replace + after;
}
