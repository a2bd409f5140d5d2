/** Breaks each invariant about the duties of leaders: a real run, with one false message or write. */
import { type Body, defaultTimes, type LogIndex, type PeerId, type Session, type Term } from '@conclave/protocol';
import { test } from 'vitest';
import { DivergedMembersDoNotLead } from '../../src/invariants/diverged-members-do-not-lead.js';
import { EchoesAnswerNewTicks } from '../../src/invariants/echoes-answer-new-ticks.js';
import { EchoesAreInSession } from '../../src/invariants/echoes-are-in-session.js';
import { LeadersHandOverWhereEntriesCommit } from '../../src/invariants/leaders-hand-over-where-entries-commit.js';
import { LeadersKeepTheirDeadlines } from '../../src/invariants/leaders-keep-their-deadlines.js';
import { LeadersServeBeforeTheyPublishIt } from '../../src/invariants/leaders-serve-before-they-publish-it.js';
import { NotDoneIsNeverAppended } from '../../src/invariants/not-done-is-never-appended.js';
import { OnlyConfirmedLeadersAnswer } from '../../src/invariants/only-confirmed-leaders-answer.js';
import { ReadsWaitForALaterRound } from '../../src/invariants/reads-wait-for-a-later-round.js';
import { RestartsSpareTheQuorum } from '../../src/invariants/restarts-spare-the-quorum.js';
import { TransfersComeFromLeaders } from '../../src/invariants/transfers-come-from-leaders.js';
import { TruncatedConfigurationsAreVoid } from '../../src/invariants/truncated-configurations-are-void.js';
import { runBeginsMs } from '../../src/mesh/virtual-time.js';
import { expectBroken, n1, n2, n3, n4, n5, WatchedGroup } from './watched-group.js';

const tick = { type: 'timer', timer: 'tick' };

/** Runs the tick after the next one this many milliseconds later. */
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

test('leaders-hand-over-where-entries-commit reports a transfer while the two other peers are read-only', () => {
  const group = new WatchedGroup(LeadersHandOverWhereEntriesCommit);
  for (const peer of [n3, n1]) {
    group.mesh.answered(group.mesh.admin(peer, 'peer', 'read_only', { read_only: true }));
    group.mesh.run(500);
  }
  const { term, last_index } = group.status(n1);
  const lie = { ...group.own(n1), term, peer_id: n2, last_index };
  // A request arrives during a step.
  group.invariants.onStepping(group.actor(n1, 'node'), tick, {
    nowMs: group.mesh.nowMs,
    wallTimeMs: group.mesh.nowMs,
    random: 0,
  });
  expectBroken(
    'leaders-hand-over-where-entries-commit',
    () => group.sendAs(n1, 'node', 'replicator.transfer', lie),
    /transfers leadership to n2, which cannot commit anything; read-only: n1, n3/,
  );
});

test('restarts-spare-the-quorum (promise 27) reports a restart called safe although no store has acknowledged lately', () => {
  const group = new WatchedGroup(RestartsSpareTheQuorum);
  expectBroken(
    'restarts-spare-the-quorum',
    () => {
      // The leader's clock does not advance meanwhile.
      const nowMs = group.actor(n1, 'node').clock.at(group.mesh.nowMs);
      const wallTimeMs = runBeginsMs + group.mesh.nowMs + 1200;
      group.invariants.onStepping(group.actor(n1, 'node'), tick, { nowMs, wallTimeMs, random: 0 });
    },
    /n1\.node calls n1 safe to restart; last acknowledgements of stored entries: n1 1\d\d\d ms, n2 1/,
  );
});

test('not-done-is-never-appended (promise 21) reports a request that one node refuses and another appends', () => {
  const group = new WatchedGroup(NotDoneIsNeverAppended);
  const { mesh, invariants } = group;
  const attempt = {};
  const elsewhere = 1_000_000;
  invariants.onDelivered(attempt, elsewhere);
  // The id of the next request in the mesh.
  const requestId = mesh.put(n1, 'before', '1') + 1;
  invariants.onDelivered(attempt, requestId);
  mesh.answered(mesh.put(n1, 'b', '2'));
  const error = { code: 'EREADONLY', message: 'a lie', outcome: 'not_done' } as const;
  expectBroken(
    'not-done-is-never-appended',
    () => invariants.onReplied(elsewhere, { error }),
    /replies that a request is not done, and n1.node has appended it: entry \d+ is committed/,
  );
});

