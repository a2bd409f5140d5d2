/** What an operator does to a store, whose store it is, and how much room it has. */
import {
  addChecksum,
  asLogIndex,
  asPeerId,
  asSession,
  asTerm,
  type GroupUid,
  type LogStoreMessage,
  removeChecksum,
} from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { LogStoreCore } from '../src/core/index.js';
import { bringing, chunkMessage, snapshotOf } from './snapshots.js';
import {
  append,
  batch,
  brief,
  configurationBatch,
  configurationOf,
  diskReserveBytes,
  groupId,
  groupUid,
  open,
  openedIn,
  StoreHarness,
  self,
  sends,
  storeId,
  vote,
} from './store-harness.js';

function frame(seq: number, session = 1) {
  return { group_id: groupId, store_id: storeId, session: asSession(session), link: 1, seq };
}

interface ResetSpecial {
  readonly seq: number;
  readonly from?: string;
  readonly term?: number;
  readonly batch?: Uint8Array;
}

const alone = configurationOf('n1');

function reset({
  seq,
  from = groupUid,
  term = 100,
  batch = configurationBatch(4, 50, alone),
}: ResetSpecial): LogStoreMessage {
  const uids = { old_group_uid: from as GroupUid, group_uid: 'uid-reset' as GroupUid };
  return { name: 'log-store.reset', body: { ...frame(seq), ...uids, term: asTerm(term), batch } };
}

/** Entries 1 to 3 of term 2, and a vote in term 3. */
function withThreeEntries(): StoreHarness {
  const bench = StoreHarness.opened();
  bench.store(append({ seq: 1, term: 2, verified: 3, commit: 2, batches: [batch(1, 3, 2)] }), vote(2, 3, 'n3'));
  return bench;
}

describe('a reset', () => {
  it('begins the new history in one write: its name, the term without a vote, and the entry after the last one', () => {
    const bench = withThreeEntries();
    expect(bench.receive(reset({ seq: 3 }))).toEqual([]);
    expect(bench.idle()).toMatchObject([
      {
        type: 'write',
        operations: [
          { type: 'put', key: '~/main/0000000000000004' },
          { type: 'put', key: 'main/t/0000000000000004' },
          { type: 'put', key: 'main/c/0000000000000004' },
          { type: 'put', key: 'main/m' },
        ],
        group: { last_index: 4, term: 100, voted_for: '' },
      },
    ]);
    expect(brief(bench.sync())).toEqual(['ack 1:1:3']);
  });

  it('acknowledges nothing to a leader of the old history that is synced together with it', () => {
    const bench = withThreeEntries();
    bench.receive(append({ seq: 3, term: 3, verified: 4, batches: [batch(4, 1, 3)] }));
    bench.receive(reset({ seq: 4, batch: configurationBatch(5, 50, alone) }));
    bench.idle();
    expect(brief(bench.sync())).toEqual(['ack 1:1:4']);
    expect(bench.core.dropped).toMatchObject({ acknowledgements_truncated: 1 });
  });

  it('promise 15: survives a restart, and what is of the old history is refused from then on', () => {
    const bench = withThreeEntries();
    bench.store(reset({ seq: 3 }));
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({
      group_uid: 'uid-reset',
      term: 100,
      voted_for: '',
      last_index: 4,
      configurations: [{ index: 4, configuration: alone }],
      term_runs: [
        { first: 1, term: 2 },
        { first: 4, term: 50 },
      ],
    });
    const old = append({ seq: 1, session: 2, term: 101, verified: 5, batches: [batch(5, 1, 101)] });
    expect(bench.receive(old)).toEqual([]);
    expect(bench.core.health().reason).toMatch(/other_group_uid/);
  });

  it('drops a snapshot that a leader of the old history was installing', () => {
    const bench = withThreeEntries();
    bench.store(chunkMessage({ seq: 3 }, snapshotOf('s1', 100, 3), 0, 'installed'));
    bench.store(reset({ seq: 4 }));
    expect(bench.core.durableState.incoming).toBeUndefined();
    expect(bench.clearings.at(-1)).toEqual({ upTo: 0, lastSlot: 1, keptSlots: [] });
  });

  it('continues after a snapshot, too', () => {
    const bench = withThreeEntries();
    bench.store(...bringing(snapshotOf('s1', 2, 2), { seq: 3, term: 3 }));
    bench.store(reset({ seq: 7 }));
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({ base_index: 2, last_index: 4 });
  });

  it('is refused if it does not fit this log', () => {
    const cases: ResetSpecial[] = [
      { seq: 3, from: 'uid-2' },
      { seq: 3, term: 50 },
      { seq: 3, term: 3 },
      { seq: 3, batch: configurationBatch(4, 3, alone) },
      { seq: 3, batch: configurationBatch(5, 50, alone) },
      { seq: 3, batch: batch(4, 1, 50) },
      { seq: 3, batch: new Uint8Array(40) },
    ];
    for (const special of cases) {
      const bench = withThreeEntries();
      expect(bench.receive(reset(special))).toEqual([]);
      expect(sends(bench.idle())).toEqual([]);
      expect(bench.core.health().reason).toMatch(/message 3 of the node is refused: reset_of_other_log/);
    }
  });
});

