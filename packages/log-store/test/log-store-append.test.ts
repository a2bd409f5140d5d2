import { asLogIndex, asTerm, encode, encodeBatch, type LogStoreMessage, limits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import {
  append,
  batch,
  brief,
  configurationBatch,
  configurationOf,
  confirm,
  groupId,
  groupUid,
  leader,
  open,
  openedIn,
  StoreHarness,
  self,
  sends,
  storedBatchKeys,
  storeId,
  tick,
  vote,
} from './store-harness.js';

describe('an append', () => {
  it('is written with one put a batch and one for the group, and acknowledged only after the sync', () => {
    const bench = StoreHarness.opened();
    const batches = [batch(1, 3, 1), batch(4, 2, 1)];
    expect(bench.receive(append({ seq: 1, verified: 5, batches }))).toEqual([]);
    expect(bench.idle()).toMatchObject([
      {
        type: 'write',
        operations: [
          { type: 'put', key: '~/main/0000000000000001', value: batches[0] },
          { type: 'put', key: '~/main/0000000000000004', value: batches[1] },
          { type: 'put', key: 'main/t/0000000000000001' },
          { type: 'put', key: 'main/m' },
        ],
        group: { group_id: 'main', last_index: 5, term: 1, voted_for: '', session: 1 },
      },
    ]);
    expect(bench.step({ type: 'idle' })).toEqual([]);
    bench.storage.sync();
    expect(bench.step({ type: 'written' })).toEqual([
      {
        type: 'send',
        peerId: leader,
        message: {
          name: 'feed.stored',
          body: {
            group_id: groupId,
            group_uid: groupUid,
            peer_id: self,
            store_id: storeId,
            session: 1,
            seq: 1,
            leader_id: leader,
            leader_term: 1,
            match_index: 5,
          },
        },
      },
      {
        type: 'send',
        peerId: self,
        message: {
          name: 'node.ack',
          body: {
            group_id: groupId,
            store_id: storeId,
            session: 1,
            link: 1,
            seq: 1,
            actor: 'log-store',
            incarnation: 'run-1',
            levels: { lowest: 0, highest: 1 },
          },
        },
      },
    ]);
  });

  it('is also received from the feed', () => {
    const bench = StoreHarness.opened();
    const body = { ...append({ seq: 1, verified: 1, batches: [batch(1, 1, 1)] }).body, prev_term: asTerm(0) };
    expect(brief(bench.store({ name: 'feed.append', body }))).toEqual(['stored 1 for n2 term 1 seq 1', 'ack 1:1:1']);
  });

  it('waits for the running write; all that arrived meanwhile is in the next one', () => {
    const bench = StoreHarness.opened();
    bench.receive(append({ seq: 1, verified: 1, batches: [batch(1, 1, 1)] }));
    bench.idle();
    bench.receive(append({ seq: 2, verified: 2, batches: [batch(2, 1, 1)] }));
    bench.receive(append({ seq: 3, verified: 3, batches: [batch(3, 1, 1)] }), vote(4, 1, 'n2'));
    expect(bench.idle()).toEqual([]);
    expect(brief(bench.sync())).toEqual(['stored 1 for n2 term 1 seq 1', 'ack 1:1:1']);
    expect(brief(bench.write()), 'one acknowledgement for two appends').toEqual([
      'stored 3 for n2 term 1 seq 3',
      'ack 1:1:4',
    ]);
  });

  it('is acknowledged by what was verified, never by the end of the log', () => {
    const bench = StoreHarness.opened();
    bench.store(append({ seq: 1, verified: 9, batches: [batch(1, 9, 1)] }));
    // A new leader knows only that the first four entries are its own.
    expect(brief(bench.store(append({ seq: 2, leader: 'n3', term: 2, verified: 4 })))).toEqual([
      'stored 4 for n3 term 2 seq 2',
      'ack 1:1:2',
    ]);
  });

  it('needs no write if it contains nothing new', () => {
    const bench = StoreHarness.opened();
    bench.store(append({ seq: 1, verified: 2, batches: [batch(1, 2, 1)] }));
    bench.receive(append({ seq: 2, verified: 2 }), append({ seq: 3, verified: 1 }));
    expect(brief(sends(bench.idle()))).toEqual(['stored 2 for n2 term 1 seq 3', 'ack 1:1:3']);
    expect(bench.isWriting).toBe(false);
  });

  it('without entries is acknowledged after those before it, never before', () => {
    const bench = StoreHarness.opened();
    bench.receive(append({ seq: 1, verified: 2, batches: [batch(1, 2, 1)] }));
    bench.idle();
    bench.receive(append({ seq: 2, verified: 2 }));
    expect(bench.idle()).toEqual([]);
    expect(brief(bench.sync())).toEqual(['stored 2 for n2 term 1 seq 1', 'ack 1:1:1']);
    expect(brief(sends(bench.idle()))).toEqual(['stored 2 for n2 term 1 seq 2', 'ack 1:1:2']);
  });

  it('keeps the leaders of two terms apart within one write', () => {
    const bench = StoreHarness.opened();
    bench.receive(append({ seq: 1, verified: 2, batches: [batch(1, 2, 1)] }));
    bench.receive(append({ seq: 2, leader: 'n3', term: 2, verified: 3, batches: [batch(3, 1, 2)] }));
    expect(brief(bench.write())).toEqual(['stored 2 for n2 term 1 seq 1', 'stored 3 for n3 term 2 seq 2', 'ack 1:1:2']);
  });

  it('raises the term and clears the vote in the write of its entries, and writes for the term alone', () => {
    const bench = StoreHarness.opened();
    bench.store(vote(1, 3, 'n1'));
    bench.store(append({ seq: 2, term: 4, verified: 1, batches: [batch(1, 1, 4)] }));
    bench.store(append({ seq: 3, term: 5, verified: 1 }));
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({ term: 5, voted_for: '', last_index: 1 });
  });

  it('stores the group’s uid with the first, and refuses another one', () => {
    const bench = StoreHarness.opened();
    bench.store(append({ seq: 1 }));
    const effects = bench.step({ type: 'message', message: append({ seq: 2, uid: 'uid-2' }) });
    expect(effects).toMatchObject([{ type: 'log', level: 'error', fields: { seq: 2, reason: 'other_group_uid' } }]);
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1))).group_uid).toBe(groupUid);
  });

  it('of entries alone is acknowledged to the node now and then, or on request; to the leader at once', () => {
    const bench = StoreHarness.opened();
    const add = (seq: number) => brief(bench.store(append({ seq, verified: seq, batches: [batch(seq, 1, 1)] })));
    expect(add(1), 'the first makes the group’s record').toEqual(['stored 1 for n2 term 1 seq 1', 'ack 1:1:1']);
    expect(add(2)).toEqual(['stored 2 for n2 term 1 seq 2']);
    expect(brief(bench.receive(tick(2)))).toEqual(['ack 1:1:2']);
    const every = limits.logStoreAcknowledgeEvery;
    for (let seq = 3; seq < 2 + every; seq++) expect(add(seq)).toHaveLength(1);
    expect(add(2 + every)).toEqual([`stored ${2 + every} for n2 term 1 seq ${2 + every}`, `ack 1:1:${2 + every}`]);
  });

  it('writes only the batches if it only adds entries, and finds them again', () => {
    const bench = StoreHarness.opened();
    bench.store(append({ seq: 1, verified: 4, batches: [batch(1, 4, 1)] }));
    bench.receive(append({ seq: 2, verified: 6, batches: [batch(5, 1, 1), batch(6, 1, 1)] }));
    expect(bench.idle()).toMatchObject([{ type: 'write', operations: [{ type: 'put' }, { type: 'put' }] }]);
    bench.sync();
    bench.restart('run-2');
    expect(brief(bench.store(open('nonce-2', 'run-2', 1)))).toEqual(['opened 2 term 1 last 6 commit 0']);
  });

  it('keeps the commit index beside what is written of the group, and never makes a write for it', () => {
    const bench = StoreHarness.opened();
    bench.store(append({ seq: 1, verified: 4, batches: [batch(1, 4, 1)] }));
    bench.receive(append({ seq: 2, verified: 4, commit: 4 }));
    bench.idle();
    expect(bench.isWriting).toBe(false);
    bench.restart('run-2');
    expect(brief(bench.store(open('nonce-2', 'run-2', 1)))).toEqual(['opened 2 term 1 last 4 commit 0']);
    const message = append({ session: 2, seq: 1, term: 2, verified: 5, commit: 3, batches: [batch(5, 1, 2)] });
    bench.store(message);
    bench.restart('run-3');
    expect(brief(bench.store(open('nonce-3', 'run-3', 2)))).toEqual(['opened 3 term 2 last 5 commit 3']);
  });
});

