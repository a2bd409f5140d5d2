/** The log: the consistency check, truncation, applying, and what becomes durable in which order. */

const append = 'packages/node/src/core/follower/append-entries.ts';
const applier = 'packages/node/src/core/log/applier.ts';
const logView = 'packages/node/src/core/state/log-view.ts';
const check = 'packages/log-store/src/core/append-check.ts';
const stages = 'packages/log-store/src/core/write-pipeline.ts';
const gathered = 'packages/log-store/src/core/write-batch.ts';
const logState = 'packages/log-store/src/core/log-state.ts';
const store = 'packages/log-store/src/core/log-store-core.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const log = [
  {
    id: 'prev-term-not-checked',
    rule: 'Raft: a follower accepts entries only if the one before them matches.',
    edits: [
      {
        file: append,
        find: 'state.log.termAt(body.prev_index) !== body.prev_term) {',
        replace: 'state.log.termAt(body.prev_index) === undefined) {',
      },
    ],
    seeds: 250,
  },
  {
    id: 'entries-of-a-lower-term-accepted',
    rule: 'Raft: a message of a lower term is rejected.',
    edits: [
      { file: append, find: 'if (body.term < state.term) return this.refuseOlderTerm(body);', replace: '' },
      { file: check, find: "if (leader_term < state.term) return 'lower_term';", replace: '' },
    ],
    seeds: 60,
  },
  {
    id: 'truncates-without-conflict',
    rule: 'The node truncates only on a conflict of terms. An older message that arrives late would truncate the entries after it.',
    edits: [
      {
        file: append,
        find: 'while (index <= header.last && log.termAt(index) === header.term) index = asLogIndex(log.lastOfTermAt(index) + 1);',
        replace: 'while (index <= header.last && index <= this.state.commitIndex) index = asLogIndex(index + 1);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'truncates-below-commit',
    rule: 'The node truncates ... never at or below commit; the log-store refuses it.',
    edits: [
      {
        file: append,
        find: 'while (index <= header.last && log.termAt(index) === header.term) index = asLogIndex(log.lastOfTermAt(index) + 1);',
        replace: '',
      },
      {
        file: append,
        find: 'invariant(from > state.commitIndex,',
        replace: 'invariant(from > 0,',
      },
      {
        file: check,
        find: "if (truncate_from > 0 && truncate_from <= state.commitIndex) return 'truncates_committed';",
        replace: '',
      },
    ],
    seeds: 60,
  },
  {
    id: 'commit-beyond-verified',
    rule: 'A commit index at a follower is at most min(leader_commit, verified_index).',
    edits: [
      {
        file: append,
        find: 'roles.commitTo(asLogIndex(Math.min(body.leader_commit, verified)));',
        replace: 'roles.commitTo(asLogIndex(Math.min(body.leader_commit, state.log.lastIndex)));',
      },
    ],
    seeds: 60,
  },
  {
    id: 'verified-is-the-last-index',
    rule: '`verified_index` is prev_index + count.',
    edits: [{ file: append, find: 'verified_index: verified,', replace: 'verified_index: state.log.lastIndex,' }],
    seeds: 60,
  },
  {
    id: 'match-from-the-last-index',
    rule: '`match_index` echoes `verified_index` ...; it is never derived from the last index.',
    edits: [
      {
        file: stages,
        find: 'matchIndex: body.verified_index,',
        replace: 'matchIndex: this.acceptedState.lastIndex,',
      },
    ],
    seeds: 60,
  },
  {
    id: 'no-append-for-what-is-there',
    rule: "A follower's node sends an `append` for every AppendEntries that it accepts, also when it has the entries already.",
    edits: [
      {
        file: append,
        find: 'actors.sendAppendToLogStore({',
        replace: 'if (fresh.length > 0 || truncateFrom > 0) actors.sendAppendToLogStore({',
      },
    ],
    seeds: 500,
  },
  {
    id: 'node-acknowledges',
    rule: 'The node itself never acknowledges.',
    edits: [
      {
        file: append,
        find: 'const { state, actors, roles } = this;\n    const verified',
        replace: 'const { state, actors, roles, context } = this;\n    const verified',
      },
      {
        file: append,
        find: 'roles.commitTo(asLogIndex(Math.min(body.leader_commit, verified)));',
        replace: `context.send(body.leader_id, {
      name: 'feed.stored',
      body: {
        ...actors.identity,
        group_uid: body.group_uid,
        peer_id: state.peerId,
        seq: 1,
        leader_id: body.leader_id,
        leader_term: body.term,
        match_index: verified,
      },
    });
    roles.commitTo(asLogIndex(Math.min(body.leader_commit, verified)));`,
      },
    ],
    seeds: 60,
  },
  {
    id: 'acknowledged-before-sync',
    rule: 'An entry is acknowledged only after it is synced.',
    edits: [
      {
        file: store,
        find: "this.drops.count('acknowledgements_truncated', this.log.append(body, batches, body.seq));",
        replace: `this.drops.count('acknowledgements_truncated', this.log.append(body, batches, body.seq));
    const { leader_id, leader_term, group_uid, session, verified_index } = body;
    this.send(
      leader_id,
      messages.stored(this.options, body.store_id, {
        leaderId: leader_id,
        leaderTerm: leader_term,
        groupUid: group_uid,
        session,
        seq: body.seq,
        matchIndex: verified_index,
      }),
    );`,
      },
    ],
    seeds: 60,
  },
  {
    id: 'term-not-stored-with-entries',
    rule: 'A `leader_term` above the stored term is written in the same batch as the entries.',
    edits: [{ file: stages, find: "this.raiseTerm(body.leader_term, '');", replace: '' }],
    seeds: 60,
  },
  {
    id: 'deletes-not-written',
    rule: 'Deletes, the shortened batch and the new one are one write. The deletes are left out.',
    edits: [
      {
        file: gathered,
        find: "if (this.from !== undefined) operations.push({ type: 'truncate', groupId, from: this.from });",
        replace: '',
      },
    ],
    seeds: 1000,
  },
  {
    id: 'node-keeps-configuration-after-truncation',
    rule: 'A configuration ... is rolled back if truncated.',
    edits: [
      {
        file: logView,
        find: 'this.configurationEntries = this.configurationEntries.filter((entry) => entry.index < from);',
        replace: '',
      },
    ],
    seeds: 0,
    scenario: 'rule-aba-race.txt',
  },
  {
    id: 'store-keeps-configuration-after-truncation',
    rule: 'A configuration ... is rolled back if truncated: on disk as well.',
    edits: [
      {
        file: logState,
        find: 'configurations: state.configurations.filter((entry) => entry.index < from),',
        replace: 'configurations: state.configurations,',
      },
    ],
    seeds: 0,
    test: 'packages/log-store/test/log-store-truncation.test.ts',
    why: 'the peer has to restart between a truncation and the next configuration: too rare at random',
  },
  {
    id: 'applies-what-is-not-committed',
    rule: 'Raft: only what is committed is applied.',
    edits: [
      {
        file: applier,
        find: 'while (state.appliedIndex < state.commitIndex) {',
        replace: 'while (state.appliedIndex < state.log.lastIndex) {',
      },
      { file: applier, find: 'const upTo = Math.min(last, state.commitIndex);', replace: 'const upTo = last;' },
    ],
    seeds: 60,
  },
  {
    id: 'applies-what-was-replaced',
    rule: 'What is durable may be what this node has replaced since: only what has the term that it knows is applied.',
    edits: [
      {
        file: applier,
        find: 'if (log.termAt(header.first) !== header.term || log.termAt(last) !== header.term) {',
        replace: 'if (log.lastIndex < 0) {',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/follower/append-entries.test.ts',
    why: 'entries have to be read back between their replacement and its sync: too rare at random',
  },
  {
    id: 'bad-checksum-not-noticed',
    rule: 'Every batch has a CRC.',
    edits: [
      {
        file: 'packages/protocol/src/batch.ts',
        find: 'return view.getUint32(0) === crc32(bytes.subarray(4));',
        replace: 'return view.getUint32(0) >= 0 || crc32(bytes) > 0;',
      },
    ],
    seeds: 500,
  },
  {
    id: 'changes-after-a-failed-one',
    rule: 'After a change of LevelDB that failed there is none until the store is reopened.',
    edits: [
      {
        file: 'packages/log-store/src/level-log-storage.ts',
        find: 'this.failure ??= { error };',
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/log-store/test/level-log-storage.test.ts',
    why: 'what LevelDB keeps of a write that failed is in the shell; the disk of the simulator keeps nothing of it',
  },
  {
    id: 'rows-of-unreadable-tables-are-skipped',
    rule: 'A read that LevelDB could not execute completely fails; it does not return the rows that are left.',
    edits: [
      {
        file: 'packages/log-store/src/level-log-storage.ts',
        find: 'if (!isUnbroken(rows, from)) await',
        replace: 'if (rows.length < 0) await',
      },
    ],
    seeds: 0,
    test: 'packages/log-store/test/level-log-storage.test.ts',
    why: 'what an iterator of LevelDB skips is in the shell; the disk of the simulator has no tables',
  },
  {
    id: 'missing-records-are-not-noticed',
    rule: 'A store that lacks a record of a configuration, of a term or of its snapshot is damaged.',
    edits: [
      {
        file: 'packages/log-store/src/core/records.ts',
        find: 'if (meta.records !== undefined) checkRecords(groupId, state, meta.records);',
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/log-store/test/level-log-storage.test.ts',
    why: 'the disk of the simulator loses no single rows',
  },
  {
    id: 'cut-manifest-is-not-noticed',
    rule: 'A store whose manifest lacks its end is damaged: LevelDB would start without its newest tables.',
    edits: [
      {
        file: 'packages/log-store/src/level-manifest.ts',
        find: 'const lostLog = (await this.lostLog(names)) ?? (await this.cutLog(names));',
        replace: 'const lostLog = await this.cutLog(names);',
      },
    ],
    seeds: 0,
    test: 'packages/log-store/test/level-log-storage.test.ts',
    why: 'the files of LevelDB are in the shell; the disk of the simulator has none',
  },
];
