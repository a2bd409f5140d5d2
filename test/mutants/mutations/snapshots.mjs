/** Snapshots, lost stores, and peers that accept no entries. See `identity.mjs` for more on replaced stores and resets. */

const snapshots = 'packages/node/src/core/snapshot/snapshot-taker.ts';
const install = 'packages/node/src/core/snapshot/snapshot-receiver.ts';
const restore = 'packages/node/src/core/snapshot/snapshot-restore.ts';
const append = 'packages/node/src/core/follower/append-entries.ts';
const leadership = 'packages/node/src/core/leader/leader-state.ts';
const transfer = 'packages/node/src/core/leader/leadership-transfer.ts';
const replacement = 'packages/node/src/core/membership/store-replacement.ts';
const reset = 'packages/node/src/core/membership/peer-reset.ts';
const logSnapshots = 'packages/log-store/src/core/log-snapshots.ts';
const records = 'packages/log-store/src/core/records.ts';
const installation = 'packages/replicator/src/core/snapshot-sender.ts';
const keyCut = 'packages/kv/src/core/key-snapshot.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const ofSnapshots = [
  {
    id: 'snapshot-of-a-later-entry',
    rule: 'A snapshot covers what was applied when it began.',
    edits: [
      { file: snapshots, find: 'const index = state.appliedIndex;', replace: 'const index = state.commitIndex;' },
    ],
    seeds: 600,
  },
  {
    id: 'snapshot-shows-what-comes-later',
    rule: 'What is applied while a snapshot is drawn does not show in it.',
    edits: [
      {
        file: keyCut,
        find: 'const stored = before === undefined ? this.stored.get(key) : before.stored;',
        replace: 'const stored = this.stored.get(key);',
      },
    ],
    seeds: 250,
  },
  {
    id: 'snapshot-without-the-configuration',
    rule: 'A snapshot has the configuration that is effective at its entry.',
    edits: [
      {
        file: snapshots,
        find: 'configurations: state.log.configurationsUpTo(index),',
        replace: 'configurations: state.log.configurationsUpTo(index).slice(0, 1),',
      },
    ],
    seeds: 60,
  },
  {
    id: 'compacts-beyond-the-snapshot',
    rule: 'Entries are deleted only up to the snapshot that covers them.',
    edits: [
      {
        file: snapshots,
        find: 'return asLogIndex(Math.max(wanted, state.log.base.index));',
        replace: 'return asLogIndex(Math.max(state.commitIndex, state.log.base.index));',
      },
      { file: logSnapshots, find: 'Math.min(body.compact_to, head.index)', replace: 'body.compact_to' },
    ],
    seeds: 100,
  },
  {
    id: 'base-of-another-term',
    rule: 'The log continues after an entry whose term is known.',
    edits: [
      {
        file: logSnapshots,
        find: '{ index: to, term: termAt(state, to) ?? state.base.term }',
        replace: '{ index: to, term: head.term }',
      },
    ],
    seeds: 100,
  },
  {
    id: 'snapshot-counts-with-gaps',
    rule: 'Chunks are stored in order, and a snapshot counts only where all are there and agree with its head.',
    edits: [
      {
        file: install,
        find: "if (number !== incoming.given || number >= body.head.chunks) return context.drop('install_chunk_not_next');",
        replace: '',
      },
      {
        file: logSnapshots,
        find: "if (number === incoming.stored) return 'next';",
        replace: "if (number !== incoming.stored || number === incoming.stored) return 'next';",
      },
      { file: logSnapshots, find: "if (!isWhole) return 'snapshot_not_whole';", replace: 'void isWhole;' },
    ],
    seeds: 250,
  },
  {
    id: 'install-keeps-a-tail-of-another-log',
    rule: 'A log that does not have the last entry of an installed snapshot goes with all its entries.',
    edits: [
      {
        file: logSnapshots,
        find: 'return !holdsLastEntry(state, head);',
        replace: 'return head.index > state.lastIndex;',
      },
    ],
    seeds: 0,
    test: 'packages/log-store/test/log-store-snapshots.test.ts',
    why: 'a snapshot has to replace a longer log of another term: too rare at random',
  },
  {
    id: 'install-drops-what-matches',
    rule: 'If the log has the last entry of an installed snapshot, the entries after it stay.',
    edits: [
      {
        file: logSnapshots,
        find: 'return !holdsLastEntry(state, head);',
        replace: 'return !holdsLastEntry(state, head) || head.index > state.commitIndex;',
      },
    ],
    seeds: 1000,
  },
  {
    id: 'older-snapshot-installed',
    rule: 'A snapshot that holds no more than what is committed is not installed.',
    edits: [
      {
        file: install,
        find: 'return head.index > commitIndex;',
        replace: 'return head.index > 0;',
      },
      {
        file: logSnapshots,
        find: "if (head.index < (snapshot?.head.index ?? 0)) return 'snapshot_older';",
        replace: '',
      },
      {
        file: logSnapshots,
        find: "const mayReplace = source === 'installed' && head.index > state.commitIndex;",
        replace: "const mayReplace = source === 'installed';",
      },
    ],
    seeds: 250,
  },
  {
    id: 'incoming-chunks-forgotten-by-a-restart',
    rule: 'What a leader installs stays over a restart, and goes on from the last chunk (promise 19).',
    edits: [{ file: records, find: 'incoming: meta.incoming ?? undefined,', replace: 'incoming: undefined,' }],
    seeds: 500,
  },
  {
    id: 'incoming-chunks-cleared',
    rule: 'Only chunks are cleared away that are of no more use.',
    edits: [
      {
        file: logSnapshots,
        find: 'const keptSlots = [snapshot?.slot, incoming?.slot].filter((slot) => slot !== undefined);',
        replace: 'const keptSlots = [snapshot?.slot, incoming?.slot].slice(0, 1).filter((slot) => slot !== undefined);',
      },
    ],
    seeds: 250,
  },
  {
    id: 'lost-chunks-not-sent-again',
    rule: 'A transfer continues after a loss.',
    edits: [
      { file: installation, find: 'if (!isFinishing && !isSilent) return;', replace: 'if (!isFinishing) return;' },
    ],
    seeds: 0,
    test: 'packages/replicator/test/snapshot-losses.test.ts',
    why: 'all chunks in flight have to be lost: too rare at random',
  },
  {
    id: 'restored-as-of-another-entry',
    rule: 'What is applied after a restore begins after the snapshot’s entry.',
    edits: [
      {
        file: restore,
        find: 'this.applier.continueFrom(index);',
        replace: 'this.applier.continueFrom((index - 1) as typeof index);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'entries-at-the-base-not-matched',
    rule: 'What is compacted is committed, and so matches.',
    edits: [
      {
        file: append,
        find: 'const isBelowBase = body.prev_index < state.log.base.index;',
        replace: 'const isBelowBase = body.prev_index < 0;',
      },
    ],
    seeds: 100,
  },
  {
    id: 'lost-store-not-replaced',
    rule: 'A member’s lost store is replaced without an operator (promise 6).',
    edits: [{ file: replacement, find: 'change.replaceStore(next);', replace: 'void change;' }],
    seeds: 60,
  },
  {
    id: 'replaced-while-the-bound-store-is-reachable',
    rule: 'A store is replaced only after it has been silent for two election timeouts.',
    edits: [
      {
        file: replacement,
        find: 'return isOthers || bound_silent_ms < minMs ? [] : [{ peer_id, store_id }];',
        replace: 'return isOthers || bound_silent_ms < minMs - minMs ? [] : [{ peer_id, store_id }];',
      },
    ],
    seeds: 0,
    scenario: 'wiped-peer.txt',
  },
  {
    id: 'reset-into-the-same-history',
    rule: 'A reset begins a history of its own; nothing of the old one counts in it (promise 15).',
    edits: [
      {
        file: reset,
        find: 'const group_uid = historyAfterReset(old_group_uid, epoch, peers);',
        replace: 'const group_uid = peers.length > 0 ? old_group_uid : historyAfterReset(old_group_uid, epoch, peers);',
      },
    ],
    seeds: 250,
  },
  {
    id: 'read-only-peer-accepts-entries',
    rule: 'A follower that is read-only accepts no entries.',
    edits: [
      {
        file: append,
        find: "if (!takesEntries && batches.length > 0) return this.reject(body, 'read_only');",
        replace: '',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-only-majority-ignored',
    rule: 'A leader accepts no writes while a majority is read-only.',
    edits: [
      {
        file: leadership,
        find: 'reasonAgainstWrites(isTransferring = false): string | undefined {',
        replace:
          'reasonAgainstWrites(isTransferring = false): string | undefined {\n    if (this.state.term > 0 || isTransferring) return undefined;',
      },
    ],
    seeds: 250,
  },
  {
    id: 'transfer-where-nothing-commits',
    rule: 'A leader transfers leadership only to a peer that can commit entries.',
    edits: [
      {
        file: transfer,
        find: 'return this.leadership.candidates.canCommit(peerId);',
        replace:
          'return this.leadership.candidates.canCommit(peerId) || this.leadership.candidates.ineligibleReason(peerId) === undefined;',
      },
    ],
    seeds: 100,
  },
];
