import { defaultTimes, limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs } from './node-on-a-bench.js';

/** Of three peers, whose state machine has applied these. */
function leader(...texts: string[]): Bench {
  const bench = new Bench();
  bench.lead();
  write(bench, ...texts);
  return bench;
}

/** Without what proposals answer. */
function write(bench: Bench, ...texts: string[]): string[] {
  if (texts.length > 0) bench.propose(...texts);
  return watched(bench.committed(bench.summary.last_index));
}

function watched(lines: string[]): string[] {
  return lines.filter((line) => line.startsWith('publish'));
}

/** Time passes with a quorum at hand, and one sign of life after the other. */
function beat(bench: Bench, forMs: number): string[] {
  const lines: string[] = [];
  for (let passed = 0; passed < forMs; passed += 100) {
    lines.push(...watched(bench.wait(100)));
    bench.confirmed();
  }
  return lines;
}

const begun = (after: number, revision: number): string =>
  `reply ${JSON.stringify({ after, revision, renewMs: defaultTimes.watchRenewMs })}`;

function answers(lines: string[]): string[] {
  return lines.map((line) => line.replace(/^(reply|refuse) \d+/, '$1'));
}

describe('a watch', () => {
  test('tells what is applied from now on, and matches', () => {
    const bench = leader('a1', 'b1');
    expect(answers(bench.watch('w', 'a'))).toEqual([begun(2, 2)]);
    bench.propose('a2', 'b2', 'a3');
    expect(watched(bench.committed(7))).toEqual(['publish w 2-5 5:a2 7:a3']);
    // Where nothing matches, the next message goes on behind the last all the same.
    expect(write(bench, 'b3')).toEqual([]);
    expect(write(bench, 'a4')).toEqual(['publish w 5-7 9:a4']);
  });

  test('tells what has been from a revision on', () => {
    const bench = leader('a1', 'a2', 'a3');
    expect(answers(bench.watch('w', 'a', 2))).toEqual([begun(1, 3), 'publish w 1-3 4:a2 5:a3']);
    // From the one that comes next.
    expect(answers(bench.watch('later', '', 4))).toEqual([begun(3, 3)]);
    expect(write(bench, 'b5')).toEqual(['publish later 3-4 6:b5']);
  });

  test('promise 30: from a revision that nothing has yet is refused at once, by a leader that can be sure of it', () => {
    const bench = leader('a1', 'a2', 'a3');
    bench.wait(100);
    bench.confirmed(bench.tickId, bench.tickId);
    expect(answers(bench.watch('w', '', 5))).toEqual(['refuse EINVAL not_done']);
    // Without its lease it may have been deposed, and another may have come further.
    bench.nowMs = bench.tickMs + electionTimeoutMs * 0.9;
    expect(answers(bench.watch('w', '', 5))).toEqual(['refuse EBUSY not_done']);
  });

  test('goes on where it is when it is asked for again, or from where it is wanted', () => {
    const bench = leader();
    bench.watch('w', '');
    expect(write(bench, 'a', 'b')).toEqual(['publish w 0-2 3:a 4:b']);
    expect(answers(bench.watch('w', ''))).toEqual([begun(2, 2)]);
    // It missed the second.
    expect(answers(bench.watch('w', '', 2))).toEqual([begun(1, 2), 'publish w 1-2 4:b']);
  });

  test('gives signs of life, and ends when nobody asks for it any more', () => {
    const bench = leader('x');
    bench.watch('w', 'a');
    expect(beat(bench, 900)).toEqual([]);
    expect(beat(bench, 200)).toEqual(['publish w 1-1 nothing']);
    write(bench, 'b');
    expect(beat(bench, 1000)).toEqual(['publish w 1-2 nothing']);
    bench.watch('w', 'a');
    beat(bench, defaultTimes.watchRenewMs - 1000);
    expect(write(bench, 'a1')).toHaveLength(1);
    beat(bench, 1200);
    expect(write(bench, 'a2')).toEqual([]);
    expect(bench.core.dropped).toMatchObject({ watch_not_asked_for_again: 1 });
  });

  test('is refused, or ended, where what it wants is no longer known', () => {
    const bench = leader('a', 'b', 'c');
    bench.machine.firstKnown = 3;
    expect(answers(bench.watch('w', '', 2))).toEqual(['refuse ECOMPACTED not_done']);
    expect(answers(bench.watch('w', '', 3))).toEqual([begun(2, 3), 'publish w 2-3 5:c']);
    bench.machine.firstKnown = 5;
    expect(write(bench, 'd', 'e')).toEqual(['publish w 3-3 ECOMPACTED']);
    expect(write(bench, 'f')).toEqual([]);
  });

  test('is told no more than somebody reads who does not ask again', () => {
    const bench = leader();
    bench.machine.changeBytes = limits.watchUnreadBytes / 2;
    bench.watch('slow', '');
    bench.watch('other', 'c');
    // Each is as much as a step tells.
    expect(write(bench, 'a')).toEqual(['publish slow 0-1 3:a']);
    expect(write(bench, 'b')).toEqual(['publish slow 1-2 4:b']);
    expect(write(bench, 'c', 'd')).toEqual(['publish other 0-4 5:c']);
    expect(answers(bench.watch('slow', ''))).toEqual([begun(2, 4), 'publish slow 2-4 5:c 6:d']);
  });

  test('shares the steps with others', () => {
    const bench = leader();
    bench.machine.changeBytes = limits.watchStepBytes;
    for (const watchId of ['one', 'two', 'three']) bench.watch(watchId, '');
    expect(write(bench, 'a', 'b')).toEqual(['publish one 0-2 3:a 4:b']);
    expect(watched(bench.wait(1))).toEqual(['publish two 0-2 3:a 4:b', 'publish three 0-2 3:a 4:b']);
  });

  test('promise 35: is one of a bounded number of its owner, and of the group', () => {
    const bench = leader();
    const ask = (owner: string, count: number): string[] =>
      Array.from({ length: count }, (_, at) => answers(bench.watch(`${owner}w${at}`, ''))).flat();
    ask('', limits.ownerWatches);
    // Ids of one token name no owner: they count as one owner's.
    expect(answers(bench.watch('one-more', ''))).toEqual(['refuse EBUSY not_done']);
    expect(answers(bench.watch('w3', ''))).toEqual([begun(0, 0)]);
    for (let owner = 1; owner < limits.watches / limits.ownerWatches; owner++) {
      expect(ask(`o${owner}.`, limits.ownerWatches)).not.toContain('refuse EBUSY not_done');
      expect(answers(bench.watch(`o${owner}.one-more`, ''))).toEqual(['refuse EBUSY not_done']);
    }
    expect(answers(bench.watch('another.w', ''))).toEqual(['refuse EBUSY not_done']);
    expect(answers(bench.unwatch('o1.w7'))).toEqual(['reply {"closed":true}']);
    expect(answers(bench.watch('another.w', ''))).toEqual([begun(0, 0)]);
  });

  test('promise 35: a closed watch ends at once', () => {
    const bench = leader('a');
    bench.watch('o.w', '');
    bench.watch('o.other', '');
    expect(answers(bench.unwatch('o.w'))).toEqual(['reply {"closed":true}']);
    expect(write(bench, 'b')).toEqual(['publish o.other 1-2 4:b']);
    expect(answers(bench.unwatch('o.w'))).toEqual(['reply {"closed":false}']);
    // Short watches leave no trace.
    for (let at = 0; at < 2 * limits.ownerWatches; at++) {
      expect(answers(bench.watch(`o.w${at}`, ''))).toEqual([begun(2, 2)]);
      bench.unwatch(`o.w${at}`);
    }
  });

  test('belongs to the client that began it: its id with another selector or encoding is refused', () => {
    const bench = leader();
    bench.watch('o.w', 'a');
    expect(answers(bench.watch('o.w', 'b'))).toEqual(['refuse EINVAL not_done']);
    expect(answers(bench.watch('o.w', ''))).toEqual(['refuse EINVAL not_done']);
    expect(answers(bench.watch('o.w', 'a', 1, 'msgpack'))).toEqual(['refuse EINVAL not_done']);
    expect(write(bench, 'a', 'b')).toEqual(['publish o.w 0-2 3:a']);
    expect(answers(bench.watch('o.w', 'a', 1))).toEqual([begun(0, 2), 'publish o.w 0-2 3:a']);
  });

  test('ends soon after NATS says that nobody is subscribed, and only if that lasts', () => {
    const bench = leader();
    bench.watch('o.w', '');
    bench.watch('o.reconnects', '');
    bench.unheard('o.w');
    bench.unheard('o.reconnects');
    expect(write(bench, 'a')).toHaveLength(2);
    beat(bench, defaultTimes.watchHeartbeatMs);
    bench.unheard('o.w');
    expect(write(bench, 'b')).toEqual(['publish o.reconnects 1-2 4:b']);
    beat(bench, 4 * defaultTimes.watchHeartbeatMs);
    bench.unheard('o.reconnects');
    expect(write(bench, 'c')).toHaveLength(1);
    expect(bench.core.dropped).toMatchObject({ watch_without_subscriber: 1 });
  });

  test('ends when the peer steps down, and says so', () => {
    const bench = leader('a');
    bench.watch('w', '');
    const lines = bench.higherTerm('n2', 9);
    expect(watched(lines)).toEqual(['publish w 1-1 EPERM']);
    expect(watched(bench.wait(5000))).toEqual([]);
  });

  test('ends when the node is fenced, and nothing of it comes after that', () => {
    const bench = leader('a');
    bench.machine.changeBytes = limits.watchStepBytes;
    for (const watchId of ['one', 'two']) bench.watch(watchId, '');
    // The second one's turn is yet to come.
    expect(write(bench, 'b')).toEqual(['publish one 1-2 4:b']);
    expect(watched(bench.fencedBy(9))).toEqual(['publish one 2-2 EPERM', 'publish two 1-1 EPERM']);
    expect(watched(bench.wait(5000))).toEqual([]);
  });

  test('is none of a follower, nor of a leader before it knows what is committed', () => {
    const follower = new Bench();
    follower.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    expect(answers(follower.watch('w', ''))).toEqual([]);
    expect(answers(follower.wait(electionTimeoutMs - 1))).toEqual([]);
    const bench = new Bench();
    bench.open({ term: 1, log: [[1, 'n1 n2 n3']] });
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    bench.confirmed();
    expect(answers(bench.watch('w', ''))).toEqual(['refuse EBUSY not_done']);
    bench.committed(2);
    expect(answers(bench.watch('w', ''))).toEqual([begun(0, 0)]);
  });
});
