import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

type Targets = Parameters<NodeHarness['progress']>;

/** `n1 n2*`: who may be restarted; a star: who must not. */
function advice(node: NodeHarness): string {
  return node.status.restart.map(({ peer_id, may }) => peer_id + (may ? '' : '*')).join(' ');
}

function reason(node: NodeHarness, peer: string): string | undefined {
  return node.status.restart.find(({ peer_id }) => peer_id === peer)?.reason;
}

function leader(peers: string, ...targets: Targets): NodeHarness {
  const node = new NodeHarness();
  node.lead({ term: 1, log: [[1, peers]] });
  node.progress(...targets);
  return node;
}

describe('promise 23: which peers may be restarted now', () => {
  test('each of three members that have caught up may be restarted', () => {
    expect(advice(leader('n1 n2 n3', { peer: 'n2', match: 2 }, { peer: 'n3', match: 2 }))).toBe('n1 n2 n3');
  });

  test.each([
    ['has not responded yet', { peer: 'n3', match: 0, silentMs: -1 }, 'n3 has not responded yet'],
    ['is silent', { peer: 'n3', match: 2, silentMs: electionTimeoutMs + 1 }, 'n3 is silent for 1001 ms'],
    ['has another store', { peer: 'n3', match: 0, refusal: 'ESTORE' as const }, 'n3 has another store'],
    ['is read-only', { peer: 'n3', match: 2, readOnly: true }, 'n3 is read-only'],
    [
      'installs a snapshot',
      { peer: 'n3', match: 0, install: { index: 2 as never, chunks: 9, stored: 3, bytes: 1 } },
      'n3 installs a snapshot',
    ],
  ])('one of three that %s, and nobody else', (_what, target, why) => {
    const node = leader('n1 n2 n3', { peer: 'n2', match: 2 }, target);
    expect(advice(node)).toBe('n1* n2* n3');
    expect(reason(node, 'n2')).toBe(`without it 1 of 3 would continue, and 2 are needed: ${why}`);
  });

  test('of three members only the one that lags by more than a new peer may', () => {
    const node = leader('n1 n2 n3');
    for (let batch = 0; batch < 11; batch++) {
      node.propose(...Array.from({ length: 100 }, (_, at) => `${at}`));
      node.committed(node.summary.last_index);
    }
    const { last_index } = node.summary;
    node.progress({ peer: 'n2', match: last_index }, { peer: 'n3', match: last_index - 1001 });
    expect(advice(node)).toBe('n1* n2* n3');
    expect(reason(node, 'n1')).toContain('n3 lags by 1001 entries');
    node.progress({ peer: 'n2', match: last_index }, { peer: 'n3', match: last_index - 1000 });
    expect(advice(node)).toBe('n1 n2 n3');
  });

  test('not the leader while too few others have applied what is committed: they could not answer', () => {
    const node = leader('n1 n2 n3', { peer: 'n2', match: 2, unapplied: true }, { peer: 'n3', match: 2 });
    expect(advice(node)).toBe('n1* n2 n3');
    expect(reason(node, 'n1')).toContain('n2 has not applied what is committed');
  });

  test('no member of a group of one or two may be restarted', () => {
    const alone = leader('n1');
    expect(advice(alone)).toBe('n1*');
    expect(reason(alone, 'n1')).toBe('1 of 1 are needed: no peer can be spared');
    expect(advice(leader('n1 n2', { peer: 'n2', match: 2 }))).toBe('n1* n2*');
  });

  test('two of five may be down, and then no other peer', () => {
    const well = ['n2', 'n3'].map((peer) => ({ peer, match: 2 }));
    const node = leader('n1 n2 n3 n4 n5', ...well, { peer: 'n4', match: 2 }, { peer: 'n5', match: 0, silentMs: -1 });
    expect(advice(node)).toBe('n1 n2 n3 n4 n5');
    node.progress(...well, { peer: 'n4', match: 0, silentMs: -1 }, { peer: 'n5', match: 0, silentMs: -1 });
    expect(advice(node)).toBe('n1* n2* n3* n4 n5');
  });

  test('a leader whose lost store is being replaced does not count as the old one', () => {
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3 n4 | n1:s9 n2 n3 n4']] });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    // Nothing is committed yet: the stage is joint.
    node.elected();
    node.progress(...['n2', 'n3', 'n4'].map((peer) => ({ peer, match: 2 })));
    expect(advice(node)).toBe('n1 n2* n3* n4*');
    expect(reason(node, 'n2')).toBe('without it 2 of 4 would continue, and 3 are needed: n1 has not responded yet');
  });

  test('in the joint stage both sets count, and so do the peers that a change waits for', () => {
    const node = leader('n1 n2 n3', { peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    node.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    node.progress(
      { peer: 'n2', match: 2 },
      { peer: 'n3', match: 2 },
      { peer: 'n4', match: 2 },
      { peer: 'n5', match: 2 },
    );
    expect(advice(node)).toBe('n1 n2 n3 n4* n5*');
    expect(reason(node, 'n4')).toBe('the change in progress waits for it');
    // A new peer that hangs has to be restarted, or the change fails.
    for (const hanging of [{ silentMs: -1 }, { silentMs: 5000 }, { storedMs: 5000 }]) {
      const rest = ['n2', 'n3', 'n5'].map((peer) => ({ peer, match: 2 }));
      node.progress(...rest, { peer: 'n4', match: 2, ...hanging });
      expect(advice(node), JSON.stringify(hanging)).toBe('n1 n2 n3 n4 n5*');
    }
    const caughtUp = { match: 2, caughtUp: true };
    node.progress(
      { peer: 'n2', match: 2 },
      { peer: 'n3', match: 2 },
      { peer: 'n4', ...caughtUp },
      { peer: 'n5', ...caughtUp },
    );
    expect(node.status.stage).toBe('joint');
    node.progress(
      { peer: 'n2', match: 2 },
      { peer: 'n3', match: 2 },
      { peer: 'n4', match: 2 },
      { peer: 'n5', match: 0, silentMs: -1 },
    );
    expect(advice(node)).toBe('n1* n2 n3 n4* n5');
  });

  test('a leader that is being removed counts in its own set alone, and each set must have a quorum', () => {
    const node = leader('n1 n2 n3', { peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    node.admin('change_peers', { new_peers: ['n3', 'n4', 'n5'] });
    const others = ['n2', 'n3', 'n4'].map((peer) => ({ peer, match: 2, caughtUp: true }));
    node.progress(...others, { peer: 'n5', match: 2, caughtUp: true });
    expect(node.status.stage).toBe('joint');
    const match = node.summary.last_index;
    const well = ['n2', 'n3', 'n4'].map((peer) => ({ peer, match }));
    node.progress(...well, { peer: 'n5', match });
    expect(advice(node)).toBe('n1 n2 n3 n4 n5');
    node.progress(...well, { peer: 'n5', match, lacksActor: true });
    expect(advice(node)).toBe('n1 n2 n3 n4 n5');
    node.progress(
      ...well.slice(0, 2),
      { peer: 'n4', match, lacksActor: true },
      { peer: 'n5', match, lacksActor: true },
    );
    expect(advice(node)).toBe('n1* n2 n3 n4 n5');
  });

  test('a follower returns no advice', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [[1, 'n1 n2 n3'], 2], commit: 2 });
    expect(node.status.restart).toEqual([]);
  });
});

describe('promise 27: any peer that may be restarted can be stopped, and the group still commits', () => {
  const well = { peer: 'n2', match: 2 };
  const recent = electionTimeoutMs / 2;

  test('a peer that responds and stores nothing cannot be relied on', () => {
    const node = leader('n1 n2 n3', well, { peer: 'n3', match: 2, storedMs: recent });
    expect(advice(node)).toBe('n1 n2 n3');
    node.progress(well, { peer: 'n3', match: 2, storedMs: recent + 1 });
    expect(advice(node)).toBe('n1* n2* n3');
    const why = 'n3 has stored nothing for 501 ms';
    expect(reason(node, 'n2')).toBe(`without it 1 of 3 would continue, and 2 are needed: ${why}`);
    node.progress(well, { peer: 'n3', match: 2, storedMs: -1 });
    expect(reason(node, 'n2')).toContain('n3 has stored nothing of this leader’s yet');
  });

  test('the age of the replicators’ report is added to the silence that it contains', () => {
    const node = leader('n1 n2 n3', well, { peer: 'n3', match: 2 });
    for (let ms = 0; ms < 600; ms += 100) {
      node.wait(100);
      node.confirmed();
    }
    expect(advice(node)).toBe('n1* n2* n3*');
    expect(reason(node, 'n1')).toContain('n2 is silent for 600 ms, n3 is silent for 600 ms');
  });

  test('a report that was in flight for long is dated by the tick that it follows', () => {
    const node = leader('n1 n2 n3', well, { peer: 'n3', match: 2 });
    node.wait(100);
    const { tickId } = node;
    node.keepConfirmed(recent - 100);
    node.reportedTickId = node.tickId;
    node.progress(well, { peer: 'n3', match: 2 });
    expect(advice(node)).toBe('n1 n2 n3');
    node.keepConfirmed(recent);
    node.reportedTickId = tickId;
    node.progress(well, { peer: 'n3', match: 2 });
    expect(advice(node)).toBe('n1* n2* n3*');
    node.reportedTickId = node.tickId;
    node.progress(well, { peer: 'n3', match: 2 });
    expect(advice(node)).toBe('n1 n2 n3');
  });

  test('a report that is overtaken by a later one, or repeated, is dropped', () => {
    const node = leader('n1 n2 n3', well, { peer: 'n3', match: 2 });
    node.wait(100);
    const { tickId } = node;
    node.confirmed();
    node.wait(100);
    node.confirmed();
    node.reportedTickId = node.tickId;
    node.progress(well, { peer: 'n3', match: 2, storedMs: recent + 1 });
    expect(reason(node, 'n2')).toMatch(/n3 has stored nothing for \d+ ms/);
    node.reportedTickId = tickId;
    node.progress(well, { peer: 'n3', match: 2, storedMs: 0 });
    expect(reason(node, 'n2')).toMatch(/n3 has stored nothing for \d+ ms/);
    expect(node.dropped('progress_overtaken')).toBe(1);
  });

  test('a leader that stores nothing itself does not count, and then only its own restart is allowed', () => {
    const node = leader('n1 n2 n3', well, { peer: 'n3', match: 2 });
    node.syncs = false;
    for (let ms = 0; ms < 600; ms += 100) {
      node.wait(100);
      node.confirmed();
      node.progress(well, { peer: 'n3', match: 2 });
    }
    expect(node.summary.role).toBe('leader');
    expect(advice(node)).toBe('n1 n2* n3*');
    expect(reason(node, 'n3')).toMatch(
      /^without it 1 of 3 would continue, and 2 are needed: n1 has stored nothing for \d+ ms$/,
    );
  });

  test.each(['replicator', 'ballot-box'] as const)('a leader without its %s is about to step down', (kind) => {
    const node = leader('n1 n2 n3', well, { peer: 'n3', match: 2 });
    node.dead.add(kind);
    for (let ms = 0; ms < 700; ms += 100) {
      node.wait(100);
      node.confirmed();
      node.progress(well, { peer: 'n3', match: 2 });
    }
    expect(node.summary.role).toBe('leader');
    expect(advice(node)).toBe('n1 n2* n3*');
    expect(reason(node, 'n3')).toBe(
      `without it 1 of 3 could elect a leader, and 2 are needed: n1 lacks its own ${kind}`,
    );
  });

  test('a peer that does not campaign can be counted on for entries, and not for an election', () => {
    const node = leader('n1 n2 n3', well, { peer: 'n3', match: 2, lacksActor: true });
    expect(advice(node)).toBe('n1* n2 n3');
    const lacking = 'n3 has a silent actor and does not campaign';
    expect(reason(node, 'n1')).toBe(`without it 1 of 3 could elect a leader, and 2 are needed: ${lacking}`);
    node.progress(well, { peer: 'n3', match: 2, cannotLead: true });
    expect(reason(node, 'n1')).toContain('n3 cannot lead');
    const five = leader(
      'n1 n2 n3 n4 n5',
      well,
      { peer: 'n3', match: 2, lacksActor: true },
      ...['n4', 'n5'].map((peer) => ({ peer, match: 2 })),
    );
    expect(advice(five)).toBe('n1 n2 n3 n4 n5');
  });

  test('leadership is not transferred to a peer that does not campaign', () => {
    const node = leader('n1 n2 n3', well, { peer: 'n3', match: 2, lacksActor: true });
    const id = node.admin('transfer_leader', { peer_id: 'n3' });
    expect(id.join()).toContain('EUNREACHABLE');
  });
});

describe('promise 22: health', () => {
  test('fails on a leader whose entries are not committed for five election timeouts, with the votes that it lacks', () => {
    const node = leader('n1 n2 n3', { peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    node.propose('a');
    node.receive({
      name: 'node.ballots',
      body: {
        ...node.own,
        term: node.term as never,
        commit_index: 2 as never,
        registered_index: 3 as never,
        lacking: { peers: ['n2', 'n3'] as never, old_peers: [] },
      },
    });
    for (let ms = 0; ms < 5 * electionTimeoutMs; ms += 100) {
      expect(node.core.health(), `${ms} ms`).toEqual({ healthy: true, reason: '' });
      node.wait(100);
      node.confirmed();
    }
    node.wait(200);
    const reason = 'stuck: entry 3 is not committed, it lacks the votes of n2 n3';
    expect(node.core.health()).toEqual({ healthy: false, reason });
    node.committed(3);
    expect(node.core.health()).toEqual({ healthy: true, reason: '' });
  });

  test('fails on a peer that cannot read back what it is to apply', () => {
    const node = new NodeHarness();
    node.answersReads = false;
    node.open({ term: 2, log: [[1, 'n1 n2 n3'], 2], commit: 2 });
    for (let ms = 0; ms <= 5 * electionTimeoutMs + 200; ms += 100) {
      node.appendEntries({ term: 2, prev: [2, 2], tick: ms + 1 });
      node.wait(100);
    }
    expect(node.core.health()).toEqual({ healthy: false, reason: 'stuck: entry 1 is not applied' });
  });

  test('is healthy while writes are refused because peers are read-only: it names them', () => {
    const node = leader('n1 n2 n3', { peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    node.disk(true);
    expect(node.core.health()).toEqual({ healthy: true, reason: 'read-only: disk' });
  });
});

describe('the alert about a peer that is refused', () => {
  test('a refused peer is not reported as unreachable as long as it answers once an election timeout', () => {
    const node = leader('n1 n2 n3', { peer: 'n2', match: 2 });
    const refused = { peer: 'n3', match: 0, refusal: 'ESTORE' } as const;
    expect(node.progress({ ...refused, silentMs: 10 })).toEqual([expect.stringContaining('event peer_refused, n3')]);
    for (const silentMs of [500, 1100, 100, 1200, 3000]) expect(node.progress({ ...refused, silentMs })).toEqual([]);
    expect(node.progress({ ...refused, silentMs: 3001 })).toEqual(['event peer_unreachable, n3, 3001']);
  });
});

describe('promise 27: a follower reports to its leader', () => {
  test('a follower reports that one of its own actors is silent, so that it does not campaign', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [[1, 'n1 n2 n3'], 2], commit: 2 });
    const says = (tick: number) => {
      node.appendEntries({ term: 2, prev: [2, 2], tick });
      const echo = node.sent.find(({ message }) => message.name === 'feed.echo')?.message;
      return echo?.name === 'feed.echo' ? echo.body.lacks_actor : 'no echo';
    };
    node.wait(200);
    expect(says(1)).toBeUndefined();
    node.dead.add('ballot-box');
    for (let tick = 2; tick < 14; tick++) {
      node.wait(100);
      says(tick);
    }
    expect(says(20)).toBe(true);
    node.dead.clear();
    node.wait(100);
    expect(says(21)).toBeUndefined();
  });
});
