import { asSession, limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, groupId, heartbeatIntervalMs, NodeHarness } from '../node-harness.js';

function leader(): NodeHarness {
  const node = new NodeHarness();
  node.lead();
  return node;
}

const isAnswer = (line: string): boolean => /^(reply|refuse) /.test(line);

describe('proposals', () => {
  test('that arrive together share a batch, and are answered when applied', () => {
    const node = leader();
    expect(node.propose('a', 'b')).toEqual(['feed.append term 2 of n1: entry 3..4 of term 2 verified 4']);
    expect(node.committed(4)).toEqual(['reply 1 done 3', 'reply 2 done 4']);
  });

  test('are registered with the ballot-box without their content, and before they are sent', () => {
    const node = leader();
    node.propose('a', 'b');
    const [registered, appended] = node.sent.map(({ message }) => message);
    expect(registered).toMatchObject({
      name: 'ballot-box.register',
      body: { term: 2, runs: [{ first_index: 3, last_index: 4, configuration: null }] },
    });
    expect(appended?.name).toBe('feed.append');
  });

  test('new entries are sent to the replicators, with their payload as long as these need it', () => {
    const node = leader();
    const appended = () => node.sent.find(({ message }) => message.name === 'replicator.append')?.message.body;
    node.propose('a', 'b');
    expect(appended()).toMatchObject({
      term: 2,
      runs: [{ first_index: 3, last_index: 4 }],
      batches: [expect.anything()],
    });
    node.needsPayload = false;
    node.progress({ peer: 'n2', match: 2 });
    node.propose('c');
    expect(appended()).toMatchObject({ runs: [{ first_index: 5, last_index: 5, bytes: 33 }], batches: [] });
    node.needsPayload = true;
    node.progress({ peer: 'n2', match: 2 });
    node.propose('d');
    expect(appended()).toMatchObject({ runs: [{ first_index: 6, last_index: 6 }], batches: [expect.anything()] });
  });

  test('new entries are sent with their payload to a replicator process that has restarted', () => {
    const node = leader();
    node.needsPayload = false;
    node.progress({ peer: 'n2', match: 2 });
    node.restart('replicator');
    node.wait(100);
    node.propose('a');
    const appended = node.sent.find(({ message }) => message.name === 'replicator.append')?.message.body;
    expect(appended).toMatchObject({ batches: [expect.anything()] });
  });

  test('wait while four appends wait for a quorum', () => {
    const node = leader();
    for (const text of ['a', 'b', 'c', 'd']) expect(node.propose(text)).toHaveLength(1);
    expect(node.propose('e')).toEqual([]);
    expect(node.propose('f')).toEqual([]);
    expect(node.committed(3)).toEqual(['reply 1 done 3', 'feed.append term 2 of n1: entry 7..8 of term 2 verified 8']);
  });

  test('wait for a quorum of one append while the other groups of the process have many', () => {
    const node = leader();
    node.otherAppends = 2;
    for (const text of ['a', 'b']) expect(node.propose(text)).toHaveLength(1);
    expect(node.propose('c')).toEqual([]);
    node.otherAppends = 100;
    expect(node.committed(3)).toEqual(['reply 1 done 3']);
    expect(node.committed(4)).toEqual(['reply 2 done 4', 'feed.append term 2 of n1: entry 5 of term 2 verified 5']);
  });

  test('that exceed the bounds are refused, and not done', () => {
    const node = leader();
    node.syncs = false;
    for (const text of ['a', 'b', 'c', 'd']) node.propose(text);
    const lines = node.propose(...Array.from({ length: limits.pendingProposals }, () => 'x'));
    expect(lines).toHaveLength(4);
    expect(lines.at(-1)).toBe('refuse 16388 EBUSY not_done');
    expect(node.propose('x'.repeat(limits.entryBytes + 1))).toEqual(['refuse 16389 EINVAL not_done']);
  });

  test('promise 21: on stepping down for a higher term everything is unknown: its leader may have received what waits, too', () => {
    const node = leader();
    node.syncs = false;
    for (const text of ['a', 'b', 'c', 'd', 'e']) node.propose(text);
    const lines = node.higherTerm('n2', 5);
    expect(lines.filter((line) => line.startsWith('refuse'))).toEqual([
      'refuse 5 EPERM unknown',
      'refuse 1 EPERM unknown',
      'refuse 2 EPERM unknown',
      'refuse 3 EPERM unknown',
      'refuse 4 EPERM unknown',
    ]);
  });

  test('promise 21: on stepping down by itself what is appended is unknown, what waits is not done', () => {
    const node = leader();
    node.syncs = false;
    for (const text of ['a', 'b', 'c', 'd', 'e']) node.propose(text);
    const body = { group_id: groupId, incarnation: 'L2', session: asSession(1) };
    const refused = node.receive({ name: 'node.welcome', body }).filter((line) => line.startsWith('refuse'));
    expect(refused.slice(0, 2)).toEqual(['refuse 5 EPERM not_done', 'refuse 1 EPERM unknown']);
  });

  test('promise 21: on stepping down unconfirmed, what waits is unknown, too: a successor may have received it', () => {
    const node = leader();
    node.syncs = false;
    for (const text of ['a', 'b', 'c', 'd', 'e']) node.propose(text);
    node.nowMs += electionTimeoutMs + 1;
    const body = { group_id: groupId, incarnation: 'L2', session: asSession(1) };
    const refused = node.receive({ name: 'node.welcome', body }).filter((line) => line.startsWith('refuse 5'));
    expect(refused).toEqual(['refuse 5 EPERM unknown']);
  });

  test('promise 28: a peer that does not lead refuses a request only after an election timeout: the leader has it, too', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [[1, 'n1 n2 n3']] });
    expect([...node.propose('a'), ...node.admin('status'), ...node.read('q')]).toEqual([]);
    expect(node.wait(electionTimeoutMs - heartbeatIntervalMs).filter(isAnswer)).toEqual([]);
    expect(node.wait(2 * heartbeatIntervalMs).filter(isAnswer)).toEqual([
      'refuse 1 EPERM unknown',
      'refuse 2 EPERM not_done',
      'refuse 3 EPERM not_done',
    ]);
  });

  test('promise 28: a leader that its quorum has not confirmed for an election timeout answers once it is confirmed', () => {
    const node = leader();
    node.nowMs += electionTimeoutMs + 1;
    expect([...node.propose('a'), ...node.admin('status')]).toEqual([]);
    node.wait(0);
    expect(node.confirmed().filter(isAnswer)).toEqual([expect.stringContaining('reply 2')]);
    expect(node.committed(3)).toEqual(['reply 1 done 3']);
  });

  test('promise 21: a leader is confirmed no longer than a voter with a shorter election timeout grants no vote', () => {
    const node = leader();
    // While the lease is in use, no tick permits an early vote.
    node.useLease();
    node.wait(heartbeatIntervalMs);
    node.confirmed();
    node.progress({ peer: 'n2', match: 2, electionTimeoutMs: electionTimeoutMs / 2 }, { peer: 'n3', match: 2 });
    node.nowMs = node.tickMs + electionTimeoutMs / 2 + 1;
    expect(node.propose('a').concat(node.admin('status'))).toEqual([]);
    const lines = node.higherTerm('n2', 9).concat(node.wait(2 * electionTimeoutMs));
    expect(lines.filter(isAnswer)).toEqual(['refuse 1 EPERM unknown', 'refuse 2 EPERM not_done']);
  });

  test('promise 28: a leader that steps down refuses what it held: the next leader may have done it', () => {
    const node = leader();
    node.nowMs += electionTimeoutMs + 1;
    node.propose('a');
    node.read('q');
    const lines = node.wait(4 * electionTimeoutMs);
    expect(lines).toContain('event leader_stepped_down, its quorum is silent');
    expect(lines.filter(isAnswer)).toEqual(['refuse 1 EPERM unknown', 'refuse 2 EPERM not_done']);
  });
});

