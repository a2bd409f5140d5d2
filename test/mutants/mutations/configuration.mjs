/** The stages of a change, the founding of a group, and leaving it. */

const change = 'packages/node/src/core/membership/configuration-change.ts';
const catchingUp = 'packages/node/src/core/membership/catch-up-stage.ts';
const roles = 'packages/node/src/core/role-changes.ts';
const bootstrap = 'packages/node/src/core/membership/bootstrap.ts';
const founding = 'packages/node/src/core/membership/founding.ts';
const dispatcher = 'packages/node/src/core/message-dispatcher.ts';
const watch = 'packages/replicator/src/core/catch-up-detector.ts';
const replicator = 'packages/replicator/src/core/replicator.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const configuration = [
  {
    id: 'change-before-the-flush',
    rule: 'No change starts before the leader has committed an entry of its own term.',
    edits: [
      {
        file: change,
        find: 'if (this.leadership.committedOwnTerm && isFree) return undefined;',
        replace: "if (active?.stage !== 'joint') return undefined;",
      },
    ],
    seeds: 60,
  },
  {
    id: 'two-changes-at-once',
    rule: 'One change at a time.',
    edits: [
      {
        file: change,
        find: "if (active?.kind === 'change') return `a change",
        replace: "if (active?.kind === 'change' && active.requestId === 0) return `a change",
      },
      {
        file: change,
        find: "const isFree = active === undefined || active.kind === 'heal';",
        replace: 'const isFree = this.leadership.committedOwnTerm;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'no-joint-stage',
    rule: 'With exactly one peer added or removed the joint stage is skipped; else it is not.',
    edits: [
      {
        file: change,
        find: 'if (added.length + removed.length > 1) {',
        replace: 'if (added.length + removed.length > 62) {',
      },
    ],
    seeds: 60,
  },
  {
    id: 'new-peer-not-awaited',
    rule: 'A new peer counts in no quorum before it has caught up.',
    edits: [
      {
        file: catchingUp,
        find: "progress?.caught_up === true && progress.store_id !== ''",
        replace: "progress !== undefined && progress.store_id !== ''",
      },
    ],
    seeds: 60,
  },
  {
    id: 'caught-up-without-the-configuration',
    rule: 'It is caught up when its match is beyond the latest configuration entry ...',
    edits: [
      {
        file: watch,
        find: 'this.hasAcknowledged && hasConfiguration && followsFeed && lagMs <= mayLagMs',
        replace: 'this.hasAcknowledged',
      },
    ],
    seeds: 60,
  },
  {
    id: 'admitted-before-it-has-caught-up',
    rule: '... and it gets the leader’s new entries as any member does',
    edits: [
      {
        file: watch,
        find: 'this.hasAcknowledged && hasConfiguration && followsFeed',
        replace: 'this.hasAcknowledged && hasConfiguration',
      },
    ],
    seeds: 60,
  },
  {
    id: 'handed-over-before-the-whole-log',
    rule: 'The target of a transfer has the whole log before it is ordered to campaign.',
    edits: [
      {
        file: replicator,
        find: 'this.sender.matchIndex >= index;',
        replace: 'index >= 0;',
      },
    ],
    seeds: 250,
  },
  {
    id: 'joint-of-an-older-leader-cancelled',
    rule: 'Cancel in the joint stage ... allowed only to the leader that appended the joint entry in this term.',
    edits: [
      {
        file: change,
        find: "if (active.kind === 'flush' || active.stage === 'stable') {",
        replace: "if (active.stage === 'stable') {",
      },
      {
        file: change,
        find: "invariant(active.kind !== 'flush', 'the joint entry is of this leader and term');",
        replace: '',
      },
      {
        file: change,
        find: "} else if (active.stage === 'joint' && active.kind !== 'flush') {",
        replace: "} else if (active.stage === 'joint') {",
      },
    ],
    seeds: 1000,
  },
  {
    id: 'cancelled-too-late',
    rule: 'Cancel ... never once the leader has appended the stable entry.',
    edits: [
      {
        file: change,
        find: "if (active.kind === 'flush' || active.stage === 'stable') {",
        replace: "if (active.kind === 'flush') {",
      },
      {
        file: change,
        find: "invariant(active !== undefined && active.stage !== 'stable', 'a change can be rolled back');",
        replace: "invariant(active !== undefined, 'a change can be rolled back');",
      },
    ],
    seeds: 1000,
  },
  {
    id: 'joint-not-finished-by-the-next-leader',
    rule: 'A new leader first appends the configuration it has: ... a joint one finishes the change.',
    edits: [
      {
        file: change,
        find: "if (active.stage === 'joint') {\n      const { peers } = this.effective();",
        replace:
          "if (active.stage === 'joint' && active.kind === 'change') {\n      const { peers } = this.effective();",
      },
    ],
    seeds: 500,
  },
  {
    id: 'joint-stage-without-deadline',
    rule: 'The joint stage has its own deadline, then it cancels itself.',
    edits: [
      {
        file: change,
        find: "} else if (active.stage === 'joint' && active.kind !== 'flush') {",
        replace: "} else if (active.stage === 'joint' && active.kind !== 'flush' && active.old.length < 0) {",
      },
    ],
    seeds: 1000,
  },
  {
    id: 'catching-up-without-deadline',
    rule: '`timeout_ms` is a hard deadline: past it the change fails with ECATCHUP, and the next change may start.',
    edits: [
      {
        file: catchingUp,
        find: 'const laggards = this.report.laggards(active.adding);',
        replace: 'if (active.adding.length > 0) return;\n    const laggards = this.report.laggards(active.adding);',
      },
    ],
    seeds: 100,
  },
  {
    id: 'removed-leader-stays',
    rule: 'A leader that is not in the stable configuration transfers its leadership and steps down.',
    edits: [
      {
        file: roles,
        find: 'if (!isIn(configuration, state.peerId, state.storeId)) return parts.transfer.transferAsRemoved();',
        replace: '',
      },
    ],
    seeds: 60,
  },
  {
    id: 'founded-without-asking',
    rule: '`bootstrap` first asks every peer that hosts the group: ... if a listed peer cannot be reached, it refuses.',
    edits: [
      {
        file: founding,
        find: 'return this.preventing.length === 0 && this.others.every((peerId) => this.agrees(peerId, nowMs));',
        replace: 'return true;',
      },
    ],
    seeds: 250,
  },
  {
    id: 'founded-by-the-list-alone',
    rule: '`bootstrap` first asks every peer that hosts the group, listed or not.',
    edits: [{ file: founding, find: '    this.takeHosts(hosts);\n    return true;', replace: '    return true;' }],
    seeds: 250,
  },
  {
    id: 'founded-too-soon',
    rule: '`bootstrap` asks ... until the moment of founding and for at least three election timeouts.',
    edits: [
      { file: founding, find: 'const minRounds = 3;', replace: 'const minRounds = 1;' },
      { file: founding, find: 'const minTimeouts = 3;', replace: 'const minTimeouts = 0;' },
    ],
    seeds: 0,
    scenario: 'foundings.txt',
  },
  {
    id: 'opening-peer-counts-as-empty',
    rule: '`bootstrap`: if any peer has data of this group ... it founds nothing: a peer that has not opened its log-store yet may have data.',
    edits: [
      {
        file: dispatcher,
        find: "if (state.role === 'opening') return context.drop('not_open');",
        replace: "if (state.role === 'opening' && message.name !== 'node.identify') return context.drop('not_open');",
      },
    ],
    seeds: 0,
    scenario: 'foundings.txt',
  },
  {
    id: 'other-history-not-noticed',
    rule: 'Two histories under one name detect each other: a leader that sees another one refuses all requests.',
    edits: [
      {
        file: 'packages/node/src/core/leader/other-history.ts',
        find: 'if (body.group_uid === state.groupUid || body.group_uid === noGroupUid) return;',
        replace: 'if (body.term >= 0 || body.group_uid === noGroupUid) return;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'founders-do-not-withdraw',
    rule: 'Of two founders the one with the higher name withdraws.',
    edits: [
      { file: bootstrap, find: 'if (peerId > state.peerId) return;', replace: 'if (peerId !== state.peerId) return;' },
      { file: bootstrap, find: 'if (body.founding) return;', replace: '' },
      {
        file: bootstrap,
        find: 'if (this.promisedTo !== undefined && this.promisedTo.untilMs > context.nowMs) {',
        replace: 'if (this.promisedTo !== undefined && this.promisedTo.untilMs < 0) {',
      },
    ],
    seeds: 1000,
  },
  {
    id: 'other-history-admitted',
    rule: 'A new peer must be empty or hold this `group_uid` (ENOTEMPTY).',
    edits: [
      {
        file: replicator,
        find: "else if (isForeign) this.refuse('ENOTEMPTY', nowMs);",
        replace: "else if (isForeign && nowMs < 0) this.refuse('ENOTEMPTY', nowMs);",
      },
      {
        file: 'packages/node/src/core/follower/append-entries.ts',
        find: 'if (state.groupUid !== noGroupUid && body.group_uid !== state.groupUid) {',
        replace: 'if (body.term < 0) {',
      },
    ],
    seeds: 0,
    scenario: 'change-refused.txt',
  },
  {
    id: 'old-peers-vouch-for-the-stable-stage',
    rule: 'The old peers alone confirm a leader only while it can roll the joint stage back, and not on the way forward.',
    edits: [
      {
        file: change,
        find: "const canBeRolledBack = stage === 'joint' || active.rollbackReason !== undefined;",
        replace: "const canBeRolledBack = stage === 'joint' || stage === 'stable';",
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/reads/reads.test.ts',
    why: 'the leader has to lose all new peers and keep the old ones in the stable stage: seeds rarely reach it',
  },
  {
    id: 'changes-to-peers-that-cannot-lead',
    rule: 'No change continues to a set of which no peer can lead.',
    edits: [
      {
        file: 'packages/node/src/core/membership/catch-up-stage.ts',
        find: 'if (!this.mayLead(members)) return wait;',
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/membership/configuration-change.test.ts',
    why: 'one peer has to be corrupted, be the only one of the new set, and not be repaired yet: one seed in a thousand (610463)',
  },
];
