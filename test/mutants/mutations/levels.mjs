/** Feature levels (DESIGN, section 9). */

const raise = 'packages/node/src/core/level-raise.ts';
const change = 'packages/node/src/core/configuration-change.ts';
const applier = 'packages/node/src/core/applier.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const levels = [
  {
    id: 'level-raised-too-early',
    rule: 'The level is raised only where each member and each joiner speaks it.',
    edits: [
      {
        file: raise,
        find: "return this.peers(target).filter(({ holds_back }) => holds_back !== '');",
        replace: "return this.peers(target).filter(({ holds_back }) => holds_back === 'never');",
      },
    ],
    seeds: 0,
    scenario: 'upgrade.txt',
  },
  {
    id: 'peer-below-the-level-admitted',
    rule: 'A membership change rejects a new peer whose level is too low.',
    edits: [
      {
        file: change,
        find: 'return levels !== undefined && (level > levels.highest || level < levels.lowest);',
        replace: 'return levels !== undefined && level < levels.lowest;',
      },
    ],
    seeds: 0,
    scenario: 'upgrade.txt',
  },
  {
    id: 'unknown-entry-skipped',
    rule: 'A peer that meets an entry above its own level stops applying and says so: it never skips.',
    edits: [{ file: applier, find: "if (obstacle !== '') {", replace: "if (obstacle === 'never') {" }],
    seeds: 0,
    scenario: 'upgrade.txt',
  },
];
