/** How the leadership moves without a pause for writers (decision 0085). */

const client = 'packages/client/src/core/client-core.ts';
const election = 'packages/node/src/core/follower/election.ts';
const node = 'packages/node/src/core/node-core.ts';
const roles = 'packages/node/src/core/role-changes.ts';
const replicator = 'packages/replicator/src/core/replicator.ts';
const transfer = 'packages/node/src/core/leader/leadership-transfer.ts';
const candidates = 'packages/node/src/core/leader/transfer-candidates.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const handOvers = [
  {
    id: 'writes-wait-for-a-target-that-is-behind',
    rule: 'While the target of a transfer is behind, the leader appends what clients request.',
    edits: [{ file: transfer, find: 'if (isBehind && context.nowMs < active.orderByMs) return;', replace: '' }],
    seeds: 0,
    scenario: 'transfer-target-behind.txt',
  },
  {
    id: 'target-that-is-behind-is-never-ordered',
    rule: 'The order to hand over goes out after half of the time at the latest.',
    edits: [
      {
        file: transfer,
        find: 'if (isBehind && context.nowMs < active.orderByMs) return;',
        replace: 'if (isBehind) return;',
      },
    ],
    seeds: 0,
    scenario: 'transfer-target-behind.txt',
  },
  {
    id: 'target-ordered-as-it-was-when-the-transfer-began',
    rule: 'A target that can commit no entries any more once it has caught up is not ordered.',
    edits: [
      { file: transfer, find: 'if (!active.mustStepDown && !this.canCommit(active.targetId)) return;', replace: '' },
    ],
    seeds: 0,
    test: 'packages/node/test/core/leader/leadership-transfer.test.ts',
    why: 'the leader’s node has to be paused while its target becomes silent: few seeds reach that',
  },
  {
    id: 'target-that-stores-nothing-is-ordered',
    rule: 'A peer whose log-store acknowledges nothing is no target: it could not store a vote.',
    edits: [{ file: candidates, find: "if (install === null && storesNothing) return 'stores_nothing';", replace: '' }],
    seeds: 0,
    test: 'packages/node/test/core/leader/leadership-transfer.test.ts',
    why: 'the leader keeps its leadership, and only time is lost',
  },
  {
    id: 'target-whose-new-store-has-no-vote-is-ordered',
    rule: 'A member whose lost store is being replaced is no target: its new store has no vote yet.',
    edits: [
      {
        file: candidates,
        find: "if (member !== undefined && member.store_id !== progress.store_id) return 'refused';",
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/leader/leadership-transfer.test.ts',
    why: 'a store has to be replaced and to catch up before a transfer to that peer: one seed in thousands reaches that',
  },
  {
    id: 'writes-wait-for-the-whole-transfer',
    rule: 'Writes wait at most two election timeouts for a target that has caught up.',
    edits: [{ file: transfer, find: 'if (!isBehind && latestMs < active.endsAtMs)', replace: 'if (isBehind)' }],
    seeds: 0,
    test: 'packages/node/test/core/leader/leadership-transfer.test.ts',
    why: 'the leader keeps its leadership, and only time is lost',
  },
  {
    id: 'target-that-has-not-applied-is-not-behind',
    rule: 'A target that has not applied what it has is behind.',
    edits: [{ file: replicator, find: 'if (this.targetReport.hasUnappliedEntries) return true;', replace: '' }],
    seeds: 0,
    test: 'packages/replicator/test/replicator.test.ts',
    why: 'a peer that applies slowly answers late as a leader: nothing but time is lost by it',
  },
  {
    id: 'published-before-it-is-served',
    rule: 'A new leader serves the group before it publishes that it was elected.',
    edits: [
      {
        file: roles,
        find: "    context.emit({ type: 'serve', group: true });\n    context.event('leader_elected', {",
        replace: "    context.event('leader_elected', {",
      },
      {
        file: roles,
        find: "    context.log('info', 'leads', { term: state.term });",
        replace:
          "    context.emit({ type: 'serve', group: true });\n    context.log('info', 'leads', { term: state.term });",
      },
    ],
    seeds: 60,
  },
  {
    id: 'later-leader-not-accepted',
    rule: 'A leader that receives `led_history` of its own history in a later term steps down.',
    edits: [
      {
        file: node,
        find: 'if (this.isLeader() && isLater)',
        replace: 'if (this.isLeader() && isLater && body.term < 0)',
      },
    ],
    seeds: 0,
    scenario: 'transfer-two-leaders.txt',
  },
  {
    id: 'not-resent-after-an-election',
    rule: 'After `leader_elected` a client resends what got no reply.',
    edits: [{ file: client, find: '        this.onLeaderElected(at);', replace: '' }],
    seeds: 0,
    test: 'packages/client/test/client-core.test.ts',
    why: 'what is not resent after the event is resent a second later: only time is lost',
  },
  {
    id: 'commands-resent-after-an-election',
    rule: 'A command that changes something and has no number is not resent after `leader_elected`.',
    edits: [
      {
        file: client,
        find: 'if (!Number.isFinite(request.dueMs) || request.target.peerId !== undefined) continue;',
        replace: 'if (request.target.peerId !== undefined) continue;',
      },
    ],
    seeds: 0,
    test: 'packages/client/test/client-core.test.ts',
    why: 'a membership change that is executed twice finds the members as requested: the reply is the same',
  },
  {
    id: 'longer-log-waits-for-its-own-time',
    rule: 'A voter that refuses a pre-vote because its own log has more, and that has received no leader, campaigns at once.',
    edits: [
      {
        file: election,
        find: "if (mayGrant && !granted && this.state.role === 'follower') this.campaignOnTimeout();",
        replace: '',
      },
    ],
    seeds: 0,
    scenario: 'election-shorter-log.txt',
  },
  {
    id: 'rivals-wait-alike',
    rule: 'Of two candidates of one term the one with more in its log, or of the lower name, campaigns again soon.',
    edits: [{ file: election, find: '    this.retryBeforeRival(body);\n', replace: '' }],
    seeds: 0,
    scenario: 'election-split-vote.txt',
  },
];
