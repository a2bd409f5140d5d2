import { messages } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import {
  append,
  batch,
  brief,
  confirm,
  groupId,
  open,
  openedIn,
  read,
  StoreHarness,
  self,
  sends,
  storeId,
  tick,
  vote,
} from './store-harness.js';

const hello = { name: 'log-store.hello', body: { group_id: groupId, nonce: 'any' } } as const;

describe('the opening of a log-store', () => {
  it('loads, sends its incarnation, and replies to hello with the same', () => {
    const bench = new StoreHarness();
    expect(bench.step({ type: 'start' })).toEqual([{ type: 'load' }]);
    const [log, welcome, ...more] = bench.step({ type: 'loaded', rows: bench.storage.loadNow(groupId) });
    expect(log).toMatchObject({ type: 'log', text: 'the log is empty: this peer has no data of the group' });
    expect(welcome).toEqual({
      type: 'send',
      peerId: self,
      message: { name: 'node.welcome', body: { group_id: groupId, incarnation: 'run-1', session: 0 } },
    });
    expect(more).toEqual([]);
    expect(brief(bench.receive(hello))).toEqual(['welcome run-1 session 0']);
  });

  it('handles no message while it loads', () => {
    const bench = new StoreHarness();
    bench.step({ type: 'start' });
    expect(bench.receive(hello, open('nonce-1', 'run-1', 0))).toEqual([]);
    expect(bench.core.dropped).toEqual({ loading: 2 });
    expect(bench.core.health().healthy).toBe(false);
  });

  it('draws the store id, raises the session, and reports only after its own sync', () => {
    const bench = new StoreHarness();
    bench.start();
    expect(bench.receive(open('nonce-1', 'run-1', 0))).toEqual([]);
    expect(bench.idle()).toMatchObject([
      { type: 'write', operations: [{ type: 'put', key: 'main/m' }], group: { group_id: 'main', session: 1 } },
    ]);
    expect(openedIn(bench.sync())).toEqual({
      group_id: groupId,
      store_id: storeId,
      session: 1,
      nonce: 'nonce-1',
      incarnation: 'run-1',
      group_uid: '',
      term: 0,
      voted_for: '',
      base_index: 0,
      base_term: 0,
      last_index: 0,
      commit_index: 0,
      term_runs: [],
      configurations: [],
      snapshot: null,
      installing: null,
      read_only: false,
    });
  });

  it('considers a repeated nonce the same opening, before the sync and after', () => {
    const bench = new StoreHarness();
    bench.start();
    bench.receive(open('nonce-1', 'run-1', 0));
    bench.idle();
    expect(bench.receive(open('nonce-1', 'run-1', 0))).toEqual([]);
    expect(brief(bench.sync())).toEqual(['opened 1 term 0 last 0 commit 0']);
    expect(bench.idle()).toEqual([]);
    bench.receive(append({ seq: 1, verified: 2, batches: [batch(1, 2, 1)] }));
    expect(brief(bench.receive(open('nonce-1', 'run-1', 0)))).toEqual(['opened 1 term 0 last 0 commit 0']);
    expect(brief(bench.write()), 'the append that was queued is still there').toEqual([
      'stored 2 for n2 term 1 seq 1',
      'ack 1:1:1',
    ]);
    expect(bench.core.dropped).toEqual({ opening_repeated: 2 });
  });

  it('refuses an opening for another run, or after another opening', () => {
    const bench = StoreHarness.opened();
    expect(brief(bench.receive(open('nonce-2', 'run-0', 1)))).toEqual(['welcome run-1 session 1']);
    expect(brief(bench.receive(open('nonce-2', 'run-1', 0)))).toEqual(['welcome run-1 session 1']);
    expect(bench.idle()).toEqual([]);
    expect(bench.core.dropped).toEqual({ opening_of_other_run: 1, opening_overtaken: 1 });
  });

  it('does not continue the session of its earlier run: a late message of it would be accepted twice', () => {
    const bench = StoreHarness.opened();
    const first = append({ seq: 1, verified: 2, batches: [batch(1, 2, 1)] });
    bench.store(first);
    expect(brief(bench.restart('run-2'))).toEqual(['welcome run-2 session 1']);
    for (const message of [first, vote(2, 2, 'n3'), tick(1), read({ reader: 'node' })]) {
      expect(brief(bench.receive(message)), message.name).toEqual(['welcome run-2 session 1']);
    }
    expect(bench.receive(read({})), 'a replicator is not the one to open').toEqual([]);
    expect(bench.idle()).toEqual([]);
    // The same node, having received that welcome, opens again with the same nonce: a new session nevertheless.
    expect(brief(bench.store(open('nonce-1', 'run-2', 1)))).toEqual(['opened 2 term 1 last 2 commit 0']);
    expect(brief(bench.receive(first))).toEqual(['fenced 1 by 2']);
  });
});

