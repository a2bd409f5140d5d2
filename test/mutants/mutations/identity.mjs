/** Which store has a peer's name, and which history the group has: replaced stores and resets. */

const change = 'packages/node/src/core/membership/configuration-change.ts';
const reset = 'packages/node/src/core/membership/peer-reset.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const identity = [
  {
    id: 'replaced-without-a-joint-stage',
    rule: 'A lost store is replaced through a joint configuration.',
    edits: [
      {
        file: change,
        find: 'if (added.length + removed.length > 1) {',
        replace: "if (added.length + removed.length > 1 && active.kind !== 'heal') {",
      },
    ],
    seeds: 100,
  },
  {
    id: 'replaced-before-it-has-caught-up',
    rule: 'A store that replaces a lost one counts only when it has caught up.',
    edits: [
      {
        file: 'packages/node/src/core/membership/catch-up-stage.ts',
        find: 'return caught_up ? this.nextMembers(active) : wait;',
        replace: 'return this.nextMembers(active);',
      },
    ],
    seeds: 100,
  },
  {
    id: 'replacement-is-not-cancelled',
    rule: 'The replacement of a store that is catching up is cancelled for what an operator requests.',
    edits: [
      {
        file: change,
        find: "if (active?.kind === 'heal' && active.stage === 'catching_up') this.fail(",
        replace: "if (active?.kind === 'heal' && active.stage === 'stable') this.fail(",
      },
    ],
    seeds: 0,
    scenario: 'heal-preempted.txt',
  },
  {
    id: 'reset-under-a-leader',
    rule: 'Nothing is reset while a leader is reachable.',
    edits: [
      {
        file: reset,
        find: 'if (context.nowMs - state.leaderContactMs < withinMs) return',
        replace: 'if (context.nowMs < 0) return',
      },
    ],
    seeds: 0,
    scenario: 'reset-peer.txt',
  },
  {
    id: 'reset-alike-into-different-histories',
    rule: 'Peers that are reset in the same way write the same history.',
    edits: [
      {
        file: reset,
        find: 'const group_uid = historyAfterReset(old_group_uid, epoch, peers);',
        replace: 'const group_uid = historyAfterReset(state.storeId as never, epoch, peers);',
      },
    ],
    seeds: 0,
    scenario: 'reset-peer.txt',
  },
  {
    id: 'interrupted-change-not-reported',
    rule: 'The next leader reports a change whose leader was lost while new peers were catching up.',
    edits: [
      {
        file: 'packages/node/src/core/membership/change-announcements.ts',
        find: 'if (announced === undefined || announced.term >= state.term || this.isInLog(announced)) return undefined;',
        replace: 'if (announced === undefined || announced.term > 0) return undefined;',
      },
    ],
    seeds: 0,
    scenario: 'change-catching-up.txt',
  },
  {
    id: 'older-copy-accepted-by-a-leader',
    rule: 'A store that ends before what it had acknowledged accepts no entries and does not count. The leader sends it entries.',
    edits: [
      {
        file: 'packages/node/src/core/follower/append-entries.ts',
        find: 'if (body.term >= state.term && this.binding.lacks(body.acknowledged_index, body.leader_id)) {',
        replace: 'if (state.term < 0) {',
      },
    ],
    seeds: 0,
    scenario: 'older-copy.txt',
  },
  {
    id: 'older-copy-votes',
    rule: 'A store that ends before what it had acknowledged does not vote, if the candidate knows that.',
    edits: [
      {
        file: 'packages/node/src/core/follower/election.ts',
        find: 'if (this.binding.lacks(state.acknowledged.of(state.storeId), body.candidate_id))',
        replace: 'if (state.term < 0)',
      },
    ],
    seeds: 0,
    scenario: 'older-copy.txt',
  },
  {
    id: 'acknowledged-not-published',
    rule: 'Every peer knows which committed entries each store has acknowledged, in case it leads next.',
    edits: [
      {
        file: 'packages/replicator/src/core/target-messages.ts',
        find: '...(isHeartbeat && acknowledged.length > 0 ? { acknowledged } : {}),',
        replace: '...(isHeartbeat && acknowledged.length > limits.acknowledgedStores ? { acknowledged } : {}),',
      },
      {
        file: 'packages/replicator/src/core/target-messages.ts',
        find: "from '@conclave/protocol';",
        replace: "from '@conclave/protocol';\nimport { limits } from '@conclave/protocol';",
      },
    ],
    seeds: 0,
    scenario: 'older-copy.txt',
  },
  {
    id: 'unverified-store-votes',
    rule: 'A store without its side file does not vote before its leader has verified it.',
    edits: [
      {
        file: 'packages/node/src/core/follower/election.ts',
        find: "    if (state.isUnverified) return context.drop('request_vote_unverified');\n",
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/follower/append-entries.test.ts',
    why: 'the side file is in the shell around LevelDB; the simulator has a disk of its own',
  },
  {
    id: 'verified-before-it-has-all',
    rule: 'A store is verified once its log has all up to the leader’s commit index.',
    edits: [
      {
        file: 'packages/node/src/core/follower/append-entries.ts',
        find: 'state.wasUnverified && verified >= body.leader_commit;',
        replace: 'state.wasUnverified && verified >= 0;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/follower/append-entries.test.ts',
    why: 'the side file is in the shell around LevelDB; the simulator has a disk of its own',
  },
  {
    id: 'restart-advice-by-what-is-received',
    rule: 'A member can be spared for storing only if its log-store has acknowledged lately.',
    edits: [
      {
        file: 'packages/node/src/core/admin/restart-safety.ts',
        find: 'if (storedMs > recentMs(view)) return',
        replace: 'if (storedMs > recentMs(view) && silentMs > recentMs(view)) return',
      },
    ],
    seeds: 60,
  },
  {
    id: 'overtaken-report-replaces-a-later-one',
    rule: 'A report of the replicators that follows an earlier tick than the last report is dropped.',
    edits: [
      {
        file: 'packages/node/src/core/leader/leader-state.ts',
        find: 'if (this.confirmation.isOlderReport(body)) {',
        replace: 'if (this.confirmation.isOlderReport(body) && body.term < 0) {',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/admin/restart-safety.test.ts',
    why: 'a repeated report, a member that has just stopped storing and advice at that moment: one seed in thousands',
  },
  {
    id: 'restart-advice-without-own-storing',
    rule: 'A leader whose own log-store acknowledges nothing cannot be spared.',
    edits: [
      {
        file: 'packages/node/src/core/admin/restart-safety.ts',
        find: 'return ageMs > recentMs(view) ? ',
        replace: 'return ageMs < 0 && recentMs(view) > 0 ? ',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/admin/restart-safety.test.ts',
    why: 'no run follows advice',
  },
  {
    id: 'restart-advice-for-a-lost-store-of-its-own',
    rule: 'A leader whose lost store is being replaced does not store for the old one.',
    edits: [
      {
        file: 'packages/node/src/core/admin/restart-safety.ts',
        find: 'member.peer_id === view.state.peerId && member.store_id === view.state.storeId;',
        replace: 'member.peer_id === view.state.peerId;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/admin/restart-safety.test.ts',
    why: 'a leader whose own store is being replaced is elected in one of hundreds of seeds',
  },
  {
    id: 'restart-advice-without-an-election',
    rule: 'Where the leader itself is restarted the rest must be able to elect one.',
    edits: [
      {
        file: 'packages/node/src/core/admin/restart-safety.ts',
        find: "  if (progress?.lacks_actor === true) return 'has a silent actor and does not campaign';\n",
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/admin/restart-safety.test.ts',
    why: 'no run follows advice',
  },
  {
    id: 'applying-put-off-by-each-append',
    rule: 'A follower that lacks few committed entries, as in a busy group, does not put off its applying.',
    edits: [
      {
        file: 'packages/node/src/core/log/applier.ts',
        find: 'return this.averageEntryBytes === 0 || entries * this.averageEntryBytes > storesFirstBytes;',
        replace: 'return true;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/follower/append-entries.test.ts',
    why: 'a follower that applies late answers nothing wrong: clients wait for it when it is elected',
  },
  {
    id: 'leader-restarted-before-the-others-have-applied',
    rule: 'While too few others have applied what is committed the leader is not to be restarted.',
    edits: [
      {
        file: 'packages/node/src/core/admin/restart-safety.ts',
        find: "return progress?.unapplied === true ? 'has not applied what is committed' : '';",
        replace: "return '';",
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/admin/restart-safety.test.ts',
    why: 'no run follows advice',
  },
];
