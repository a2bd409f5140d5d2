/** Replicators: what they send, what they accept, and when they stop sending. */

const logSender = 'packages/replicator/src/core/log-sender.ts';
const lifecycle = 'packages/node/src/core/node-lifecycle.ts';
const source = 'packages/replicator/src/core/entry-source.ts';
const leaderTerm = 'packages/replicator/src/core/leader-term.ts';
const store = 'packages/log-store/src/core/log-reader.ts';
const append = 'packages/node/src/core/follower/append-entries.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const replication = [
  {
    id: 'replicator-accepts-another-term',
    rule: 'The replicator checks a `stored` as the ballot-box does: `leader_term`.',
    edits: [
      {
        file: leaderTerm,
        find: 'return leaderMismatch(body, this.groupUid, this.peerId, this.term);',
        replace: `const term = body.leader_term <= this.term ? body.leader_term : this.term;
    return leaderMismatch(body, this.groupUid, this.peerId, term);`,
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
        find: 'if (body.tick_id <= state.lastTickId) return false;',
        replace: 'if (body.tick_id < 0) return false;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'replicator-of-a-silent-node-sends',
    rule: 'A replicator sends nothing an election timeout after its last tick.',
    edits: [
      {
        file: leaderTerm,
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
        file: lifecycle,
        find: 'parts.leadership.targets.sendLead();\n      return parts.transfer.sendOrder();',
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
        file: logSender,
        find: 'this.pipeline.requestFeed(match);\n        heartbeats.send(match.anchor, nowMs);',
        replace: 'this.pipeline.requestFeed(match);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'lost-entries-not-sent-again',
    rule: 'What is lost on its way is found by a probe and sent again.',
    edits: [
      {
        file: logSender,
        find: 'if (this.pipeline.isStalled(nowMs)) this.checkArrival(nowMs);',
        replace: 'if (this.pipeline.isStalled(nowMs) && nowMs < 0) this.checkArrival(nowMs);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'feed-append-without-previous-term',
    rule: 'An append from the feed is accepted only if the entry before it has the term that the leader names.',
    edits: [
      {
        file: append,
        find: "if (state.log.termAt(entries.prev_index) !== entries.prev_term) return context.drop('feed_append_without_previous');",
        replace:
          "if (state.log.termAt(entries.prev_index) === undefined) return context.drop('feed_append_without_previous');",
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/follower/append-entries.test.ts',
    why: 'a leader has to lead again while a follower with another last entry is still subscribed to its feed: seeds rarely reach it',
  },
  {
    id: 'append-under-a-snapshot',
    rule: 'Nothing is appended to a log that a snapshot is about to replace.',
    edits: [
      {
        file: append,
        find: "if (state.isLogSuperseded || !this.actors.hasRoom('log-store')) return context.drop('feed_append_busy');",
        replace: "if (!this.actors.hasRoom('log-store')) return context.drop('feed_append_busy');",
      },
      {
        file: append,
        find: "if (state.isLogSuperseded || !this.actors.hasRoom('log-store')) return this.reject(body, 'busy');",
        replace: "if (!this.actors.hasRoom('log-store')) return this.reject(body, 'busy');",
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/snapshot/snapshot-receiver.test.ts',
    why: 'the log-store refuses what does not fit its log, and the node starts again: nothing is lost',
  },
  {
    id: 'throttle-without-end',
    rule: 'Writers are slowed down for half an election timeout at the most.',
    edits: [
      {
        file: 'packages/node/src/core/leader/writer-throttle.ts',
        find: 'const leftMs = this.beganMs + this.durationMs - nowMs;',
        replace: 'const leftMs = this.beganMs + 100 * this.durationMs - nowMs;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/membership/configuration-change.test.ts',
    why: 'writes are slower, and none is lost',
  },
  {
    id: 'throttle-without-pause',
    rule: 'After that they are not slowed down for ten times as long.',
    edits: [
      {
        file: 'packages/node/src/core/leader/writer-throttle.ts',
        find: 'if (nowMs - this.beganMs < 11 * this.durationMs || this.bytesPerSecond === 0) return false;',
        replace: 'if (this.bytesPerSecond === 0) return false;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/membership/configuration-change.test.ts',
    why: 'writes are slower, and none is lost',
  },
  {
    id: 'caught-up-in-spite-of-its-lag',
    rule: 'A new peer has caught up when it needs no more time for the entries that it lacks than members need for theirs.',
    edits: [
      {
        file: 'packages/replicator/src/core/catch-up-detector.ts',
        find: 'followsFeed && lagMs <= mayLagMs;',
        replace: 'followsFeed && lagMs >= 0 && mayLagMs >= 0;',
      },
    ],
    seeds: 0,
    test: 'packages/replicator/test/catch-up.test.ts',
    why: 'a peer that is admitted too early slows writes down, and loses none',
  },
  {
    id: 'writers-slowed-for-a-far-peer',
    rule: 'Writers are slowed down only where rounds that hardly shorten show that they are as fast as the new peer.',
    edits: [
      {
        file: 'packages/replicator/src/core/catch-up-detector.ts',
        find: 'if (this.stuck < stuckRounds || sinceMs',
        replace: 'if (this.stuck * stuckRounds < 0 || sinceMs',
      },
    ],
    seeds: 0,
    test: 'packages/replicator/test/catch-up.test.ts',
    why: 'writes are slower, and none is lost',
  },
  {
    id: 'replicator-reads-once-all-is-sent',
    rule: 'A replicator asks for the next part of the log before all of the part before it is sent.',
    edits: [{ file: source, find: 'if (unsent < limits.replicatorReadBytes && ', replace: 'if (unsent === 0 && ' }],
    seeds: 0,
    test: 'packages/replicator/test/log-reads.test.ts',
    why: 'a new peer catches up later, and lacks nothing',
  },
  {
    id: 'entries-sent-with-a-probe-count-as-stored',
    rule: 'The entries that are sent with a probe count only once they are stored.',
    edits: [
      {
        file: 'packages/replicator/src/core/log-sender.ts',
        find: 'if (carried !== undefined) this.pipeline.addCarried(match, carried, nowMs);',
        replace: 'if (carried !== undefined && match.raise(carried.last.index)) match.reachNext();',
      },
    ],
    seeds: 0,
    test: 'packages/replicator/test/replicator.test.ts',
    why: 'the ballot-box counts what is stored, and a target that lacks entries rejects the ones after them',
  },
  {
    id: 'busy-groups-stop-another',
    rule: 'Each group of a process may have one uncommitted append, however many the others have.',
    edits: [
      {
        file: 'packages/node/src/core/leader/proposals.ts',
        find: '(uncommitted === 0 || uncommitted + otherAppends < appendsInFlight)',
        replace: 'uncommitted + otherAppends < appendsInFlight',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/leader/leader-state.test.ts',
    why: 'the other groups of a run are idle in every second half-second, and the writes are made then',
  },
  {
    id: 'entries-sent-with-every-probe',
    rule: 'Entries are sent with a probe only where the log of a follower usually ends.',
    edits: [
      {
        file: 'packages/replicator/src/core/probe.ts',
        find: 'if (open === undefined || open.entries !== undefined || nextIndex !== this.firstOwnIndex) return;',
        replace: 'if (open === undefined || open.entries !== undefined) return;',
      },
    ],
    seeds: 0,
    test: 'packages/replicator/test/replicator.test.ts',
    why: 'entries are sent that the target rejects, and none is lost',
  },
];
