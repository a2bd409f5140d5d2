/** What a later history of a group's name has to do with earlier ones: nothing, and all that it gives out is above theirs. */

const context = 'packages/node/src/core/step-context.ts';
const history = 'packages/protocol/src/group-history.ts';
const stateMachine = 'packages/kv/src/core/kv-state-machine.ts';
const keySpace = 'packages/kv/src/core/key-space.ts';
const nextConfiguration = 'packages/node/src/core/membership/next-configuration.ts';
const clientCore = 'packages/client/src/core/client-core.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const histories = [
  {
    id: 'base-not-raised-in-a-new-history',
    rule: 'A history counts its revisions, tokens and ids from a base above all earlier ones.',
    edits: [
      {
        file: nextConfiguration,
        find: 'base: hasNoBase ? 0 : historyBase(wallTimeMs, history?.base ?? 0)',
        replace: 'base: 0 * wallTimeMs * historyBase(1, hasNoBase ? 1 : 0)',
      },
    ],
    seeds: 60,
  },
  {
    id: 'base-not-raised-in-a-restored-group',
    rule: 'A group that is restored from a backup counts above all numbers that were issued after the backup was read.',
    edits: [
      {
        file: stateMachine,
        find: 'if (base === 0) return;',
        replace: "if (base === 0 || (this.keys.revision > 0 && !groupUid.startsWith('reset-'))) return;",
      },
    ],
    seeds: 60,
  },
  {
    id: 'base-ahead-of-the-clock',
    rule: 'Where the clock is above what is known of the history before, it alone is the base.',
    edits: [
      {
        file: history,
        find: 'return byClock > before ? byClock : before + historyGap;',
        replace: 'return Math.max(byClock, before + historyGap);',
      },
      {
        file: keySpace,
        find: 'const from = base > known ? base : known + historyGap;',
        replace: 'const from = Math.max(base, known + historyGap);',
      },
    ],
    seeds: 250,
  },
  {
    id: 'history-not-checked-on-receipt',
    rule: 'A request that names another history is refused with EHISTORY, not done.',
    edits: [
      {
        file: context,
        find: 'if (named === undefined || named === groupUid) return false;',
        replace: 'if (named === undefined || named !== noGroupUid) return false;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'end-of-a-history-not-reported',
    rule: 'The client library detects a new history and reports it once.',
    edits: [
      {
        file: clientCore,
        find: 'if (this.groupUid !== undefined) this.onHistoryEnded(this.groupUid);',
        replace: '',
      },
      {
        file: clientCore,
        find: "    this.output.emit({ type: 'history_ended', groupUid });",
        replace: "    if (this.isClosed) this.output.emit({ type: 'history_ended', groupUid });",
      },
    ],
    seeds: 60,
  },
];
