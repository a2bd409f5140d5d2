/** Breaks each invariant about snapshots and read-only peers: a real run, with one false message or write. */
import type { KeptSnapshot, StorageOperation } from '@conclave/log-store';
import {
  addChecksum,
  type LogIndex,
  limits,
  type PeerId,
  SnapshotChunker,
  type SnapshotHead,
  type SnapshotId,
  type StoreId,
  type Term,
} from '@conclave/protocol';
import { expect, test } from 'vitest';
import { CompactedIsCovered } from '../../src/invariants/compacted-is-covered.js';
import { InstallsKeepWhatMatches } from '../../src/invariants/installs-keep-what-matches.js';
import { OneStoreAName } from '../../src/invariants/one-store-a-name.js';
import { ReadOnlyPeersTakeNothing } from '../../src/invariants/read-only-peers-take-nothing.js';
import { ResetsAreFinal } from '../../src/invariants/resets-are-final.js';
import { SnapshotsAreTheState } from '../../src/invariants/snapshots-are-the-state.js';
import { TransfersGoOn } from '../../src/invariants/transfers-go-on.js';
import { expectBroken, groupId, n1, n2, n3, WatchedGroup } from './watched-group.js';

const slot = 9;
const snapshotId = 'a lie' as SnapshotId;

/** Returns a snapshot as on a disk: one chunk of these pieces. */
function snapshotOf(
  group: WatchedGroup,
  peerId: PeerId,
  change: Partial<SnapshotHead> = {},
  pieces: readonly Uint8Array[] = [],
): StorageOperation[] {
  const { commit_index, term } = group.status(peerId);
  const index = change.index ?? commit_index;
  const cutter = new SnapshotChunker(index);
  const chunks = [...pieces.flatMap((piece) => cutter.add(piece)), ...cutter.end()];
  const configurations = group.mesh.disks.configurations(peerId);
  const head = { index, term, configurations, ...cutter.sum, ...change };
  const kept: KeptSnapshot = { slot, snapshot_id: snapshotId, head };
  return [
    ...chunks.map((value, number): StorageOperation => ({ type: 'put', key: `${groupId}/s/${slot}/${number}`, value })),
    { type: 'put', key: `${groupId}/h`, value: addChecksum(kept) },
  ];
}

function base(group: WatchedGroup, peerId: PeerId): Record<string, unknown> {
  const { commit_index, term } = group.status(peerId);
  return { base_index: commit_index, base_term: term, last_index: commit_index };
}

test('compacted-is-covered reports a snapshot that lacks a chunk', () => {
  const group = new WatchedGroup(CompactedIsCovered);
  const lie = snapshotOf(group, n2, { chunks: 2 });
  expectBroken('compacted-is-covered', () => group.storeAs(n2, base(group, n2), lie), /1 of the 2 chunks/);
});

test('compacted-is-covered reports deleted entries that the snapshot does not cover', () => {
  const group = new WatchedGroup(CompactedIsCovered);
  const { commit_index } = group.status(n2);
  const lie = snapshotOf(group, n2, { index: (commit_index - 1) as LogIndex });
  expectBroken('compacted-is-covered', () => group.storeAs(n2, base(group, n2), lie), /deletes entries up to/);
});

test('compacted-is-covered reports a snapshot of an uncommitted entry', () => {
  const group = new WatchedGroup(CompactedIsCovered);
  const { commit_index } = group.status(n2);
  const lie = snapshotOf(group, n2, { index: (commit_index + 1) as LogIndex });
  const meta = { base_index: 0, base_term: 0, last_index: commit_index };
  expectBroken('compacted-is-covered', () => group.storeAs(n2, meta, lie), /nothing is committed there/);
});

test('compacted-is-covered reports a log that begins after an entry which never existed', () => {
  const group = new WatchedGroup(CompactedIsCovered);
  const { commit_index, term } = group.status(n2);
  const meta = { base_index: commit_index - 1, base_term: term + 1, last_index: commit_index };
  expectBroken('compacted-is-covered', () => group.storeAs(n2, meta, snapshotOf(group, n2)), /ends with nothing/);
});

test('compacted-is-covered reports a snapshot with an older configuration', () => {
  const group = new WatchedGroup(CompactedIsCovered);
  const configurations = group.mesh.disks.configurations(n2).slice(0, 1);
  const lie = snapshotOf(group, n2, { configurations });
  expectBroken('compacted-is-covered', () => group.storeAs(n2, base(group, n2), lie), /is effective/);
});

test('snapshots-are-the-state reports an empty snapshot', () => {
  const group = new WatchedGroup(SnapshotsAreTheState);
  const lie = snapshotOf(group, n2);
  expectBroken('snapshots-are-the-state', () => group.storeAs(n2, base(group, n2), lie), /is not the state there/);
});

test('snapshots-are-the-state reports a chunk in the place of another', () => {
  const group = new WatchedGroup(SnapshotsAreTheState);
  const lie = snapshotOf(group, n2, {}, [new Uint8Array(limits.snapshotChunkBytes)]);
  const first = lie[0] as { value: Uint8Array };
  expectBroken(
    'snapshots-are-the-state',
    () =>
      group.storeAs(n2, base(group, n2), [...lie, { type: 'put', key: `${groupId}/s/${slot}/1`, value: first.value }]),
    /is inconsistent/,
  );
});

