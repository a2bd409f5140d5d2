/** Breaks each invariant about single actors: a real run, with one false message or write. */
import type { Session, Term } from '@conclave/protocol';
import { test } from 'vitest';
import { FencedNodesDoNothing } from '../../src/invariants/fenced-nodes-do-nothing.js';
import { PreVotesComeFirst } from '../../src/invariants/pre-votes-come-first.js';
import { ReplicatorsFollowTheirNode } from '../../src/invariants/replicators-follow-their-node.js';
import { StrangersDeposeNobody } from '../../src/invariants/strangers-depose-nobody.js';
import { expectBroken, n1, n2, n4, setSummary, WatchedGroup } from './watched-group.js';

const instant = { nowMs: 0, wallTimeMs: 0, random: 0 };

test('fenced-nodes-do-nothing reports a node that votes after it was notified that its session has ended', () => {
  const group = new WatchedGroup(FencedNodesDoNothing);
  const { store_id, session } = group.own(n2);
  const body = { store_id, refused_session: session, session: (session + 1) as Session };
  const fenced = { type: 'message', message: { name: 'node.fenced', body } };
  group.invariants.onStepping(group.actor(n2, 'node'), fenced, instant);
  expectBroken(
    'fenced-nodes-do-nothing',
    () => group.sendAs(n2, 'node', 'feed.echo', {}, n1),
    /n2\.node echoes a leader/,
  );
});

test('pre-votes-come-first reports a peer that campaigns without having won a pre-vote', () => {
  const group = new WatchedGroup(PreVotesComeFirst);
  const own = group.own(n2);
  const vote = { ...own, term: (own.term + 1) as Term, voted_for: n2, link: 1, seq: 1000 };
  expectBroken(
    'pre-votes-come-first',
    () => group.sendAs(n2, 'node', 'log-store.vote', vote),
    /n2 campaigns in term 3, and nobody granted it a pre-vote/,
  );
});

test('replicators-follow-their-node reports a replicator that keeps sending while its node is silent', () => {
  const group = new WatchedGroup(ReplicatorsFollowTheirNode);
  const atMs = group.mesh.nowMs + 5000;
  group.invariants.onStepping(group.actor(n1, 'replicator'), { type: 'idle' }, { ...instant, nowMs: atMs });
  expectBroken(
    'replicators-follow-their-node',
    () => group.sendAs(n1, 'replicator', 'node.append_entries', {}, n2),
    /n1\.replicator sends, .* ms after the last new tick/,
  );
});

test('strangers-depose-nobody reports a leader that steps down because of a peer without a vote', () => {
  const group = new WatchedGroup(StrangersDeposeNobody);
  const leader = group.actorWithSummary(n1, {});
  const { store_id } = group.own(n4);
  const input = { type: 'message', message: { name: 'node.higher_term', body: { peer_id: n4, store_id, term: 9 } } };
  group.invariants.onStepping(leader, input, instant);
  const summary = { ...group.mesh.node(n1).summary(), role: 'follower', term: 9 };
  setSummary(leader, summary);
  expectBroken('strangers-depose-nobody', () => group.invariants.onStepped(leader), /follows in term 9 because of n4/);
});
