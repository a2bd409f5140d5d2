import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

/** Leads {n1 n2 n3} in term 2; entry 2 is its flush, committed. */
function leader(): NodeHarness {
  const node = new NodeHarness();
  node.lead();
  node.confirmed();
  return node;
}

const n2 = { peer: 'n2', match: 2 };
/** n3 answers with a store that the configuration does not bind it to, and its own has been silent for long. */
const n3Lost = { peer: 'n3', match: 2, refusal: 'ESTORE', found: ['s9', 2 * electionTimeoutMs] } as const;
const n3New = { peer: 'n3', store: 's9', match: 2, caughtUp: true };

/** Heals n3, whose new store is catching up. */
function replacing(): NodeHarness {
  const node = leader();
  node.progress(n2, n3Lost);
  return node;
}

const begun = ['event stage_changed, heal, catching_up, n1 n2 n3, n1 n2 n3', 'replicator.targets n3:s9+ n2'];

describe('promise 6: the lost store of a member is replaced', () => {
  test('the new store first catches up: it counts nowhere, and no entry is appended', () => {
    const node = leader();
    expect(node.progress(n2, n3Lost)).toEqual([
      'event peer_refused, n3, its store is another than the one that the configuration binds it to',
      ...begun,
    ]);
    expect(node.status).toMatchObject({
      stage: 'catching_up',
      configuration_index: 2,
      changes: [{ kind: 'heal', state: 'going_on' }],
    });
    expect(node.progress(n2, { ...n3New, match: 1, caughtUp: false })).toEqual([
      'event catchup_progress, n3, lagging, 1, 2, 1, 50',
    ]);
  });

  test('then the leader appends a joint configuration with both stores, and a stable one, without a write of a client', () => {
    const node = replacing();
    expect(node.progress(n2, n3New)).toEqual([
      'event catchup_progress, n3, caught_up, 2, 2, 0, 100',
      'event stage_changed, heal, joint, n1 n2 n3, n1 n2 n3',
      'event configuration_appended, n1 n2 n3, n1 n2 n3, 3',
      'feed.append term 2 of n1: entry 3 of term 2 {n1 n2 n3:s9 | n1 n2 n3} verified 3',
      'replicator.targets n3:s9 n2',
    ]);
    expect(node.committed(3)).toEqual([
      'event configuration_committed, n1 n2 n3, n1 n2 n3, 3',
      'event stage_changed, heal, stable, n1 n2 n3, n1 n2 n3',
      'event configuration_appended, n1 n2 n3, -, 4',
      'feed.append term 2 of n1: entry 4 of term 2 {n1 n2 n3:s9} verified 4',
      'replicator.targets n3:s9 n2',
    ]);
    expect(node.committed(4)).toEqual([
      'event configuration_committed, n1 n2 n3, -, 4',
      'event stage_changed, heal, none, n1 n2 n3, n1 n2 n3',
    ]);
    expect(node.status.changes.at(-1)).toMatchObject({ kind: 'heal', state: 'done', index: 4 });
  });

  test('the store is not replaced while the bound one may be alive', () => {
    const node = leader();
    const received = { ...n3Lost, found: ['s9', 2 * electionTimeoutMs - 1] } as const;
    node.progress(n2, received);
    expect(node.status.stage).toBe('none');
    expect(node.progress(n2, { peer: 'n3', match: 2, found: ['s9', 0] })).toEqual([
      'event peer_refused, n3, another store answers under its name, besides the one that it is bound to',
    ]);
    expect(node.status.stage).toBe('none');
  });

  test('not with the store of another member, nor with another history: these are refused, with the reason', () => {
    const node = leader();
    expect(node.progress(n2, { ...n3Lost, found: ['s2', 9000] })).toEqual([
      'event peer_refused, n3, its store is the one that n2 is bound to: a copy of its data',
    ]);
    expect(node.progress(n2, { ...n3Lost, refusal: 'ENOTEMPTY' })).toEqual([
      'event peer_refused, n3, it holds another history',
    ]);
    expect(node.status.stage).toBe('none');
  });

  test('the store is not replaced before this leader has committed an entry of its own, nor while its quorum is silent', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    node.progress(n2, n3Lost);
    expect(node.status.stage).toBe('none');
  });

  test('the store is not replaced if the votes for that are missing', () => {
    const node = replacing();
    const silent = { ...n2, silentMs: electionTimeoutMs / 2 };
    expect(node.progress(silent, n3New)).toEqual(['event catchup_progress, n3, caught_up, 2, 2, 0, 100']);
    expect(node.status).toMatchObject({ stage: 'catching_up', configuration_index: 2 });
    expect(node.progress(n2, n3New)).toContain('event stage_changed, heal, joint, n1 n2 n3, n1 n2 n3');
  });

  test('is abandoned if the lost store is back, or the new one is lost, too', () => {
    const failed = [
      'replicator.targets n2 n3',
      'event change_failed, heal, n1 n2 n3, n1 n2 n3, ECANCELED',
      'event stage_changed, heal, none, n1 n2 n3, n1 n2 n3',
    ];
    expect(replacing().progress(n2, { ...n3New, caughtUp: false, found: ['s3', 0] })).toEqual(
      expect.arrayContaining(failed),
    );
    const again = replacing();
    expect(again.progress(n2, { ...n3New, refusal: 'ESTORE', found: ['s10', 9000] })).toEqual(
      expect.arrayContaining(failed),
    );
    // Not in a loop, but soon.
    again.progress(n2, { ...n3Lost, found: ['s10', 9000] });
    expect(again.status.stage).toBe('none');
    again.nowMs += 2 * electionTimeoutMs;
    again.wait(0);
    again.confirmed();
    expect(again.progress(n2, { ...n3Lost, found: ['s10', 9000] })).toContain('replicator.targets n3:s10+ n2');
  });

  test('what the replicator reported before it knew the new store is ignored', () => {
    const node = replacing();
    expect(node.progress(n2, n3Lost)).toEqual([]);
    expect(node.status.stage).toBe('catching_up');
  });

  test('a replacement is abandoned for a command of an operator, and is tried again after that (promise 1)', () => {
    const node = replacing();
    expect(node.admin('remove_peer', { peer_id: 'n2' })).toEqual([
      'replicator.targets n2 n3',
      'event change_failed, heal, n1 n2 n3, n1 n2 n3, ECANCELED',
      'event stage_changed, heal, none, n1 n2 n3, n1 n2 n3',
      'event stage_changed, catching_up, n1 n2 n3, n1 n3',
    ]);
    const other = replacing();
    expect(other.admin('transfer_leader', { peer_id: 'n2' })).toContain('replicator.transfer to n2 with 2');
    expect(other.status.stage).toBe('none');
    // Once it is in the log it is a change like any other.
    const late = replacing();
    late.progress(n2, n3New);
    expect(late.admin('add_peer', { peer_id: 'n4' })).toEqual(['refuse 1 EBUSY not_done']);
    expect(late.admin('cancel_change')).toContain('feed.append term 2 of n1: entry 4 of term 2 {n1 n2 n3} verified 4');
    expect(late.committed(4)).toContain('event change_failed, heal, n1 n2 n3, n1 n2 n3, ECANCELED');
  });

  test('in the joint stage its replicator sends to the lost store if only that one responds', () => {
    const node = replacing();
    node.progress(n2, n3New);
    expect(node.progress(n2, { ...n3New, refusal: 'ESTORE', found: ['s3', 9000] })).toContain(
      'replicator.targets n2 n3',
    );
  });

  test('the next leader finishes the joint stage of it', () => {
    const node = new NodeHarness();
    const lines = node.lead({
      term: 1,
      log: [
        [1, 'n1 n2 n3'],
        [1, 'n1 n2 n3:s9 | n1 n2 n3'],
      ],
      commit: 1,
    });
    expect(lines).toContain('event stage_changed, heal, joint, n1 n2 n3, n1 n2 n3');
    expect(lines).toContain('feed.append term 2 of n1: entry 4 of term 2 {n1 n2 n3:s9} verified 4');
    node.committed(4);
    expect(node.status.changes.at(-1)).toMatchObject({ kind: 'heal', state: 'done' });
  });

  test('leadership is not transferred to a peer with a store that is not a member yet', () => {
    const node = leader();
    node.progress({ ...n2, silentMs: electionTimeoutMs + 1, store: 's2' }, { ...n3New, match: 9 });
    expect(node.admin('transfer_leader')).toEqual(['refuse 1 EUNREACHABLE not_done']);
  });
});

