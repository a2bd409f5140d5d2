/** Breaks each invariant about logs and commits: a real run, with one false message or write. */
import { encodeBatch, type LogIndex, type Term } from '@conclave/protocol';
import { expect, test } from 'vitest';
import { AcknowledgedIsSynced } from '../../src/invariants/acknowledged-is-synced.js';
import { CommitsHaveAQuorum } from '../../src/invariants/commits-have-a-quorum.js';
import { CommittedIsImmutable } from '../../src/invariants/committed-is-immutable.js';
import { KnownCommitsAreTrue } from '../../src/invariants/known-commits-are-true.js';
import { LogMatching } from '../../src/invariants/log-matching.js';
import { MembersApplyTheSame } from '../../src/invariants/members-apply-the-same.js';
import { NoTruncationBelowCommit } from '../../src/invariants/no-truncation-below-commit.js';
import { NodesNeverGoBack } from '../../src/invariants/nodes-never-go-back.js';
import { StateMachineSafety } from '../../src/invariants/state-machine-safety.js';
import { expectBroken, groupId, n1, n2, n3, n4, n5, setSummary, WatchedGroup } from './watched-group.js';

const payload = new Uint8Array([1, 2, 3]);
const commands = (term: Term, index: number) => encodeBatch('commands', term, index as LogIndex, [payload]);

test('log-matching reports two entries with the same index and term', () => {
  const group = new WatchedGroup(LogMatching);
  const { term, last_index } = group.status(n1);
  const other = { truncate_from: last_index };
  expectBroken(
    'log-matching',
    () => group.appendAs(n1, [commands(term, last_index)], other),
    new RegExp(`there are two entries ${last_index} of term ${term}`),
  );
});

test('log-matching reports a gap', () => {
  const group = new WatchedGroup(LogMatching);
  const { term, last_index } = group.status(n1);
  expectBroken('log-matching', () => group.appendAs(n1, [commands(term, last_index + 2)]), /entry \d+ follows entry/);
});

test('log-matching reports the same entry after two different ones', () => {
  const group = new WatchedGroup(LogMatching);
  const { term, last_index } = group.status(n1);
  const later = (term + 1) as Term;
  group.appendAs(n1, [commands(later, last_index + 1), commands((later + 1) as Term, last_index + 2)]);
  const other = commands(term, last_index + 1);
  expectBroken(
    'log-matching',
    () => group.appendAs(n2, [other, commands((later + 1) as Term, last_index + 2)]),
    /there are two entries/,
  );
});

test('commits-have-a-quorum reports a commit that only the leader has synced', () => {
  const group = new WatchedGroup(CommitsHaveAQuorum);
  group.cutOff(n1);
  group.mesh.put(n1, 'b', '2');
  group.mesh.run(100);
  const committed = { ...group.own(n1), index: group.status(n1).last_index };
  expectBroken(
    'commits-have-a-quorum',
    () => group.sendAs(n1, 'ballot-box', 'feed.committed', committed),
    /has no quorum/,
  );
});

test('commits-have-a-quorum reports a commit by one of the two sets of a joint configuration', () => {
  const group = new WatchedGroup(CommitsHaveAQuorum);
  // The new peers have caught up, and then do not receive the joint configuration.
  group.mesh.adminOfGroup('change_peers', { new_peers: [n1, n4, n5] });
  group.mesh.wait('the change is joint', () => (group.status(n1).configuration?.old_peers.length ?? 0) > 0, 5000);
  group.cutOff(n4, n5);
  group.mesh.run(300);
  const { last_index, commit_index, configuration } = group.status(n1);
  expect(configuration?.old_peers).toHaveLength(3);
  expect(commit_index).toBeLessThan(last_index);
  const committed = { ...group.own(n1), index: last_index };
  expectBroken('commits-have-a-quorum', () => group.sendAs(n1, 'ballot-box', 'feed.committed', committed), /\| n1:/);
});

test('commits-have-a-quorum reports a commit whose last entry is of an earlier term', () => {
  const group = new WatchedGroup(CommitsHaveAQuorum);
  const committed = { ...group.own(n1), term: 9 as Term, index: 3 as LogIndex };
  expectBroken(
    'commits-have-a-quorum',
    () => group.sendAs(n1, 'ballot-box', 'feed.committed', committed),
    /entry 3 is committed in term 9, and there is none of that term/,
  );
});

test('committed-is-immutable reports a disk that loses a committed entry', () => {
  const group = new WatchedGroup(CommittedIsImmutable);
  const from = group.status(n2).commit_index;
  expectBroken(
    'committed-is-immutable',
    () => group.invariants.onWritten(n2, [{ type: 'truncate', groupId, from }]),
    /is committed, and n2 deletes it/,
  );
});

test('committed-is-immutable reports a second entry committed at an index', () => {
  const group = new WatchedGroup(CommittedIsImmutable);
  const { term, commit_index } = group.status(n1);
  const other = (term + 1) as Term;
  group.appendAs(n2, [commands(other, commit_index)], { truncate_from: commit_index, leader_term: other });
  const committed = { ...group.own(n2), term: other, index: commit_index };
  expectBroken(
    'committed-is-immutable',
    () => group.sendAs(n2, 'ballot-box', 'feed.committed', committed),
    /is committed in the place of one of term/,
  );
});

test('committed-is-immutable reports a member that lacks a committed entry at the end', () => {
  const group = new WatchedGroup(CommittedIsImmutable);
  group.invariants.onEnd([n1, n2, n3]);
  expectBroken('committed-is-immutable', () => group.invariants.onEnd([n1, n4]), /n4 has a log up to nothing/);
});

