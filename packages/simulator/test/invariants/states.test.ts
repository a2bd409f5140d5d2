/** Breaks each invariant that compares peers with the key-value model. */
import { encode, type LeaseId, type LogIndex, type PublicLeaseId, publicPartOf } from '@conclave/protocol';
import { expect, test } from 'vitest';
import { LeasesEndAtTheirTime } from '../../src/invariants/leases-end-at-their-time.js';
import { ResultsFollowFromTheLog } from '../../src/invariants/results-follow-from-the-log.js';
import { SnapshotsAreTheState } from '../../src/invariants/snapshots-are-the-state.js';
import { expectBroken, n1, WatchedGroup } from './watched-group.js';

const secret = 'id'.padEnd(22, '-');

/** Makes the leader append an entry unchanged. Returns its index. */
function append(group: WatchedGroup, entry: unknown): LogIndex {
  return appended(group, entry).index;
}

/** Makes the leader grant a lease with a secret. */
function grant(group: WatchedGroup, ttlMs: number): { index: LogIndex; leaseId: LeaseId; name: PublicLeaseId } {
  const { index, result } = appended(group, { commands: [[1, 'lease_grant', ttlMs, secret]] });
  const leaseId = (result as { results: [[string, LeaseId]] }).results[0][1];
  return { index, leaseId, name: publicPartOf(leaseId) };
}

function appended(group: WatchedGroup, entry: unknown): { index: LogIndex; result: unknown } {
  const { mesh } = group;
  mesh.wait('there is a leader', () => mesh.leader !== undefined, 30_000);
  const leader = mesh.nodeActor(mesh.leader ?? n1);
  const payload = encode(entry);
  const answer = mesh.answered(
    mesh.request(leader, (requestId) => ({ type: 'propose', requestId, payload, command: undefined })),
  );
  expect(answer).toHaveProperty('result');
  return { index: group.status(leader.peerId).commit_index, result: (answer as { result: unknown }).result };
}

test('results-follow-from-the-log reports a peer that returns another revision', () => {
  const group = new WatchedGroup(ResultsFollowFromTheLog);
  const index = append(group, { commands: [[1, 'put', 'a', '2']] });
  const lie = { results: [['done', 1, true]] };
  expectBroken('results-follow-from-the-log', () => group.invariants.onResult(index, lie), /in place of/);
});

test('results-follow-from-the-log reports a peer that skips an entry', () => {
  const group = new WatchedGroup(ResultsFollowFromTheLog);
  const index = append(group, { commands: [[1, 'lease_grant', 5000, secret]] });
  expectBroken('results-follow-from-the-log', () => group.invariants.onResult(index, { refused: 'x' }), /refused/);
});

test('leases-end-at-their-time reports a lease that ends a second after it was kept', () => {
  const group = new WatchedGroup(LeasesEndAtTheirTime);
  const { leaseId, name } = grant(group, 5000);
  group.mesh.run(4500);
  const kept = append(group, { commands: [[1, 'lease_keep', leaseId]] });
  group.mesh.run(1000);
  expectBroken(
    'leases-end-at-their-time',
    () => append(group, { expire: [], expire_leases: [[name, kept]] }),
    /ends lease .* of 5000 ms, 1\d\d\d.* ms after/,
  );
});

test('leases-end-at-their-time accepts a lease that ends because a clock jumped', () => {
  const group = new WatchedGroup(LeasesEndAtTheirTime);
  const { index: kept, name } = grant(group, 5000);
  group.mesh.skew(group.mesh.nodeActor(group.mesh.leader ?? n1), 1, 5000);
  append(group, { expire: [], expire_leases: [[name, kept]] });
});

test('snapshots-are-the-state reports a restored state that lacks a lock', () => {
  const group = new WatchedGroup(SnapshotsAreTheState);
  const { leaseId } = grant(group, 60_000);
  const before = group.mesh.stateOf(n1);
  append(group, { commands: [[1, 'lock', 'l', 'me', leaseId, true]] });
  const { states, commits } = group.invariants.record;
  const entry = commits.last;
  if (entry === undefined) throw new Error('something is committed');
  const rule = new SnapshotsAreTheState(group.invariants.record);
  rule.compare(group.mesh.stateOf(n1), entry, () => 'not it');
  expectBroken('snapshots-are-the-state', () => rule.compare(before, entry, () => 'not it'), /in place of/);
  expect(states.of(entry).filter((line) => line.startsWith('lock'))).toHaveLength(1);
});
