/**
 * Contexts: named settings for the connection to a group. Each is a file in the configuration folder of the user; one of them is
 * the default of all commands. `nats:<name>` is a context of the `nats` tool.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { loginOptions, mayBeContent } from '@conclave/protocol/login';
import { UsageError } from '../exit-codes.js';
import type { CommandNode } from '../help/command-tree.js';
import { makeFolder } from '../make-folder.js';
import { readConfigurationFile } from './read-file.js';
import { contextSchema, type Values } from './schema.js';

const natsMark = 'nats:';
const validName = /^[A-Za-z0-9_.-]{1,64}$/;

/** The context that commands use by default; undefined: none. */
export function currentContext(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  try {
    return readFileSync(currentFile(environment), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

function currentFile(environment: NodeJS.ProcessEnv): string {
  return path.join(configurationFolder(environment), 'conclave', 'current-context');
}

function configurationFolder(environment: NodeJS.ProcessEnv): string {
  return environment.XDG_CONFIG_HOME || path.join(environment.HOME || homedir(), '.config');
}

export class Contexts {
  private readonly folder: string;
  private readonly natsFolder: string;

  constructor(
    private readonly tree: CommandNode,
    private readonly environment: NodeJS.ProcessEnv = process.env,
  ) {
    const base = configurationFolder(environment);
    this.folder = path.join(base, 'conclave');
    this.natsFolder = path.join(base, 'nats', 'context');
  }

  /** Returns the names of all contexts; those of the `nats` tool are marked. @throws Error if a folder cannot be read */
  list(): readonly string[] {
    const nats = namesIn(this.natsFolder).map((name) => natsMark + name);
    return [...namesIn(path.join(this.folder, 'contexts')), ...nats];
  }

  /**
   * Reads the settings of a context.
   * @throws UsageError if it does not exist, or its file is invalid
   */
  read(name: string): Values {
    if (name.startsWith(natsMark)) return { 'nats-context': name.slice(natsMark.length) };
    this.refuseMissing(name);
    return readConfigurationFile(this.fileOf(name), contextSchema(this.tree));
  }

  /**
   * Adds a context, or replaces it. Only this user may read its file. It can be used in every folder: the paths of files become
   * absolute.
   */
  add(name: string, values: Values): void {
    const file = this.fileOf(name);
    const entries = Object.entries(values).map(([key, value]) => [
      key,
      isPath(key, value) ? path.resolve(value) : value,
    ]);
    this.write(file, `${JSON.stringify(Object.fromEntries(entries), undefined, 2)}\n`);
  }

  /**
   * Makes commands use a context by default.
   * @param name undefined: none
   */
  use(name: string | undefined): void {
    if (name === undefined) return rmSync(currentFile(this.environment), { force: true });
    this.refuseMissing(name);
    this.write(currentFile(this.environment), `${name}\n`);
  }

  /** Removes a context of Conclave's own. */
  remove(name: string): void {
    if (name.startsWith(natsMark)) throw new UsageError(`${name} is of the nats tool: nats context rm`);
    this.refuseMissing(name);
    rmSync(this.fileOf(name));
    if (currentContext(this.environment) === name) this.use(undefined);
  }

  private fileOf(name: string): string {
    if (!validName.test(name))
      throw new UsageError('the given name is no name of a context: letters, digits and _.- are allowed, at most 64');
    return path.join(this.folder, 'contexts', `${name}.json`);
  }

  private refuseMissing(name: string): void {
    const all = this.list();
    if (all.includes(name)) return;
    const isShown = validName.test(name.replace(natsMark, '')) && !mayBeContent(name);
    const shown = isShown ? name : 'of the given name';
    const others = all.length === 0 ? 'create one with `conclave context add`' : `there are ${all.join(', ')}`;
    throw new UsageError(`there is no context ${shown}; ${others}`);
  }

  private write(file: string, text: string): void {
    makeFolder(path.dirname(file), 0o700);
    const temporary = `${file}.${process.pid}`;
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, file);
  }
}

/** Whether a setting is the path of a file; a context of the `nats` tool is its name or its file. */
function isPath(key: string, value: unknown): value is string {
  if (typeof value !== 'string' || value.startsWith('~') || mayBeContent(value)) return false;
  if (key === 'nats-context') return value.includes('/') || value.endsWith('.json');
  return loginOptions.some(({ option, value: kind }) => option === key && kind === 'file');
}

function namesIn(folder: string): readonly string[] {
  try {
    const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
    return files.map((name) => name.slice(0, -'.json'.length)).toSorted();
  } catch (error) {
    // An unreadable folder is not an empty one.
    if (!['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return [];
  }
}
