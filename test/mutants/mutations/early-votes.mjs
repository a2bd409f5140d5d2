/** Votes for a successor before an election timeout has passed, because NATS reports that no peer leads (decision 0137). */

const probe = 'packages/node/src/core/follower/leader-probe.ts';
const lease = 'packages/node/src/core/leader/leader-lease.ts';
const confirmation = 'packages/node/src/core/leader/leader-confirmation.ts';
const successor = 'packages/node/src/core/leader/successor-delay.ts';
const leaderTerm = 'packages/replicator/src/core/leader-term.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const earlyVotes = [
  {
    id: 'early-vote-without-permission',
    rule: 'A voter does not vote early if the last tick of its leader does not permit it: the leader may hold a lease.',
    edits: [
      {
        file: probe,
        find: 'this.replaceableAfterMs = body.replaceable_after_ms;',
        replace: 'this.replaceableAfterMs = body.replaceable_after_ms ?? 250;',
      },
    ],
    seeds: 100,
  },
  {
    id: 'early-vote-without-a-report',
    rule: 'A voter votes early only if NATS has reported to it that no peer leads.',
    edits: [{ file: probe, find: 'if (!this.isUnserved || replaceableAfterMs', replace: 'if (replaceableAfterMs' }],
    seeds: 60,
  },
  {
    id: 'early-vote-at-once',
    rule: 'A voter votes early only after the time in the last tick of its leader.',
    edits: [{ file: probe, find: 'state.leaderContactMs + replaceableAfterMs,', replace: 'state.leaderContactMs,' }],
    seeds: 60,
  },
  {
    id: 'report-survives-a-tick',
    rule: 'A report that no peer leads counts only until the next new tick of a leader.',
    edits: [
      {
        file: probe,
        find: 'this.staleProbeId = this.lastProbeId;\n    this.isUnserved = false;',
        replace: 'this.staleProbeId = this.lastProbeId;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'started-node-uses-a-report',
    rule: 'A peer whose log-store was opened within an election timeout does not campaign early.',
    edits: [
      {
        file: probe,
        find: 'state.openedMs + context.options.electionTimeoutMs',
        replace: 'Number.NEGATIVE_INFINITY',
      },
    ],
    seeds: 300,
  },
  {
    id: 'lease-from-ticks-before-its-announcement',
    rule: 'A lease is based on ticks after the read that asked for it: the earlier ones permit early votes.',
    edits: [
      {
        file: lease,
        find: 'this.inUse = true;\n    this.discardTicksUpTo(lastTickId);',
        replace: 'this.inUse = true;',
      },
    ],
    seeds: 100,
  },
  {
    id: 'early-votes-during-a-lease',
    rule: 'While a lease is in use, no tick permits an early vote.',
    edits: [
      { file: confirmation, find: 'const mayPermit = !this.lease.isStillInUse() && ', replace: 'const mayPermit = ' },
    ],
    seeds: 60,
  },
  {
    id: 'answers-though-replaceable',
    rule: 'A leader that its ticks have permitted to replace by now does not answer for the group.',
    edits: [
      {
        file: confirmation,
        find: 'if (!this.successorDelay.mayHaveSuccessor) return true;',
        replace: 'if (this.sentMs.size >= 0) return true;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'only-the-confirmed-tick-permits',
    rule: 'A leader relies on what each tick since the last confirmed one has permitted: a voter goes by the last one that it received.',
    edits: [
      {
        file: successor,
        find: 'this.sent.filter((tick) => tick.tickId >= tickId);',
        replace: 'this.sent.filter((tick) => tick.tickId > tickId);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'permission-outlives-its-tick',
    rule: 'A replicator sends a tick with the permission of that tick, not of an earlier one.',
    edits: [
      {
        file: leaderTerm,
        find: 'this.replaceableAfterMs = tick.replaceable_after_ms;',
        replace: 'this.replaceableAfterMs = tick.replaceable_after_ms ?? this.replaceableAfterMs;',
      },
    ],
    seeds: 60,
  },
];