test('known-commits-are-true reports a node that considers an uncommitted entry committed', () => {
  const group = new WatchedGroup(KnownCommitsAreTrue);
  const actorWithSummary = group.actorWithSummary(n2, { commit_index: 99 });
  expectBroken(
    'known-commits-are-true',
    () => group.invariants.onStepped(actorWithSummary),
    /considers entry 99 committed/,
  );
});

test('known-commits-are-true reports a follower whose commit index exceeds what was verified', () => {
  const group = new WatchedGroup(KnownCommitsAreTrue);
  const actorWithSummary = group.actorWithSummary(n2, {});
  const { commit_index, last_index } = group.status(n2);
  const append = { ...group.own(n2), link: 1, seq: 900, batches: [], truncate_from: 0 };
  group.invariants.onStepping(actorWithSummary, { type: 'message', message: { name: 'node.append_entries' } }, instant);
  const verified_index = (last_index - 1) as LogIndex;
  group.invariants.onSent(actorWithSummary, n2, {
    name: 'log-store.append',
    body: { ...append, verified_index, commit_index },
  } as never);
  expectBroken('known-commits-are-true', () => group.invariants.onStepped(actorWithSummary), /and \d+ is verified/);
});

const instant = { nowMs: 0, wallTimeMs: 0, random: 0 };

test('state-machine-safety reports a skipped entry and an uncommitted one', () => {
  const group = new WatchedGroup(StateMachineSafety);
  group.mesh.answered(group.mesh.put(n1, 'b', '2'));
  const last = group.status(n1).commit_index;
  const apply = (index: number) => () => group.invariants.onApplied({}, index as LogIndex, payload);
  expectBroken('state-machine-safety', apply(last), /entry \d+ is skipped before entry/);
  expectBroken('state-machine-safety', apply(1000), /is skipped before entry 1000/);
});

test('state-machine-safety reports a command other than the committed one, and one applied twice', () => {
  const group = new WatchedGroup(StateMachineSafety);
  const entry = group.mesh.disks.entries(n1).find(({ kind }) => kind === 'commands');
  const index = entry?.index as LogIndex;
  const generation = {};
  expectBroken(
    'state-machine-safety',
    () => group.invariants.onApplied(generation, index, payload),
    /another command than entry/,
  );
  group.invariants.onApplied(generation, index, entry?.payload as Uint8Array);
  expectBroken(
    'state-machine-safety',
    () => group.invariants.onApplied(generation, index, entry?.payload as Uint8Array),
    /is applied after entry/,
  );
});

test('no-truncation-below-commit reports a node that deletes what it knows to be committed', () => {
  const group = new WatchedGroup(NoTruncationBelowCommit);
  const { commit_index } = group.status(n2);
  expectBroken(
    'no-truncation-below-commit',
    () => group.sendAs(n2, 'node', 'log-store.append', { batches: [], truncate_from: commit_index, commit_index }),
    /n2 deletes from entry/,
  );
});

test.each([
  ['its term falls', { term: 1 }, /term of n2 fell from 2 to 1/],
  ['its commit index falls', { commit_index: 1 }, /commit_index of n2 fell/],
  ['it applies more than is committed', { applied_index: 99 }, /has applied 99/],
] as const)('nodes-never-go-back: %s', (_, change, seen) => {
  const group = new WatchedGroup(NodesNeverGoBack);
  const actor = group.actorWithSummary(n2, {});
  group.invariants.onStepped(actor);
  setSummary(actor, { ...group.mesh.node(n2).summary(), ...change });
  expectBroken('nodes-never-go-back', () => group.invariants.onStepped(actor), seen);
});

test('acknowledged-is-synced reports an acknowledgement to a leader of more than is on the disk', () => {
  const group = new WatchedGroup(AcknowledgedIsSynced);
  group.cutOff(n1);
  group.mesh.put(n1, 'b', '2');
  group.mesh.run(100);
  const { term, last_index } = group.status(n1);
  const stored = { ...group.own(n2), leader_id: n1, leader_term: term, match_index: last_index };
  expectBroken(
    'acknowledged-is-synced',
    () => group.sendAs(n2, 'log-store', 'feed.stored', stored, n1),
    /n2 acknowledges entry \d+ to n1.*; nothing is synced/,
  );
});

test('acknowledged-is-synced reports a message that is acknowledged to the node before it is done', () => {
  const group = new WatchedGroup(AcknowledgedIsSynced);
  group.mesh.network.cut([['n1.node'], ['n1.log-store']], true);
  group.mesh.put(n1, 'b', '2');
  group.mesh.run(10);
  const ack = { ...group.own(n1), actor: 'log-store', link: 1, seq: 10_000 } as const;
  expectBroken(
    'acknowledged-is-synced',
    () => group.sendAs(n1, 'log-store', 'node.ack', ack),
    /n1 acknowledges message/,
  );
});

test('acknowledged-is-synced reports an acknowledgement to a client of an uncommitted write', () => {
  const group = new WatchedGroup(AcknowledgedIsSynced);
  group.invariants.onStepping(group.actor(n1, 'node'), { type: 'propose', requestId: 900, payload }, instant);
  expectBroken(
    'acknowledged-is-synced',
    () => group.invariants.onReplied(900, { result: {} }),
    /write 900 is acknowledged, and not committed/,
  );
});

test('members-apply-the-same reports a member whose state differs after an entry', () => {
  const group = new WatchedGroup(MembersApplyTheSame);
  const { commit_index } = group.status(n1);
  expectBroken(
    'members-apply-the-same',
    () => group.invariants.onDigest(commit_index, 'a lie'),
    /after entry \d+.* the state of .* differs from the one of/,
  );
});
