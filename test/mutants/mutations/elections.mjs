/** Votes, pre-votes, terms, and which peers may campaign. */

const count = 'packages/ballot-box/src/core/election-count.ts';
const election = 'packages/node/src/core/follower/election.ts';
const ownActors = 'packages/node/src/core/local/local-actors.ts';
const state = 'packages/node/src/core/state/node-state.ts';
const dispatcher = 'packages/node/src/core/message-dispatcher.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const elections = [
  {
    id: 'confirmed-leader-grants-a-vote',
    rule: 'A leader that its quorum confirmed within an election timeout grants no vote or pre-vote.',
    edits: [
      {
        file: election,
        find: "return state.role === 'leader' || (state.leaderContactMs > since && !this.probe.permitsVote);",
        replace: 'return state.leaderContactMs > since && !this.probe.permitsVote;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'vote-counted-twice',
    rule: 'Raft: a vote counts once. A voter that answers again, or whose answer is delivered twice, is counted again.',
    edits: [
      {
        file: count,
        find: 'return hasQuorum(this.configuration, (member) => this.grants.of(member) === 1);',
        replace: `const votes = (members: Configuration['peers']) =>
      members.reduce((sum, member) => sum + this.grants.of(member), 0);
    const { peers, old_peers } = this.configuration;
    return votes(peers) * 2 > peers.length && (old_peers.length === 0 || votes(old_peers) * 2 > old_peers.length);`,
      },
      {
        file: count,
        find: "import { type Body, type Configuration, hasQuorum, isIn, type PeerId, type StoreId } from '@conclave/protocol';",
        replace: "import { type Body, type Configuration, isIn, type PeerId, type StoreId } from '@conclave/protocol';",
      },
      {
        file: count,
        find: "return this.grants.record(response.peer_id, response.store_id, 1) === 'raised' ? 'counted' : 'known';",
        replace: `const before = this.grants.of({ peer_id: response.peer_id, store_id: response.store_id });
    this.grants.record(response.peer_id, response.store_id, before + 1);
    return 'counted';`,
      },
    ],
    seeds: 100,
  },
  {
    id: 'answer-of-another-election-counted',
    rule: 'The ballot-box counts only what is of the count that is open: its term, its kind, its election.',
    edits: [
      {
        file: count,
        find: `if (
      response.term !== election.term ||
      response.kind !== election.kind ||
      response.election_id !== election.election_id
    ) {`,
        replace: 'if (response.term < 0) {',
      },
    ],
    seeds: 250,
  },
  {
    id: 'vote-of-another-store-counted',
    rule: '(peer_id, store_id) is in the configuration: a peer whose disk was lost is not the one that is bound.',
    edits: [
      {
        file: count,
        find: "if (!this.isVoter(response.peer_id, response.store_id)) return 'not_a_voter';",
        replace: `const { peers, old_peers } = this.configuration;
    const bound = [...peers, ...old_peers].find(({ peer_id }) => peer_id === response.peer_id);
    if (bound === undefined || !this.isVoter(bound.peer_id, bound.store_id)) return 'not_a_voter';`,
      },
      {
        file: count,
        find: 'return this.grants.record(response.peer_id, response.store_id, 1)',
        replace: 'return this.grants.record(bound.peer_id, bound.store_id, 1)',
      },
      {
        file: election,
        find: 'if (body.group_uid !== state.groupUid || state.groupUid === noGroupUid || body.candidate_id === state.peerId) {',
        replace: 'if (body.candidate_id === state.peerId) {',
      },
      {
        file: election,
        find: 'group_uid: state.groupUid,\n      peer_id: state.peerId,',
        replace: 'group_uid: body.group_uid,\n      peer_id: state.peerId,',
      },
    ],
    seeds: 250,
  },
  {
    id: 'candidate-counts-itself-where-absent',
    rule: 'A candidate does not count itself where it is absent.',
    edits: [
      {
        file: count,
        find: 'return hasQuorum(this.configuration, (member) => this.grants.of(member) === 1);',
        replace: `const { peer_id } = this.election;
    const enough = (members: Configuration['peers']): boolean => {
      const granted = members.filter((member) => this.grants.of(member) === 1).length;
      const own = members.some((member) => member.peer_id === peer_id) ? 0 : 1;
      return members.length === 0 || (granted + own) * 2 > members.length;
    };
    return enough(this.configuration.peers) && enough(this.configuration.old_peers);`,
      },
      {
        file: count,
        find: "import { type Body, type Configuration, hasQuorum, isIn, type PeerId, type StoreId } from '@conclave/protocol';",
        replace: "import { type Body, type Configuration, isIn, type PeerId, type StoreId } from '@conclave/protocol';",
      },
    ],
    seeds: 250,
  },
  {
    id: 'joint-election-by-one-majority',
    rule: 'Raft thesis, 4.3: in a joint configuration an election needs a majority of both sets.',
    edits: [
      {
        file: 'packages/protocol/src/configuration.ts',
        find: 'return enough(configuration.peers) && enough(configuration.old_peers);',
        replace: 'return enough(configuration.peers);',
      },
    ],
    seeds: 1000,
  },
  {
    id: 'half-is-a-majority',
    rule: 'Raft: a quorum is a majority. Of four, two would do.',
    edits: [
      {
        file: 'packages/protocol/src/configuration.ts',
        find: 'return Math.floor(count / 2) + 1;',
        replace: 'return Math.ceil(count / 2);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'two-votes-in-a-term',
    rule: 'Raft: one vote a term.',
    edits: [
      {
        file: election,
        find: "const canVoteForCandidate = state.votedFor === '' || isSame;",
        replace: 'const canVoteForCandidate = body.term > 0;',
      },
    ],
    seeds: 100,
  },
  {
    id: 'vote-not-stored',
    rule: 'Raft: a vote is stored before it is sent. The term is stored, the vote is not.',
    edits: [
      {
        file: ownActors,
        find: 'body: { ...this.identity, ...frame, term: state.term, voted_for: state.votedFor },',
        replace: "body: { ...this.identity, ...frame, term: state.term, voted_for: '' },",
      },
    ],
    seeds: 60,
  },
  {
    id: 'vote-sent-before-sync',
    rule: 'Term and vote are synced before they are sent.',
    edits: [
      {
        file: ownActors,
        find: "if (this.actors['log-store'].link.acknowledgedSeq >= seq) run();",
        replace: 'if (seq >= 0) run();',
      },
    ],
    seeds: 60,
  },
  {
    id: 'term-forgotten-at-start',
    rule: 'On return a node is a follower, from its log-store: with the term that this keeps.',
    edits: [
      {
        file: state,
        find: 'this.term = body.term;',
        replace: 'this.term = Math.max(body.term - 1, 0) as typeof body.term;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'vote-in-a-lower-term',
    rule: 'Raft: a vote request of a lower term is rejected.',
    edits: [
      {
        file: election,
        find: 'if (body.term < state.term) {',
        replace:
          'if (body.term < state.term) return this.respond(body, this.isUpToDate(body));\n    if (body.term < 0) {',
      },
    ],
    seeds: 250,
  },
  {
    id: 'vote-ignores-the-log',
    rule: "Raft, 3.6.1: a vote compares the candidate's log with the voter's.",
    edits: [
      {
        file: election,
        find: 'return body.last_term > log.lastTerm || (body.last_term === log.lastTerm && body.last_index >= log.lastIndex);',
        replace: 'return body.last_term >= 0 || log.lastIndex >= 0;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'vote-compares-lengths-alone',
    rule: 'Raft, 3.6.1: the later last term wins, whatever the length.',
    edits: [
      {
        file: election,
        find: 'return body.last_term > log.lastTerm || (body.last_term === log.lastTerm && body.last_index >= log.lastIndex);',
        replace: 'return body.last_index >= log.lastIndex;',
      },
    ],
    seeds: 0,
    scenario: 'repair-figure-7.txt',
  },
  {
    id: 'vote-compares-what-is-committed',
    rule: 'Votes compare the accepted log, not a part of it that is known to be safe.',
    edits: [
      {
        file: election,
        find: `const { log } = this.state;
    return body.last_term > log.lastTerm || (body.last_term === log.lastTerm && body.last_index >= log.lastIndex);`,
        replace: `const { log, commitIndex } = this.state;
    const term = log.termAt(commitIndex) ?? 0;
    return body.last_term > term || (body.last_term === term && body.last_index >= commitIndex);`,
      },
    ],
    seeds: 60,
  },
  {
    id: 'no-pre-vote',
    rule: 'Raft thesis, 9.6: a peer that cannot win raises no term.',
    edits: [
      {
        file: election,
        find: `this.beginCandidacy('pre_vote', asTerm(state.term + 1), configuration, false);
    state.enterRole('pre_candidate');
    this.ask();`,
        replace: 'this.campaignNow(state.term, false);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'voter-helps-in-spite-of-a-leader',
    rule: 'Raft thesis, 4.2.3: a voter that receives a leader’s heartbeats grants no vote.',
    edits: [
      {
        file: election,
        find: "return state.role === 'leader' || (state.leaderContactMs > since && !this.probe.permitsVote);",
        replace: 'return state.leaderContactMs > context.nowMs;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'fresh-node-votes',
    rule: 'A node that just started grants no vote for one election timeout.',
    edits: [{ file: election, find: 'if (state.openedMs > since) return true;', replace: '' }],
    seeds: 60,
  },
  {
    id: 'lease-holds-after-timeout-now',
    rule: 'After `timeout_now` the lease is void for the term.',
    edits: [
      {
        file: election,
        find: 'if (body.transfer) return false;',
        replace: '',
      },
      { file: election, find: 'this.state.recordContact(Number.NEGATIVE_INFINITY);', replace: '' },
    ],
    seeds: 0,
    scenario: 'reads.txt',
  },
  {
    id: 'campaigns-without-configuration',
    rule: 'A peer without a configuration never campaigns.',
    edits: [
      {
        file: election,
        find: `const configuration = state.log.configuration?.configuration;
    if (configuration === undefined || !state.isElectable()) return;`,
        replace: `const self = { peers: [{ peer_id: state.peerId, store_id: state.storeId }], old_peers: [] };
    const configuration = state.log.configuration?.configuration ?? self;
    if (state.log.configuration !== undefined && !state.isElectable()) return;`,
      },
    ],
    seeds: 60,
  },
  {
    id: 'campaigns-outside-its-configurations',
    rule: 'A peer may campaign if the last configuration in its log that it knows to be committed, or a later one, contains it.',
    edits: [
      {
        file: state,
        find: '.some(({ configuration }) => isIn(configuration, this.peerId, this.storeId));',
        replace: '.some(({ configuration }) => configuration.peers.length > 0);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'campaigns-by-an-older-configuration',
    rule: 'No configuration before the last one that the peer knows to be committed permits a campaign. So a peer whose removal is committed no longer campaigns.',
    edits: [{ file: state, find: '.slice(Math.max(committed, 0))', replace: '.slice(Math.min(committed, 0))' }],
    seeds: 60,
  },
  {
    id: 'stranger-deposes-the-leader',
    rule: 'A higher term from a peer that does not vote does not depose the leader by itself.',
    edits: [
      {
        file: dispatcher,
        find: "if (state.role !== 'leader' || isVoter)\n",
        replace: "if (state.role !== 'leader' || isVoter || body.term > 0)\n",
      },
    ],
    seeds: 0,
    scenario: 'rule-higher-term-of-a-new-peer.txt',
  },
  {
    id: 'late-timeout-now-campaigns',
    rule: 'An order to campaign counts only in the term of the leader that sent it, however late it arrives.',
    edits: [
      {
        file: election,
        find: "if (!isForThisStore || body.term < state.term || state.role === 'leader' || body.group_uid === noGroupUid) {",
        replace: "if (!isForThisStore || state.role === 'leader' || body.group_uid === noGroupUid) {",
      },
    ],
    seeds: 250,
  },
];
