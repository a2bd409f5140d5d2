import {
  asLogIndex,
  asPeerId,
  asTerm,
  type EventName,
  encodeBatch,
  events,
  type GroupUid,
  type StoreId,
} from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { eventLine, eventText } from '../src/views/event-line.js';
import { bytesText, count, duration } from '../src/views/format.js';
import { messageLine } from '../src/views/message-line.js';
import { observed } from './status-samples.js';

const peers = ['n1', 'n4'].map(asPeerId);
const error = { code: 'ECATCHUP', message: 'late', outcome: 'not_done' } as const;
const index = asLogIndex(1234);

const samples = [
  observed('leader_elected', 'n1', { peers, old_peers: [] }),
  observed('leader_stepped_down', 'n1', { reason: 'a higher term' }),
  observed('stage_changed', 'n1', { kind: 'change', stage: 'joint', old_peers: peers, new_peers: peers }),
  observed('catchup_progress', 'n1', {
    new_peer: asPeerId('n4'),
    state: 'lagging',
    match_index: index,
    last_index: index,
    lag: 5678,
    percent: 0,
  }),
  observed('configuration_appended', 'n1', { peers, old_peers: peers, index }),
  observed('configuration_truncated', 'n1', { peers, old_peers: [], index }),
  observed('configuration_committed', 'n1', { peers, old_peers: [], index }),
  observed('change_failed', 'n1', { kind: 'change', old_peers: peers, new_peers: peers, error }),
  observed('peer_unreachable', 'n1', { unreachable_peer: asPeerId('n4'), silent_ms: 1500 }),
  observed('peer_refused', 'n1', { refused_peer: asPeerId('n4'), reason: 'another history' }),
  observed('peer_removed', 'n1', { index }),
  observed('store_refused', 'n3', {
    store_id: 'x.main' as StoreId,
    bound_store_id: 'w.main' as StoreId,
    leader_id: asPeerId('n1'),
  }),
  observed('peer_reset', 'n1', {
    old_group_uid: 'u' as GroupUid,
    group_uid: 'v' as GroupUid,
    epoch: 1,
    old_peers: peers,
    new_peers: peers.slice(0, 1),
    last_index: index,
    commit_index: index,
    may_be_lost: 'what only n4 held is lost',
  }),
  observed('peer_fenced', 'n1', { session: 7 }),
  observed('snapshot_taken', 'n1', { index, chunks: 3, bytes: 700_000, compacted_to: asLogIndex(234), took_ms: 45 }),
  observed('snapshot_installed', 'n1', { leader_id: asPeerId('n2'), index, chunks: 3, bytes: 700_000 }),
  observed('read_only_changed', 'n1', { reason: 'disk' }),
  observed('applying_stopped', 'n1', { index, reason: 'this build cannot read it' }),
  observed('level_raised', 'n1', { level: 1, index }),
  observed('lock_forced', 'n1', { name: 'jobs', token: 7 }),
  observed('lease_forced', 'n1', { lease_id: 7 }),
  observed('admin_command', 'n1', {
    command: 'add_peer',
    outcome: 'not_done',
    code: 'EBUSY',
    caller: { name: 'ann@ops', source: 'named' },
  }),
  observed('admin_command', 'n1', {
    command: 'transfer_leader',
    outcome: 'done',
    code: '',
    caller: { name: 'ann of OPS', source: 'nats' },
  }),
  observed('state_diverged', 'n1', { index, majority_digest: '0123456789abcdef' }),
  observed('state_diverged', 'n1', { index, majority_digest: '' }),
  observed('state_repaired', 'n1', { index, repairs: 1 }),
  observed('other_history_seen', 'n1', {
    group_uid: 'u' as GroupUid,
    other_group_uid: 'v' as GroupUid,
    other_leader_id: asPeerId('n4'),
  }),
  observed('actor_silent', 'n1', { actor: 'ballot-box' }),
];

