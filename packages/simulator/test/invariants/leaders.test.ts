/** That each invariant about what a leader owes can be broken: a real run, and one lie. */
import { defaultTimes, type LogIndex, type Term } from '@conclave/protocol';
import { test } from 'vitest';
import { EchoesAnswerNewTicks } from '../../src/invariants/echoes-answer-new-ticks.js';
import { LeadersHandOverWhereEntriesCommit } from '../../src/invariants/leaders-hand-over-where-entries-commit.js';
import { LeadersKeepTheirDeadlines } from '../../src/invariants/leaders-keep-their-deadlines.js';
import { OnlyConfirmedLeadersAnswer } from '../../src/invariants/only-confirmed-leaders-answer.js';
import { ReadsWaitForALaterRound } from '../../src/invariants/reads-wait-for-a-later-round.js';
import { TruncatedConfigurationsAreVoid } from '../../src/invariants/truncated-configurations-are-void.js';
import { expectBroken, n1, n2, n3, n4, n5, WatchedGroup } from './watched-group.js';

const tick = { type: 'timer', timer: 'tick' };

/** The next tick but one comes so much later. */
function tickAfter(group: WatchedGroup, ms: number): void {
  for (const atMs of [ms, ms + 100]) {
    const wallTimeMs = group.mesh.nowMs + atMs;
    group.invariants.onStepping(group.actor(n1, 'node'), tick, { nowMs: wallTimeMs, wallTimeMs, random: 0 });
  }
}

function take(group: WatchedGroup, input: object): void {
  const at = { nowMs: group.mesh.nowMs, wallTimeMs: group.mesh.nowMs, random: 0 };
  group.invariants.onStepping(group.actor(n1, 'node'), input, at);
}

test('leaders-hand-over-where-entries-commit: a peer is to take over while the two others are read-only', () => {
  const group = new WatchedGroup(LeadersHandOverWhereEntriesCommit);
  for (const peer of [n3, n1]) {
    group.mesh.answered(group.mesh.admin(peer, 'peer', 'read_only', { read_only: true }));
    group.mesh.run(500);
  }
  const { term, last_index } = group.status(n1);
  const lie = { ...group.own(n1), term, peer_id: n2, last_index };
  // The group is asked while a step is taken.
  group.invariants.onStepping(group.actor(n1, 'node'), tick, {
    nowMs: group.mesh.nowMs,
    wallTimeMs: group.mesh.nowMs,
    random: 0,
  });
  expectBroken(
    'leaders-hand-over-where-entries-commit',
    () => group.say(n1, 'node', 'replicator.transfer', lie),
    /hands over to n2, which can commit nothing: read-only are n1, n3/,
  );
});

test('leaders-keep-their-deadlines (promise 1): a change waits for new peers past its time-out', () => {
  const group = new WatchedGroup(LeadersKeepTheirDeadlines);
  const change = { old_peers: [n1, n2, n3], new_peers: [n1, n4, n5] };
  take(group, { type: 'admin', body: { timeout_ms: 500 } });
  group.invariants.onEvent(n1, 2, {
    name: 'stage_changed',
    detail: { kind: 'change', ...change, stage: 'catching_up' },
  });
  expectBroken('leaders-keep-their-deadlines', () => tickAfter(group, 501), /waits for new peers, 101 ms after/);
});

test('leaders-keep-their-deadlines: a joint stage does not cancel itself', () => {
  const group = new WatchedGroup(LeadersKeepTheirDeadlines);
  const change = { old_peers: [n1, n2, n3], new_peers: [n1, n4, n5] };
  take(group, { type: 'admin', body: {} });
  group.invariants.onEvent(n1, 2, {
    name: 'stage_changed',
    detail: { kind: 'change', ...change, stage: 'catching_up' },
  });
  group.invariants.onEvent(n1, 2, { name: 'stage_changed', detail: { kind: 'change', ...change, stage: 'joint' } });
  tickAfter(group, defaultTimes.jointTimeoutMs - 200);
  expectBroken('leaders-keep-their-deadlines', () => tickAfter(group, defaultTimes.jointTimeoutMs + 1), /is joint/);
});

test('leaders-keep-their-deadlines: a leader leads on that is out of the group', () => {
  const group = new WatchedGroup(LeadersKeepTheirDeadlines);
  take(group, { type: 'message', message: { name: 'feed.committed', body: {} } });
  const detail = { peers: [n2, n3], old_peers: [], index: 9 as never };
  group.invariants.onEvent(n1, 2, { name: 'configuration_committed', detail });
  expectBroken('leaders-keep-their-deadlines', () => tickAfter(group, 1001), /leads, and is out of the group/);
});

test('echoes-answer-new-ticks: a tick is echoed twice', () => {
  const group = new WatchedGroup(EchoesAnswerNewTicks);
  const echo = () => group.say(n2, 'node', 'feed.echo', { leader_term: 9 as Term, tick_id: 5 }, n1);
  echo();
  expectBroken('echoes-answer-new-ticks', echo, /n2\.node echoes tick 5 of term 9 after tick 5 of term 9/);
});

test('only-confirmed-leaders-answer: a node that does not lead takes a write', () => {
  const group = new WatchedGroup(OnlyConfirmedLeadersAnswer);
  const follower = group.actor(n2, 'node');
  const at = { nowMs: group.mesh.nowMs, wallTimeMs: 0, random: 0 };
  group.invariants.onStepping(follower, { type: 'propose', requestId: 999 }, at);
  expectBroken('only-confirmed-leaders-answer', () => group.invariants.onStepped(follower), /does not lead/);
});

test('only-confirmed-leaders-answer: a leader takes a read that was confirmed too long ago', () => {
  const group = new WatchedGroup(OnlyConfirmedLeadersAnswer);
  const leader = group.actor(n1, 'node');
  const at = { nowMs: group.mesh.nowMs + 2000, wallTimeMs: 0, random: 0 };
  group.invariants.onStepping(leader, { type: 'read', door: 'group', requestId: 999 }, at);
  expectBroken('only-confirmed-leaders-answer', () => group.invariants.onStepped(leader), /last confirmed as of/);
});

test('reads-wait-for-a-later-round: a read is answered that no tick was sent for', () => {
  const group = new WatchedGroup(ReadsWaitForALaterRound);
  const at = { nowMs: group.mesh.nowMs, wallTimeMs: 0, random: 0 };
  const read = { type: 'read', door: 'group', consistency: 'linearizable', requestId: 999 };
  group.invariants.onStepping(group.actor(n1, 'node'), read, at);
  expectBroken(
    'reads-wait-for-a-later-round',
    () => group.invariants.onAnswered(999, { result: {} }),
    /n1\.node answers a read that came after tick/,
  );
});

test('truncated-configurations-are-void: a node goes by a configuration that it has truncated', () => {
  const group = new WatchedGroup(TruncatedConfigurationsAreVoid);
  const { last_index } = group.status(n2);
  take(group, { type: 'idle' });
  group.say(n2, 'node', 'log-store.append', {
    ...group.own(n2),
    link: 1,
    seq: 1000,
    truncate_from: last_index,
    batches: [],
  });
  group.invariants.onStepped(group.actor(n2, 'node'));
  group.say(n2, 'node', 'log-store.append', {
    ...group.own(n2),
    link: 1,
    seq: 1001,
    truncate_from: 1 as LogIndex,
    batches: [],
  });
  expectBroken(
    'truncated-configurations-are-void',
    () => group.invariants.onStepped(group.actor(n2, 'node')),
    /n2\.node truncates from entry 1 on, and goes by \{n1:.*\}, not by none/,
  );
});