describe('read-only', () => {
  const readOnlyMessage = (seq: number, read_only: boolean, session = 1): LogStoreMessage => {
    return { name: 'log-store.read_only', body: { ...frame(seq, session), read_only } };
  };

  it('is kept until it is changed, and reported at each opening', () => {
    const bench = withThreeEntries();
    expect(brief(bench.store(readOnlyMessage(3, true)))).toEqual(['ack 1:1:3']);
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1))).read_only).toBe(true);
    bench.store(readOnlyMessage(1, false, 2));
    bench.restart('run-3');
    expect(openedIn(bench.store(open('nonce-3', 'run-3', 2))).read_only).toBe(false);
  });

  it('is kept separately from the entry at which the state differs, which an older node does not report', () => {
    const bench = withThreeEntries();
    const differs = (seq: number, at: number, session = 1): LogStoreMessage => ({
      name: 'log-store.read_only',
      body: { ...frame(seq, session), read_only: false, diverged_at: asLogIndex(at) },
    });
    bench.store(differs(3, 2));
    bench.store(readOnlyMessage(4, true));
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({ read_only: true, diverged_at: 2 });
    bench.store(differs(1, 0, 2));
    bench.restart('run-3');
    const { read_only, diverged_at } = openedIn(bench.store(open('nonce-3', 'run-3', 2)));
    expect({ read_only, diverged_at }).toEqual({ read_only: false, diverged_at: undefined });
  });

  it('is acknowledged also if it changes nothing, without a write', () => {
    const bench = withThreeEntries();
    bench.receive(readOnlyMessage(3, false));
    expect(brief(sends(bench.idle()))).toEqual(['ack 1:1:3']);
    expect(bench.isWriting).toBe(false);
  });

  it('does not keep the store from accepting what the node sends: the node decides whether to accept entries', () => {
    const bench = withThreeEntries();
    bench.store(readOnlyMessage(3, true));
    expect(brief(bench.store(append({ seq: 4, term: 3, verified: 4, batches: [batch(4, 1, 3)] })))).toContain(
      'stored 4 for n2 term 3 seq 4',
    );
  });
});

describe('the room on the disk', () => {
  const measured = (bench: StoreHarness, freeBytes: number) => brief(sends(bench.step({ type: 'disk', freeBytes })));

  it('is reported when it is measured, and at each opening', () => {
    const bench = new StoreHarness();
    bench.start();
    expect(measured(bench, 5000), 'there is no session yet').toEqual([]);
    bench.receive(open('nonce-1', 'run-1', 0));
    expect(brief(bench.write())).toEqual(['opened 1 term 0 last 0 commit 0', 'disk 5000']);
    expect(measured(bench, 4000)).toEqual(['disk 4000']);
  });

  it('promise 27: while nothing can be stored, what needs no write is not acknowledged either', () => {
    const bench = withThreeEntries();
    const disk = { type: 'disk', freeBytes: 5000 } as const;
    bench.step({ ...disk, problem: 'the disk hangs', stopsWrites: true });
    expect(bench.health()).toEqual({ healthy: false, reason: 'the disk hangs' });
    bench.receive(append({ seq: 3, term: 3, verified: 3 }));
    expect(bench.idle()).toEqual([]);
    bench.step(disk);
    expect(bench.health().healthy).toBe(true);
    expect(brief(sends(bench.idle()))).toContain('stored 3 for n2 term 3 seq 3');

    bench.step({ ...disk, problem: 'no free file descriptors' });
    bench.receive(append({ seq: 4, term: 3, verified: 3 }));
    expect(brief(sends(bench.idle())), 'it stores what it is given').toContain('stored 3 for n2 term 3 seq 4');
  });

  it('is reported with what makes the log-store unhealthy, as long as it does', () => {
    const bench = withThreeEntries();
    const step = (more: { freeBytes?: number; problem?: string }) =>
      brief(sends(bench.step({ type: 'disk', freeBytes: undefined, ...more })));
    expect(step({ problem: 'it cannot be measured' }), 'the free space is not known').toEqual([]);
    expect(step({ freeBytes: 5000, problem: 'no free file descriptors' })).toEqual([
      'disk 5000, no free file descriptors',
    ]);
    expect(step({ problem: 'it cannot be measured' })).toEqual(['disk 5000, it cannot be measured']);
    expect(step({ freeBytes: 4000 })).toEqual(['disk 4000']);
    bench.receive(append({ seq: 3, term: 1, verified: 3 }));
    expect(step({ freeBytes: 4000 })).toEqual(['disk 4000, message 3 of the node is refused: lower_term']);
    expect(bench.health()).toEqual({ healthy: false, reason: 'message 3 of the node is refused: lower_term' });
  });

  it('is low below the reserve, until there is a quarter more than that', () => {
    const bench = StoreHarness.opened();
    const found = [1000, 999, 1000, 1249, 1250, 1000, 0].map((freeBytes) => measured(bench, freeBytes)[0]);
    expect(diskReserveBytes).toBe(1000);
    expect(found).toEqual([
      'disk 1000',
      'disk 999 low',
      'disk 1000 low',
      'disk 1249 low',
      'disk 1250',
      'disk 1000',
      'disk 0 low',
    ]);
  });
});