describe('committing', () => {
  test('the commit index follows the ballot-box’s reports of this term alone', () => {
    const node = leader();
    node.propose('a');
    expect(node.committed(3, 1)).toEqual([]);
    const body = { ...node.own, session: 9 as never, term: 2 as never, index: 3 as never };
    expect(node.receive({ name: 'feed.committed', body })).toEqual([]);
    expect(node.committed(3)).toEqual(['reply 1 done 3']);
    expect(node.committed(2)).toEqual([]);
    expect(node.summary.commit_index).toBe(3);
  });

  test('a commit index beyond the log stops the node', () => {
    expect(() => leader().committed(9)).toThrow(/not in the log/);
  });
});

describe('ticks of a leader', () => {
  test('a leader’s ticks repeat its own match, and begin a round', () => {
    const node = leader();
    const before = node.tickId;
    expect(node.wait(100)).toEqual(['log-store.append term 2 of n1: nothing verified 2']);
    expect(node.tickId).toBe(before + 1);
  });

  test('without a quorum’s echoes for an election timeout it steps down', () => {
    const node = leader();
    const lines = node.wait(2 * electionTimeoutMs);
    expect(lines).toContain('event leader_stepped_down, its quorum is silent');
    expect(lines).toContain('serve the group no more');
  });

  test('a process that was paused first receives the messages that wait for it', () => {
    const node = leader();
    node.confirmed();
    node.nowMs += 5 * electionTimeoutMs;
    expect(node.wait(0)).not.toContain('event leader_stepped_down, its quorum is silent');
    node.confirmed();
    expect(node.wait(100)).not.toContain('event leader_stepped_down, its quorum is silent');
    expect(node.summary.role).toBe('leader');
  });

  test.each(['log-store', 'replicator', 'ballot-box'] as const)('with its own %s silent it steps down', (kind) => {
    const node = leader();
    node.dead.add(kind);
    const lines: string[] = [];
    for (let tick = 0; tick < 13; tick++) {
      lines.push(...node.wait(100));
      if (node.summary.role === 'leader') node.confirmed();
    }
    expect(lines).toContain(`event actor_silent, ${kind}`);
    expect(lines).toContain(`event leader_stepped_down, its own ${kind} is silent`);
  });
});

