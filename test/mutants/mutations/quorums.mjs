/** What the ballot-box counts: commit, and the confirmation of ticks. */

const core = 'packages/ballot-box/src/core/ballot-box-core.ts';
const lifecycle = 'packages/node/src/core/node-lifecycle.ts';
const confirmation = 'packages/node/src/core/leader/leader-confirmation.ts';
const runs = 'packages/ballot-box/src/core/ballot-runs.ts';
const memberValues = 'packages/ballot-box/src/core/member-values.ts';
const rounds = 'packages/ballot-box/src/core/tick-rounds.ts';
const leadership = 'packages/node/src/core/leader/leader-state.ts';
const replicator = 'packages/replicator/src/core/replicator.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const quorums = [
  {
    id: 'report-counts-from-its-receipt',
    rule: 'What the replicators report counts from the tick that it follows, however long it was under way.',
    edits: [
      {
        file: confirmation,
        find: 'if (tickId === undefined) return this.context.nowMs;',
        replace: 'if (tickId === undefined || tickId >= 0) return this.context.nowMs;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/admin/restart-safety.test.ts',
    why: 'after a pause the next report comes at once',
  },
  {
    id: 'joint-commit-by-new-majority',
    rule: 'The ballot of a joint entry, and each one after it, needs a majority of both. The new one alone would do.',
    edits: [
      {
        file: memberValues,
        find: 'return configuration.old_peers.length === 0 ? value : Math.min(value, reached(configuration.old_peers));',
        replace: 'return value;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'joint-commit-by-old-majority',
    rule: 'The ballot of a joint entry, and each one after it, needs a majority of both. The old one alone would do.',
    edits: [
      {
        file: memberValues,
        find: 'return configuration.old_peers.length === 0 ? value : Math.min(value, reached(configuration.old_peers));',
        replace: 'return configuration.old_peers.length === 0 ? value : reached(configuration.old_peers);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'ballots-by-the-oldest-configuration',
    rule: 'One ballot per entry, with the configuration of that entry: here that of the oldest entry that is open.',
    edits: [
      {
        file: runs,
        find: 'const stored = quorumValue(run.configuration, (member) => this.matches.of(member));',
        replace:
          'const { configuration } = this.runs[0] ?? run;\n      const stored = quorumValue(configuration, (member) => this.matches.of(member));',
      },
    ],
    seeds: 60,
  },
  {
    id: 'ballots-by-the-latest-configuration',
    rule: 'One ballot per entry, with the configuration of that entry: here that of the latest entry.',
    edits: [
      {
        file: runs,
        find: 'const stored = quorumValue(run.configuration, (member) => this.matches.of(member));',
        replace: 'const stored = quorumValue(this.latest.configuration, (member) => this.matches.of(member));',
      },
    ],
    seeds: 60,
  },
  {
    id: 'stored-of-another-term-counted',
    rule: 'The ballot-box counts a `stored` iff ... `leader_term` is the term that it is open for.',
    edits: [
      {
        file: core,
        find: 'return leaderMismatch(body, lead.group_uid, lead.peer_id, lead.term);',
        replace: `const term = body.leader_term <= lead.term ? body.leader_term : lead.term;
  return leaderMismatch(body, lead.group_uid, lead.peer_id, term);`,
      },
    ],
    seeds: 0,
    scenario: 'rule-late-stored.txt',
  },
  {
    id: 'stored-of-another-store-counted',
    rule: "The ballot-box counts a `stored` iff ... (peer_id, store_id) is in that ballot's configuration.",
    edits: [
      {
        file: runs,
        find: 'return this.matches.record(peerId, storeId, matchIndex);',
        replace: `const { peers, old_peers } = this.configuration;
    const bound = [...peers, ...old_peers].find(({ peer_id }) => peer_id === peerId);
    return this.matches.record(peerId, bound?.store_id ?? storeId, matchIndex);`,
      },
      {
        file: replicator,
        find: "if (body.store_id !== this.storeId) return 'other_store';\n    if (body.match_index > this.leaderTerm.lastIndex)",
        replace: 'if (body.match_index > this.leaderTerm.lastIndex)',
      },
      {
        file: replicator,
        find: "if (body.store_id !== this.storeId) return 'other_store';\n    this.recordReceived(nowMs);\n    return this.sender.onRejected",
        replace: 'this.recordReceived(nowMs);\n    return this.sender.onRejected',
      },
      {
        file: 'packages/node/src/core/follower/append-entries.ts',
        find: 'if (body.target_store_id !== state.storeId) {',
        replace: 'if (body.term < 0) {',
      },
    ],
    seeds: 100,
  },
  {
    id: 'counted-beyond-what-is-registered',
    rule: 'A match is counted only up to what is registered without a gap.',
    edits: [
      {
        file: runs,
        find: 'const granted = Math.min(stored, run.last);',
        replace: 'const granted = run === this.latest ? stored : Math.min(stored, run.last);',
      },
    ],
    seeds: 500,
  },
  {
    id: 'earlier-terms-committed-by-counting',
    rule: "Only entries of the leader's own term are registered (Raft, figure 8).",
    edits: [
      {
        file: runs,
        find: 'if (granted < run.first || granted <= this.committed) continue;',
        replace: 'if (granted <= this.committed) continue;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'ballot-box-not-opened-again',
    rule: "The ballot-box restarts: the node opens it again and registers its own term's entries.",
    edits: [
      {
        file: lifecycle,
        find: "if (kind === 'ballot-box') return parts.leadership.sendBallotBoxState();",
        replace: "if (kind === 'ballot-box') return;",
      },
    ],
    seeds: 100,
  },
  {
    id: 'ballot-box-opened-without-entries',
    rule: "The ballot-box restarts: the node ... registers its own term's entries.",
    edits: [
      {
        file: leadership,
        find: 'first_index: this.firstIndex,\n        last_index: log.lastIndex,',
        replace: 'first_index: asLogIndex(log.lastIndex + 1),\n        last_index: log.lastIndex,',
      },
    ],
    seeds: 100,
  },
  {
    id: 'session-tick-is-the-tick',
    rule: 'A lease counts a tick that a quorum has reported as received in its sessions, not one that it has echoed.',
    edits: [
      {
        file: rounds,
        find: 'this.sessions.record(peerId, storeId, sessionTickId);',
        replace: 'this.sessions.record(peerId, storeId, Math.max(tickId, sessionTickId));',
      },
    ],
    seeds: 60,
  },
  {
    id: 'stores-of-one-name-are-one-member',
    rule: 'What a lost store has acknowledged is not its successor’s: two stores of one name are two members.',
    edits: [
      {
        file: memberValues,
        find: 'function keyOf(peerId: PeerId, storeId: StoreId): string {',
        replace:
          'function keyOf(peerId: PeerId, storeId: StoreId): string {\n  if (storeId !== undefined) return peerId;',
      },
    ],
    seeds: 100,
  },
];
