import { type Configuration, type GroupUid, historyGap } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { withHistory } from '../../../src/core/membership/next-configuration.js';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

/** Ten seconds after the instant from which bases are counted. */
const wallTimeMs = Date.UTC(2020, 0, 1, 0, 0, 10);

/** A group of one that this peer has founded; its leader's first entry is appended, not committed. */
function founded(options = {}): NodeHarness {
  const node = new NodeHarness('n1', options);
  node.wallTimeMs = Date.UTC(2029, 0, 1);
  node.open();
  node.found();
  node.elected();
  return node;
}

const configurationOf = ({ status }: NodeHarness) => status.configuration;

describe('promises 29 and 30: a history', () => {
  test('begins with the first entry of its first leader, above all that the clock allows an earlier one', () => {
    const node = founded();
    const expected = ((Date.UTC(2029, 0, 1) - Date.UTC(2020, 0, 1)) / 1000) * 2 ** 21;
    expect(configurationOf(node)).toMatchObject({ level: 1, history: { group_uid: 'N1.1', base: expected } });
    expect(node.machine.histories).toEqual([]);
    node.committed(2);
    expect(node.machine.histories).toEqual([['N1.1', expected]]);
    expect(node.machine.epochs).toEqual([]);
  });

  test('is inherited by each later configuration, whatever the clock shows then', () => {
    const node = founded();
    const before = configurationOf(node);
    node.committed(2);
    node.wallTimeMs = wallTimeMs;
    node.admin('change_peers', { new_peers: ['n1', 'n2', 'n3'] });
    node.progress({ peer: 'n2', match: 2, caughtUp: true }, { peer: 'n3', match: 2, caughtUp: true });
    for (const index of [3, 4]) {
      expect(configurationOf(node)).toMatchObject({ level: before?.level, history: before?.history });
      node.committed(index);
    }
    expect(new Set(node.machine.histories.map(String)).size).toBe(1);
  });

  test('is none in a group of level 0, which an older build can read', () => {
    const node = founded({ foundingLevel: 0 });
    node.committed(2);
    expect(configurationOf(node)).not.toHaveProperty('history');
    expect(configurationOf(node)).not.toHaveProperty('level');
    expect(node.machine.histories).toEqual([]);
  });

  test('of a reset begins with the leader after it: peers that are reset alike write the same', () => {
    const node = founded();
    node.committed(2);
    const first = configurationOf(node)?.history;
    node.appendEntries({ group: 'N1.1', term: 9, prev: [2, 2] });
    node.wait(3 * electionTimeoutMs);
    node.wallTimeMs = Date.UTC(2030, 0, 1);
    node.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    expect(configurationOf(node)).toMatchObject({ epoch: 1, level: 1 });
    expect(configurationOf(node)).not.toHaveProperty('history');
    node.wait(2 * electionTimeoutMs);
    node.elected();
    node.elected();
    const second = configurationOf(node)?.history;
    expect(second?.group_uid).toMatch(/^reset-1-/);
    expect(second?.base).toBeGreaterThan(first?.base ?? Number.POSITIVE_INFINITY);
  });

  test('a new leadership answers no read of an earlier one', () => {
    const node = founded();
    node.committed(2);
    node.appendEntries({ group: 'N1.1', term: 9, prev: [2, 2] });
    node.wait(2 * electionTimeoutMs);
    node.read('q', { addressee: 'peer', consistency: 'linearizable' });
    node.wait(electionTimeoutMs);
    const effects = node.admin('reset_peer', { new_peers: ['n1'] }, 'peer');
    expect(effects).toContainEqual(expect.stringMatching(/^refuse \d+ EHISTORY not_done/));
  });

  test('has a base above that of the previous history, whatever the clock shows', () => {
    const peers = { peers: [{ peer_id: 'n1', store_id: 's1' }], old_peers: [] } as never as Configuration;
    const before = { ...peers, level: 1, history: { group_uid: 'one' as GroupUid, base: 2 ** 50 } };
    const next = withHistory(before, peers, 'two' as GroupUid, wallTimeMs);
    expect(next.history).toEqual({ group_uid: 'two', base: 2 ** 50 + historyGap });
    const first = withHistory({ ...peers, level: 1 }, peers, 'one' as GroupUid, 0);
    expect(first.history).toEqual({ group_uid: 'one', base: historyGap });
  });

  test('a base follows the clock if that is above the previous history: so a later history that knows neither is above both', () => {
    const peers = { peers: [{ peer_id: 'n1', store_id: 's1' }], old_peers: [] } as never as Configuration;
    const bases = [0, 10_000, 20_000].map((laterMs) => wallTimeMs + laterMs);
    const first = withHistory({ ...peers, level: 1 }, peers, 'one' as GroupUid, bases[0] ?? 0);
    const reset = withHistory(first, peers, 'two' as GroupUid, bases[1] ?? 0);
    const next = withHistory({ ...peers, level: 1 }, peers, 'three' as GroupUid, bases[2] ?? 0);
    expect(reset.history?.base).toBeGreaterThan(first.history?.base ?? Number.POSITIVE_INFINITY);
    expect(next.history?.base).toBeGreaterThan(reset.history?.base ?? Number.POSITIVE_INFINITY);
  });

  test('keeps its revisions if its group reaches level 1 only now', () => {
    const peers = { peers: [{ peer_id: 'n1', store_id: 's1' }], old_peers: [], epoch: 2 } as never as Configuration;
    const raised = withHistory(peers, { ...peers, level: 1 }, 'one' as GroupUid, Date.UTC(2030, 0, 1));
    expect(raised).toEqual({ ...peers, level: 1, history: { group_uid: 'one', base: 0 } });
    expect(withHistory(peers, peers, 'one' as GroupUid, wallTimeMs)).toEqual(peers);
  });
});
