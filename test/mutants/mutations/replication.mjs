/** Replicators: what they send, what they believe, and when they fall silent. */

const group = 'packages/replicator/src/core/replicator-group-core.ts';
const supply = 'packages/replicator/src/core/supply.ts';
const source = 'packages/replicator/src/core/entry-source.ts';
const leadership = 'packages/replicator/src/core/leadership.ts';
const store = 'packages/log-store/src/core/log-reader.ts';
const append = 'packages/node/src/core/append-entries.ts';
const node = 'packages/node/src/core/node-core.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const replication = [
  {
    id: 'replicator-believes-another-term',
    rule: 'The replicator checks a `stored` as the ballot-box does: `leader_term`.',
    edits: [
      {
        file: group,
        find: "return body.leader_term === leadership.term ? undefined : 'other_term';",
        replace: "return body.leader_term <= leadership.term ? undefined : 'other_term';",
      },
    ],
    seeds: 0,
    scenario: 'rule-aba-race.txt',
  },
  {
    id: 'log-read-in-another-term',
    rule: "A replicator's read of the log carries `leader_term`; the log-store refuses unless it is its current term; a follower refuses entries whose term exceeds the message's.",
    edits: [
      {
        file: store,
        find: 'return leader_term !== 0 && leader_term !== this.log.accepted.term;',
        replace: 'return leader_term < 0;',
      },
      {
        file: source,
        find: 'if (header === undefined || header.term < prevTerm || header.term > term) return undefined;',
        replace: 'if (header === undefined || header.term < prevTerm || term < 0) return undefined;',
      },
      {
        file: append,
        find: 'if (header.first !== index + 1 || header.term < term || header.term > body.term) return undefined;',
        replace: 'if (header.first !== index + 1 || header.term < term) return undefined;',
      },
      { file: append, find: 'return body.prev_term > body.term ? undefined : batches;', replace: 'return batches;' },
    ],
    seeds: 0,
    scenario: 'rule-stale-replicator-read.txt',
  },
  {
    id: 'any-message-renews-the-timer',
    rule: "Only a new `tick_id` of the node renews followers' timers.",
    edits: [
      {
        file: append,
        find: 'if (body.tick_id <= state.lastTickId) return;',
        replace: 'if (body.tick_id < 0) return;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'replicator-of-a-silent-node-sends',
    rule: 'A replicator sends nothing an election timeout after its last tick.',
    edits: [
      {
        file: leadership,
        find: 'return nowMs - this.lastTickMs < this.times.electionTimeoutMs;',
        replace: 'return nowMs >= this.lastTickMs;',
      },
    ],
    seeds: 250,
  },
  {
    id: 'replicators-not-started-again',
    rule: 'The replicator restarts: the node starts its replicators again.',
    edits: [
      {
        file: node,
        find: 'this.leadership.tellReplicators();\n      return this.transfer.tellReplicators();',
        replace: 'return;',
      },
    ],
    seeds: 100,
  },
  {
    id: 'heartbeats-begin-nothing',
    rule: 'Every tick repeats: heartbeats whose prev matches cause an empty `append` and so a `stored`.',
    edits: [
      {
        file: supply,
        find: "this.pipeline.feed = 'asked';\n        this.sendHeartbeat(nowMs);",
        replace: "this.pipeline.feed = 'asked';",
      },
    ],
    seeds: 60,
  },
  {
    id: 'lost-entries-not-sent-again',
    rule: 'What is lost on its way is found by a probe and sent again.',
    edits: [
      {
        file: supply,
        find: 'if (this.pipeline.isStalled(nowMs)) this.beginProbe(this.stalledNext());',
        replace: 'if (this.pipeline.isStalled(nowMs) && nowMs < 0) this.beginProbe(this.stalledNext());',
      },
    ],
    seeds: 60,
  },
];
