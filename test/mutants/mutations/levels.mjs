/** Feature levels (DESIGN, section 9). */

const raise = 'packages/node/src/core/membership/level-raise.ts';
const requests = 'packages/node/src/core/requests/request-router.ts';
const catchingUp = 'packages/node/src/core/membership/catch-up-stage.ts';
const applier = 'packages/node/src/core/log/applier.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const levels = [
  {
    id: 'level-raised-too-early',
    rule: 'The level is raised only if each member and each new peer supports it.',
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
        file: catchingUp,
        find: 'return levels !== undefined && (level > levels.highest || level < levels.lowest);',
        replace: 'return levels !== undefined && level < levels.lowest;',
      },
    ],
    seeds: 0,
    scenario: 'upgrade.txt',
  },
  {
    id: 'unknown-entry-skipped',
    rule: 'A peer that meets an entry above its own level stops applying and reports that: it never skips.',
    edits: [
      {
        file: applier,
        find: "if (obstacle !== '') return this.stop(",
        replace: "if (obstacle === 'never') return this.stop(",
      },
    ],
    seeds: 0,
    scenario: 'upgrade.txt',
  },
  {
    id: 'quarantine-forgotten-by-a-restart',
    rule: 'A quarantine outlives its process: the log-store keeps it.',
    edits: [
      {
        file: 'packages/node/src/core/integrity/quarantine.ts',
        find: '} else if (divergedAt > 0) {',
        replace: '} else if (divergedAt < 0) {',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/integrity/state-comparison.test.ts',
    why: 'no client of a run reads what is corrupted, and a restart makes the state right',
  },
  {
    id: 'quarantine-not-stored',
    rule: 'A quarantine that begins, and its end, are stored.',
    edits: [
      {
        file: 'packages/log-store/src/core/records.ts',
        find: '...(state.divergedAt === 0 ? {} :',
        replace: '...(state.divergedAt >= 0 ? {} :',
      },
    ],
    seeds: 0,
    test: 'packages/log-store/test/log-store-identity.test.ts',
    why: 'no client of a run reads what is corrupted, and a restart makes the state right',
  },
  {
    id: 'command-above-a-members-version-proposed',
    rule: 'A command that a member does not read is refused, and not proposed.',
    edits: [
      {
        file: requests,
        find: 'if (unable.length > 0) {',
        replace: 'if (unable.length < 0) {',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/membership/level-raise.test.ts',
    why: 'the key-value store, which runs use, declares no versions',
  },
  {
    id: 'new-peer-of-an-older-command-version',
    rule: 'A new peer that reads fewer versions of commands than all members do is refused.',
    edits: [
      {
        file: catchingUp,
        find: '(one.command_version ?? 0) < commonCommandVersion);',
        replace: '(one.command_version ?? 0) < 0 * commonCommandVersion);',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/membership/level-raise.test.ts',
    why: 'the key-value store, which runs use, declares no versions',
  },
  {
    id: 'campaigns-with-an-unreadable-configuration',
    rule: 'A peer whose log has a configuration that it cannot read does not campaign.',
    edits: [
      {
        file: 'packages/node/src/core/state/node-state.ts',
        find: 'if (unreadable !== undefined) return',
        replace: 'if (unreadable !== undefined && unreadable.index < 0) return',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/membership/level-raise.test.ts',
    why: 'no build of a run writes a configuration that another one cannot read',
  },
];
