import { asSession, asTerm, type GroupUid, limits, type StoreId } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  commands,
  head,
  idOf,
  LedGroup,
  own,
  readBytes,
  rejected,
  self,
  snapshotStored,
  stored,
  term,
  throttle,
  uid,
} from './replicator-harness.js';

let group: LedGroup;
beforeEach(() => {
  group = new LedGroup();
});

const window = limits.snapshotWindowChunks;
/** More chunks than that. */
const many = 2 * window;

/** The leader's log ends at 1000; `n2` has nothing, and the log no longer goes back as far: which is read first. */
function behind(): string[] {
  group.receive(group.lead('n2', 1000));
  group.receive(rejected('n2', 1, 4));
  return group.receive(group.entries(2, 5, 0, [], { refusal: 'compacted' }));
}

/** The snapshot `z1` up to entry 900 is on its way: `n2` has said how much of it it has. Answers what follows. */
function begun(chunks: number, has = 0): string[] {
  behind();
  group.receive(group.chunk(3, 0, 'z1', head(900, chunks)));
  return group.receive(snapshotStored('n2', 4, 'z1', has));
}

/** Replies to all reads among these lines; returns what follows. */
function readAll(lines: readonly string[], chunks: number, snapshotId = 'z1'): string[] {
  return lines.flatMap((line) => {
    const number = /^read chunk (\d+)/.exec(line)?.[1];
    return number === undefined
      ? []
      : group.receive(group.chunk(idOf(line), Number(number), snapshotId, head(900, chunks)));
  });
}

