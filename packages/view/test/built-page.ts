/** The page, built into a temporary folder of each test file: unit tests need no build. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { afterAll } from 'vitest';

/** Called once by a test file. Returns a function that builds the page, once, and returns its folder, which is deleted at the end. */
export function pageBuilder(): () => Promise<string> {
  let folder: Promise<string> | undefined;
  afterAll(async () => {
    if (folder !== undefined) rmSync(await folder, { recursive: true, force: true });
  });
  return () => {
    folder ??= make();
    return folder;
  };
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
