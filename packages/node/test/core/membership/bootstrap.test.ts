import { asLogIndex, asPeerId, type GroupUid } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import type { GroupHost } from '../../../src/core/index.js';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

const three = { peers: ['n1', 'n2', 'n3'] };

function empty(peerId = 'n1'): NodeHarness {
  const node = new NodeHarness(peerId);
  node.open();
  return node;
}

/** A peer that is found to host the group: its node, or its log-store with that history. */
function host(peerId: string, store?: string): GroupHost {
  const has_node = store === undefined;
  const held = { group_uid: (store ?? '') as GroupUid, last_index: asLogIndex(store === '' ? 0 : 9) };
  return { peer_id: asPeerId(peerId), has_node, store: has_node ? null : held };
}

/** Those who answer that they hold nothing; the others stay silent. */
interface Around {
  readonly empty?: readonly string[];
  /** The hosts of the group; null: they are unknown. */
  readonly hosts?: readonly GroupHost[] | null;
  readonly leads?: NodeHarness;
}

const quiet: Around = { empty: ['n2', 'n3'] };

/** Lets time pass after a `bootstrap`; each round of requests gets these replies. */
class Asked {
  private round = 1;

  constructor(
    private readonly node: NodeHarness,
    readonly first: readonly string[],
  ) {
    expect(first).toContain('ask the group');
  }

  for(ms: number, around: Around = quiet): string[] {
    const lines = this.answer(around);
    for (const endMs = this.node.nowMs + ms; this.node.nowMs < endMs; ) {
      const news = this.node.wait(50);
      lines.push(...news);
      if (!news.includes('ask the group')) continue;
      this.round += 1;
      lines.push(...this.answer(around));
    }
    return lines.filter((line) => line !== 'ask the group' && !line.startsWith('identify'));
  }

  private answer({ empty: holdNothing = [], hosts = [], leads }: Around): string[] {
    const { node, round } = this;
    const lines = holdNothing.flatMap((peerId) => node.identity(peerId));
    const found = hosts === null ? null : [host(node.peerId), ...hosts];
    lines.push(...node.step({ type: 'group_answered', askId: 1, round, status: leads?.status ?? null, hosts: found }));
    return lines;
  }
}

function bootstrap(node: NodeHarness, body: object = three): Asked {
  return new Asked(node, node.admin('bootstrap', body, 'peer'));
}

const longEnough = 3 * electionTimeoutMs + 100;
const toTheEnd = 10 * electionTimeoutMs + 100;