describe('its actors', () => {
  test('a ballot-box that has restarted is sent the entries of the term again', () => {
    const node = leader();
    node.propose('a');
    node.restart('ballot-box');
    expect(node.wait(100)).toContain('ballot-box.lead term 2 from 2 to 3, 2: n1 n2 n3');
  });

  test('replicators that have restarted are sent their targets again', () => {
    const node = leader();
    node.restart('replicator');
    expect(node.wait(100)).toContain('replicator.lead term 2 up to 2: n2 n3');
  });

  test('restarted actors of a follower are informed that there is nothing to do', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [[1, 'n1 n2 n3']] });
    node.restart('replicator');
    node.restart('ballot-box');
    // It notices that with the next tick.
    expect(node.wait(electionTimeoutMs / 2)).toEqual(['ballot-box.stop', 'replicator.stop']);
  });

  test('messages that the actors do not acknowledge are sent again', () => {
    const node = leader();
    node.syncs = false;
    node.propose('a');
    expect(node.wait(300)).toContain('log-store.append term 2 of n1: entry 3 of term 2 verified 3');
  });
});

describe('a peer that was removed and does not know', () => {
  test('is replicated to when it campaigns, so that it learns of its removal (promise 10)', () => {
    const node = leader();
    expect(node.requestVote({ kind: 'pre_vote', from: 'n5', term: 3 })).toEqual([
      'replicator.targets n5 n2 n3',
      'pre_vote of term 3 refused to n5',
    ]);
    expect(node.requestVote({ kind: 'pre_vote', from: 'n6', term: 3, group: 'other' })).toEqual([]);
  });
});

describe('problems of peers', () => {
  test('a problem of a peer is reported once until it ends', () => {
    const node = leader();
    expect(node.progress({ peer: 'n2', match: 1, silentMs: 1500 })).toEqual(['event peer_unreachable, n2, 1500']);
    expect(node.progress({ peer: 'n2', match: 1, silentMs: 1700 })).toEqual([]);
    expect(node.progress({ peer: 'n2', match: 1, silentMs: 10 })).toEqual([]);
    expect(node.progress({ peer: 'n2', match: 1, silentMs: 1100 })).toHaveLength(1);
    expect(node.progress({ peer: 'n3', match: 1, refusal: 'ESTORE', found: ['s9', 0] })).toEqual([
      'event peer_refused, n3, its store is another than the one that the configuration binds it to',
    ]);
    expect(node.progress({ peer: 'n3', match: 1, refusal: 'ESTORE' })).toEqual([
      'event peer_refused, n3, its store lacks entries that it had acknowledged: its data folder is an older copy',
    ]);
  });

  test('a peer that was silent before this leader was elected is reported, too', () => {
    const node = leader();
    expect(node.progress({ peer: 'n2', match: 0, silentMs: -1 })).toEqual([]);
    node.nowMs += electionTimeoutMs + 1;
    expect(node.progress({ peer: 'n2', match: 0, silentMs: -1 })).toEqual([
      `event peer_unreachable, n2, ${electionTimeoutMs + 1}`,
    ]);
    expect(node.progress({ peer: 'n2', match: 0, silentMs: -1 })).toEqual([]);
  });
});
