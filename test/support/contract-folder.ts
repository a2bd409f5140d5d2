/** Where the tests of one run note what of the contract they have seen; `contract-record.ts` does that. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const folderVariable = 'CONCLAVE_CONTRACT_RECORD';

/** The folder; undefined where nothing is to be noted. */
export function recordFolder(): string | undefined {
  return process.env[folderVariable];
}

/** In the set-up of a run: has its tests note what they see. Answers what removes the notes again. */
export function keepRecord(): () => void {
  if (recordFolder() !== undefined) return () => undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'conclave-contract-'));
  process.env[folderVariable] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

/** All that was noted in this run so far; nothing where it is no run that notes. */
export function recorded(): ReadonlySet<string> {
  const folder = recordFolder();
  if (folder === undefined) return new Set();
  const files = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8'));
  return new Set(files.flatMap((text) => text.split('\n')).filter((line) => line !== ''));
}
