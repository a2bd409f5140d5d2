/** What a node may trust for how long: its session, its term, an acknowledgement, an election of its own. */

const appending = 'packages/node/src/core/follower/append-entries.ts';
const election = 'packages/node/src/core/follower/election.ts';
const ownActors = 'packages/node/src/core/local/local-actors.ts';
const proposals = 'packages/node/src/core/leader/proposals.ts';
const stages = 'packages/log-store/src/core/write-pipeline.ts';
const state = 'packages/node/src/core/state/node-state.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const trust = [
  {
    id: 'session-confirmed-as-of-the-answer',
    rule: 'A node is sure of its session as of when it sent what the log-store has acknowledged, not as of when that arrived.',
    edits: [
      {
        file: appending,
        find: 'this.session.recordConfirmed(nowMs);',
        replace: 'this.session.recordConfirmed(Math.max(nowMs, this.context.nowMs));',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/follower/trust.test.ts',
    why: 'a follower receives from its log-store late while a second node votes: seeds rarely reach it',
  },
  {
    id: 'session-tick-survives-a-term',
    rule: 'A session tick is one of the term: it begins again with the term.',
    edits: [
      {
        file: state,
        find: '    this.lastTickId = 0;\n    this.sessionTickId = 0;\n',
        replace: '    this.lastTickId = 0;\n',
      },
    ],
    seeds: 60,
  },
  {
    id: 'session-tick-of-an-older-term',
    rule: 'An acknowledgement of an older term raises no session tick.',
    edits: [
      {
        file: appending,
        find: 'if (state.term === term) state.recordSessionTick',
        replace: 'state.recordSessionTick',
      },
    ],
    seeds: 250,
  },
  {
    id: 'unsynced-own-vote-counted',
    rule: 'Votes are synced before they are counted: also where a ballot-box restarts while a candidate waits for its disk.',
    edits: [
      {
        file: election,
        find: 'if (candidacy === undefined || !candidacy.requestsVotes) return;',
        replace: 'if (candidacy === undefined) return;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/follower/trust.test.ts',
    why: 'a ballot-box has to restart in the milliseconds in which a candidate waits for its disk, and the vote to be lost: seeds rarely reach it',
  },
  {
    id: 'elected-of-another-candidacy',
    rule: 'Only a candidate is elected: a pre-vote that was won elects no leader.',
    edits: [
      {
        file: election,
        find: 'if (candidacy === undefined || body.election_id !== candidacy.electionId || body.term !== candidacy.term) {',
        replace: 'if (candidacy === undefined || body.term !== candidacy.term) {',
      },
    ],
    seeds: 60,
  },
  {
    id: 'term-sent-before-it-is-stored',
    rule: 'A term is synced before it is sent.',
    edits: [
      {
        file: ownActors,
        find: '    if (this.storeTerm()) this.runAfter(this.termSeq, run);',
        replace: '    if (this.storeTerm()) run();',
      },
    ],
    seeds: 60,
  },
  {
    id: 'acknowledgement-of-another-session',
    rule: 'An acknowledgement counts for the session that it names.',
    edits: [
      {
        file: ownActors,
        find: "if (body.actor === 'node' || body.store_id !== this.state.storeId || body.session !== this.state.session) {",
        replace: "if (body.actor === 'node') {",
      },
    ],
    seeds: 250,
  },
  {
    id: 'reply-of-an-entry-that-was-replaced',
    rule: 'A leader that steps down answers its pending writes as unknown: another entry may get their index.',
    edits: [
      {
        file: proposals,
        find: "    for (const { requestId } of this.appended.values()) {\n      if (requestId !== undefined) this.context.refuse(requestId, 'EPERM', reason, 'unknown');\n    }\n",
        replace: '',
      },
      { file: proposals, find: '    this.appended.clear();\n    this.bytes = 0;\n', replace: '' },
    ],
    seeds: 60,
  },
  {
    id: 'stored-commit-beyond-the-log',
    rule: 'A commit index that is stored as a hint is not beyond what was reported as committed, nor beyond the log.',
    edits: [
      {
        file: stages,
        find: 'const known = asLogIndex(Math.min(commitIndex, this.acceptedState.lastIndex));',
        replace: 'const known = asLogIndex(commitIndex + 1);',
      },
    ],
    seeds: 60,
  },
];
