/** What clients are promised: once, and a true outcome. */

const machine = 'packages/kv/src/core/kv-state-machine.ts';
const requests = 'packages/node/src/core/requests/request-router.ts';
const sessions = 'packages/kv/src/core/client-sessions.ts';
const client = 'packages/client/src/core/client-core.ts';
const request = 'packages/client/src/core/client-request.ts';
const proposals = 'packages/node/src/core/leader/proposals.ts';
const watches = 'packages/node/src/core/reads/watches.ts';
const watchReader = 'packages/client/src/core/watch-reader.ts';
const locks = 'packages/kv/src/core/locks.ts';
const transaction = 'packages/kv/src/core/transaction.ts';
const restore = 'packages/kv/src/core/kv-restore.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const clients = [
  {
    id: 'retry-carried-out-twice',
    rule: 'A retried call happens once: results are kept per client and sequence number.',
    edits: [
      {
        file: machine,
        find: 'if (before !== undefined) return room.take(bytesAnswered(before)) ? before : askedTooOften;',
        replace: '',
      },
      {
        file: machine,
        find: 'session.keep(sequence, result, kept);',
        replace: 'if (before === undefined) session.keep(sequence, result, kept);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'session-forgotten',
    rule: 'A retried call happens once: ... the session is kept.',
    edits: [
      {
        file: sessions,
        find: 'this.sessions.set(clientId, session);\n    session.lastIndex = index;',
        replace:
          'const fresh = new ClientSession(index, this.all);\n    this.sessions.set(clientId, fresh);\n    if (index > 0) return fresh;\n    session.lastIndex = index;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'retry-with-a-new-number',
    rule: 'A retried call keeps its number.',
    edits: [
      {
        file: 'packages/client/src/core/pending-requests.ts',
        find: 'this.lastRequestId += 1;',
        replace: `if (request.kind === 'write' && request.failures + request.timeouts > 0 && request.session !== undefined) {
      for (const call of calls) {
        request.session.onSettled(call.sequence);
        call.sequence = request.session.nextNumber();
      }
    }
    this.lastRequestId += 1;`,
      },
    ],
    seeds: 60,
  },
  {
    id: 'expired-session-carries-out',
    rule: 'An expired session replies `unknown`: what was executed in it before is forgotten.',
    edits: [
      {
        file: machine,
        find: 'if (session === undefined) return entry.commands.map(() => noSession);',
        replace: `if (session === undefined) {
      const anyRoom = new ResultBudget(() => Number.POSITIVE_INFINITY);
      return entry.commands.map((command, number) => this.execute(index, command, number, anyRoom));
    }`,
      },
    ],
    seeds: 400,
  },
  {
    id: 'appended-means-not-done',
    rule: '`outcome` is always true: a step-down with the entry pending is `unknown`.',
    edits: [
      {
        file: proposals,
        find: "if (requestId !== undefined) this.context.refuse(requestId, 'EPERM', reason, 'unknown');",
        replace: "if (requestId !== undefined) this.context.refuse(requestId, 'EPERM', reason, 'not_done');",
      },
    ],
    seeds: 100,
  },
  {
    id: 'timed-out-means-not-done',
    rule: "The client's answer is one of done, not done, unknown: a timed-out write is unknown.",
    edits: [
      {
        file: request,
        find: "this.attempts.some((attempt) => attempt !== except && attempt.outcome !== 'not_done')",
        replace: "this.attempts.some((attempt) => attempt !== except && attempt.outcome === 'unknown')",
      },
    ],
    seeds: 60,
  },
  {
    id: 'answered-before-it-is-committed',
    rule: 'Raft: a client is answered when its entry is committed and applied.',
    edits: [
      {
        file: proposals,
        find: 'for (const [at, proposal] of proposals.entries()) this.appended.set(asLogIndex(first + at), proposal);',
        replace: `for (const [at, proposal] of proposals.entries()) {
      if (proposal.requestId !== undefined) {
        const results = [['done', first + at, true]];
        this.context.reply(proposal.requestId, { results });
      }
    }`,
      },
    ],
    seeds: 60,
  },
  {
    id: 'next-holder-has-the-same-token',
    rule: 'Tokens of locks grow: no two holders have the same one (promise 20).',
    edits: [{ file: locks, find: 'lock.token = this.nextRevision();', replace: '' }],
    seeds: 120,
  },
  {
    id: 'transaction-does-not-compare',
    rule: 'A transaction executes its operations only if all comparisons hold.',
    edits: [
      {
        file: transaction,
        find: 'const holds = compare.every((comparison) => isTrue(keys, comparison));',
        replace: 'const holds = compare.length > 0 || isTrue(keys, compare[0] as Comparison);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'snapshot-without-results',
    rule: 'A snapshot holds the clients’ sessions with their results.',
    edits: [
      {
        file: restore,
        find: 'return this.sessions.restoreResult(clientId, sequence, parsed.data as KvCommandResult, digest);',
        replace: 'return true;',
      },
    ],
    seeds: 200,
  },
  {
    id: 'watch-passes-over-a-revision',
    rule: 'The messages of a watch go on where the last one ended.',
    edits: [{ file: watches, find: 'watch.next = upTo + 1;', replace: 'watch.next = upTo + 2;' }],
    seeds: 60,
  },
  {
    id: 'watcher-accepts-a-gap',
    rule: 'What may have been missed is requested again.',
    edits: [{ file: watchReader, find: "if (after > upTo) return { type: 'gap' };", replace: '' }],
    seeds: 60,
  },
  {
    id: 'closed-watch-stays',
    rule: 'A closed watch ends at once.',
    edits: [{ file: watches, find: 'if (watch !== undefined) this.remove(watch);', replace: '' }],
    seeds: 60,
  },
  {
    id: 'watch-taken-over',
    rule: 'A watch keeps the selector that it began with.',
    edits: [
      {
        file: watches,
        find: 'if (isOtherSelector(selector, request.selector)) {',
        replace: 'if (selector === undefined) {',
      },
    ],
    seeds: 60,
  },
  {
    id: 'refused-as-not-done-after-an-order',
    rule: 'What a leader refuses once it has ordered a transfer may have happened at another (promise 21).',
    edits: [
      {
        file: requests,
        find: 'const mayHaveSuccessor = transfer.holdsWrites || leadership.confirmation.lease.hasEnded;',
        replace: 'const mayHaveSuccessor = transfer.holdsWrites && leadership.confirmation.lease.hasEnded;',
      },
    ],
    seeds: 0,
    scenario: 'transfer-two-leaders.txt',
  },
  {
    id: 'another-command-under-a-known-number',
    rule: 'A result is kept with a digest of its command: the same number with another command is refused.',
    edits: [
      {
        file: sessions,
        find: 'return before === undefined || command === undefined || before === digestOf(command) ? result : otherCommand;',
        replace:
          'return before === undefined || command === undefined || digestOf(command) >= 0 ? result : otherCommand;',
      },
    ],
    seeds: 0,
    test: 'packages/kv/test/client-calls.test.ts',
    why: 'clients of a run never use a number twice',
  },
  {
    id: 'session-carried-into-another-history',
    rule: 'The session of a client ends with the history: calls go on with another one.',
    edits: [
      {
        file: client,
        find: '    this.groupUid = undefined;\n    this.session = undefined;\n',
        replace: '    this.groupUid = undefined;\n',
      },
    ],
    seeds: 0,
    test: 'packages/client/test/histories.test.ts',
    why: 'the next history knows no session of the one before: it refuses the request, and the client opens another session',
  },
  {
    id: 'not-permitted-replies-are-not-done',
    rule: 'A write whose reply NATS refuses may have happened: its outcome is unknown.',
    edits: [
      {
        file: client,
        find: "const outcome = target === undefined ? 'unknown' : 'not_done';",
        replace: "const outcome = 'not_done';",
      },
    ],
    seeds: 0,
    test: 'packages/client/test/client-core.test.ts',
    why: 'the simulator has no NATS that refuses what a login may not do',
  },
  {
    id: 'not-permitted-ends-all-of-a-subject',
    rule: 'NATS refuses one request: those before it on the same subject may have been delivered.',
    edits: [
      {
        file: client,
        find: 'target === undefined ? pending : pending.slice(-1)',
        replace: 'pending',
      },
    ],
    seeds: 0,
    test: 'packages/client/test/client-core.test.ts',
    why: 'the simulator has no NATS that refuses what a login may not do',
  },
  {
    id: 'watches-of-a-client-without-bound',
    rule: 'One client has a bounded number of watches.',
    edits: [
      {
        file: watches,
        find: 'if ((this.owners.get(owner) ?? 0) < limits.ownerWatches) return undefined;',
        replace: 'if ((this.owners.get(owner) ?? 0) < 2 * limits.ownerWatches) return undefined;',
      },
    ],
    seeds: 100,
  },
];
