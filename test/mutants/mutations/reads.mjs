/** Linearizable reads, and what a leader may reply while it is not confirmed. */

const rounding = 'packages/node/src/core/reads/heartbeat-rounds.ts';
const requests = 'packages/node/src/core/requests/request-router.ts';
const readRouter = 'packages/node/src/core/reads/read-router.ts';
const rounds = 'packages/node/src/core/reads/leader-reads.ts';
const followers = 'packages/node/src/core/reads/follower-reads.ts';
const session = 'packages/node/src/core/local/session-check.ts';
const appending = 'packages/node/src/core/follower/append-entries.ts';
const transfer = 'packages/node/src/core/leader/leadership-transfer.ts';
const confirmation = 'packages/node/src/core/leader/leader-confirmation.ts';
const hold = 'packages/node/src/core/requests/request-hold.ts';
const ticks = 'packages/ballot-box/src/core/tick-rounds.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const reads = [
  {
    id: 'read-not-confirmed',
    rule: 'A linearizable read is confirmed by a round of echoes. The mutant replies at once, if it considers itself the leader.',
    edits: [
      {
        file: readRouter,
        find: 'this.leaderReads.read(read);',
        replace: 'context.reply(requestId, this.stateMachine.query(query));',
      },
      {
        file: requests,
        find: "return this.state.role === 'leader' && this.parts.leadership.confirmation.isOnlyLeader();",
        replace: "return this.state.role === 'leader';",
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-confirmed-by-an-older-round',
    rule: 'A read is confirmed ... only by a round that began after it arrived.',
    edits: [
      {
        file: rounds,
        find: 'this.rounds.push({\n      tickId,',
        replace: 'this.rounds.push({\n      tickId: tickId - 10,',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-before-own-term-commit',
    rule: "A linearizable read needs a committed entry of the leader's own term.",
    edits: [
      {
        file: rounding,
        find: 'if (this.leadership.knowsCommitted) this.reads.beginRound(tick_id);',
        replace: 'this.reads.beginRound(tick_id);',
      },
      {
        file: rounding,
        find: 'if (!this.leadership.knowsCommitted || !this.reads.wantsRound) return;',
        replace: 'if (!this.reads.wantsRound) return;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-before-it-is-applied',
    rule: "A linearizable read ... waits until the node's commit index is applied.",
    edits: [
      {
        file: rounds,
        find: 'if (round.readIndex > this.state.appliedIndex) return;',
        replace: '',
      },
    ],
    seeds: 100,
  },
  {
    id: 'one-echo-confirms',
    rule: 'A read is confirmed by a quorum of echoes. One is enough.',
    edits: [
      {
        file: ticks,
        find: 'const tick = this.quorumOf(configuration, this.echoes);',
        replace:
          'const heard = configuration.peers.filter((member) => !this.isLeader(member)).map((member) => this.echoes.of(member));\n    const tick = heard.length === 0 ? quorumValue(configuration, () => Infinity) : Math.max(...heard);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-without-the-own-session',
    rule: 'A leader counts itself in a read only while its session is current: a second node of its peer may have voted.',
    edits: [{ file: rounds, find: 'isSessionConfirmed: false,', replace: 'isSessionConfirmed: true,' }],
    seeds: 60,
  },
  {
    id: 'lease-from-the-echo',
    rule: "A leader lease runs from the tick's send time.",
    edits: [
      {
        file: confirmation,
        find: 'this.confirmedMs = this.sentMs.get(tickId) ?? this.confirmedMs;',
        replace: 'this.confirmedMs = this.context.nowMs;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'lease-twice-as-long',
    rule: 'A lease runs for less than an election timeout from the send time of its tick.',
    edits: [{ file: session, find: 'export const leaseShare = 0.9;', replace: 'export const leaseShare = 2;' }],
    seeds: 0,
    scenario: 'reads.txt',
  },
  {
    id: 'lease-from-echoes-alone',
    rule: 'A lease counts a voter only as of what its log-store was in its session for: a second node may vote otherwise.',
    edits: [
      { file: appending, find: 'session_tick_id: state.sessionTickId,', replace: 'session_tick_id: body.tick_id,' },
      {
        file: appending,
        find: "if (!this.session.isConfirmed) return context.drop('echo_of_unconfirmed_session');",
        replace: '',
      },
    ],
    seeds: 0,
    scenario: 'reads.txt',
  },
  {
    id: 'echo-without-the-own-session',
    rule: 'A follower echoes only while it is sure that no second node of its peer has opened the log-store.',
    edits: [
      {
        file: appending,
        find: "if (!this.session.isConfirmed) return context.drop('echo_of_unconfirmed_session');",
        replace: '',
      },
    ],
    seeds: 0,
    scenario: 'reads.txt',
  },
  {
    id: 'echo-of-a-session-confirmed-before-a-sync',
    rule: 'A follower echoes only while it is sure that no second node of its peer has opened the log-store.',
    edits: [
      {
        file: appending,
        find: `actors.whenTermDurable(() => {
      if (!this.session.isConfirmed) return context.drop('echo_of_unconfirmed_session');`,
        replace: `if (!this.session.isConfirmed) return context.drop('echo_of_unconfirmed_session');
    actors.whenTermDurable(() => {`,
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/follower/trust.test.ts',
    why: 'a follower has to learn a term from its leader, and receive from its log-store late while a second node starts: about one seed in a thousand reaches it',
  },
  {
    id: 'lease-survives-timeout-now',
    rule: 'After `timeout_now` the lease is void for the term.',
    edits: [{ file: transfer, find: "if (peerId !== '') this.leadership.confirmation.lease.end();", replace: '' }],
    seeds: 0,
    scenario: 'reads.txt',
  },
  {
    id: 'lease-before-own-term-commit',
    rule: "A read by lease needs a committed entry of the leader's own term.",
    edits: [
      {
        file: readRouter,
        find: 'return holds && this.leadership.knowsCommitted;',
        replace: 'return holds;',
      },
    ],
    seeds: 300,
  },
  {
    id: 'follower-reads-without-asking',
    rule: 'A follower reads linearizably only what the leader has reported as committed since the read arrived.',
    edits: [
      {
        file: readRouter,
        find: 'if (!speaksForGroup) return this.followerReads.read(read, byLease);',
        replace: 'if (!speaksForGroup) return this.readAsItIs(requestId, query);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-index-unconfirmed',
    rule: 'A leader answers a read index only when a round that began after the question is confirmed.',
    edits: [
      {
        file: rounds,
        find: 'this.indexRequests.push(body);',
        replace: 'this.sendReadIndex(body, this.state.commitIndex);',
      },
      {
        file: readRouter,
        find: "state.role !== 'leader' || !this.leadership.confirmation.isConfirmed()",
        replace: "state.role !== 'leader'",
      },
    ],
    seeds: 300,
  },
  {
    id: 'follower-reads-before-it-has-applied',
    rule: 'A follower answers once it has applied all up to the read index.',
    edits: [
      {
        file: followers,
        find: 'if (readIndex === undefined || readIndex > appliedIndex) return true;',
        replace: 'if (readIndex === undefined) return true;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-without-a-round',
    rule: 'A linearizable read waits for a round. A leader that was confirmed lately answers it at once.',
    edits: [
      {
        file: readRouter,
        find: 'this.leaderReads.read(read);',
        replace: 'context.reply(requestId, this.stateMachine.query(query));',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-tick-of-the-round-before',
    rule: 'A tick for reads begins a separate round. The leader counts it as the tick before.',
    edits: [
      {
        file: confirmation,
        find: "{ name: 'node.read_tick', body });\n    }\n    return this.tickId;",
        replace: "{ name: 'node.read_tick', body });\n    }\n    return this.tickId - 1;",
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-tick-of-any-leader',
    rule: 'A follower answers ticks for reads only of the leader that it follows.',
    edits: [
      {
        file: appending,
        find: 'if (!isFollowed || body.group_uid !== state.groupUid',
        replace: 'if (body.group_uid !== state.groupUid',
      },
    ],
    seeds: 250,
  },
  {
    id: 'read-joins-a-running-round',
    rule: 'A round serves only the reads that arrived before it began.',
    edits: [
      {
        file: rounds,
        find: 'this.waiting.push(read);',
        replace:
          'const running = this.rounds.at(-1);\n    if (running === undefined) this.waiting.push(read);\n    else running.reads.push(read);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-index-joins-a-running-round',
    rule: 'A read index comes from a round that began after it was requested.',
    edits: [
      {
        file: rounds,
        find: 'this.indexRequests.push(body);',
        replace:
          'const running = this.rounds.at(-1);\n    if (running === undefined) this.indexRequests.push(body);\n    else running.indexRequests = [...running.indexRequests, body];',
      },
    ],
    seeds: 60,
  },
  {
    id: 'follower-read-joins-an-older-question',
    rule: 'A question to the leader serves only the reads that arrived before it was first sent.',
    edits: [
      {
        file: followers,
        find: "this.waiting[byLease ? 'lease' : 'quorum'].push(read);",
        replace:
          "const pending = this.requests.find((one) => one.byLease === byLease);\n    if (pending === undefined) this.waiting[byLease ? 'lease' : 'quorum'].push(read);\n    else pending.reads = [...pending.reads, read];",
      },
    ],
    seeds: 60,
  },
  {
    id: 'reads-in-one-turn',
    rule: 'A turn answers as many reads as its budget allows, so that they do not delay ticks and votes.',
    edits: [
      {
        file: 'packages/node/src/core/reads/read-budget.ts',
        find: 'return this.left <= 0;',
        replace: 'return false;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/reads/reads.test.ts',
    why: 'a step takes no time in the simulator',
  },
  {
    id: 'unconfirmed-leader-refuses-late-reads',
    rule: 'A leader that no quorum has confirmed lately answers nothing on the subjects of the group, not even with an error.',
    edits: [
      {
        file: readRouter,
        find: "if (this.state.role === 'leader' && this.leadership.confirmation.isOnlyLeader()) this.leaderReads.refuseLate();",
        replace: "if (this.state.role === 'leader') this.leaderReads.refuseLate();",
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/reads/reads.test.ts',
    why: 'a leader steps down before its reads are late, unless its process was paused',
  },
  {
    id: 'unconfirmed-leader-reads',
    rule: 'Only a leader that its quorum has lately confirmed answers on the subjects of the group.',
    edits: [
      {
        file: requests,
        find: "return this.state.role === 'leader' && this.parts.leadership.confirmation.isOnlyLeader();",
        replace: "return this.state.role === 'leader';",
      },
    ],
    seeds: 60,
  },
  {
    id: 'held-requests-are-forgotten',
    rule: 'Every request that a leader accepted is answered in the end. What an unconfirmed leader holds is dropped when it steps down.',
    edits: [{ file: hold, find: 'for (const request of held) this.refuseLater(request);', replace: 'void held;' }],
    seeds: 100,
  },
  {
    id: 'held-requests-are-not-done',
    rule: 'A request that an unconfirmed leader held may have been executed by another leader: its outcome is unknown.',
    edits: [{ file: hold, find: "writes(request) ? 'unknown' : 'not_done'", replace: "'not_done'" }],
    seeds: 100,
  },
  {
    id: 'queued-writes-are-not-done-for-a-higher-term',
    rule: 'What a leader has queued when it steps down for a higher term may have been executed by that term’s leader.',
    edits: [
      {
        file: 'packages/node/src/core/role-changes.ts',
        find: "mayHaveSuccessor ? 'unknown' : parts",
        replace: 'parts',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/leader/leader-state.test.ts',
    why: 'clocks of two peers have to differ by more than a tenth: one seed in thousands',
  },
  {
    id: 'queued-writes-of-an-unconfirmed-leader-are-not-done',
    rule: 'What an unconfirmed leader has queued when it steps down may have been executed by its successor: its outcome is unknown.',
    edits: [
      {
        file: 'packages/node/src/core/role-changes.ts',
        find: 'parts.requests.outcomeOfUnappended()',
        replace: 'parts.requests.outcomeOfRefusal()',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/leader/leader-state.test.ts',
    why: 'clocks of two peers have to differ by more than a tenth: one seed in thousands (62143)',
  },
  {
    id: 'held-requests-outlive-the-leadership',
    rule: 'The requests that a leader holds are executed in that term only, not when the same peer leads again: another leader may have executed them.',
    edits: [
      {
        file: hold,
        find: '    const { held } = this;\n    this.held = [];\n    for (const request of held) this.refuseLater(request);\n',
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/leader/leader-state.test.ts',
    why: 'the same peer has to lead again while it holds requests: seeds rarely reach it',
  },
  {
    id: 'refused-before-the-leader-replies',
    rule: 'A node that does not lead refuses what it received an election timeout later: the reply of the leader comes first.',
    edits: [
      {
        file: hold,
        find: 'atMs: context.nowMs + context.options.electionTimeoutMs });',
        replace: 'atMs: context.nowMs });',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/leader/leader-state.test.ts',
    why: 'a refusal that overtakes the reply is no lie: its outcome is unknown',
  },
  {
    id: 'shorter-voter-grants-a-lease',
    rule: "A voter with a shorter election timeout than the leader's grants no lease.",
    edits: [
      {
        file: 'packages/ballot-box/src/core/ballot-box-core.ts',
        find: 'const grantsLease = (body.election_timeout_ms ?? Infinity) >= (lead.election_timeout_ms ?? 0);',
        replace: 'const grantsLease = (body.election_timeout_ms ?? Infinity) >= 0 * (lead.election_timeout_ms ?? 0);',
      },
    ],
    seeds: 0,
    test: 'packages/ballot-box/test/ballots.test.ts',
    why: 'a read by lease has to meet an election that this voter decides: too rare at random',
  },
  {
    id: 'elected-leader-counts-as-confirmed',
    rule: 'A leader is confirmed once a quorum has echoed a tick of its: until then another may be elected at the same time.',
    edits: [
      {
        file: confirmation,
        find: 'this.confirmedMs = Number.NEGATIVE_INFINITY;',
        replace: 'this.confirmedMs = this.context.nowMs;',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/leader/leadership-transfer.test.ts',
    why: 'two leaders have to be elected within one round trip, and the first to refuse a request that the second appends: seeds rarely reach it',
  },
  {
    id: 'confirmed-for-the-own-election-timeout',
    rule: 'A leader is confirmed for the shortest election timeout of all peers: a voter helps another one after its own.',
    edits: [
      {
        file: confirmation,
        find: '      ...targets.map(({ election_timeout_ms = Infinity }) => election_timeout_ms),\n',
        replace: '',
      },
    ],
    seeds: 0,
    test: 'packages/node/test/core/leader/leader-state.test.ts',
    why: 'only while the lease is in use is a leader confirmed for that long, and few runs have peers with different timeouts, too',
  },
];