describe('founding a group', () => {
  test('asks all peers first, then writes entry 1 as a group of one, then adds the others', () => {
    const node = empty();
    const asked = bootstrap(node);
    expect(asked.first).toEqual(['ask the group', 'identify n2', 'identify n3']);
    expect(asked.for(longEnough)).toEqual([
      'log-store.vote term 1 for n1',
      'log-store.append term 1 of n1: entry 1 of term 1 {n1 for n1 n2 n3 level 1} verified 1',
      'event configuration_appended, n1, -, 1',
      'unsubscribe from leaders',
      'log-store.vote term 2 for n1',
      'ballot-box.elect vote term 2 of n1 for n1 n2 n3 level 1',
    ]);
    expect(node.elected()).toContain('feed.append term 2 of n1: entry 2 of term 2 {n1 level 1} verified 2');
    expect(node.committed(2)).toContain('event stage_changed, catching_up, n1, n1 n2 n3');
    node.progress({ peer: 'n2', match: 2, caughtUp: true }, { peer: 'n3', match: 2, caughtUp: true });
    node.committed(3);
    expect(node.committed(4)).toContainEqual(expect.stringContaining('"founded":true'));
  });

  test('nothing is founded before three election timeouts have passed, however soon all agree', () => {
    const asked = bootstrap(empty());
    expect(asked.for(3 * electionTimeoutMs - 100)).toEqual([]);
    expect(asked.for(200)).toContain('log-store.vote term 1 for n1');
  });

  test('all peers are asked up to the moment of founding: an older answer is not enough', () => {
    const asked = bootstrap(empty());
    asked.for(1.5 * electionTimeoutMs);
    expect(asked.for(2 * electionTimeoutMs, { empty: ['n2'] })).toEqual([]);
    expect(asked.for(200)).toContain('log-store.vote term 1 for n1');
  });

  test('the entry is synced before the founder campaigns with it', () => {
    const node = empty();
    node.syncs = false;
    expect(bootstrap(node, { peers: ['n1'] }).for(longEnough)).not.toContain('log-store.vote term 2 for n1');
    expect(node.sync()).toEqual(['log-store.vote term 2 for n1']);
  });

  test('no two foundings have the same group_uid', () => {
    const node = empty();
    bootstrap(node, { peers: ['n1'] }).for(longEnough);
    expect(node.status.group_uid).toBe('N1.1');
  });

  test('no group is founded if a peer holds the group and knows its leader: the existing group is returned', () => {
    const node = empty();
    bootstrap(node).for(300);
    const found = { group_uid: 'uid' as never, leader_id: 'n5' as never };
    expect(node.identity('n3', found)).toEqual([
      'reply 1 {"group_id":"main","group_uid":"uid","peers":[],"old_peers":[],"leader_id":"n5","founded":false}',
    ]);
    expect(node.status.group_uid).toBe('');
  });

  test('no group is founded if a leader answers', () => {
    const node = empty();
    const other = new NodeHarness();
    other.lead();
    expect(bootstrap(node).for(100, { ...quiet, leads: other })).toContainEqual(
      expect.stringContaining('"founded":false'),
    );
  });

  test('no group is founded if a listed peer holds data and no peer leads: the error names it and what to do', () => {
    const node = empty();
    const asked = bootstrap(node);
    node.identity('n2', { group_uid: 'uid' as never, last_index: asLogIndex(7) });
    expect(asked.for(toTheEnd, { empty: ['n3'] })).toEqual(['refuse 1 ENOTEMPTY not_done']);
    expect(node.lastError?.message).toMatch(
      /data of the group is held by n2 \(history uid, up to entry 7\).*it has no leader.*conclave peers reset/,
    );
  });

  test('nothing is founded if a peer that is not listed holds data, with or without a leader', () => {
    const node = empty();
    const asked = bootstrap(node);
    const around = { ...quiet, hosts: [host('n4')] };
    asked.for(200, around);
    expect(node.wait(100)).toContain('identify n4');
    node.identity('n4', { group_uid: 'uid' as never, last_index: asLogIndex(7) });
    expect(asked.for(longEnough, around)).toEqual([]);
    expect(node.identity('n4', { group_uid: 'uid' as never, leader_id: 'n5' as never })).toContainEqual(
      expect.stringContaining('"leader_id":"n5","founded":false'),
    );
  });

  test('nothing is founded if a peer whose node is down has data in its log-store', () => {
    const node = empty();
    const asked = bootstrap(node);
    asked.for(200, { ...quiet, hosts: [host('n5', 'uid')] });
    // It is not forgotten when it goes away.
    expect(asked.for(toTheEnd)).toEqual(['refuse 1 ENOTEMPTY not_done']);
    expect(node.lastError?.message).toMatch(/n5 \(history uid, up to entry 9\).*bootstrap --new/);
  });

  test('nothing is founded while a peer that hosts the group does not report what it holds: it may be starting', () => {
    const node = empty();
    expect(bootstrap(node).for(toTheEnd, { ...quiet, hosts: [host('n4')] })).toEqual([
      'refuse 1 EUNREACHABLE not_done',
    ]);
    expect(node.lastError?.message).toContain('n4 may hold data of the group');
  });

  test('a peer that hosts the group and holds nothing does not prevent it, nor does an empty log-store without a node', () => {
    const around = { empty: ['n2', 'n3', 'n4'], hosts: [host('n4'), host('n5', '')] };
    expect(bootstrap(empty()).for(longEnough + 100, around)).toContain('log-store.vote term 1 for n1');
  });

  test('nothing is founded while it is unknown which peers host the group', () => {
    const node = empty();
    expect(bootstrap(node).for(toTheEnd, { ...quiet, hosts: null })).toEqual(['refuse 1 EUNREACHABLE not_done']);
    expect(node.lastError?.message).toContain('it is unknown which peers host the group');
  });

  test('nothing is founded if a peer cannot be reached', () => {
    const node = empty();
    const asked = bootstrap(node, { ...three, timeout_ms: 500 });
    expect(asked.for(600, { empty: ['n2'] })).toEqual(['refuse 1 EUNREACHABLE not_done']);
    expect(node.lastError?.message).toBe('cannot be reached: n3');
    expect(node.identity('n3')).toEqual([]);
  });

  test('the error names a timeout that is too short to ask all peers', () => {
    const node = empty();
    expect(bootstrap(node, { ...three, timeout_ms: 2000 }).for(2100)).toEqual(['refuse 1 EUNREACHABLE not_done']);
    expect(node.lastError?.message).toContain('use a longer timeout');
  });

  test('a peer that is not listed founds nothing', () => {
    expect(empty('n9').admin('bootstrap', three, 'peer')).toEqual(['refuse 1 EINVAL not_done']);
  });

  test('of two founders the one with the lower name continues', () => {
    const low = empty('n1');
    low.admin('bootstrap', three, 'peer');
    expect(low.identify('n2')).toEqual(['identity to n2: nothing, founding']);
    const high = empty('n2');
    high.admin('bootstrap', three, 'peer');
    expect(high.identify('n1')).toEqual(['refuse 1 EBUSY not_done', 'identity to n1: nothing']);
  });

  test('a founder does not count the answer of a peer that is founding the group, too', () => {
    const node = empty();
    const asked = bootstrap(node, { peers: ['n1', 'n2'] });
    node.identity('n2', { founding: true });
    expect(asked.for(longEnough, { empty: [] })).toEqual([]);
  });

  test('a peer that has promised to wait does not found the group meanwhile', () => {
    const node = empty();
    node.identify('n2');
    expect(node.admin('bootstrap', three, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    node.wait(5 * electionTimeoutMs + 1);
    expect(node.admin('bootstrap', three, 'peer')).toContain('ask the group');
  });

  test('a leader’s replicator is sent the identity of this peer, and no promise', () => {
    const node = empty();
    expect(node.identify('n2', { asker: 'replicator', founding: false })).toEqual(['replicator.identity to n2']);
    expect(node.admin('bootstrap', three, 'peer')).toContain('ask the group');
  });

  test('a peer that is still opening its log-store does not answer that it holds nothing', () => {
    const node = new NodeHarness('n2');
    node.step({ type: 'start' });
    expect(node.identify('n1')).toEqual([]);
  });
});

describe('founding a new group under a name that had one', () => {
  const again = { ...three, new: true };
  const heldByOther = { group_uid: 'uid' as never, last_index: asLogIndex(7) };

  test('data of a peer that is not listed does not prevent it', () => {
    const node = empty();
    const asked = bootstrap(node, again);
    const around = { ...quiet, hosts: [host('n4'), host('n5', 'uid')] };
    asked.for(200, around);
    node.identity('n4', heldByOther);
    expect(asked.for(longEnough, around)).toContain('log-store.vote term 1 for n1');
  });

  test('it is refused if a listed peer holds data', () => {
    const node = empty();
    bootstrap(node, again);
    expect(node.identity('n2', heldByOther)).toEqual(['refuse 1 ENOTEMPTY not_done']);
    expect(node.lastError?.message).toMatch(/n2 .*delete these data first/);
  });

  test('it is refused by a peer that holds data itself', () => {
    const node = new NodeHarness();
    node.lead();
    expect(node.admin('bootstrap', again, 'peer')).toEqual(['refuse 1 ENOTEMPTY not_done']);
  });

  test('it is refused while a peer leads the group: both would stop serving', () => {
    const node = empty();
    const other = new NodeHarness();
    other.lead();
    expect(bootstrap(node, again).for(100, { ...quiet, leads: other })).toEqual(['refuse 1 ENOTEMPTY not_done']);
    expect(node.lastError?.message).toContain('n1 leads the group, history uid');
  });
});

describe('a founding that was cut short', () => {
  test('a founding that was interrupted between vote and entry is repeated, in the next term', () => {
    const node = new NodeHarness();
    node.open({ term: 1, votedFor: 'n1' });
    expect(bootstrap(node, { peers: ['n1'] }).for(longEnough)).toContain(
      'log-store.append term 2 of n1: entry 1 of term 2 {n1 for n1 level 1} verified 1',
    );
  });

  test('continues a founding after the entry, when it is asked again', () => {
    const node = new NodeHarness();
    node.lead({ term: 1, votedFor: 'n1', log: [[1, 'n1 for n1 n2 n3']] });
    expect(node.admin('bootstrap', { peers: ['n1', 'n2'] }, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    expect(node.admin('bootstrap', three, 'peer')).toContain('event stage_changed, catching_up, n1, n1 n2 n3');
  });

  test('an existing group is returned, whatever peers are listed', () => {
    const node = new NodeHarness();
    node.lead();
    expect(node.admin('bootstrap', three, 'peer')).toEqual([
      'reply 1 {"group_id":"main","group_uid":"uid","peers":["n1","n2","n3"],"old_peers":[],"leader_id":"n1","founded":false}',
    ]);
  });

  test('a member that does not lead asks the leader for the group: its own log may lag', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    const leads = new NodeHarness();
    leads.lead({ term: 1, log: [[1, 'n1 n4 n5']] });
    expect(node.admin('bootstrap', three, 'peer')).toEqual(['ask the group']);
    // Who asks meanwhile waits for the same answer.
    expect(node.admin('bootstrap', three, 'peer')).toEqual([]);
    const found =
      '{"group_id":"main","group_uid":"uid","peers":["n1","n4","n5"],"old_peers":[],"leader_id":"n4","founded":false}';
    const answered = {
      type: 'group_answered',
      askId: 1,
      round: 1,
      status: { ...leads.status, leader_id: asPeerId('n4') },
      hosts: [],
    } as const;
    expect(node.step(answered)).toEqual([`reply 1 ${found}`, `reply 2 ${found}`]);
    expect(node.step(answered)).toEqual([]);
  });

  test('a member answers from its own log if no peer leads, or if the question is lost', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    const own =
      '{"group_id":"main","group_uid":"uid","peers":["n1","n2","n3"],"old_peers":[],"leader_id":"","founded":false}';
    node.admin('bootstrap', three, 'peer');
    expect(node.step({ type: 'group_answered', askId: 1, round: 1, status: null, hosts: [] })).toEqual([
      `reply 1 ${own}`,
    ]);
    expect(node.admin('bootstrap', { ...three, timeout_ms: 1000 }, 'peer')).toEqual(['ask the group']);
    expect(node.wait(1000)).toContain(`reply 2 ${own}`);
  });

  test('if other peers do not catch up, the group of one exists nevertheless, and the outcome is unknown', () => {
    const node = new NodeHarness();
    node.lead({ term: 1, votedFor: 'n1', log: [[1, 'n1 for n1 n2 n3']] });
    node.admin('bootstrap', { ...three, timeout_ms: 300 }, 'peer');
    expect(node.wait(300)).toContain('refuse 1 ECATCHUP unknown');
  });

  test('a waiting request is answered at the deadline if the founder cannot be elected', () => {
    const node = empty();
    bootstrap(node, { peers: ['n1'], timeout_ms: 3500 }).for(longEnough);
    expect(node.wait(3600)).toContain('refuse 1 ETIMEDOUT unknown');
    node.elected();
    expect(node.committed(2).filter((line) => /^(reply|refuse)/.test(line))).toEqual([]);
  });
});
