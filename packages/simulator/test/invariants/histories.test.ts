/** Breaks each invariant that spans histories: by replies of leaders, and by steps of clients. */
import { asLogIndex, asTerm, encodeConfigurationBatch, type PeerId, type StoreId } from '@conclave/protocol';
import { expect, test } from 'vitest';
import { allInvariants } from '../../src/invariants/all-invariants.js';
import { CallsAreOfOneHistory } from '../../src/invariants/calls-are-of-one-history.js';
import { ClientsReportAHistoryOnce } from '../../src/invariants/clients-report-a-history-once.js';
import { HistoriesCountUpwards } from '../../src/invariants/histories-count-upwards.js';
import { RunRecord } from '../../src/invariants/record/run-record.js';
import type { Actor } from '../../src/mesh/actor.js';
import { expectBroken } from './watched-group.js';

const leader = { name: 'n1.node' } as Actor;
const put = { commands: [[1, 'put', 'k', 'v']] };

function done(revision: number | string, groupUid: string) {
  return { results: [['done', revision, true]], group_uid: groupUid };
}

test.each([
  ['a revision is lower than one of an earlier history', { commands: [[1, 'put', 'k', 'v']] }],
  ['a token is lower than one of an earlier history', { commands: [[1, 'lock', 'l', 'c', 'id', true]] }],
] as const)('histories-count-upwards (promise 29): %s', (_, request) => {
  const rule = new HistoriesCountUpwards(new RunRecord());
  const serve = (number: number, groupUid: string) =>
    rule.onServed(leader, { operation: 'batch', request, groupUid }, done(number, groupUid));
  serve(8, 'one');
  serve(9, 'two');
  serve(10, 'three');
  expectBroken(
    'histories-count-upwards',
    () => serve(8, 'three'),
    /gives out 8 .* in the history three, and one before/,
  );
  // In its own history a result may be returned again.
  serve(9, 'two');
});

test('histories-count-upwards (promise 29) ignores replies of an empty peer, which is in no history', () => {
  const rule = new HistoriesCountUpwards(new RunRecord());
  rule.onServed(leader, { operation: 'batch_get', request: {}, groupUid: '' }, { results: [], group_uid: '' });
  const begun = { after: 0, revision: 0, renew_ms: 1, group_uid: 'one' };
  rule.onServed(leader, { operation: 'watch', request: {}, groupUid: 'one' }, begun);
});

test('histories-count-upwards (promise 29) accepts the same lock token after a reset at feature level 0', () => {
  const record = new RunRecord();
  const rule = new HistoriesCountUpwards(record);
  const first = encodeConfigurationBatch(asTerm(1), asLogIndex(1), {
    peers: [{ peer_id: 'n1' as PeerId, store_id: 's1' as StoreId }],
    old_peers: [],
  });
  for (const entry of record.tree.follow('two', undefined, first)) record.commits.add(entry);
  const lock = { commands: [[1, 'lock', 'l', 'c', 'id', true]] };
  const serve = (request: object, groupUid: string, number: number) =>
    rule.onServed(leader, { operation: 'batch', request, groupUid }, done(number, groupUid));
  serve(put, 'one', 8);
  serve(lock, 'two', 3);
  expectBroken('histories-count-upwards', () => serve(put, 'two', 3), /gives out 3 \(put\)/);
});

test('histories-count-upwards (promise 29) reports a watch that begins below the revisions of an earlier history', () => {
  const rule = new HistoriesCountUpwards(new RunRecord());
  rule.onServed(leader, { operation: 'batch', request: put, groupUid: 'one' }, done(8, 'one'));
  const begun = { after: 2, revision: 2, renew_ms: 1, group_uid: 'two' };
  const watch = () => rule.onServed(leader, { operation: 'watch', request: {}, groupUid: 'two' }, begun);
  expectBroken('histories-count-upwards', watch, /gives out 2 \(watch\) in the history two/);
});

test('histories-count-upwards (promise 29) reports an id of a session or a lease that is issued twice', () => {
  const rule = new HistoriesCountUpwards(new RunRecord());
  const open = (groupUid: string) =>
    rule.onServed(
      leader,
      { operation: 'open_session', request: {}, groupUid },
      { client_id: 's', group_uid: groupUid },
    );
  const grant = (groupUid: string) => {
    const request = { commands: [[1, 'lease_grant', 1000]] };
    rule.onServed(leader, { operation: 'batch', request, groupUid }, done('l', groupUid));
  };
  open('one');
  grant('one');
  expectBroken('histories-count-upwards', () => open('two'), /gives out session s in the history two, which one/);
  expectBroken('histories-count-upwards', () => grant('two'), /gives out lease l in the history two, which one/);
});

test('calls-are-of-one-history (promise 29) reports a request for one history that is carried out in another', () => {
  const rule = new CallsAreOfOneHistory(new RunRecord());
  const request = { ...put, group_uid: 'one' };
  rule.onServed(leader, { operation: 'batch', request, groupUid: 'one' }, done(1, 'one'));
  const inOther = (reply: unknown) => rule.onServed(leader, { operation: 'batch', request, groupUid: 'two' }, reply);
  inOther({ error: { code: 'EHISTORY', message: '', outcome: 'not_done' } });
  expectBroken('calls-are-of-one-history', () => inOther(done(2, 'two')), /carries out batch .* two, which is for one/);
  const unknown = { error: { code: 'EHISTORY', message: '', outcome: 'unknown' } };
  expectBroken('calls-are-of-one-history', () => inOther(unknown), /refuses what is for the history one as unknown/);
});

test('calls-are-of-one-history (promise 29) reports a write for a session of an earlier history', () => {
  const rule = new CallsAreOfOneHistory(new RunRecord());
  const opened = { client_id: 's', group_uid: 'one' };
  rule.onServed(leader, { operation: 'open_session', request: {}, groupUid: 'one' }, opened);
  const write = (reply: unknown) => {
    const request = { ...put, client_id: 's' };
    rule.onServed(leader, { operation: 'batch', request, groupUid: 'two' }, reply);
  };
  write({ results: [['unknown', 'ESESSION', '']], group_uid: 'two' });
  expectBroken(
    'calls-are-of-one-history',
    () => write(done(2, 'two')),
    /writes in the history two for a session of one/,
  );
});

test('clients-report-a-history-once (promise 29) reports a client that reports an end twice, of another history, or not at all', () => {
  const rule = new ClientsReportAHistoryOnce(new RunRecord());
  const client = {};
  const step = (before: string | undefined, after: string | undefined, ...ended: string[]) =>
    rule.onClientStepped(client, { name: 'c1', before, after, ended });
  step(undefined, 'one');
  expectBroken('clients-report-a-history-once', () => step('one', 'two'), /has not reported that one has ended/);
  expectBroken('clients-report-a-history-once', () => step('one', 'one', 'two'), /that two has ended, and uses one/);
  step('one', undefined, 'one');
  expectBroken('clients-report-a-history-once', () => step('one', 'two', 'one'), /reports twice that the history one/);
  expectBroken('clients-report-a-history-once', () => step(undefined, 'one'), /which it has reported as ended/);
});

test('only invariants that span histories continue when a group is created again', () => {
  const before = allInvariants();
  const after = allInvariants(before);
  expect(after.spanning).toEqual(before.spanning);
  expect(after.spanning.map(({ name }) => name).sort()).toEqual([
    'calls-are-of-one-history',
    'clients-report-a-history-once',
    'histories-count-upwards',
  ]);
  expect(after.record).not.toBe(before.record);
});
