/** Formats the outcomes as tables. */
import { mutations } from './mutations/all.mjs';
import { chapters } from './rules.mjs';

/** @typedef {import('./hunt.mjs').Outcome} Outcome */

/**
 * Returns a table for each chapter: each rule with its mutants, what found each, at which seed, and within how many seeds it must be found.
 *
 * @param {ReadonlyMap<string, Outcome>} outcomes
 */
export function rulesTable(outcomes) {
  return chapters
    .map(({ title, rules }) => `### ${title}\n\n${head}${rules.map((rule) => rows(rule, outcomes)).join('')}`)
    .join('\n');
}

const head = '| rule | mutant | found by | at seed | allowed |\n|---|---|---|---|---|\n';

/**
 * @param {import('./rules.mjs').Rule} rule
 * @param {ReadonlyMap<string, Outcome>} outcomes
 */
function rows({ rule, mutants, why, testedBy }, outcomes) {
  if (mutants.length === 0) {
    const files = (testedBy ?? []).map((file) => `[${file}](../${file})`).join(', ');
    return `| ${rule} | none: ${why} | ${files} | | |\n`;
  }
  return mutants
    .map((id, place) => {
      const { verdict, invariant = '', seed } = outcomes.get(id) ?? {};
      const { seeds: allowed, test, why } = mutations.find((mutation) => mutation.id === id) ?? {};
      // By its file: a title may contain characters that a table cannot.
      const by = test === undefined ? invariant : `[a unit test](../${test}): ${why}`;
      const found = verdict === undefined ? 'not hunted' : verdict === 'found' ? by : `**${verdict}**`;
      return `| ${place === 0 ? rule : ''} | ${id} | ${found} | ${seed || ''} | ${allowed || ''} |\n`;
    })
    .join('');
}

/**
 * @param {string} text of a document with these tables
 * @returns {Map<string, number>} by mutant, the seed at which it was found
 */
export function seedsInTable(text) {
  const rows = text.matchAll(/^\|[^|]*\| ([a-z0-9-]+) \|[^|]*\| (\d+) \| \d+ \|$/gm);
  return new Map([...rows].map(([, id = '', seed]) => [id, Number(seed)]));
}
