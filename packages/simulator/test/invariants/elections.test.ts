/** Breaks each invariant about elections and reads: a real run, with one false message or write. */
import type { PeerId, Term, VoteKind } from '@conclave/protocol';
import { test } from 'vitest';
import { ConfirmedLeadersGrantNothing } from '../../src/invariants/confirmed-leaders-grant-nothing.js';
import { ElectionSafety } from '../../src/invariants/election-safety.js';
import { ElectionsHaveAQuorum } from '../../src/invariants/elections-have-a-quorum.js';
import { LeaderCompleteness } from '../../src/invariants/leader-completeness.js';
import { LeaderIsAMember } from '../../src/invariants/leader-is-a-member.js';
import { LeasesAreAnnounced } from '../../src/invariants/leases-are-announced.js';
import { LeasesAreExclusive } from '../../src/invariants/leases-are-exclusive.js';
import { LeasesHold } from '../../src/invariants/leases-hold.js';
import { OnlyMembersCampaign } from '../../src/invariants/only-members-campaign.js';
import { ReadsAreCurrent } from '../../src/invariants/reads-are-current.js';
import { ReadsHaveAQuorum } from '../../src/invariants/reads-have-a-quorum.js';
import { RemovedPeersRaiseNoTerm } from '../../src/invariants/removed-peers-raise-no-term.js';
import { SentIsSynced } from '../../src/invariants/sent-is-synced.js';
import { TermsAndVotesNeverFall } from '../../src/invariants/terms-and-votes-never-fall.js';
import { expectBroken, n1, n2, n3, n4, setSummary, WatchedGroup } from './watched-group.js';

const next = (term: Term): Term => (term + 1) as Term;

test('election-safety reports a second leader in one term', () => {
  const group = new WatchedGroup(ElectionSafety);
  const { term } = group.status(n1);
  const elected = () =>
    group.invariants.onEvent(n2, term, { name: 'leader_elected', detail: { peers: [n1, n2, n3], old_peers: [] } });
  expectBroken('election-safety', elected, /has two leaders, n1 and n2/);
});

test('elections-have-a-quorum reports a leader for which nobody has voted', () => {
  const group = new WatchedGroup(ElectionsHaveAQuorum);
  const own = group.own(n2);
  const lead = () => group.sendAs(n2, 'node', 'ballot-box.lead', { ...own, term: next(own.term) });
  expectBroken('elections-have-a-quorum', lead, /n2 leads term 3, and \{n1:.*\} has no quorum that voted for it/);
});

test('elections-have-a-quorum counts no vote that is only in memory', () => {
  const group = new WatchedGroup(ElectionsHaveAQuorum);
  const own = { ...group.own(n2), term: next(group.own(n2).term) };
  for (const [at, peer] of [n1, n2, n3].entries()) {
    const vote = { ...group.own(peer), term: own.term, voted_for: n2, link: 1, seq: 1000 + at };
    group.sendAs(peer, 'node', 'log-store.vote', vote);
  }
  group.storeAs(n2, { term: own.term, voted_for: n2 });
  expectBroken('elections-have-a-quorum', () => group.sendAs(n2, 'node', 'ballot-box.lead', own), /no quorum/);
});

test('elections-have-a-quorum reports votes counted with a configuration other than the effective one', () => {
  const group = new WatchedGroup(ElectionsHaveAQuorum);
  const elect = { ...group.own(n2), link: 9, seq: 1, configuration: group.configuration([n2]) };
  expectBroken('elections-have-a-quorum', () => group.sendAs(n2, 'node', 'ballot-box.elect', elect), /n2 counts with/);
});

test('elections-have-a-quorum reports a restarted ballot-box that counts a vote which its peer has not synced', () => {
  const group = new WatchedGroup(ElectionsHaveAQuorum);
  const own = { ...group.own(n2), term: next(group.own(n2).term) };
  group.sendAs(n2, 'node', 'log-store.vote', { ...own, voted_for: n2, link: 1, seq: 1000 });
  const elect = { ...own, kind: 'vote' as const, link: 9, seq: 1, configuration: group.configuration([n1, n2, n3]) };
  const open = () => group.sendAs(n2, 'node', 'ballot-box.elect', elect);
  expectBroken('elections-have-a-quorum', open, /n2 counts its own vote of term 3, which is not synced/);
  group.storeAs(n2, { term: own.term, voted_for: n2 });
  open();
});

test('leader-completeness reports a leader that lacks a committed entry', () => {
  const group = new WatchedGroup(LeaderCompleteness);
  group.cutOff(n3);
  group.mesh.answered(group.mesh.put(n1, 'b', '2'));
  const lead = { ...group.own(n3), term: next(group.own(n3).term) };
  expectBroken('leader-completeness', () => group.sendAs(n3, 'node', 'ballot-box.lead', lead), /n3 leads term 3/);
});