describe('events', () => {
  it('each have a line', () => {
    expect([...new Set(samples.map((event) => event.name))].toSorted()).toEqual(
      (Object.keys(events) as EventName[]).toSorted(),
    );
    expect(samples.map(eventText)).toMatchInlineSnapshot(`
      [
        "leads {n1,n4}",
        "no longer leads: a higher term",
        "joint: {n1,n4} to {n1,n4}",
        "n4 lagging by 5,678 entries",
        "{n1,n4} and {n1,n4} is in effect, at index 1,234",
        "{n1,n4} is in effect again, at index 1,234",
        "{n1,n4} is committed, at index 1,234",
        "{n1,n4} stays; ECATCHUP: late",
        "n4 has been silent for 1.50 s",
        "n4 is refused: another history",
        "was removed from the group, at index 1,234",
        "the group binds its name to another store, as n1 reports",
        "continues as {n1}, epoch 1; what only n4 held is lost",
        "another node has opened its log-store (session 7)",
        "has taken a snapshot at index 1,234: 683.6 KiB in 45 ms; its log begins after 234",
        "has installed n2's snapshot of index 1,234: 683.6 KiB",
        "stores no entries: its disk has less room than the reserve",
        "has stopped applying at index 1,234: this build cannot read it",
        "the feature level is 1, from index 1,234 on",
        "the lock "jobs" was taken from its holder, token 7, by force",
        "the lease 7 was ended by force",
        "add_peer: EBUSY, not_done; sent by ann@ops, as it says",
        "transfer_leader: done; sent by ann of OPS",
        "its state differs from the majority's at index 1,234",
        "the members' states differ at index 1,234, and no majority has the same",
        "its state is the majority's again, at index 1,234",
        "n4 leads another history of this group (v, here u): no request is served",
        "its ballot-box is silent",
      ]
    `);
  });

  it('follow time, peer and term', () => {
    expect(samples.slice(0, 1).map(eventLine)).toEqual([
      '03:04:05.678  n1    term 3  leader_elected           leads {n1,n4}',
    ]);
  });
});

describe('messages', () => {
  it('are short: no ids, batches by their indexes', () => {
    const batch = encodeBatch('commands', asTerm(3), asLogIndex(10), [new Uint8Array(1), new Uint8Array(2)]);
    const body = { group_id: 'main', store_id: 'x', session: 2, leader_term: 3, batches: [batch, new Uint8Array(3)] };
    expect(messageLine('n1', 'feed.append', body)).toBe(
      'n1    feed.append               session=2 leader_term=3 batches=[commands 10..11,3 bytes]',
    );
  });

  it('are cut where they are long', () => {
    const line = messageLine('n1', 'node.progress', { targets: Array.from({ length: 99 }, (_, at) => ({ at })) });
    expect(line.length).toBeLessThan(150);
    expect(line.endsWith('…')).toBe(true);
  });
});

describe('figures', () => {
  it.each([
    [0, '0'],
    [999, '999'],
    [1000, '1,000'],
    [1234567, '1,234,567'],
    [999.6, '1,000'],
  ])('%d is %s', (value, text) => expect(count(value)).toBe(text));

  it.each([
    [0.04, '0.0 ms'],
    [9.94, '9.9 ms'],
    [812.4, '812 ms'],
    [3254, '3.25 s'],
    [9.97, '10 ms'],
    [999.6, '1.00 s'],
    [59_994, '59.99 s'],
    [59_996, '1 min 0 s'],
    [119_700, '2 min 0 s'],
    [125_000, '2 min 5 s'],
  ])('%d ms are %s', (value, text) => expect(duration(value)).toBe(text));

  it.each([
    [812, '812 B'],
    [65_536, '64.0 KiB'],
    [1024 * 1024 - 1, '1.0 MiB'],
    [1024 * 1024 * 1024, '1.0 GiB'],
  ])('%d bytes are %s', (value, text) => expect(bytesText(value)).toBe(text));
});
