/** Which senders are accepted, and where replies go (docs/design.md, sections 3 and 8). */

const senders = 'packages/protocol/src/senders.ts';
const sendersTest = 'packages/protocol/test/senders.test.ts';
const noSubjects = 'the simulator has no subjects';

/** @type {import('./mutation.mjs').Mutation[]} */
export const sendersOfMessages = [
  {
    id: 'sender-not-compared-with-the-body',
    rule: 'The receiver drops a body whose sender is another than the subject names.',
    edits: [{ file: senders, find: 'return named === from;', replace: 'return true;' }],
    seeds: 0,
    test: sendersTest,
    why: noSubjects,
  },
  {
    id: 'own-messages-from-other-peers',
    rule: "Messages among a peer's own actors come from that peer.",
    edits: [{ file: senders, find: 'return from === addressee && (', replace: 'return (' }],
    seeds: 0,
    test: sendersTest,
    why: noSubjects,
  },
  {
    id: 'reply-to-a-subject-of-conclave',
    rule: "A reply goes to an inbox, never to a subject of Conclave or of NATS's own.",
    edits: [
      {
        file: 'packages/actor/src/serve.ts',
        find: "const isOfOthers = inbox.startsWith('$') ||",
        replace: 'const isOfOthers =',
      },
    ],
    seeds: 0,
    test: 'packages/actor/test/inboxes.test.ts',
    why: noSubjects,
  },
];