test('leader-completeness reports an entry that a leader of an earlier term commits and a later leader lacks', () => {
  const group = new WatchedGroup(LeaderCompleteness);
  group.cutOff(n3);
  group.sendAs(n3, 'node', 'ballot-box.lead', { ...group.own(n3), term: next(group.own(n3).term) });
  expectBroken(
    'leader-completeness',
    () => group.mesh.answered(group.mesh.put(n1, 'b', '2')),
    /n3, which leads term 3, lacks it/,
  );
});

test('leader-is-a-member reports a leader that is in no configuration of its log', () => {
  const group = new WatchedGroup(LeaderIsAMember);
  const lead = { ...group.own(n4), term: 9 as Term };
  expectBroken('leader-is-a-member', () => group.sendAs(n4, 'node', 'ballot-box.lead', lead), /n4 .* leads term 9/);
});

test('only-members-campaign reports a peer that campaigns without a configuration', () => {
  const group = new WatchedGroup(OnlyMembersCampaign);
  const elect = { ...group.own(n4), link: 9, seq: 1 };
  expectBroken(
    'only-members-campaign',
    () => group.sendAs(n4, 'node', 'ballot-box.elect', elect),
    /without a configuration/,
  );
});

test('only-members-campaign reports a peer that campaigns although it knows that it was removed', () => {
  const group = new WatchedGroup(OnlyMembersCampaign);
  group.mesh.answered(group.mesh.adminOfGroup('remove_peer', { peer_id: n3 }));
  group.mesh.run(2000);
  const elect = { ...group.own(n3), link: 9, seq: 1 };
  expectBroken(
    'only-members-campaign',
    () => group.sendAs(n3, 'node', 'ballot-box.elect', elect),
    /in no configuration/,
  );
});

test('removed-peers-raise-no-term (promise 10) reports a removed peer whose election reaches a vote', () => {
  const group = new WatchedGroup(RemovedPeersRaiseNoTerm);
  group.cutOff(n3);
  group.mesh.answered(group.mesh.adminOfGroup('remove_peer', { peer_id: n3 }));
  const elect = { ...group.own(n3), term: next(group.own(n3).term) };
  group.sendAs(n3, 'node', 'ballot-box.elect', { ...elect, link: 9, seq: 1, kind: 'pre_vote' });
  expectBroken(
    'removed-peers-raise-no-term',
    () => group.sendAs(n3, 'node', 'ballot-box.elect', { ...elect, link: 9, seq: 2, kind: 'vote' }),
    /n3 campaigns in term 3/,
  );
});

test('leases-hold reports a voter that grants a vote although it receives ticks from its leader', () => {
  const group = new WatchedGroup(LeasesHold);
  const { nowMs } = group.mesh;
  const voter = group.actor(n3, 'node');
  const body = { ...group.own(n2), candidate_id: n2, kind: 'pre_vote', transfer: false };
  const received = { type: 'message', message: { name: 'node.request_vote', body } };
  group.invariants.onStepping(voter, received, { nowMs, wallTimeMs: nowMs, random: 0 });
  const granted = { kind: 'pre_vote', granted: true } as const;
  expectBroken(
    'leases-hold',
    () => group.sendAs(n3, 'node', 'ballot-box.vote_response', granted, n2),
    /n3 grants n2 a vote .* ms after a tick from its leader/,
  );
});

test('leases-hold lets a voter grant a vote after its leader has ordered another peer to campaign', () => {
  const group = new WatchedGroup(LeasesHold);
  const { nowMs } = group.mesh;
  const voter = group.actor(n3, 'node');
  const at = { nowMs, wallTimeMs: nowMs, random: 0 };
  const request = (candidate_id: PeerId, term: Term, kind: VoteKind, transfer: boolean) => {
    const body = { ...group.own(n2), candidate_id, term, kind, transfer };
    group.invariants.onStepping(voter, { type: 'message', message: { name: 'node.request_vote', body } }, at);
  };
  const { term } = group.status(n3);
  // The voter refuses that candidate its vote, whose log is behind, but takes its term.
  request(n2, next(term), 'vote', true);
  setSummary(voter, { ...group.mesh.node(n3).summary(), term: next(term) });
  group.invariants.onStepped(voter);
  request(n1, next(next(term)), 'pre_vote', false);
  group.sendAs(n3, 'node', 'ballot-box.vote_response', { kind: 'pre_vote', granted: true }, n1);
});