test('leaders-keep-their-deadlines (promise 1) reports a change that waits for new peers after its timeout', () => {
  const group = new WatchedGroup(LeadersKeepTheirDeadlines);
  const change = { old_peers: [n1, n2, n3], new_peers: [n1, n4, n5] };
  take(group, { type: 'admin', body: { timeout_ms: 500 } });
  group.invariants.onEvent(n1, 2, {
    name: 'stage_changed',
    detail: { kind: 'change', ...change, stage: 'catching_up' },
  });
  expectBroken('leaders-keep-their-deadlines', () => tickAfter(group, 501), /waits for new peers, 101 ms after/);
});

test('leaders-keep-their-deadlines reports a joint stage that is not rolled back at its deadline', () => {
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

test('leaders-keep-their-deadlines reports a removed leader that keeps leading', () => {
  const group = new WatchedGroup(LeadersKeepTheirDeadlines);
  take(group, { type: 'message', message: { name: 'feed.committed', body: {} } });
  const detail = { peers: [n2, n3], old_peers: [], index: 9 as never };
  group.invariants.onEvent(n1, 2, { name: 'configuration_committed', detail });
  expectBroken(
    'leaders-keep-their-deadlines',
    () => tickAfter(group, 1001),
    /leads, and has been removed from the group/,
  );
});

test('echoes-answer-new-ticks reports a tick that is echoed twice', () => {
  const group = new WatchedGroup(EchoesAnswerNewTicks);
  const echo = () => group.sendAs(n2, 'node', 'feed.echo', { leader_term: 9 as Term, tick_id: 5 }, n1);
  echo();
  expectBroken('echoes-answer-new-ticks', echo, /n2\.node echoes tick 5 of term 9 after tick 5 of term 9/);
});

test('only-confirmed-leaders-answer reports a node that answers a write at once without leading', () => {
  const group = new WatchedGroup(OnlyConfirmedLeadersAnswer);
  const follower = group.actor(n2, 'node');
  const at = { nowMs: group.mesh.nowMs, wallTimeMs: 0, random: 0 };
  group.invariants.onStepping(follower, { type: 'propose', requestId: 999 }, at);
  group.invariants.onStepped(follower);
  group.invariants.onStepping(follower, { type: 'propose', requestId: 999 }, at);
  group.invariants.onReplied(999, { result: {} });
  expectBroken('only-confirmed-leaders-answer', () => group.invariants.onStepped(follower), /does not lead/);
});

test('only-confirmed-leaders-answer reports a leader that answers a read at once and was confirmed too long ago', () => {
  const group = new WatchedGroup(OnlyConfirmedLeadersAnswer);
  const leader = group.actor(n1, 'node');
  const at = { nowMs: group.mesh.nowMs + 2000, wallTimeMs: 0, random: 0 };
  group.invariants.onStepping(leader, { type: 'read', addressee: 'group', requestId: 999 }, at);
  group.invariants.onReplied(999, { result: {} });
  expectBroken('only-confirmed-leaders-answer', () => group.invariants.onStepped(leader), /last confirmed as of/);
});

test('only-confirmed-leaders-answer reports a leader that answers when its ticks have permitted to replace it', () => {
  const group = new WatchedGroup(OnlyConfirmedLeadersAnswer);
  const leader = group.actor(n1, 'node');
  const at = { nowMs: group.mesh.nowMs + 400, wallTimeMs: 0, random: 0 };
  group.invariants.onStepping(leader, { type: 'read', addressee: 'group', requestId: 999 }, at);
  group.invariants.onReplied(999, { result: {} });
  expectBroken('only-confirmed-leaders-answer', () => group.invariants.onStepped(leader), /permitted its voters/);
});

/** The leader n1 has appended a joint configuration and then this one; two seconds later it receives a read. */
function readAfterChange(stable: readonly PeerId[]): () => void {
  const group = new WatchedGroup(OnlyConfirmedLeadersAnswer);
  const { term, last_index } = group.status(n1);
  const joint = group.configuration([n1, n4], [n1, n2, n3]);
  group.appendAs(n1, [
    group.configurationBatch(term, last_index + 1, joint),
    group.configurationBatch(term, last_index + 2, group.configuration(stable)),
  ]);
  const leader = group.actor(n1, 'node');
  const at = { nowMs: group.mesh.nowMs + 2000, wallTimeMs: 0, random: 0 };
  group.invariants.onStepping(leader, { type: 'read', addressee: 'group', requestId: 999 }, at);
  group.invariants.onReplied(999, { result: {} });
  return () => group.invariants.onStepped(leader);
}

test('only-confirmed-leaders-answer exempts a leader that rolls its change back, not one that completes it', () => {
  readAfterChange([n1, n2, n3])();
  expectBroken('only-confirmed-leaders-answer', readAfterChange([n1, n4]), /last confirmed as of/);
});

test('reads-wait-for-a-later-round reports a read that is answered without a later tick', () => {
  const group = new WatchedGroup(ReadsWaitForALaterRound);
  const at = { nowMs: group.mesh.nowMs, wallTimeMs: 0, random: 0 };
  const read = { type: 'read', addressee: 'group', consistency: 'linearizable', requestId: 999 };
  group.invariants.onStepping(group.actor(n1, 'node'), read, at);
  expectBroken(
    'reads-wait-for-a-later-round',
    () => group.invariants.onReplied(999, { result: {} }),
    /n1\.node answers a read that came after tick/,
  );
});

test('reads-wait-for-a-later-round reports a follower that answers a read with an earlier read index', () => {
  const group = new WatchedGroup(ReadsWaitForALaterRound);
  const follower = group.actor(n2, 'node');
  const at = { nowMs: group.mesh.nowMs, wallTimeMs: 0, random: 0 };
  group.sendAs(n2, 'node', 'node.read_index', { request_id: 5 }, n1);
  group.invariants.onStepping(
    follower,
    { type: 'read', addressee: 'peer', consistency: 'linearizable', requestId: 999 },
    at,
  );
  const message = { name: 'node.read_index_answer', body: { request_id: 5 } };
  group.invariants.onStepping(follower, { type: 'message', message }, at);
  expectBroken(
    'reads-wait-for-a-later-round',
    () => group.invariants.onReplied(999, { result: {} }),
    /n2\.node answers a read that came after tick/,
  );
});

test('reads-wait-for-a-later-round reports a read index that no round has confirmed', () => {
  const group = new WatchedGroup(ReadsWaitForALaterRound);
  const at = { nowMs: group.mesh.nowMs, wallTimeMs: 0, random: 0 };
  const question = { peer_id: n2, session: 1, request_id: 7 };
  const message = { name: 'node.read_index', body: { ...question, by_lease: false } };
  group.invariants.onStepping(group.actor(n1, 'node'), { type: 'message', message }, at);
  expectBroken(
    'reads-wait-for-a-later-round',
    () => group.sendAs(n1, 'node', 'node.read_index_answer', { ...question, peer_id: n1 } as never, n2),
    /n1\.node sends n2 a read index/,
  );
});

/** Opens a newer session of the log-store of n2, while the node of n2 continues in the older one. */
function openNewerSession(group: WatchedGroup): void {
  const nowMs = group.mesh.nowMs;
  const at = { nowMs, wallTimeMs: runBeginsMs + nowMs, random: 0 };
  group.invariants.onStepping(group.actor(n2, 'log-store'), { type: 'idle' }, at);
  const { session, store_id } = group.own(n2);
  group.sendAs(n2, 'log-store', 'node.opened', { store_id, session: (session + 1) as Session });
}

/** The node of n2 echoes this many milliseconds later. */
function echoLater(group: WatchedGroup, ms: number, echo: Partial<Body<'feed.echo'>>): void {
  const nowMs = group.mesh.nowMs + ms;
  group.invariants.onStepping(
    group.actor(n2, 'node'),
    { type: 'idle' },
    { nowMs, wallTimeMs: runBeginsMs + nowMs, random: 0 },
  );
  group.sendAs(n2, 'node', 'feed.echo', { leader_term: 9 as Term, session_tick_id: 0, ...echo }, n1);
}

test('echoes-are-in-session reports an echo an election timeout after a second node opened the log-store', () => {
  const group = new WatchedGroup(EchoesAreInSession);
  openNewerSession(group);
  echoLater(group, 890, {});
  expectBroken(
    'echoes-are-in-session',
    () => echoLater(group, 910, {}),
    /echoes a leader 9\d\d.* ms after a newer session/,
  );
});

test('echoes-are-in-session reports a session tick that the follower has not received in this term', () => {
  const group = new WatchedGroup(EchoesAreInSession);
  expectBroken(
    'echoes-are-in-session',
    () => echoLater(group, 1, { session_tick_id: 4 }),
    /session tick 4 of term 9, which it has not received/,
  );
});

test('transfers-come-from-leaders reports a candidate that ignores leases and was not sent by a leader', () => {
  const group = new WatchedGroup(TransfersComeFromLeaders);
  const stand = (term: number) =>
    group.sendAs(n2, 'node', 'node.request_vote', {
      kind: 'vote',
      transfer: true,
      term: term as Term,
      candidate_id: n2,
    });
  group.sendAs(n1, 'replicator', 'node.timeout_now', { term: 8 as Term }, n2);
  stand(9);
  expectBroken('transfers-come-from-leaders', () => stand(10), /n2 campaigns in term 10 as ordered by a leader/);
});

test('transfers-come-from-leaders reports a transfer target that lacks entries', () => {
  const group = new WatchedGroup(TransfersComeFromLeaders);
  const { term, last_index, store_id } = group.status(n2);
  const order = { term, peer_id: n2, last_index: (last_index + 1) as never };
  group.sendAs(n1, 'node', 'replicator.transfer', { ...group.own(n1), ...order });
  const body = { term, target_store_id: store_id };
  expectBroken(
    'transfers-come-from-leaders',
    () => group.sendAs(n1, 'replicator', 'node.timeout_now', body, n2),
    /n2 is ordered to campaign, and has synced up to/,
  );
});

test('truncated-configurations-are-void reports a node that uses a configuration which it has truncated', () => {
  const group = new WatchedGroup(TruncatedConfigurationsAreVoid);
  const { last_index } = group.status(n2);
  take(group, { type: 'idle' });
  group.sendAs(n2, 'node', 'log-store.append', {
    ...group.own(n2),
    link: 1,
    seq: 1000,
    truncate_from: last_index,
    batches: [],
  });
  group.invariants.onStepped(group.actor(n2, 'node'));
  group.sendAs(n2, 'node', 'log-store.append', {
    ...group.own(n2),
    link: 1,
    seq: 1001,
    truncate_from: 1 as LogIndex,
    batches: [],
  });
  expectBroken(
    'truncated-configurations-are-void',
    () => group.invariants.onStepped(group.actor(n2, 'node')),
    /n2\.node truncates from entry 1 on, and uses \{n1:.*\}, not by none/,
  );
});

test('diverged-members-do-not-lead reports an elected peer that knows that its state is wrong', () => {
  const group = new WatchedGroup(DivergedMembersDoNotLead);
  const actor = group.actorWithSummary(n2, {});
  const reason = "diverged: the state differs from the majority's at entry 3; it is being repaired";
  Object.assign(actor.core, { health: () => ({ healthy: false, reason }) });
  const event = { name: 'leader_elected' as const, detail: { peers: [n1, n2, n3], old_peers: [] } };
  group.invariants.onStepping(actor, { type: 'idle' }, { nowMs: 0, wallTimeMs: 0, random: 0 });
  expectBroken(
    'diverged-members-do-not-lead',
    () => group.invariants.onEvent(n2, 3, event),
    /n2 leads, and is diverged/,
  );
});

test('leaders-serve-before-they-publish-it reports a leader that publishes its election before it receives requests', () => {
  const group = new WatchedGroup(LeadersServeBeforeTheyPublishIt);
  const event = { name: 'leader_elected' as const, detail: { peers: [n1, n2, n3], old_peers: [] } };
  expectBroken(
    'leaders-serve-before-they-publish-it',
    () => group.invariants.onEvent(n2, 3, event, false),
    /n2 publishes that it leads term 3 before it serves the group/,
  );
});
