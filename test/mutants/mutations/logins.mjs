/** How processes log in, what NATS refuses, and whose replies count (decisions 0115 and 0116). */

const login = 'packages/protocol/src/login/login.ts';
const loginTest = 'packages/protocol/test/login.test.ts';
const connection = 'packages/actor/src/nats-connection.ts';
const permissionsTest = 'packages/actor/test/permissions.test.ts';
const foreignTest = 'packages/cli/test/foreign-programs.test.ts';
const noNats = 'the simulator has no NATS';

/** @type {import('./mutation.mjs').Mutation[]} */
export const logins = [
  {
    id: 'context-read-once',
    rule: 'A context is read again at each connection.',
    edits: [
      {
        file: login,
        find: '          this.readContexts();\n          last = this.credentials?.read();',
        replace: '          last = this.credentials?.read();',
      },
    ],
    seeds: 0,
    test: loginTest,
    why: noNats,
  },
  {
    id: 'context-copied-for-children',
    rule: "Child processes get a context's path, not its content.",
    edits: [
      {
        file: login,
        find: 'const named = this.sources.find(({ context }) => context !== undefined);',
        replace: 'const named = this.sources.find(({ context }) => context === null);',
      },
    ],
    seeds: 0,
    test: loginTest,
    why: noNats,
  },
  {
    id: 'child-with-another-login',
    rule: 'A child process logs in as its parent.',
    edits: [
      {
        file: login,
        find: 'mergedCredentials(this.sources.filter((source) => source !== named))',
        replace: 'mergedCredentials(sourcesOf(this.layers))',
      },
    ],
    seeds: 0,
    test: loginTest,
    why: noNats,
  },
  {
    id: 'refused-subscription-not-retried',
    rule: 'A subscription that NATS refuses is retried.',
    edits: [
      {
        file: 'packages/actor/src/retrying-subscription.ts',
        find: '      if (this.current.isClosed()) this.current = this.subscribe();\n',
        replace: '',
      },
    ],
    seeds: 0,
    test: permissionsTest,
    why: noNats,
  },
  {
    id: 'refused-subscription-not-reported',
    rule: 'Health reports EPERM until the server accepts the subscription.',
    edits: [{ file: connection, find: 'if (refusal !== undefined) this.refused.add(subscription);', replace: '' }],
    seeds: 0,
    test: permissionsTest,
    why: noNats,
  },
  {
    id: 'refused-replies-stay-refused',
    rule: 'The client library retries the subscription to its replies when it is called.',
    edits: [
      {
        file: 'packages/client/src/reply-inbox.ts',
        find: '    if (this.subscription.isClosed()) this.subscription = this.subscribe();\n',
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/client/test/refused-replies.test.ts',
    why: noNats,
  },
  {
    id: 'sent-while-the-login-is-rejected',
    rule: 'A client whose login is rejected sends nothing: its calls are not done.',
    edits: [
      {
        file: 'packages/client/src/conclave-client.ts',
        find: "      later({ type: 'not_sent', message: this.rejection, code: 'ELOGIN' });\n      return;\n",
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/client/test/rejected-login.test.ts',
    why: noNats,
  },
  {
    id: 'rejected-login-is-always-not-done',
    rule: 'A call that ends while the login is rejected is not done only if no attempt may have run.',
    edits: [
      {
        file: 'packages/client/src/core/client-core.ts',
        find: "refusal?.code === 'ELOGIN' && call.request?.mayHaveRun() !== true",
        replace: "refusal?.code === 'ELOGIN'",
      },
    ],
    seeds: 0,
    test: 'packages/client/test/client-core.test.ts',
    why: noNats,
  },
  {
    id: 'empty-secret-used',
    rule: 'An empty file holds no secret: the last one counts.',
    edits: [
      {
        file: 'packages/protocol/src/login/credentials.ts',
        find: "  if (text === '') throw new LoginError('ELOGIN',",
        replace: "  if (text === 'x') throw new LoginError('ELOGIN',",
      },
    ],
    seeds: 0,
    test: 'packages/protocol/test/login-faults.test.ts',
    why: noNats,
  },
  {
    id: 'reply-to-a-wildcard',
    rule: 'A request whose reply subject has wildcards is not executed.',
    edits: [
      {
        file: 'packages/actor/src/serve.ts',
        find: 'return !isOfOthers && isLiteralSubject(inbox);',
        replace: 'return !isOfOthers;',
      },
    ],
    seeds: 0,
    test: 'packages/actor/test/inboxes.test.ts',
    why: noNats,
  },
  {
    id: 'each-rejected-attempt-logged',
    rule: 'The log has one line when the connection is lost, and one when it is back.',
    edits: [{ file: connection, find: 'if (!this.isClosing && !this.isLost)', replace: '' }],
    seeds: 0,
    test: permissionsTest,
    why: noNats,
  },
  {
    id: 'foreign-reply-accepted',
    rule: 'A JSON reply to a request in msgpack is from another program: it is ignored.',
    edits: [
      {
        file: 'packages/protocol/src/codec.ts',
        find: "return data.length > 0 && encodingOf(data) === 'json';",
        replace: 'return data.length < 0;',
      },
    ],
    seeds: 0,
    test: foreignTest,
    why: noNats,
  },
  {
    id: 'undecodable-reply-is-not-done',
    rule: 'A reply that cannot be decoded does not show what was done.',
    edits: [
      {
        file: 'packages/cli/src/admin-client.ts',
        find: "(error as Error).message}`, 'unknown');",
        replace: "(error as Error).message}`, 'not_done');",
      },
    ],
    seeds: 0,
    test: 'packages/cli/test/replies.test.ts',
    why: noNats,
  },
  {
    id: 'health-of-another-program',
    rule: 'A health check uses the first reply that is about health.',
    edits: [
      {
        file: 'packages/cli/src/health-check.ts',
        find: '    if (found !== undefined) return found;\n',
        replace: '    return found;\n',
      },
    ],
    seeds: 0,
    test: foreignTest,
    why: noNats,
  },
  {
    id: 'start-prevented-by-another-actor',
    rule: 'The check before the start accepts only replies that name the actor that was asked.',
    edits: [
      {
        file: 'packages/cli/src/run/duplicate-process.ts',
        find: 'return replies.filter((reply) => subjectOf(reply) === subject);',
        replace: 'return replies.filter((reply) => subjectOf(reply) !== undefined);',
      },
    ],
    seeds: 0,
    test: foreignTest,
    why: noNats,
  },
  {
    id: 'caller-named-by-a-header-alone',
    rule: 'The caller is named by NATS only if the request came through a service import.',
    edits: [
      {
        file: 'packages/actor/src/caller.ts',
        find: "const user = isImported ? userOf(headers?.get(natsHeader) ?? '') : '';",
        replace: "const user = userOf(headers?.get(natsHeader) ?? '') || (isImported ? '' : '');",
      },
    ],
    seeds: 0,
    test: 'packages/actor/test/callers.test.ts',
    why: noNats,
  },
];