test.each([
  ['lets it, after the time in the leader’s tick', true, 250, 300, true],
  ['reports it before that time', true, 250, 200, false],
  ['reports it while the leader permits no early vote', true, undefined, 300, false],
  ['reports it without a report of NATS', false, 250, 300, false],
] as const)(
  'leases-hold, a voter that replaces its leader early: %s',
  (_, isUnserved, permittedMs, waitedMs, isRight) => {
    const group = new WatchedGroup(LeasesHold);
    const voter = group.actor(n3, 'node');
    const { nowMs } = group.mesh;
    const at = (ms: number) => ({ nowMs: nowMs + ms, wallTimeMs: 0, random: 0 });
    const { term } = group.own(n1);
    const permission = permittedMs === undefined ? {} : { replaceable_after_ms: permittedMs };
    const { store_id: target_store_id } = group.own(n3);
    const tick = { ...group.own(n1), leader_id: n1, target_store_id, term, tick_id: 1_000_000, ...permission };
    const receive = (name: string, body: object, ms: number) =>
      group.invariants.onStepping(voter, { type: 'message', message: { name, body } }, at(ms));
    receive('node.append_entries', tick, 0);
    group.invariants.onStepped(voter);
    if (isUnserved) group.invariants.onStepping(voter, { type: 'group_unserved', probeId: 1 }, at(150));
    receive('node.request_vote', { ...group.own(n2), candidate_id: n2, kind: 'pre_vote', transfer: false }, waitedMs);
    const actions = [
      () => group.sendAs(n3, 'node', 'ballot-box.vote_response', { kind: 'pre_vote', granted: true }, n2),
      () => group.sendAs(n3, 'node', 'ballot-box.elect', { ...group.own(n3), link: 9, seq: 1, kind: 'pre_vote' }),
    ];
    for (const act of actions) {
      if (isRight) act();
      else expectBroken('leases-hold', act, /n3 .*vote.* (200|300) ms after a tick from its leader/);
    }
  },
);

test('leases-hold takes a tick that is meant for another store of the voter for no contact', () => {
  const group = new WatchedGroup(LeasesHold);
  const voter = group.actor(n3, 'node');
  const { nowMs } = group.mesh;
  const at = (ms: number) => ({ nowMs: nowMs + ms, wallTimeMs: 0, random: 0 });
  const { term } = group.own(n1);
  const tick = { ...group.own(n1), leader_id: n1, target_store_id: 'lost', term, tick_id: 1_000_000 };
  const receive = (name: string, body: object, ms: number) =>
    group.invariants.onStepping(voter, { type: 'message', message: { name, body } }, at(ms));
  receive('node.append_entries', tick, 5000);
  group.invariants.onStepped(voter);
  receive('node.request_vote', { ...group.own(n2), candidate_id: n2, kind: 'pre_vote', transfer: false }, 5200);
  group.sendAs(n3, 'node', 'ballot-box.vote_response', { kind: 'pre_vote', granted: true }, n2);
});

test('leases-are-announced reports a read by lease on echoes of ticks that permit early votes', () => {
  const group = new WatchedGroup(LeasesAreAnnounced);
  const leader = group.actor(n1, 'node');
  const { term } = group.own(n1);
  const at = { nowMs: 0, wallTimeMs: 0, random: 0 };
  const confirm = (sessionTickId: number) => {
    const body = { ...group.own(n1), term, tick_id: sessionTickId, session_tick_id: sessionTickId };
    group.invariants.onStepping(leader, { type: 'message', message: { name: 'node.confirmed', body } }, at);
  };
  const read = (requestId: number) => {
    const input = { type: 'read', requestId, addressee: 'group', consistency: 'lease' };
    group.invariants.onStepping(leader, input, at);
    group.invariants.onReplied(requestId, { result: [] });
  };
  const tick = { ...group.own(n1), leading: true, term, tick_id: 1_000_000, replaceable_after_ms: 250 };
  group.sendAs(n1, 'node', 'replicator.tick', tick);
  confirm(1_000_000);
  expectBroken('leases-are-announced', () => read(900), /n1\.node reads by its lease, .* no later tick than 1000000/);
  confirm(1_000_001);
  read(901);
});

test.each(['pre_vote', 'vote'] as const)('confirmed-leaders-grant-nothing: %s', (kind) => {
  const group = new WatchedGroup(ConfirmedLeadersGrantNothing);
  const { nowMs } = group.mesh;
  const leader = group.actor(n1, 'node');
  const grant = () => {
    const body = { ...group.own(n2), candidate_id: n2, kind, transfer: false };
    const received = { type: 'message', message: { name: 'node.request_vote', body } };
    group.invariants.onStepping(leader, received, { nowMs, wallTimeMs: nowMs, random: 0 });
    if (kind === 'pre_vote') return group.sendAs(n1, 'node', 'ballot-box.vote_response', { kind, granted: true }, n2);
    const vote = { ...group.own(n1), term: next(group.own(n1).term), voted_for: n2, link: 1, seq: 1000 };
    group.sendAs(n1, 'node', 'log-store.vote', vote);
  };
  expectBroken(
    'confirmed-leaders-grant-nothing',
    grant,
    /n1.node leads term \d+ and grants n2 a vote, [\d.]+ ms after a quorum has confirmed n1/,
  );
});