describe('a store and its peer', () => {
  /** The store of the bench, started as that peer's. */
  function startedAs(bench: StoreHarness, peerId: string) {
    const core = new LogStoreCore({ groupId, peerId: asPeerId(peerId), incarnation: 'run-2', diskReserveBytes });
    core.step({ type: 'start' });
    return { core, effects: core.step({ type: 'loaded', rows: bench.storage.loadNow(groupId) }) };
  }

  it('belong together: a copy under another name is refused, and the error reports why', () => {
    const { core, effects } = startedAs(withThreeEntries(), 'n7');
    expect(effects).toMatchObject([
      { type: 'log', level: 'error' },
      { type: 'fail', code: 'EINVAL', message: expect.stringMatching(/made for the peer n1, and this is n7/) },
    ]);
    expect(core.health()).toMatchObject({
      healthy: false,
      reason: expect.stringMatching(/^EINVAL: group main: this data/),
    });
    const message = open('nonce-2', 'run-2', 1);
    expect(core.step({ type: 'message', message }), 'it says nothing').toEqual([]);
    expect(startedAs(withThreeEntries(), self).core.health().healthy).toBe(true);
  });

  it('of version 1 has no name, and gets that of the first peer that opens it', () => {
    const bench = withThreeEntries();
    const meta = removeChecksum(bench.storage.rows.get('main/m') as Uint8Array) as Record<string, unknown>;
    const { peer_id, base_index, base_term, last_slot, incoming, read_only, ...first } = meta;
    expect([peer_id, base_index, base_term, last_slot, incoming, read_only]).toEqual(['n1', 0, 0, 0, null, false]);
    bench.storage.rows.set('main/m', addChecksum({ ...first, version: 1 }));
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({ last_index: 3, base_index: 0 });
    expect(startedAs(bench, 'n7').core.health().reason).toMatch(/made for the peer n1/);
  });

  it('promise 31: is stored as version 3, which the first version refuses, from the first entry of a higher level on', () => {
    const bench = withThreeEntries();
    const version = () =>
      (removeChecksum(bench.storage.rows.get('main/m') as Uint8Array) as { version: number }).version;
    expect(version()).toBe(2);
    const raised = configurationBatch(4, 3, { ...configurationOf('n1', 'n2', 'n3'), level: 1 });
    bench.store(append({ seq: 3, term: 3, verified: 4, batches: [raised] }));
    expect(version()).toBe(3);
    bench.store(append({ seq: 4, term: 4, verified: 3, truncateFrom: 4 }));
    expect(version(), 'as the entry was truncated').toBe(2);
  });

  it('of a version that is not known yet is refused', () => {
    const bench = withThreeEntries();
    const meta = removeChecksum(bench.storage.rows.get('main/m') as Uint8Array) as Record<string, unknown>;
    bench.storage.rows.set('main/m', addChecksum({ ...meta, version: 4, last_index: asLogIndex(3) }));
    expect(startedAs(bench, self).core.health().reason).toBe(
      'EINVAL: group main is stored in version 4, and this build reads up to 3: run a newer one',
    );
  });
});