test('installs-keep-what-matches reports entries after a matching snapshot that are deleted', () => {
  const group = new WatchedGroup(InstallsKeepWhatMatches);
  const { commit_index, term } = group.status(n2);
  const index = (commit_index - 1) as LogIndex;
  const lie: StorageOperation[] = [
    ...snapshotOf(group, n2, { index }),
    { type: 'truncate', groupId, from: commit_index as LogIndex },
  ];
  const meta = { base_index: index, base_term: term, last_index: index };
  expectBroken('installs-keep-what-matches', () => group.storeAs(n2, meta, lie), /which it had/);
});

test('transfers-go-on reports received chunks that a new session loses', () => {
  const group = new WatchedGroup(TransfersGoOn);
  const { session } = group.status(n2);
  const incoming = { slot, snapshot_id: snapshotId, source: 'installed', stored: 3 };
  group.storeAs(n2, { incoming });
  expectBroken(
    'transfers-go-on',
    () => group.storeAs(n2, { session: session + 1, incoming: null }),
    /3 chunks of a lie are gone/,
  );
});

test('transfers-go-on reports chunks that are announced to the node and missing on the disk', () => {
  const group = new WatchedGroup(TransfersGoOn);
  const installing = { snapshot_id: snapshotId, stored: 3 };
  expectBroken(
    'transfers-go-on',
    () => group.sendAs(n2, 'log-store', 'node.opened', { ...group.own(n2), installing }),
    /reports to its node 3 chunks/,
  );
});

test('one-store-a-name reports two stores under one name', () => {
  const group = new WatchedGroup(OneStoreAName);
  const { term, last_index } = group.status(n1);
  const { peers } = group.configuration([n1, n2, n3]);
  const twice = { peers: [...peers, { peer_id: n3, store_id: 'another' as StoreId }], old_peers: [] };
  expectBroken(
    'one-store-a-name',
    () => group.appendAs(n1, [group.configurationBatch(term, last_index + 1, twice)]),
    /n3:another/,
  );
});

test('one-store-a-name reports the replacement of a store that is not lost', () => {
  const group = new WatchedGroup(OneStoreAName);
  const { term, last_index } = group.status(n1);
  const { peers } = group.configuration([n1, n2, n3]);
  const other = peers.map((member) => (member.peer_id === n3 ? { ...member, store_id: 'another' as StoreId } : member));
  const replaced = { peers: other, old_peers: peers };
  expectBroken(
    'one-store-a-name',
    () => group.appendAs(n1, [group.configurationBatch(term, last_index + 1, replaced)]),
    /is not lost/,
  );
});

test('read-only-peers-take-nothing reports a read-only follower that accepts entries', () => {
  const group = new WatchedGroup(ReadOnlyPeersTakeNothing);
  group.mesh.answered(group.mesh.admin(n2, 'peer', 'read_only', { read_only: true }));
  expect(group.status(n2).read_only).toBe('told');
  const { term, last_index, commit_index } = group.status(n1);
  const batch = group.configurationBatch((term + 1) as Term, last_index + 1, group.configuration([n1, n2, n3]));
  const lie = {
    ...group.own(n2),
    link: 9,
    seq: 100_000,
    leader_id: n1,
    leader_term: term,
    verified_index: last_index,
    truncate_from: 0 as LogIndex,
    commit_index,
    batches: [batch],
  };
  expectBroken(
    'read-only-peers-take-nothing',
    () => group.sendAs(n2, 'node', 'log-store.append', lie),
    /is read-only \(told\), and accepts entries of n1/,
  );
});

test('read-only-peers-take-nothing reports an acknowledged write that arrived while a majority was read-only', () => {
  const group = new WatchedGroup(ReadOnlyPeersTakeNothing);
  for (const peer of [n2, n3]) group.mesh.answered(group.mesh.admin(peer, 'peer', 'read_only', { read_only: true }));
  group.mesh.run(500);
  const requestId = group.mesh.put(n1, 'b', '2');
  const refused = group.mesh.answered(requestId);
  expect(refused).toMatchObject({ error: { code: 'EREADONLY', outcome: 'not_done' } });
  const at = { nowMs: 0, wallTimeMs: 0, random: 0 };
  group.invariants.onStepping(group.actor(n1, 'node'), { type: 'propose', requestId: 77 }, at);
  expectBroken(
    'read-only-peers-take-nothing',
    () => group.invariants.onReplied(77, { result: {} }),
    /a majority was read-only/,
  );
});

test('resets-are-final reports a peer that accepts entries of the history which it has left', () => {
  const group = new WatchedGroup(ResetsAreFinal);
  const own = group.own(n2);
  group.sendAs(n2, 'node', 'log-store.reset', { ...own, link: 1, seq: 0, old_group_uid: own.group_uid });
  expectBroken(
    'resets-are-final',
    () => group.sendAs(n2, 'node', 'log-store.append', { ...own, link: 1, seq: 0 }),
    /takes entries in the history .*, which it has left/,
  );
});

test('resets-are-final reports a store that returns to the history which it has left', () => {
  const group = new WatchedGroup(ResetsAreFinal);
  const own = group.own(n2);
  group.sendAs(n2, 'node', 'log-store.reset', { ...own, link: 1, seq: 0, old_group_uid: own.group_uid });
  group.storeAs(n2, { group_uid: 'another' });
  expectBroken('resets-are-final', () => group.storeAs(n2, {}), /goes back to/);
});