test('leases-hold reports a voter that grants a vote just after its start, even to a transfer target', () => {
  const group = new WatchedGroup(LeasesHold);
  group.mesh.start(n3, 'node');
  group.mesh.wait('it is open', () => group.status(n3).role === 'follower', 1000);
  const { nowMs } = group.mesh;
  const body = { ...group.own(n2), candidate_id: n2, kind: 'vote', transfer: true };
  const received = { type: 'message', message: { name: 'node.request_vote', body } };
  group.invariants.onStepping(group.actor(n3, 'node'), received, { nowMs, wallTimeMs: nowMs, random: 0 });
  const vote = { ...group.own(n3), term: next(group.own(n3).term), voted_for: n2, link: 1, seq: 1000 };
  expectBroken('leases-hold', () => group.sendAs(n3, 'node', 'log-store.vote', vote), /after it has started/);
});

test('reads-have-a-quorum reports a confirmed tick that nobody has echoed', () => {
  const group = new WatchedGroup(ReadsHaveAQuorum);
  const confirmed = { ...group.own(n1), tick_id: 1_000_000 };
  expectBroken(
    'reads-have-a-quorum',
    () => group.sendAs(n1, 'ballot-box', 'node.confirmed', confirmed),
    /tick 1000000 of term 2 is confirmed without a quorum of \{n1:/,
  );
});

test('reads-have-a-quorum reports a confirmed session tick that nobody has reported', () => {
  const group = new WatchedGroup(ReadsHaveAQuorum);
  const confirmed = { ...group.own(n1), tick_id: 0, session_tick_id: 1_000_000 };
  expectBroken(
    'reads-have-a-quorum',
    () => group.sendAs(n1, 'ballot-box', 'node.confirmed', confirmed),
    /session tick 1000000 of term 2 is confirmed without a quorum of \{n1:/,
  );
});

test('leases-are-exclusive reports a read by lease while another peer leads a later term', () => {
  const group = new WatchedGroup(LeasesAreExclusive);
  const read = { type: 'read', requestId: 900, addressee: 'group', consistency: 'lease' };
  group.invariants.onStepping(group.actor(n1, 'node'), read, { nowMs: 0, wallTimeMs: 0, random: 0 });
  group.sendAs(n2, 'node', 'ballot-box.lead', { ...group.own(n2), term: next(group.own(n1).term) });
  expectBroken(
    'leases-are-exclusive',
    () => group.invariants.onReplied(900, { result: [] }),
    /n1\.node reads by its lease of term 2, and term 3 is led by another/,
  );
});

test('reads-are-current reports a read at a node that has not applied what others had applied before', () => {
  const group = new WatchedGroup(ReadsAreCurrent);
  group.cutOff(n3);
  group.mesh.answered(group.mesh.put(n1, 'b', '2'));
  const read = { type: 'read', requestId: 900, addressee: 'group', consistency: 'linearizable' };
  group.invariants.onStepping(group.actor(n3, 'node'), read, { nowMs: 0, wallTimeMs: 0, random: 0 });
  expectBroken(
    'reads-are-current',
    () => group.invariants.onReplied(900, { result: [] }),
    /n3 answers a read as of entry \d+/,
  );
});

test('sent-is-synced reports a vote that is sent before it is on the disk', () => {
  const group = new WatchedGroup(SentIsSynced);
  const vote = { ...group.own(n3), kind: 'vote', granted: true } as const;
  expectBroken(
    'sent-is-synced',
    () => group.sendAs(n3, 'node', 'ballot-box.vote_response', vote, n2),
    /sends its vote of term 2 for n2/,
  );
});

test('sent-is-synced reports a term that is sent before it is on the disk', () => {
  const group = new WatchedGroup(SentIsSynced);
  const echo = { ...group.own(n3), leader_id: n1, leader_term: 9 as Term, tick_id: 1 };
  expectBroken('sent-is-synced', () => group.sendAs(n3, 'node', 'feed.echo', echo, n1), /term 9 is sent/);
});

test.each([
  ['the term falls', { term: 1 }, /the term of n1 fell from 2 to 1/],
  ['a vote is changed', { term: 2, voted_for: 'n3' }, /n1 voted for n1 in term 2, and then for 'n3'/],
  ['a vote is forgotten', { term: 2, voted_for: '' }, /and then for ''/],
  ['a store becomes another', { store_id: 'other' }, /the store of n1 was .* and is other/],
] as const)('terms-and-votes-never-fall: %s', (_, change, seen) => {
  const group = new WatchedGroup(TermsAndVotesNeverFall);
  expectBroken('terms-and-votes-never-fall', () => group.storeAs(n1, change), seen);
});
