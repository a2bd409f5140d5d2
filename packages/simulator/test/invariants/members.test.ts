/** Breaks each invariant about members, histories and sessions: a real run, with one false message or write. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { indexedKey } from '@conclave/log-store';
import type { GroupUid, LogIndex, Session, Term } from '@conclave/protocol';
import { expect, test } from 'vitest';
import { allInvariants } from '../../src/invariants/all-invariants.js';
import { LevelsAreSupported } from '../../src/invariants/levels-are-supported.js';
import { OneChangeAtATime } from '../../src/invariants/one-change-at-a-time.js';
import { OneGroup } from '../../src/invariants/one-group.js';
import { OnlyCaughtUpStoresJoin } from '../../src/invariants/only-caught-up-stores-join.js';
import { SessionsOnlyGrow } from '../../src/invariants/sessions-only-grow.js';
import { StagesFollow } from '../../src/invariants/stages-follow.js';
import { expectBroken, groupId, n1, n2, n3, n4, n5, WatchedGroup } from './watched-group.js';

const helpers = ['all-invariants', 'invariant', 'invariant-violation', 'configurations'];

function filesIn(folder: string): string[] {
  const entries = readdirSync(fileURLToPath(new URL(folder, import.meta.url)), { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts')).map(({ name }) => name);
}

test('each invariant has a file of its name, a row in the table, and a test that shows that it can be broken', () => {
  const { names } = allInvariants();
  const files = filesIn('../../src/invariants').map((name) => name.replace(/\.ts$/, ''));
  expect([...names].sort()).toEqual(files.filter((name) => !helpers.includes(name)).sort());
  const table = readFileSync(new URL('../../src/invariants/README.md', import.meta.url), 'utf8');
  const rows = [...table.matchAll(/\| \[`([a-z-]+)`\]\(\1\.ts\) \|$/gm)].map(([, name]) => name);
  expect(rows.sort()).toEqual([...names].sort());
  const tests = filesIn('.').map((name) => readFileSync(new URL(name, import.meta.url), 'utf8'));
  const untested = names.filter(
    (name) => !tests.some((text) => text.includes(`test('${name}`) || text.includes(`('${name}: %s'`)),
  );
  expect(untested).toEqual([]);
});

test('one-change-at-a-time reports a change that is appended after an uncommitted one', () => {
  const group = new WatchedGroup(OneChangeAtATime);
  const { term, last_index } = group.status(n1);
  const joint = group.configurationBatch(term, last_index + 1, group.configuration([n1, n4, n5], [n1, n2, n3]));
  const stable = group.configurationBatch(term, last_index + 2, group.configuration([n1, n4, n5]));
  group.appendAs(n1, [joint]);
  expectBroken('one-change-at-a-time', () => group.appendAs(n1, [stable]), /which is not committed/);
});

test('one-change-at-a-time reports a change before the first entry of the term is committed', () => {
  const group = new WatchedGroup(OneChangeAtATime);
  const { term, last_index } = group.status(n1);
  const batch = group.configurationBatch(term, last_index + 1, group.configuration([n1, n2]));
  expectBroken(
    'one-change-at-a-time',
    () => group.appendAs(n1, [batch], { commit_index: 1 as LogIndex }),
    /before its first entry, \d+, is committed/,
  );
});

test('one-change-at-a-time reports a rollback of another leader’s joint configuration', () => {
  const group = new WatchedGroup(OneChangeAtATime);
  const { term, last_index } = group.status(n1);
  const later = (term + 1) as Term;
  const joint = group.configuration([n1, n4, n5], [n1, n2, n3]);
  group.appendAs(n1, [group.configurationBatch(term, last_index + 1, joint)]);
  // n1 is elected again, appends the effective configuration, and then rolls it back.
  const first_index = (last_index + 2) as LogIndex;
  group.sendAs(n1, 'node', 'ballot-box.lead', { ...group.own(n1), term: later, first_index });
  const asLeader = { leader_term: later };
  group.appendAs(n1, [group.configurationBatch(later, last_index + 2, joint)], asLeader);
  const old = group.configurationBatch(later, last_index + 3, group.configuration([n1, n2, n3]));
  expectBroken('one-change-at-a-time', () => group.appendAs(n1, [old], asLeader), /not its own/);
});

test('one-change-at-a-time reports a configuration appended by a node that does not lead', () => {
  const group = new WatchedGroup(OneChangeAtATime);
  const { term, last_index } = group.status(n2);
  const batch = group.configurationBatch(term, last_index + 1, group.configuration([n1, n2]));
  expectBroken(
    'one-change-at-a-time',
    () => group.appendAs(n2, [batch], { leader_term: 9 as Term }),
    /and does not lead/,
  );
});

test.each([
  ['two members are removed at once', [n1], [], /\{n1:[^,]*\} as entry/],
  ['all members change at once', [n4, n5], [], /\{n4:/],
  ['the old set of a joint configuration was never effective', [n4, n5], [n1, n2], /\| n1:/],
] as const)('stages-follow: %s', (_, peers, oldPeers, seen) => {
  const group = new WatchedGroup(StagesFollow);
  const { term, last_index } = group.status(n1);
  const batch = group.configurationBatch(term, last_index + 1, group.configuration(peers, oldPeers));
  expectBroken('stages-follow', () => group.appendAs(n1, [batch]), seen);
});

test.each([
  ['a configuration lowers the level', 0, /n1 lowers the level from 1 to 0/],
  ['the level rises above what members support', 2, /n1 appends level 2 with n2 .*never reported that it supports it/],
] as const)('levels-are-supported: %s', (_, level, seen) => {
  const group = new WatchedGroup(LevelsAreSupported);
  const { term, last_index } = group.status(n1);
  const configuration = { ...group.configuration([n1, n2, n3]), level };
  const batch = group.configurationBatch(term, last_index + 1, configuration);
  expectBroken('levels-are-supported', () => group.appendAs(n1, [batch]), seen);
});

test('only-caught-up-stores-join (promises 2, 6, 9) reports an empty store that is added', () => {
  const group = new WatchedGroup(OnlyCaughtUpStoresJoin);
  const { term, last_index } = group.status(n1);
  const batch = group.configurationBatch(term, last_index + 1, group.configuration([n1, n2, n3, n4]));
  expectBroken('only-caught-up-stores-join', () => group.appendAs(n1, [batch]), /n1 adds n4 .*nothing/);
});

test('only-caught-up-stores-join (promise 6) reports a wiped store that counts as the previous one', () => {
  const group = new WatchedGroup(OnlyCaughtUpStoresJoin);
  group.mesh.crashPeer(n3);
  group.mesh.disks.wipe(n3);
  group.mesh.startPeer(n3);
  group.mesh.run(100);
  const { term, last_index } = group.status(n1);
  const batch = group.configurationBatch(term, last_index + 1, group.configuration([n1, n2, n3]));
  expectBroken('only-caught-up-stores-join', () => group.appendAs(n1, [batch]), /n1 adds n3/);
});

test.each([
  ['a session is opened twice', 'node.opened', { nonce: 'another' }, /is opened for another, after session 1/],
  [
    'a log-store acknowledges in an old session',
    'feed.stored',
    { session: 0 as Session },
    /sends a message of session 0/,
  ],
  ['a log-store answers its node in an old session', 'node.ack', { actor: 'log-store', session: 0 }, /of session 0/],
] as const)('sessions-only-grow: %s', (_, name, change, seen) => {
  const group = new WatchedGroup(SessionsOnlyGrow);
  const body = { ...group.own(n2), ...change } as never;
  expectBroken('sessions-only-grow', () => group.sendAs(n2, 'log-store', name, body), seen);
});

test('sessions-only-grow reports a session that decreases on a disk', () => {
  const group = new WatchedGroup(SessionsOnlyGrow);
  expectBroken('sessions-only-grow', () => group.storeAs(n2, { session: 0 }), /the session of n2 fell from 1 to 0/);
});

test('one-group reports a commit in a second history', () => {
  const group = new WatchedGroup(OneGroup);
  const value = group.configurationBatch(1 as Term, 1, group.configuration([n4]));
  const put = { type: 'put', key: indexedKey(groupId, 'e', 1), value } as const;
  group.storeAs(n4, { group_uid: 'other', term: 1 }, [put]);
  const committed = { ...group.own(n4), term: 1 as Term, index: 1 as LogIndex };
  expectBroken(
    'one-group',
    () => group.sendAs(n4, 'ballot-box', 'feed.committed', committed),
    /something is committed in the histories .* and other/,
  );
});

test('one-group reports a leader in a second history', () => {
  const group = new WatchedGroup(OneGroup);
  const lead = { ...group.own(n4), group_uid: 'other' as GroupUid, term: 2 as Term };
  expectBroken(
    'one-group',
    () => group.sendAs(n4, 'node', 'ballot-box.lead', lead),
    /n4 leads in the history other, and something is committed in/,
  );
});

test('one-group reports a store that changes to another history', () => {
  const group = new WatchedGroup(OneGroup);
  expectBroken('one-group', () => group.storeAs(n3, { group_uid: 'other' }), /the store of n3 held .*, and now other/);
});
