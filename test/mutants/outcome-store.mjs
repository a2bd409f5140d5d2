/**
 * Stores the outcomes of a hunt, so that an interrupted run resumes where it stopped. An outcome is valid only for the same sources and the
 * same mutation.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** @typedef {import('./hunt.mjs').Hunted} Hunted */
/** @typedef {import('./hunt.mjs').Outcome} Outcome */

export class OutcomeStore {
  /** @param {string} root the project */
  constructor(root) {
    const folder = path.join(root, '.cache', 'mutants');
    mkdirSync(folder, { recursive: true });
    this.file = path.join(folder, `${hashOfSources(root)}.jsonl`);
    /** @type {Map<string, Outcome>} */
    this.outcomes = new Map();
    if (!existsSync(this.file)) return;
    for (const line of readFileSync(this.file, 'utf8').split('\n')) {
      const kept = parsed(line);
      if (kept !== undefined) this.outcomes.set(kept.key, kept.outcome);
    }
  }

  /**
   * @param {Hunted} hunted
   * @returns {Outcome | undefined} of an earlier run
   */
  get(hunted) {
    return this.outcomes.get(keyOf(hunted));
  }

  /**
   * Stores an outcome, unless a tool failed: that is tried again.
   *
   * @param {Hunted} hunted
   * @param {Outcome} outcome
   */
  keep(hunted, outcome) {
    if (outcome.verdict !== 'found' && outcome.verdict !== 'survived') return;
    appendFileSync(this.file, `${JSON.stringify({ key: keyOf(hunted), id: hunted.id, outcome })}\n`);
  }
}

/** @param {Hunted} hunted */
function keyOf({ id, mutation, search }) {
  // The first seed to try does not belong to the mutation.
  const sought = 'seeds' in search ? [...search.seeds].sort((a, b) => a - b) : search;
  return createHash('sha256').update(JSON.stringify({ id, mutation, sought })).digest('hex');
}

/**
 * @param {string} line
 * @returns {{ key: string, outcome: Outcome } | undefined} undefined where it was cut short
 */
function parsed(line) {
  try {
    return line === '' ? undefined : JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** @param {string} root */
function hashOfSources(root) {
  const hash = createHash('sha256');
  const packages = readdirSync(path.join(root, 'packages')).map((name) => path.join('packages', name));
  const folders = packages.flatMap((folder) => [path.join(folder, 'src'), path.join(folder, 'test')]);
  for (const folder of [...folders, path.join('test', 'scenarios')]) {
    if (!existsSync(path.join(root, folder))) continue;
    const names = readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true });
    const files = names.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
    for (const file of files.sort()) hash.update(path.relative(root, file)).update('\0').update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 16);
}