describe('what is refused', () => {
  const refusals: [string, string, () => LogStoreMessage][] = [
    ['another group’s uid', 'other_group_uid', () => append({ seq: 2, uid: 'uid-2' })],
    ['no uid', 'other_group_uid', () => append({ seq: 2, uid: '' })],
    ['a lower term', 'lower_term', () => append({ seq: 2, term: 1 })],
    ['a gap', 'gap_in_log', () => append({ seq: 2, term: 2, batches: [batch(5, 1, 2)] })],
    ['an overlap', 'gap_in_log', () => append({ seq: 2, term: 2, batches: [batch(3, 1, 2)] })],
    ['a falling term', 'term_out_of_order', () => append({ seq: 2, term: 3, batches: [batch(4, 1, 1)] })],
    [
      'an entry above the leader’s term',
      'term_out_of_order',
      () => append({ seq: 2, term: 2, batches: [batch(4, 1, 3)] }),
    ],
    ['more verified than there is', 'verified_beyond_end', () => append({ seq: 2, term: 2, verified: 4 })],
    ['a truncation of what is committed', 'truncates_committed', () => append({ seq: 2, term: 2, truncateFrom: 2 })],
    ['a lower term to vote in', 'lower_term', () => vote(2, 1, 'n3')],
    ['another vote in the term', 'other_vote', () => vote(2, 2, 'n3')],
  ];

  for (const [what, reason, message] of refusals) {
    it(`${what} stays untaken, and so does what follows`, () => {
      const bench = StoreHarness.opened();
      const entries = [batch(1, 3, 2)];
      bench.store(append({ seq: 1, term: 2, verified: 3, commit: 2, batches: entries }));
      if (reason === 'other_vote') bench.store(vote(2, 2, 'n1'));
      const seq = reason === 'other_vote' ? 3 : 2;
      const made = message();
      const refused = made.name === 'log-store.vote' ? { ...made, body: { ...made.body, seq } } : made;
      const before = new Map(bench.storage.rows);

      const first = bench.step({ type: 'message', message: refused });
      expect(first).toMatchObject([{ type: 'log', level: 'error', fields: { seq, reason } }]);
      expect(bench.step({ type: 'message', message: refused }), 'said once').toEqual([]);
      expect(brief(bench.receive(append({ seq: seq + 1, term: 2, verified: 3 })))).toEqual([`ack 1:1:${seq - 1}`]);
      expect(bench.idle()).toEqual([]);
      expect(bench.storage.rows).toEqual(before);
      expect(bench.core.dropped).toEqual({ [`refused_${reason}`]: 2, link_gap: 1 });
      expect(bench.core.health()).toEqual({
        healthy: false,
        reason: `message ${seq} of the node is refused: ${reason}`,
      });
    });
  }

  it('a configuration that this build cannot read is stored and acknowledged (promise 31)', () => {
    const bench = StoreHarness.opened();
    const newer = encodeBatch('configuration', asTerm(1), asLogIndex(2), [encode({ peers: 'in another way' })]);
    const batches = [configurationBatch(1, 1, configurationOf('n1', 'n2')), newer, batch(3, 1, 1)];
    expect(brief(bench.store(append({ seq: 1, verified: 3, batches })))).toContain('stored 3 for n2 term 1 seq 1');
    const { last_index, configurations } = openedIn(bench.store(open('nonce-2', 'run-1', 1)));
    expect({ last_index, configurations }).toEqual({
      last_index: 3,
      configurations: [{ index: 1, configuration: configurationOf('n1', 'n2') }],
    });
  });

  it('a batch that was damaged in transit is replaced by the next sending', () => {
    const bench = StoreHarness.opened();
    const good = batch(1, 2, 1);
    for (const at of [0, 10, good.length - 1]) {
      const damaged = good.slice();
      damaged[at] = (damaged[at] as number) ^ 1;
      expect(bench.receive(append({ seq: 1, verified: 2, batches: [damaged] }))).toEqual([]);
    }
    expect(bench.core.dropped).toEqual({ refused_damaged_batch: 3 });
    expect(brief(bench.store(append({ seq: 1, verified: 2, batches: [good] })))).toEqual([
      'stored 2 for n2 term 1 seq 1',
      'ack 1:1:1',
    ]);
    expect(bench.core.health().healthy).toBe(true);
  });
});

