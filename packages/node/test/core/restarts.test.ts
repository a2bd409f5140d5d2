import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs } from './node-on-a-bench.js';

type Targets = Parameters<Bench['progress']>;

/** `n1 n2*`: who may be restarted; a star: who must not. */
function told(bench: Bench): string {
  return bench.status.restart.map(({ peer_id, may }) => peer_id + (may ? '' : '*')).join(' ');
}

function reason(bench: Bench, peer: string): string | undefined {
  return bench.status.restart.find(({ peer_id }) => peer_id === peer)?.reason;
}

function leader(peers: string, ...targets: Targets): Bench {
  const bench = new Bench();
  bench.lead({ term: 1, log: [[1, peers]] });
  bench.progress(...targets);
  return bench;
}

describe('promise 23: which peers may be restarted now', () => {
  test('all of three that are in step', () => {
    expect(told(leader('n1 n2 n3', { peer: 'n2', match: 2 }, { peer: 'n3', match: 2 }))).toBe('n1 n2 n3');
  });

  test.each([
    ['has not been heard of', { peer: 'n3', match: 0, silentMs: -1 }, 'n3 has not been heard of'],
    ['is silent', { peer: 'n3', match: 2, silentMs: electionTimeoutMs + 1 }, 'n3 is silent for 1001 ms'],
    ['has another store', { peer: 'n3', match: 0, refusal: 'ESTORE' as const }, 'n3 has another store'],
    ['is read-only', { peer: 'n3', match: 2, readOnly: true }, 'n3 is read-only'],
    [
      'installs a snapshot',
      { peer: 'n3', match: 0, install: { index: 2 as never, chunks: 9, stored: 3, bytes: 1 } },
      'n3 installs a snapshot',
    ],
  ])('one of three that %s, and nobody else', (_what, target, why) => {
    const bench = leader('n1 n2 n3', { peer: 'n2', match: 2 }, target);
    expect(told(bench)).toBe('n1* n2* n3');
    expect(reason(bench, 'n2')).toBe(`without it 1 of 3 would go on, and 2 are needed: ${why}`);
  });

  test('one of three that lags, by more than new peers may', () => {
    const bench = leader('n1 n2 n3');
    for (let batch = 0; batch < 11; batch++) {
      bench.propose(...Array.from({ length: 100 }, (_, at) => `${at}`));
      bench.committed(bench.summary.last_index);
    }
    const { last_index } = bench.summary;
    bench.progress({ peer: 'n2', match: last_index }, { peer: 'n3', match: last_index - 1001 });
    expect(told(bench)).toBe('n1* n2* n3');
    expect(reason(bench, 'n1')).toContain('n3 lags by 1001 entries');
    bench.progress({ peer: 'n2', match: last_index }, { peer: 'n3', match: last_index - 1000 });
    expect(told(bench)).toBe('n1 n2 n3');
  });

  test('nobody of one or two', () => {
    const alone = leader('n1');
    expect(told(alone)).toBe('n1*');
    expect(reason(alone, 'n1')).toBe('1 of 1 are needed: nobody can be spared');
    expect(told(leader('n1 n2', { peer: 'n2', match: 2 }))).toBe('n1* n2*');
  });

  test('two of five may be down, and then nobody else', () => {
    const well = ['n2', 'n3'].map((peer) => ({ peer, match: 2 }));
    const bench = leader('n1 n2 n3 n4 n5', ...well, { peer: 'n4', match: 2 }, { peer: 'n5', match: 0, silentMs: -1 });
    expect(told(bench)).toBe('n1 n2 n3 n4 n5');
    bench.progress(...well, { peer: 'n4', match: 0, silentMs: -1 }, { peer: 'n5', match: 0, silentMs: -1 });
    expect(told(bench)).toBe('n1* n2* n3* n4 n5');
  });

  test('in the joint stage both sets are looked at; whom a change waits for, too', () => {
    const bench = leader('n1 n2 n3', { peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    bench.admin('change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    bench.progress(
      { peer: 'n2', match: 2 },
      { peer: 'n3', match: 2 },
      { peer: 'n4', match: 2 },
      { peer: 'n5', match: 2 },
    );
    expect(told(bench)).toBe('n1 n2 n3 n4* n5*');
    expect(reason(bench, 'n4')).toBe('the change that is going on waits for it');
    const caughtUp = { match: 2, caughtUp: true };
    bench.progress(
      { peer: 'n2', match: 2 },
      { peer: 'n3', match: 2 },
      { peer: 'n4', ...caughtUp },
      { peer: 'n5', ...caughtUp },
    );
    expect(bench.status.stage).toBe('joint');
    bench.progress(
      { peer: 'n2', match: 2 },
      { peer: 'n3', match: 2 },
      { peer: 'n4', match: 2 },
      { peer: 'n5', match: 0, silentMs: -1 },
    );
    expect(told(bench)).toBe('n1* n2 n3 n4* n5');
  });

  test('a follower does not know', () => {
    const bench = new Bench();
    bench.open({ term: 2, log: [[1, 'n1 n2 n3'], 2], commit: 2 });
    expect(bench.status.restart).toEqual([]);
  });
});

describe('promise 22: health', () => {
  test('fails on a leader whose entries are not committed for five election timeouts, with the votes that it lacks', () => {
    const bench = leader('n1 n2 n3', { peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    bench.propose('a');
    bench.hear({
      name: 'node.ballots',
      body: {
        ...bench.own,
        term: bench.term as never,
        commit_index: 2 as never,
        registered_index: 3 as never,
        lacking: { peers: ['n2', 'n3'] as never, old_peers: [] },
      },
    });
    for (let ms = 0; ms < 5 * electionTimeoutMs; ms += 100) {
      expect(bench.core.health(), `${ms} ms`).toEqual({ healthy: true, reason: '' });
      bench.wait(100);
      bench.confirmed();
    }
    bench.wait(200);
    const reason = 'stuck: entry 3 is not committed, it lacks the votes of n2 n3';
    expect(bench.core.health()).toEqual({ healthy: false, reason });
    bench.committed(3);
    expect(bench.core.health()).toEqual({ healthy: true, reason: '' });
  });

  test('fails on a peer that cannot read back what it is to apply', () => {
    const bench = new Bench();
    bench.answersReads = false;
    bench.open({ term: 2, log: [[1, 'n1 n2 n3'], 2], commit: 2 });
    for (let ms = 0; ms <= 5 * electionTimeoutMs + 200; ms += 100) {
      bench.appendEntries({ term: 2, prev: [2, 2], tick: ms + 1 });
      bench.wait(100);
    }
    expect(bench.core.health()).toEqual({ healthy: false, reason: 'stuck: entry 1 is not applied' });
  });

  test('is not bothered by entries that are not taken as peers are read-only: it says which', () => {
    const bench = leader('n1 n2 n3', { peer: 'n2', match: 2 }, { peer: 'n3', match: 2 });
    bench.disk(true);
    expect(bench.core.health()).toEqual({ healthy: true, reason: 'read-only: disk' });
  });
});

describe('what is said of a peer that is refused', () => {
  test('is not that it cannot be reached, as long as it answers once an election timeout', () => {
    const bench = leader('n1 n2 n3', { peer: 'n2', match: 2 });
    const refused = { peer: 'n3', match: 0, refusal: 'ESTORE' } as const;
    expect(bench.progress({ ...refused, silentMs: 10 })).toEqual([expect.stringContaining('event peer_refused, n3')]);
    for (const silentMs of [500, 1100, 100, 1200, 3000]) expect(bench.progress({ ...refused, silentMs })).toEqual([]);
    expect(bench.progress({ ...refused, silentMs: 3001 })).toEqual(['event peer_unreachable, n3, 3001']);
  });
});