describe('promise 6: a store that is not bound reports it', () => {
  test('it publishes one event, and is unhealthy until the store is replaced', () => {
    const node = new NodeHarness('n3');
    node.open();
    expect(node.appendEntries({ store: 's3' })).toContain('event store_refused, s1, s3, n2');
    expect(node.appendEntries({ store: 's3' })).not.toContain('event store_refused, s1, s3, n2');
    expect(node.core.health()).toMatchObject({
      healthy: false,
      reason: expect.stringContaining('names the store s3 for n3'),
    });
    expect(node.status.health.reason).toContain('neither votes nor counts');
    node.appendEntries({ entries: [[1, 'n1 n2 n3:s1']], tick: 2 });
    expect(node.core.health()).toEqual({ healthy: true, reason: '' });
  });
});

describe('promise 7: a change that left no entry', () => {
  test('is announced by its leader on every tick, and once more when it has ended', () => {
    const node = leader();
    const announced = () =>
      node.sent.filter(({ message }) => message.name === 'node.change_announced').map(({ to }) => to);
    node.admin('add_peer', { peer_id: 'n4' });
    expect(announced()).toEqual(['n2', 'n3']);
    node.wait(100);
    expect(announced()).toEqual(['n2', 'n3']);
    node.admin('cancel_change');
    expect(node.sent.find(({ message }) => message.name === 'node.change_announced')?.message.body).toMatchObject({
      new_peers: ['n1', 'n2', 'n3', 'n4'],
      over: { code: 'ECANCELED' },
    });
    node.wait(100);
    expect(announced()).toEqual([]);
  });

  test('is reported as undone by the next leader, in its first entry, so that all members know it from then on', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [[1, 'n1 n2 n3']], commit: 1 });
    node.appendEntries({ prev: [1, 1] });
    node.announced('n1 n2 n3 n4');
    node.wait(2 * electionTimeoutMs);
    node.elected();
    expect(node.elected()).toContain(
      'feed.append term 3 of n1: entry 2 of term 3 {n1 n2 n3 lost n1 n2 n3 n4 of term 2} verified 2',
    );
    const lost = { state: 'undone', stage: 'catching_up', term: 2, index: 0, error: { code: 'EPERM' } };
    expect(node.status.changes).toMatchObject([{ new_peers: ['n1', 'n2', 'n3', 'n4'], ...lost }]);
    node.confirmed();
    node.committed(2);
    // Asking again is safe.
    expect(node.admin('add_peer', { peer_id: 'n4' })).toContain(
      'event stage_changed, catching_up, n1 n2 n3, n1 n2 n3 n4',
    );
  });

  test('is not reported as interrupted if it has an entry, or has ended, or was not announced by a leader', () => {
    const led = (prepare: (node: NodeHarness) => void, log: readonly (readonly [number, string])[]) => {
      const node = new NodeHarness();
      node.open({ term: 2, log, commit: 1 });
      node.appendEntries({ prev: [log.length, log.at(-1)?.[0] ?? 0] });
      prepare(node);
      node.wait(2 * electionTimeoutMs);
      node.elected();
      return node.elected().filter((line) => line.includes('lost'));
    };
    const three = [[1, 'n1 n2 n3']] as const;
    const four = [...three, [2, 'n1 n2 n3 n4']] as const;
    expect(led((node) => node.announced('n1 n2 n3 n4'), four)).toEqual([]);
    expect(led((node) => node.announced('n1 n2 n3 n4', { code: 'ECATCHUP' }), three)).toEqual([]);
    expect(led((node) => node.announced('n1 n2 n3 n4', { term: 1 }), three)).toEqual([]);
    expect(led((node) => node.announced('n1 n2 n3 n4', { from: 'n3' }), three)).toEqual([]);
    const node = new NodeHarness();
    node.open({ term: 2, log: three, commit: 1 });
    node.appendEntries({ prev: [1, 1] });
    node.announced('n1 n2 n3 n4', { code: 'ECATCHUP' });
    expect(node.status.changes).toMatchObject([{ state: 'undone', term: 2, error: { code: 'ECATCHUP' } }]);
  });
});
