import { asLogIndex, InvariantError, type StoreId } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { commands, LedGroup, own, self, stored, uid } from './replicator-harness.js';

let group: LedGroup;
beforeEach(() => {
  group = new LedGroup();
});

describe('the link', () => {
  it('is acknowledged in the name of the replicators', () => {
    const effects = group.step(group.tickMessage());
    const lacks = { taken_seq: 0, asked_seq: 0 };
    const build = { incarnation: 'r1', levels: { lowest: 0, highest: 1 } };
    const body = { ...own, link: 1, seq: 0, actor: 'replicator', ...build, ...lacks };
    expect(effects).toEqual([{ type: 'send', peerId: self, message: { name: 'node.ack', body } }]);
    expect(group.core.dropped).toEqual({ tick_of_another_session: 1 });
  });

  it('starts again without targets', () => {
    group.inStep();
    group.beginLink();
    expect(group.receive(group.stop())).toEqual([]);
    expect(group.tick()).toEqual([]);
    expect(group.receive(group.lead('n2', 10))).toHaveLength(1);
  });

  it('of a newer session makes the older one stale', () => {
    group.inStep();
    group.beginLink(2);
    group.receive(group.stop());
    group.beginLink(1);
    expect(group.receive(group.entries(1, 5, 5, []))).toEqual([]);
    expect(group.receive(group.lead('n2', 10))).toEqual([]);
    expect(group.core.dropped).toEqual({ other_session: 1, link_stale: 1 });
  });

  it('accepts appends once and in order, and lost ones when they are repeated', () => {
    group.inStep();
    const lost = group.append(commands(11));
    const next = group.append(commands(12));
    expect(group.step(next)).toMatchObject([{ message: { name: 'node.ack', body: { seq: 1 } } }]);
    expect(group.receive(lost)).toEqual(['n2 11..11 after 10/5 #2 subscribe to the feed']);
    expect(group.receive(next)).toEqual(['n2 12..12 after 11/5 #3 subscribe to the feed']);
    expect(group.receive(next)).toEqual([]);
    expect(group.core.dropped).toEqual({ link_gap: 1, link_repeat: 1 });
  });

  it('drops malformed messages, and stops on a message that breaks the order of the log', () => {
    group.inStep();
    const append = group.append(commands(11));
    const { body } = append;
    const [run] = body.runs as [(typeof body.runs)[number]];
    const wrong: Partial<typeof body>[] = [
      { batches: [new Uint8Array(40)] },
      { batches: [...body.batches, ...body.batches] },
      { batches: [commands(12)] },
      { batches: [commands(11, 11, 4)] },
      { runs: [{ ...run, bytes: 1 }] },
      { runs: [{ ...run, last_index: asLogIndex(10) }], batches: [] },
    ];
    for (const over of wrong) expect(group.receive({ ...append, body: { ...body, ...over } })).toEqual([]);
    expect(group.receive(append)).toHaveLength(1);
    expect(group.core.dropped).toEqual({ malformed_append: wrong.length });
    expect(() => group.receive(group.append(commands(14)))).toThrow(InvariantError);
  });

  it('ignores entries of an append that `lead` contained already', () => {
    group.inStep();
    expect(group.receive(group.append(commands(9, 10), commands(11)))).toEqual([
      'n2 11..11 after 10/5 #2 subscribe to the feed',
    ]);
    expect(group.core.dropped).toEqual({ appended_before: 1 });
  });
});

describe('the hand-over', () => {
  it('timeout_now is sent once the target has all entries, and again on every tick until the transfer is withdrawn', () => {
    group.inStep('n2 n3');
    group.receive(group.append(commands(11)));
    expect(group.receive(group.transfer('n2', 11))).toEqual([]);
    expect(group.receive(stored('n3', 10)).slice(1)).toEqual([]);
    const body = { group_id: 'main', group_uid: uid, leader_id: self, term: 5, target_store_id: 's2' };
    expect(group.step(stored('n2', 11))).toEqual([
      { type: 'send', peerId: 'n2', message: { name: 'node.timeout_now', body } },
    ]);
    expect(group.receive(stored('n2', 11))).toEqual([]);
    expect(group.tick()).toContain('n2 timeout_now s2');
    group.receive(group.transfer('', 0));
    expect(group.tick()).not.toContain('n2 timeout_now s2');
  });

  it('timeout_now is sent at once if the target has all entries, and never to an unknown peer', () => {
    group.inStep();
    expect(group.receive(group.transfer('n9', 10))).toEqual([]);
    expect(group.receive(group.transfer('n2', 10))).toEqual(['n2 timeout_now s2']);
  });

  it('ends with a new term', () => {
    group.inStep();
    group.receive(group.transfer('n2', 10));
    group.receive(group.lead('n2', 10));
    group.receive(stored('n2', 10));
    expect(group.tick()).not.toContain('n2 timeout_now s2');
  });
});

it('begins with a random request id, so that a reply to an earlier run does not match', () => {
  const core = group.core;
  const effects = core.step(
    { type: 'message', message: group.lead('n2', 10) },
    { nowMs: 0, wallTimeMs: 0, random: 0.5 },
  );
  expect(effects).toMatchObject([{ message: { body: { request_id: 2 ** 39 + 1, target_store_id: 's2' as StoreId } } }]);
});
