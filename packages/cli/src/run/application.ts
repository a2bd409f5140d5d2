/** The state machine of a node: the key-value store, or the one that `--application` names. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Application } from '@conclave/actor/core';
import { KvService, KvStateMachine } from '@conclave/kv';
import type { RunOptions } from './run-options.js';

/** The export that is used if `--application` names none. */
const defaultExport = 'application';

/**
 * Loads the application of this process.
 * @throws Error if the module or its export does not exist, or is not an application
 */
export async function loadApplication(options: RunOptions): Promise<Application> {
  const { application } = options;
  if (application === undefined) {
    return { service: new KvService(), makeStateMachine: () => new KvStateMachine(options) };
  }
  const [module, name = defaultExport] = application.split('#') as [string, string?];
  const exported = ((await import(found(module))) as Record<string, unknown>)[name];
  if (exported === undefined) throw new Error(`--application: ${module} exports no ${name}`);
  const made: unknown = typeof exported === 'function' ? await exported() : exported;
  if (isApplication(made)) return made;
  throw new Error(`--application: ${name} of ${module} exports no { service: { parse }, makeStateMachine }`);
}

/** @throws Error if there is no such file or package */
function found(module: string): string {
  try {
    const url = locate(module);
    if (existsSync(fileURLToPath(url))) return url;
  } catch {
    // The error below says the same.
  }
  const hint = isFile(module) ? path.resolve(module) : 'a file begins with ./ or /';
  throw new Error(`--application: there is no ${isFile(module) ? 'file' : 'package'} ${module} (${hint})`);
}

/** A file, relative to the current folder; or a package that is installed there. */
function locate(module: string): string {
  const here = process.cwd();
  if (isFile(module)) return pathToFileURL(path.resolve(here, module)).href;
  return pathToFileURL(createRequire(path.join(here, 'package.json')).resolve(module)).href;
}

function isFile(module: string): boolean {
  return module.startsWith('.') || path.isAbsolute(module);
}

function isApplication(made: unknown): made is Application {
  const { service, makeStateMachine } = (made ?? {}) as Partial<Application>;
  return typeof makeStateMachine === 'function' && typeof service?.parse === 'function';
}
