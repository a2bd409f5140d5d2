import { InvariantError, type StoreId } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { commands, LedGroup, own, self, stored, uid } from './led-group.js';

let group: LedGroup;
beforeEach(() => {
  group = new LedGroup();
});

/** Leads with `n2` in step at entry 10 of term 5. */
function inStep(targets = 'n2'): void {
  group.hear(group.lead(targets, 10));
  group.hear(stored('n2', 10));
}

describe('the link', () => {
  it('is acknowledged in the name of the replicators', () => {
    const effects = group.step(group.tickMessage());
    const body = { ...own, link: 1, seq: 0, actor: 'replicator', incarnation: 'r1' };
    expect(effects).toEqual([{ type: 'send', peerId: self, message: { name: 'node.ack', body } }]);
    expect(group.core.dropped).toEqual({ tick_of_another_session: 1 });
  });

  it('starts over with nobody to replicate to', () => {
    inStep();
    group.beginLink();
    expect(group.hear(group.stop())).toEqual([]);
    expect(group.tick()).toEqual([]);
    expect(group.hear(group.lead('n2', 10))).toHaveLength(1);
  });

  it('of a newer session makes the older one stale', () => {
    inStep();
    group.beginLink(2);
    group.hear(group.stop());
    group.beginLink(1);
    expect(group.hear(group.entries(1, 5, 5, []))).toEqual([]);
    expect(group.hear(group.lead('n2', 10))).toEqual([]);
    expect(group.core.dropped).toEqual({ other_session: 1, link_stale: 1 });
  });

  it('takes a repeat of the feed by the own subject, once and in order', () => {
    inStep();
    const lost = group.append(commands(11));
    const next = group.append(commands(12));
    expect(group.step(next)).toMatchObject([{ message: { name: 'node.ack', body: { seq: 1 } } }]);
    if (lost.name !== 'feed.append') throw new Error('an append');
    expect(group.hear({ name: 'replicator.append', body: lost.body })).toEqual(['n2 11..11 after 10/5 #2']);
    expect(group.hear(next)).toEqual(['n2 12..12 after 11/5 #3']);
    expect(group.hear(next)).toEqual([]);
    expect(group.core.dropped).toEqual({ link_gap: 1, link_repeat: 1 });
  });

  it('does not take what is malformed, and stops on what breaks the order of the log', () => {
    inStep();
    const append = group.append(commands(11));
    if (append.name !== 'feed.append') throw new Error('an append');
    const { body } = append;
    expect(group.hear({ name: 'feed.append', body: { ...body, batches: [new Uint8Array(40)] } })).toEqual([]);
    expect(group.hear({ name: 'feed.append', body: { ...body, links: {} } })).toEqual([]);
    expect(group.hear(append)).toHaveLength(1);
    expect(group.core.dropped).toEqual({ malformed_batch: 1, not_for_the_replicators: 1 });
    expect(() => group.hear(group.append(commands(14)))).toThrow(InvariantError);
  });

  it('knows that what it was told with `lead` comes again in an append', () => {
    inStep();
    expect(group.hear(group.append(commands(9, 10), commands(11)))).toEqual(['n2 11..11 after 10/5 #2']);
    expect(group.core.dropped).toEqual({ appended_before: 1 });
  });
});

describe('the hand-over', () => {
  it('comes once the target has all, exactly, and again on every tick until it is taken back', () => {
    inStep('n2 n3');
    group.hear(group.append(commands(11)));
    expect(group.hear(group.transfer('n2', 11))).toEqual([]);
    expect(group.hear(stored('n3', 10)).slice(1)).toEqual([]);
    const body = { group_id: 'main', group_uid: uid, leader_id: self, term: 5, target_store_id: 's2' };
    expect(group.step(stored('n2', 11))).toEqual([
      { type: 'send', peerId: 'n2', message: { name: 'node.timeout_now', body } },
    ]);
    expect(group.hear(stored('n2', 11))).toEqual([]);
    expect(group.tick()).toContain('n2 timeout_now s2');
    group.hear(group.transfer('', 0));
    expect(group.tick()).not.toContain('n2 timeout_now s2');
  });

  it('comes at once where the target has all, and never to one that is unknown', () => {
    inStep();
    expect(group.hear(group.transfer('n9', 10))).toEqual([]);
    expect(group.hear(group.transfer('n2', 10))).toEqual(['n2 timeout_now s2']);
  });

  it('ends with a new term', () => {
    inStep();
    group.hear(group.transfer('n2', 10));
    group.hear(group.lead('n2', 10));
    group.hear(stored('n2', 10));
    expect(group.tick()).not.toContain('n2 timeout_now s2');
  });
});

it('begins its requests at random, so that an answer to an earlier run is none to this', () => {
  const core = group.core;
  const effects = core.step(
    { type: 'message', message: group.lead('n2', 10) },
    { nowMs: 0, wallTimeMs: 0, random: 0.5 },
  );
  expect(effects).toMatchObject([{ message: { body: { request_id: 2 ** 39 + 1, target_store_id: 's2' as StoreId } } }]);
});