describe('the ordered link', () => {
  it('accepts each message once, and acknowledges repeats and gaps with what is synced', () => {
    const bench = StoreHarness.opened();
    const first = append({ seq: 1, verified: 1, batches: [batch(1, 1, 1)] });
    const second = append({ seq: 2, verified: 2, batches: [batch(2, 1, 1)] });
    expect(brief(bench.receive(second))).toEqual(['ack 1:1:0']);
    bench.receive(first);
    bench.idle();
    expect(brief(bench.receive(first)), 'taken, but not yet synced').toEqual(['ack 1:1:0']);
    bench.sync();
    expect(brief(bench.receive(first))).toEqual(['ack 1:1:1']);
    bench.store(second);
    expect(brief(bench.receive(first, second))).toEqual(['ack 1:1:2', 'ack 1:1:2']);
    expect(storedBatchKeys(bench.storage)).toEqual(['1', '2']);
  });

  it('answers ticks with what is synced', () => {
    const bench = StoreHarness.opened();
    expect(brief(bench.receive(tick(0)))).toEqual(['ack 1:1:0']);
    bench.receive(append({ seq: 1, verified: 1, batches: [batch(1, 1, 1)] }));
    bench.idle();
    expect(brief(bench.receive(tick(1)))).toEqual(['ack 1:1:0']);
    bench.sync();
    expect(brief(bench.receive(tick(1)))).toEqual(['ack 1:1:1']);
  });

  it('confirms at once, also during a write, that its session is current', () => {
    const bench = StoreHarness.opened();
    bench.receive(append({ seq: 1, verified: 1, batches: [batch(1, 1, 1)] }));
    bench.idle();
    const asked = confirm(7);
    expect(bench.receive(asked)).toEqual([{ name: 'node.in_force', body: asked.body }]);
  });

  it('does not restart within a session: commands would be accepted twice', () => {
    const bench = StoreHarness.opened();
    bench.store(append({ seq: 1, verified: 1, batches: [batch(1, 1, 1)] }));
    expect(bench.receive(append({ link: 2, seq: 1, verified: 1, batches: [batch(1, 1, 1)] }))).toEqual([]);
    expect(bench.core.dropped).toEqual({ link_restarted: 1 });
  });
});

