/** The sessions of log-stores, and the ordered links between a peer's actors. */

const stages = 'packages/log-store/src/core/write-pipeline.ts';
const nodeSession = 'packages/log-store/src/core/node-session.ts';
const nodeLink = 'packages/log-store/src/core/node-link.ts';
const link = 'packages/actor/src/core/link.ts';
const opening = 'packages/node/src/core/local/log-store-opener.ts';
const ownActors = 'packages/node/src/core/local/local-actors.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const sessions = [
  {
    id: 'session-not-raised',
    rule: '`open` raises the durable `session`.',
    edits: [
      {
        file: stages,
        find: 'const session = asSession(this.acceptedState.session + 1);',
        replace: 'const session = asSession(Math.max(this.acceptedState.session, 1));',
      },
    ],
    seeds: 60,
  },
  {
    id: 'opened-again-by-a-repeat',
    rule: 'Repeating an `open` with its nonce is the same opening.',
    edits: [
      {
        file: nodeSession,
        find: 'if (ofThisRun && body.nonce === accepted.nonce && this.link.session === accepted.session) {',
        replace: 'if (accepted.session < 0) {',
      },
      {
        file: nodeSession,
        find: 'if (ofThisRun && this.log.isOpening(body.nonce)) {',
        replace: 'if (accepted.session < 0) {',
      },
      {
        file: nodeSession,
        find: 'if (!ofThisRun || body.after_session !== accepted.session) {',
        replace: 'if (!ofThisRun || (body.after_session !== accepted.session && body.nonce !== accepted.nonce)) {',
      },
    ],
    seeds: 500,
  },
  {
    id: 'queued-commands-survive-an-open',
    rule: '`open` ... drops queued commands of older sessions.',
    edits: [
      {
        file: stages,
        find: 'this.next = new WriteBatch();\n    this.next.isNeeded = true;\n    this.next.opening = nonce;',
        replace: 'this.next.isNeeded = true;\n    this.next.opening = nonce;',
      },
    ],
    seeds: 0,
    test: 'packages/log-store/test/log-store-sessions.test.ts',
    why: 'a second node has to open while a write runs and another one waits: too rare at random',
  },
  {
    id: 'opened-before-the-running-write',
    rule: '`open` ... waits for the running write, and only then reports.',
    edits: [
      {
        file: nodeSession,
        find: "if (this.log.open(body.nonce, this.newStoreId())) this.output.count('queued_of_older_session');",
        replace: `if (this.log.open(body.nonce, this.newStoreId())) this.output.count('queued_of_older_session');
    const { session, nonce } = this.log.accepted;
    if (this.log.durable.storeId === '') return;
    this.link.opened(session);
    this.output.sendNode(messages.opened(this.options, { ...this.log.durable, session, nonce }));`,
      },
      {
        file: nodeSession,
        find: 'if (done.opening === undefined) return false;',
        replace: 'if (done.opening === undefined || this.link.session === this.log.durable.session) return false;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'older-session-not-refused',
    rule: 'All messages among one peer’s actors carry `store_id` and `session`; a lower session is refused.',
    edits: [
      {
        file: nodeLink,
        find: "if (sender.session < current.session) return 'older_session';",
        replace: "if (sender.session < current.session) return 'open';",
      },
    ],
    seeds: 60,
  },
  {
    id: 'fenced-node-goes-on',
    rule: 'A fenced node stays up, is unhealthy, reports why, and does nothing.',
    edits: [
      {
        file: opening,
        find: "const reason = 'another node has opened the log-store';",
        replace:
          "const reason = 'another node has opened the log-store';\n    if (body.session > 0) return context.drop(reason);",
      },
    ],
    seeds: 60,
  },
  {
    id: 'fenced-node-opens-again',
    rule: 'A fenced node ... never reopens: so two nodes started for one peer do not duel.',
    edits: [
      {
        file: opening,
        find: "const reason = 'another node has opened the log-store';",
        replace:
          "const reason = 'another node has opened the log-store';\n    if (body.session > 0) return this.restart(reason);",
      },
    ],
    seeds: 60,
  },
  {
    id: 'restart-of-the-log-store-not-noticed',
    rule: 'A log-store process accepts nothing before an `open` made with this incarnation of it; its node restarts.',
    edits: [
      {
        file: nodeLink,
        find: "return this.open > 0 && sender.session === this.open ? 'open' : 'not_opened';",
        replace: "return 'open';",
      },
      { file: ownActors, find: 'if (actor.incarnation !== body.incarnation) return false;', replace: '' },
      {
        file: opening,
        find: "if (body.incarnation !== this.actors.logStoreIncarnation) this.restart('the log-store has restarted');\n    else context.drop('welcome_repeated');",
        replace: "context.drop('welcome_repeated');",
      },
    ],
    seeds: 60,
  },
  {
    id: 'link-accepts-repeats',
    rule: 'Links from a node to its own actors are ordered: a sequence number per session, accepted once.',
    edits: [{ file: link, find: "if (body.seq <= this.acceptedSeq) return 'repeat';", replace: '' }],
    seeds: 60,
  },
  {
    id: 'link-accepts-past-a-gap',
    rule: 'Links from a node to its own actors are ordered: ... accepted in order.',
    edits: [
      { file: link, find: "return body.seq > this.acceptedSeq + 1 ? 'gap' : 'next';", replace: "return 'next';" },
    ],
    seeds: 60,
  },
  {
    id: 'link-does-not-resend',
    rule: 'Links from a node to its own actors are ... resent until acknowledged.',
    edits: [
      {
        file: link,
        find: 'if (oldest === undefined || oldest.seq > upTo || nowMs - oldest.sentAtMs < afterMs) return [];',
        replace: 'if (oldest === undefined || oldest.seq > 0 || nowMs - oldest.sentAtMs < afterMs) return [];',
      },
    ],
    seeds: 60,
  },
  {
    id: 'half-dead-leader-stays',
    rule: 'A leader one of whose own actors stays silent for an election timeout steps down, and does not campaign again.',
    edits: [
      {
        file: ownActors,
        find: 'return localActorKinds.filter((kind) => this.actors[kind].silentIntervals > maxIntervals);',
        replace: 'return localActorKinds.filter((kind) => this.actors[kind].silentIntervals > most && most < 0);',
      },
    ],
    seeds: 500,
  },
  {
    id: 'counting-ballot-box-is-sent-few-ticks',
    rule: 'A node that leads or campaigns sends its ballot-box and its replicator a tick in each heartbeat interval.',
    edits: [
      { file: ownActors, find: "const isActive = this.state.role !== 'follower';", replace: 'const isActive = false;' },
    ],
    seeds: 0,
    test: 'packages/node/test/core/local/local-actors.test.ts',
    why: 'heartbeats come rarely then, and the next election repairs it: nothing but time is lost',
  },
  {
    id: 'few-ticks-to-an-idle-log-store',
    rule: 'A log-store that has acknowledged nothing in the last heartbeat interval is sent a tick: a replaced node notices it soon.',
    edits: [
      {
        file: ownActors,
        find: "kind === 'log-store' ? actor.silentIntervals > 1 : isActive",
        replace: "kind === 'log-store' ? false : isActive",
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/local/local-actors.test.ts',
    why: 'a replaced node that grants a pre-vote to a removed peer: one seed in hundreds (70219)',
  },
  {
    id: 'few-ticks-while-messages-are-unacknowledged',
    rule: 'An actor is sent a tick in each heartbeat interval while it has not acknowledged all messages of its link.',
    edits: [
      {
        file: ownActors,
        find: 'const isUnacknowledged = link.acknowledgedSeq < link.last.seq;',
        replace: 'const isUnacknowledged = false;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/local/local-actors.test.ts',
    why: 'lost messages are resent later, by which nothing but time is lost',
  },
  {
    id: 'link-acknowledged-before-the-sync',
    rule: 'A message of the link to the log-store is acknowledged when what it brought is synced.',
    edits: [
      {
        file: nodeLink,
        find: '    this.refusal = undefined;\n  }\n\n  /** Refuses',
        replace: '    this.refusal = undefined;\n    this.synced = { link, seq };\n  }\n\n  /** Refuses',
      },
      {
        file: nodeLink,
        find: "    invariant(frame.link !== this.synced.link || frame.seq > this.synced.seq, 'the synced position does not go back');\n    this.synced = frame;",
        replace: '    if (frame.link > this.synced.link || frame.seq > this.synced.seq) this.synced = frame;',
      },
    ],
    seeds: 60,
  },
];
