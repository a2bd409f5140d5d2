import { defaultTimes, limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';
import { beat, watched, write } from './watch-helpers.js';

/** Of three peers, whose state machine has applied these. */
function leader(...texts: string[]): NodeHarness {
  const node = new NodeHarness();
  node.lead();
  write(node, ...texts);
  return node;
}

const begun = (after: number, revision: number): string =>
  `reply ${JSON.stringify({ after, revision, renewMs: defaultTimes.watchRenewMs })}`;

function answers(lines: string[]): string[] {
  return lines.map((line) => line.replace(/^(reply|refuse) \d+/, '$1'));
}

describe('a watch', () => {
  test('publishes the matching changes that are applied from now on', () => {
    const node = leader('a1', 'b1');
    expect(answers(node.watch('w', 'a'))).toEqual([begun(2, 2)]);
    node.propose('a2', 'b2', 'a3');
    expect(watched(node.committed(7))).toEqual(['publish w 2-5 5:a2 7:a3']);
    // Where nothing matches, the next message goes on behind the last all the same.
    expect(write(node, 'b3')).toEqual([]);
    expect(write(node, 'a4')).toEqual(['publish w 5-7 9:a4']);
  });

  test('publishes earlier changes from a revision on', () => {
    const node = leader('a1', 'a2', 'a3');
    expect(answers(node.watch('w', 'a', 2))).toEqual([begun(1, 3), 'publish w 1-3 4:a2 5:a3']);
    // From the one that comes next.
    expect(answers(node.watch('later', '', 4))).toEqual([begun(3, 3)]);
    expect(write(node, 'b5')).toEqual(['publish later 3-4 6:b5']);
  });

  test('promise 30: from a revision that nothing has yet is refused at once, by a leader that can be sure of it', () => {
    const node = leader('a1', 'a2', 'a3');
    // The first one asks for the lease; the client asks again.
    expect(answers(node.watch('w', '', 5))).toEqual(['refuse EBUSY not_done']);
    node.wait(100);
    node.confirmed(node.tickId, node.tickId);
    expect(answers(node.watch('w', '', 5))).toEqual(['refuse EINVAL not_done']);
    // Without its lease it may have been deposed, and another may have come further.
    node.nowMs = node.tickMs + electionTimeoutMs * 0.9;
    expect(answers(node.watch('w', '', 5))).toEqual(['refuse EBUSY not_done']);
  });

  test('continues where it is when it is renewed, or from the requested revision', () => {
    const node = leader();
    node.watch('w', '');
    expect(write(node, 'a', 'b')).toEqual(['publish w 0-2 3:a 4:b']);
    expect(answers(node.watch('w', ''))).toEqual([begun(2, 2)]);
    // It missed the second.
    expect(answers(node.watch('w', '', 2))).toEqual([begun(1, 2), 'publish w 1-2 4:b']);
  });

  test('sends heartbeats, and ends when its client does not renew it', () => {
    const node = leader('x');
    node.watch('w', 'a');
    expect(beat(node, 900)).toEqual([]);
    expect(beat(node, 200)).toEqual(['publish w 1-1 nothing']);
    write(node, 'b');
    expect(beat(node, 1000)).toEqual(['publish w 1-2 nothing']);
    node.watch('w', 'a');
    beat(node, defaultTimes.watchRenewMs - 1000);
    expect(write(node, 'a1')).toHaveLength(1);
    beat(node, 1200);
    expect(write(node, 'a2')).toEqual([]);
    expect(node.core.dropped).toMatchObject({ watch_not_renewed: 1 });
  });

  test('is refused, or ends, if the requested changes are no longer kept', () => {
    const node = leader('a', 'b', 'c');
    node.machine.firstKnown = 3;
    expect(answers(node.watch('w', '', 2))).toEqual(['refuse ECOMPACTED not_done']);
    expect(answers(node.watch('w', '', 3))).toEqual([begun(2, 3), 'publish w 2-3 5:c']);
    node.machine.firstKnown = 5;
    expect(write(node, 'd', 'e')).toEqual(['publish w 3-3 ECOMPACTED']);
    expect(write(node, 'f')).toEqual([]);
  });

  test('publishes no more than the limit until its client renews it', () => {
    const node = leader();
    node.machine.changeBytes = limits.watchUnreadBytes / 2;
    node.watch('slow', '');
    node.watch('other', 'c');
    // Each is as much as a step sends.
    expect(write(node, 'a')).toEqual(['publish slow 0-1 3:a']);
    expect(write(node, 'b')).toEqual(['publish slow 1-2 4:b']);
    expect(write(node, 'c', 'd')).toEqual(['publish other 0-4 5:c']);
    expect(answers(node.watch('slow', ''))).toEqual([begun(2, 4), 'publish slow 2-4 5:c 6:d']);
  });

  test('shares the steps with others', () => {
    const node = leader();
    node.machine.changeBytes = limits.watchStepBytes;
    for (const watchId of ['one', 'two', 'three']) node.watch(watchId, '');
    expect(write(node, 'a', 'b')).toEqual(['publish one 0-2 3:a 4:b']);
    expect(watched(node.wait(1))).toEqual(['publish two 0-2 3:a 4:b', 'publish three 0-2 3:a 4:b']);
  });

  test('promise 35: is one of a bounded number of its owner, and of the group', () => {
    const node = leader();
    const ask = (owner: string, count: number): string[] =>
      Array.from({ length: count }, (_, at) => answers(node.watch(`${owner}w${at}`, ''))).flat();
    ask('', limits.ownerWatches);
    // Ids of one token name no owner: they count as one owner's.
    expect(answers(node.watch('one-more', ''))).toEqual(['refuse EBUSY not_done']);
    expect(answers(node.watch('w3', ''))).toEqual([begun(0, 0)]);
    for (let owner = 1; owner < limits.watches / limits.ownerWatches; owner++) {
      expect(ask(`o${owner}.`, limits.ownerWatches)).not.toContain('refuse EBUSY not_done');
      expect(answers(node.watch(`o${owner}.one-more`, ''))).toEqual(['refuse EBUSY not_done']);
    }
    expect(answers(node.watch('another.w', ''))).toEqual(['refuse EBUSY not_done']);
    expect(answers(node.unwatch('o1.w7'))).toEqual(['reply {"closed":true}']);
    expect(answers(node.watch('another.w', ''))).toEqual([begun(0, 0)]);
  });

  test('promise 35: a closed watch ends at once', () => {
    const node = leader('a');
    node.watch('o.w', '');
    node.watch('o.other', '');
    expect(answers(node.unwatch('o.w'))).toEqual(['reply {"closed":true}']);
    expect(write(node, 'b')).toEqual(['publish o.other 1-2 4:b']);
    expect(answers(node.unwatch('o.w'))).toEqual(['reply {"closed":false}']);
    // Short watches leave no trace.
    for (let at = 0; at < 2 * limits.ownerWatches; at++) {
      expect(answers(node.watch(`o.w${at}`, ''))).toEqual([begun(2, 2)]);
      node.unwatch(`o.w${at}`);
    }
  });

  test('belongs to the client that began it: its id with another selector or encoding is refused', () => {
    const node = leader();
    node.watch('o.w', 'a');
    expect(answers(node.watch('o.w', 'b'))).toEqual(['refuse EINVAL not_done']);
    expect(answers(node.watch('o.w', ''))).toEqual(['refuse EINVAL not_done']);
    expect(answers(node.watch('o.w', 'a', 1, 'msgpack'))).toEqual(['refuse EINVAL not_done']);
    expect(write(node, 'a', 'b')).toEqual(['publish o.w 0-2 3:a']);
    expect(answers(node.watch('o.w', 'a', 1))).toEqual([begun(0, 2), 'publish o.w 0-2 3:a']);
  });

  test('ends soon after NATS reports that no client is subscribed, and only if that lasts', () => {
    const node = leader();
    node.watch('o.w', '');
    node.watch('o.reconnects', '');
    node.noSubscribers('o.w');
    node.noSubscribers('o.reconnects');
    expect(write(node, 'a')).toHaveLength(2);
    beat(node, defaultTimes.watchHeartbeatMs);
    node.noSubscribers('o.w');
    expect(write(node, 'b')).toEqual(['publish o.reconnects 1-2 4:b']);
    beat(node, 4 * defaultTimes.watchHeartbeatMs);
    node.noSubscribers('o.reconnects');
    expect(write(node, 'c')).toHaveLength(1);
    expect(node.core.dropped).toMatchObject({ watch_without_subscriber: 1 });
  });

  test('ends with an error when the peer steps down', () => {
    const node = leader('a');
    node.watch('w', '');
    const lines = node.higherTerm('n2', 9);
    expect(watched(lines)).toEqual(['publish w 1-1 EPERM']);
    expect(watched(node.wait(5000))).toEqual([]);
  });

  test('ends when the node is fenced, and nothing is published after that', () => {
    const node = leader('a');
    node.machine.changeBytes = limits.watchStepBytes;
    for (const watchId of ['one', 'two']) node.watch(watchId, '');
    // The second one's turn is yet to come.
    expect(write(node, 'b')).toEqual(['publish one 1-2 4:b']);
    expect(watched(node.fencedBy(9))).toEqual(['publish one 2-2 EPERM', 'publish two 1-1 EPERM']);
    expect(watched(node.wait(5000))).toEqual([]);
  });

  test('is refused by a follower, and by a leader before it knows which entries are committed', () => {
    const follower = new NodeHarness();
    follower.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    expect(answers(follower.watch('w', ''))).toEqual([]);
    expect(answers(follower.wait(electionTimeoutMs - 1))).toEqual([]);
    const node = new NodeHarness();
    node.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    node.confirmed();
    expect(answers(node.watch('w', ''))).toEqual(['refuse EBUSY not_done']);
    node.committed(2);
    expect(answers(node.watch('w', ''))).toEqual([begun(0, 0)]);
  });
});