describe('two nodes for one peer', () => {
  it('fences the first when the second opens', () => {
    const bench = StoreHarness.opened();
    expect(brief(bench.store(open('nonce-2', 'run-1', 1)))).toEqual(['opened 2 term 0 last 0 commit 0']);
    for (const message of [append({ seq: 1 }), vote(1, 1, 'n1'), tick(0), confirm(1), read({ reader: 'node' })]) {
      expect(brief(bench.receive(message)), message.name).toEqual(['fenced 1 by 2']);
    }
    expect(bench.receive(read({})), 'a replicator gets no reply').toEqual([]);
    expect(brief(bench.receive(tick(0, 2)))).toEqual(['ack 2:1:0']);
    expect(bench.core.dropped).toEqual({ older_session: 6 });
  });

  it('drops what the first had queued, waits for the running write, and reports what is durable', () => {
    const bench = StoreHarness.opened();
    bench.receive(append({ seq: 1, verified: 2, batches: [batch(1, 2, 1)] }));
    bench.idle();
    bench.receive(append({ seq: 2, verified: 4, term: 3, batches: [batch(3, 2, 3)] }), vote(3, 9, 'n3'));
    bench.receive(open('nonce-2', 'run-1', 1));
    expect(bench.idle(), 'one write at a time').toEqual([]);
    // What the first write made durable is true, whichever node requested it.
    expect(brief(bench.sync())).toEqual(['stored 2 for n2 term 1 seq 1', 'ack 1:1:1']);
    expect(brief(bench.write())).toEqual(['opened 2 term 1 last 2 commit 0']);
    expect(bench.core.dropped).toEqual({ queued_of_older_session: 1 });
    expect(brief(bench.store(append({ session: 2, seq: 1, verified: 3, batches: [batch(3, 1, 1)] })))).toEqual([
      'stored 3 for n2 term 1 seq 1',
    ]);
  });

  it('forgets a commit index that spoke of what was dropped', () => {
    const bench = StoreHarness.opened();
    bench.store(append({ seq: 1, verified: 10, batches: [batch(1, 10, 1)] }));
    bench.receive(append({ seq: 2, term: 2, truncateFrom: 8, verified: 10, commit: 9, batches: [batch(8, 3, 2)] }));
    expect(brief(bench.store(open('nonce-2', 'run-1', 1)))).toEqual(['opened 2 term 1 last 10 commit 0']);
  });

  it('fences a node that was opened, and replaced before it was notified', () => {
    const bench = StoreHarness.opened();
    bench.receive(open('nonce-2', 'run-1', 1));
    bench.idle();
    bench.receive(open('nonce-3', 'run-1', 2));
    expect(brief(bench.sync())).toEqual(['opened 2 term 0 last 0 commit 0']);
    expect(brief(bench.receive(tick(0, 2)))).toEqual(['fenced 2 by 3']);
    expect(brief(bench.write())).toEqual(['opened 3 term 0 last 0 commit 0']);
    expect(brief(bench.receive(open('nonce-2', 'run-1', 1))), 'a late repeat opens nothing').toEqual([
      'welcome run-1 session 3',
    ]);
  });

  it('drops the reads of the session before', () => {
    const bench = StoreHarness.opened();
    bench.store(append({ seq: 1, verified: 2, batches: [batch(1, 2, 1)] }));
    bench.receive(read({}));
    bench.receive(open('nonce-2', 'run-1', 1));
    expect(bench.finishReads()).toEqual([]);
    expect(bench.core.dropped).toEqual({ reads_of_older_session: 1, read_of_older_session: 1 });
  });
});

describe('messages that are of no session here', () => {
  it('replies to another store with a welcome, also if there is no store yet', () => {
    const bench = StoreHarness.opened();
    const other = { ...tick(0).body, store_id: 'other' } as ReturnType<typeof tick>['body'] & {
      link: number;
      seq: number;
    };
    const message = { name: 'log-store.tick', body: messages['log-store.tick'].schema.parse(other) } as const;
    expect(brief(bench.receive(message))).toEqual(['welcome run-1 session 1']);

    const empty = new StoreHarness();
    empty.start();
    const nobody = { ...message.body, store_id: '', session: 0 };
    const parsed = { name: 'log-store.tick', body: messages['log-store.tick'].schema.parse(nobody) } as const;
    expect(brief(empty.receive(parsed))).toEqual(['welcome run-1 session 0']);
  });

  it('replies to a session that it has never opened with a welcome', () => {
    const bench = StoreHarness.opened();
    expect(brief(bench.receive(tick(0, 5)))).toEqual(['welcome run-1 session 1']);
    expect(bench.core.dropped).toEqual({ not_opened: 1 });
  });

  it('sends nothing more after a failure', () => {
    const bench = StoreHarness.opened();
    const effects = bench.step({ type: 'write_failed', code: 'EIO', message: 'no space' });
    expect(effects).toMatchObject([{ type: 'log' }, { type: 'fail', code: 'EIO', message: 'no space' }]);
    expect(sends(effects)).toEqual([]);
    expect(bench.receive(tick(0), open('nonce-2', 'run-1', 1))).toEqual([]);
    expect(bench.core.health()).toEqual({ healthy: false, reason: 'EIO: no space' });
  });
});