describe('a target that needs what is compacted', () => {
  it('gets the snapshot that counts, which is read and sent exactly so', () => {
    group.receive(group.lead('n2', 1000));
    group.receive(rejected('n2', 1, 4));
    const ask = { ...own, request_id: 3, reader: 'replicator', leader_term: term, snapshot_id: '', number: 0 };
    expect(group.step(group.entries(2, 5, 0, [], { refusal: 'compacted' }))).toEqual([
      { type: 'send', peerId: self, message: { name: 'log-store.read_snapshot', body: ask } },
    ]);
    const first = head(900, 2);
    const message = {
      group_id: 'main',
      group_uid: uid,
      leader_id: self,
      term,
      target_store_id: 's2',
      request_id: 4,
      tick_id: 0,
      snapshot_id: 'z1',
      head: first,
      number: 0,
      chunk: new Uint8Array(0),
    };
    expect(group.step(group.chunk(3, 0, 'z1', first))).toEqual([
      { type: 'send', peerId: 'n2', message: { name: 'node.install_snapshot', body: message } },
    ]);
    const body = { ...message, request_id: 5, chunk: new Uint8Array([0]) };
    expect(group.step(snapshotStored('n2', 4, 'z1', 0))).toEqual([
      { type: 'send', peerId: 'n2', message: { name: 'node.install_snapshot', body } },
      {
        type: 'send',
        peerId: self,
        message: {
          name: 'log-store.read_snapshot',
          body: { ...ask, request_id: 6, snapshot_id: 'z1', number: 1 },
        },
      },
    ]);
  });

  it('is found out while entries are sent, too; what is in flight is void then', () => {
    group.receive(group.lead('n2', 10));
    group.receive(rejected('n2', 1, 4));
    group.receive(group.entries(2, 5, 3, [commands(5, 6, 3)]));
    expect(group.receive(stored('n2', 4))).toEqual(['n2 5..6 after 4/3 #4', `read from 7, ${readBytes} bytes #5`]);
    expect(group.receive(group.entries(5, 7, 0, [], { refusal: 'compacted' }))).toEqual([`read chunk 0 of '' #6`]);
    expect(group.progress()).toMatchObject([{ state: 'install', in_flight: 0, match_index: 4, install: null }]);
    expect(group.receive(stored('n2', 6))).toEqual([]);
    expect(group.progress()).toMatchObject([{ state: 'install', match_index: 6 }]);
  });

  it('is probed after the snapshot once that is installed, and continues with the log', () => {
    begun(1);
    expect(group.receive(snapshotStored('n2', 5, 'z1', 1))).toEqual([]);
    expect(group.receive(snapshotStored('n2', 5, 'z1', 'installed'))).toEqual(['read from 901, 1 bytes #6']);
    expect(group.progress()).toMatchObject([{ state: 'probe', install: null, match_index: 0, next_index: 901 }]);
    expect(group.receive(group.entries(6, 901, 4, [commands(901, 1000)]))).toEqual(['n2 after 900/4 #8']);
    expect(group.receive(stored('n2', 900))).toEqual(['n2 901..1000 after 900/4 #9']);
    expect(group.progress()).toMatchObject([{ state: 'replicate', match_index: 900, next_index: 1001 }]);
  });

  it('needs no read if the snapshot ends with the log', () => {
    behind();
    group.receive(group.chunk(3, 0, 'z1', head(1000, 1)));
    expect(group.receive(snapshotStored('n2', 4, 'z1', 'installed'))).toEqual([`n2 after 1000/${term} #5`]);
  });

  it('that has the snapshot installed already is probed at once, and sent none of it', () => {
    behind();
    expect(group.receive(group.chunk(3, 0, 'z1', head(900, 50)))).toEqual(['n2 how much of z1 #4']);
    expect(group.receive(snapshotStored('n2', 4, 'z1', 'installed'))).toEqual(['read from 901, 1 bytes #5']);
  });

  it('is sent no snapshot if the match index has passed the compacted entry meanwhile', () => {
    group.receive(group.lead('n2', 10));
    group.receive(rejected('n2', 1, 4));
    group.receive(stored('n2', 10));
    expect(group.receive(group.entries(2, 5, 0, [], { refusal: 'compacted' }))).toEqual([]);
    expect(group.core.dropped).toEqual({ compacted_before: 1 });
    expect(group.progress()).toMatchObject([{ state: 'replicate' }]);
  });

  it('promise 12: is a state of its own in the progress, with how much the target has', () => {
    readAll(begun(many), many);
    group.receive(snapshotStored('n2', 5, 'z1', 1));
    const install = { index: 900, chunks: many, stored: 1, bytes: many * limits.snapshotChunkBytes };
    expect(group.progress()).toMatchObject([{ state: 'install', silent_ms: 0, in_flight: window - 1, install }]);
  });

  it('receives heartbeats throughout, so that it does not campaign', () => {
    begun(20);
    expect(group.tick()).toEqual([expect.stringMatching(/^n2 after 0\/0 #\d+$/)]);
    expect(group.tick()).toEqual([expect.stringMatching(/^n2 after 0\/0 #\d+$/)]);
  });

  it('is sent nothing more an election timeout after the last tick', () => {
    const lines = begun(20);
    group.nowMs += 1000;
    expect(readAll(lines, 20)).toEqual([]);
    expect(group.receive(snapshotStored('n2', 5, 'z1', 1))).toEqual([]);
  });
});

describe('chunks', () => {
  it('go out in order, a window of them, and one more for each that is stored', () => {
    const lines = begun(many);
    expect(lines).toEqual([
      'n2 chunk 0 of z1 #5',
      ...Array.from({ length: window - 1 }, (_, n) => `read chunk ${n + 1} of 'z1' #${n + 6}`),
    ]);
    const sent = readAll(lines, many);
    expect(sent).toEqual(Array.from({ length: window - 1 }, (_, n) => `n2 chunk ${n + 1} of z1 #${n + window + 5}`));
    const more = group.receive(snapshotStored('n2', 5, 'z1', 1));
    expect(more).toEqual([`read chunk ${window} of 'z1' #${2 * window + 4}`]);
    expect(readAll(more, many)).toEqual([`n2 chunk ${window} of z1 #${2 * window + 5}`]);
  });

  it('that are read out of order wait for their turn', () => {
    const lines = begun(3);
    const [, one = '', two = ''] = lines;
    expect(group.receive(group.chunk(idOf(two), 2, 'z1', head(900, 3)))).toEqual([]);
    expect(group.receive(group.chunk(idOf(one), 1, 'z1', head(900, 3)))).toEqual([
      'n2 chunk 1 of z1 #8',
      'n2 chunk 2 of z1 #9',
    ]);
  });

  it('are acknowledged together, too', () => {
    const sent = readAll(begun(many), many);
    const more = group.receive(snapshotStored('n2', idOf(sent[2]), 'z1', 4));
    const numbers = [0, 1, 2, 3].map((n) => window + n);
    expect(more.map((line) => line.replace(/ #.*/, ''))).toEqual(numbers.map((n) => `read chunk ${n} of 'z1'`));
    expect(group.receive(snapshotStored('n2', 5, 'z1', 1))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_in_flight: 1 });
  });

  it('promise 19: continue after the chunks that the target has stored', () => {
    expect(begun(20, 18)).toEqual([`read chunk 18 of 'z1' #5`, `read chunk 19 of 'z1' #6`]);
  });

  it('that were lost are noticed by a reply that counts fewer, and are resent from there', () => {
    const sent = readAll(begun(20), 20);
    // Chunk 2 is lost: 3 and those behind it do not follow.
    group.receive(snapshotStored('n2', 5, 'z1', 1));
    group.receive(snapshotStored('n2', idOf(sent[0]), 'z1', 2));
    const again = group.receive(snapshotStored('n2', idOf(sent[2]), 'z1', 2));
    expect(again[0]).toMatch(/^read chunk 2 of/);
    // What the others of then are answered changes nothing.
    expect(group.receive(snapshotStored('n2', idOf(sent[3]), 'z1', 2))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_in_flight: 1 });
    expect(readAll(again.slice(0, 1), 20)).toEqual([expect.stringMatching(/^n2 chunk 2 of z1/)]);
  });

  it('promise 19: are requested more and more rarely while no reply arrives, and the transfer is never abandoned', () => {
    readAll(begun(20), 20);
    const asked: number[] = [];
    for (let at = 100; at <= 4000; at += 100) {
      const line = group.tick().find((each) => each.includes('how much'));
      if (line === undefined) continue;
      expect(line).toMatch(/^n2 how much of z1/);
      asked.push(at);
    }
    expect(asked).toEqual([300, 800, 1800, 2800, 3800]);
    expect(group.progress()).toMatchObject([{ state: 'install', silent_ms: 4000 }]);
  });

  it('promise 19: that a target lost in a crash are sent again once it is back', () => {
    const lines = begun(20);
    readAll(lines, 20);
    group.tick();
    group.tick();
    const asked = group.tick().at(-1);
    expect(asked).toMatch(/^n2 how much of z1/);
    expect(group.receive(snapshotStored('n2', idOf(asked), 'z1', 3))[0]).toMatch(/^read chunk 3 of 'z1'/);
  });

  it('are requested on each tick when all are stored, because restoring takes time', () => {
    begun(1);
    expect(group.receive(snapshotStored('n2', 5, 'z1', 1))).toEqual([]);
    for (let n = 0; n < 100; n++) {
      const [, asked] = group.tick();
      expect(asked).toMatch(/^n2 how much of z1 #7$/);
    }
    expect(group.receive(snapshotStored('n2', 7, 'z1', 1))).toEqual([]);
    expect(group.tick()[1]).toMatch(/^n2 how much of z1/);
    expect(group.core.dropped).toEqual({});
  });

  it('wait for a tick after a target is busy', () => {
    const lines = begun(20);
    expect(group.receive(rejected('n2', 5, 0, [0, 0], { reason: 'busy' }))).toEqual([]);
    expect(readAll(lines.slice(0, 2), 20)).toEqual([]);
    expect(group.tick()).toEqual([expect.stringMatching(/^n2 after 0\/0/), expect.stringMatching(/^n2 chunk 1 of z1/)]);
  });

  it('end if the target turns out to have another store', () => {
    begun(20);
    group.nowMs += 1000;
    group.receive(rejected('n2:s9', 5, 0, [0, 0], { reason: 'store' }));
    expect(group.progress()).toMatchObject([{ state: 'refused', refusal: 'ESTORE', install: null, in_flight: 0 }]);
    expect(group.receive(snapshotStored('n2', 5, 'z1', 1))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_installing: 1 });
  });

  it.each([
    ['other_store', snapshotStored('n2:s9', 5, 'z1', 1)],
    ['foreign_group', snapshotStored('n2', 5, 'z1', 1, { group_uid: 'other' as GroupUid })],
    ['other_term', snapshotStored('n2', 5, 'z1', 1, { term: asTerm(4) })],
    ['not_a_target', snapshotStored('n9', 5, 'z1', 1)],
    ['other_snapshot', snapshotStored('n2', 5, 'z0', 'installed')],
    ['other_snapshot', snapshotStored('n2', 5, 'z1', 21)],
    ['not_in_flight', snapshotStored('n2', 99, 'z1', 1)],
  ])('are not acknowledged by what is not for them: %s', (reason, message) => {
    begun(20);
    expect(group.receive(message)).toEqual([]);
    expect(group.core.dropped).toEqual({ [reason]: 1 });
    expect(group.progress()).toMatchObject([{ state: 'install', install: { stored: 0 } }]);
  });
});

describe('the snapshot', () => {
  it('promise 19: is abandoned for a newer one', () => {
    const [, read = ''] = begun(3);
    expect(group.receive(group.noChunk(idOf(read), 1, 'replaced'))).toEqual([`read chunk 0 of '' #8`]);
    expect(group.progress()).toMatchObject([{ state: 'install', install: null }]);
    expect(group.receive(group.chunk(8, 0, 'z2', head(950, 4)))).toEqual([expect.stringMatching(/^n2 how much of z2/)]);
    // What is still said of the old one is stale.
    expect(group.receive(snapshotStored('n2', 5, 'z1', 1))).toEqual([]);
    expect(group.core.dropped).toEqual({ other_snapshot: 1 });
  });

  it('is read again with the next tick if the log-store knows another term', () => {
    const [, read = ''] = begun(3);
    expect(group.receive(group.noChunk(idOf(read), 1, 'stale_term'))).toEqual([]);
    expect(group.core.dropped).toEqual({ read_refused: 1 });
    expect(group.tick()).toContainEqual(expect.stringMatching(/^read chunk 1 of 'z1'/));
  });

  it('is read again if a reply is lost', () => {
    begun(3);
    for (let n = 0; n < 4; n++) expect(group.tick().some((line) => line.startsWith('read'))).toBe(false);
    expect(group.tick().filter((line) => line.startsWith('read'))).toHaveLength(2);
  });

  it('that is not there after all: the log is looked at again, with the next tick', () => {
    behind();
    expect(group.receive(group.noChunk(3, 0, 'none'))).toEqual([]);
    expect(group.core.dropped).toEqual({ no_snapshot: 1 });
    expect(group.tick()).toEqual(['n2 after 0/0 #4', 'read from 5, 1 bytes #5']);
  });

  it.each([
    ['of another snapshot', { snapshot_id: 'z2' }],
    ['of none', { snapshot_id: '' as const }],
    ['past the end', { head: head(900, 1) }],
    ['without a head', { head: null }],
    ['that is empty', { chunk: new Uint8Array(0) }],
  ])('is not sent a chunk %s', (_what, over) => {
    const [, read = ''] = begun(3);
    expect(group.receive(group.chunk(idOf(read), 1, 'z1', head(900, 3), over))).toEqual([]);
    expect(group.core.dropped).toEqual({ malformed_chunk: 1 });
    expect(group.tick()).toContainEqual(expect.stringMatching(/^read chunk 1 of 'z1'/));
  });

  it('is not accepted from another session, nor in a reply that was not requested', () => {
    const [, read = ''] = begun(3);
    group.receive(group.chunk(idOf(read), 1, 'z1', head(900, 3), { session: asSession(9), store_id: 's0' as StoreId }));
    group.receive(group.chunk(idOf(read), 2, 'z1', head(900, 3)));
    group.receive(group.chunk(99, 1, 'z1', head(900, 3)));
    expect(group.core.dropped).toEqual({ other_session: 1, not_asked: 2 });
  });
});

describe('the throttle', () => {
  it('makes reads wait for a tick, of a group and of all others in the process', () => {
    // Four chunks a tick.
    const shared = throttle(40 * limits.snapshotChunkBytes);
    group = new LedGroup(shared);
    const lines = begun(20);
    // The first chunk and three more: that was all for now.
    expect(lines).toEqual(['n2 chunk 0 of z1 #5', ...[1, 2, 3].map((n) => `read chunk ${n} of 'z1' #${n + 5}`)]);
    readAll(lines, 20);
    expect(group.receive(snapshotStored('n2', 5, 'z1', 1))).toEqual([]);
    const first = group;
    group = new LedGroup(shared);
    expect(behind()).toEqual([]);
    group = first;
    expect(group.tick().filter((line) => line.startsWith('read'))).toHaveLength(4);
  });
});
