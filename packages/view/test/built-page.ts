/** The page, built into a temporary folder: unit tests need no build. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { afterAll } from 'vitest';

let folder: Promise<string> | undefined;

export function builtPage(): Promise<string> {
  folder ??= make();
  return folder;
}

async function make(): Promise<string> {
  const outDir = mkdtempSync(path.join(tmpdir(), 'conclave-page-'));
  const configFile = fileURLToPath(new URL('../vite.config.mjs', import.meta.url));
  // Vitest has another value, which changes what Vite builds.
  const before = process.env.NODE_ENV;
  process.env.NODE_ENV = 'production';
  await build({ configFile, build: { outDir } });
  process.env.NODE_ENV = before;
  return outDir;
}

afterAll(async () => {
  if (folder !== undefined) rmSync(await folder, { recursive: true, force: true });
});
