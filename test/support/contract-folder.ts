/** The folder in which the tests of one run record which parts of the contract they have seen (`contract-record.ts`). */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const folderVariable = 'CONCLAVE_CONTRACT_RECORD';

/** The folder; undefined: nothing is recorded. */
export function recordFolder(): string | undefined {
  return process.env[folderVariable];
}

/** In the set-up of a run: lets its tests record. Returns a function that deletes the records. */
export function keepRecord(): () => void {
  if (recordFolder() !== undefined) return () => undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'conclave-contract-'));
  process.env[folderVariable] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

/** Returns all records of this run so far; empty if the run does not record. */
export function recorded(): ReadonlySet<string> {
  const folder = recordFolder();
  if (folder === undefined) return new Set();
  const files = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8'));
  return new Set(files.flatMap((text) => text.split('\n')).filter((line) => line !== ''));
}