describe('a vote', () => {
  it('is acknowledged after its sync, survives, and costs no write when repeated', () => {
    const bench = StoreHarness.opened();
    expect(bench.receive(vote(1, 7, 'n3'))).toEqual([]);
    expect(bench.idle()).toMatchObject([{ type: 'write', group: { term: 7, voted_for: 'n3' } }]);
    expect(brief(bench.sync())).toEqual(['ack 1:1:1']);
    bench.receive(vote(2, 7, 'n3'));
    expect(brief(sends(bench.idle()))).toEqual(['ack 1:1:2']);
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({ term: 7, voted_for: 'n3' });
  });

  it('is cast once in a term, after the term was known without one', () => {
    const bench = StoreHarness.opened();
    bench.store(vote(1, 7, ''));
    bench.store(vote(2, 7, 'n3'));
    bench.store(vote(3, 8, ''));
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({ term: 8, voted_for: '' });
  });
});

describe('configurations', () => {
  it('are returned at the opening, each with its index', () => {
    const bench = StoreHarness.opened();
    const [one, three] = [configurationOf('n1'), configurationOf('n1', 'n2', 'n3')];
    const batches = [configurationBatch(1, 1, one), batch(2, 3, 1), configurationBatch(5, 2, three)];
    bench.store(append({ seq: 1, term: 2, verified: 5, batches }));
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({
      term_runs: [
        { first: 1, term: 1 },
        { first: 5, term: 2 },
      ],
      configurations: [
        { index: 1, configuration: one },
        { index: 5, configuration: three },
      ],
    });
  });

  it('are reported as far as a message holds them: the first, the last committed ones, all that may go', () => {
    const bench = StoreHarness.opened();
    const many = limits.reportedConfigurations + 40;
    const batches = Array.from({ length: many }, (_, at) => configurationBatch(at + 1, 1, configurationOf('n1')));
    bench.store(append({ seq: 1, verified: many, commit: many - 3, batches }));
    const { configurations } = openedIn(bench.store(open('nonce-2', 'run-1', 1)));
    expect(configurations.map(({ index }) => index)).toEqual([
      1,
      ...Array.from({ length: limits.reportedConfigurations + 3 }, (_, at) => at + 38),
    ]);
  });
});
