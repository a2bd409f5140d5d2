import { asLogIndex, asTerm, configurationProblem, encode, encodeBatch } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs, type Found } from './node-on-a-bench.js';
import { configuration } from './told.js';

const two = { lowest: 0, highest: 1 };
const settleMs = 5000;

/** A leader of n1, n2 and n3 that, with all of its processes, speaks levels 0 and 1. */
function leader(options: ConstructorParameters<typeof Bench>[1] = {}, found?: Found): Bench {
  const bench = new Bench('n1', { levelSettleMs: settleMs, ...options });
  bench.levels = two;
  bench.lead(found);
  return bench;
}

/** Lets time pass, while the quorum confirms the leader and its followers say what they speak. */
function pass(bench: Bench, forMs: number, n2: number | null, n3: number | null): string[] {
  const lines: string[] = [];
  for (let ms = 0; ms < forMs; ms += 100) {
    bench.progress(...both(bench, n2, n3));
    lines.push(...bench.wait(100), ...bench.confirmed());
  }
  return lines;
}

function both(bench: Bench, n2: number | null, n3: number | null) {
  const match = bench.summary.last_index;
  return [
    { peer: 'n2', match, level: n2 },
    { peer: 'n3', match, level: n3 },
  ] as const;
}

/** Whether an entry of this level is appended. */
const raised = (lines: readonly string[]) => lines.some((line) => line.includes('level 1'));

describe('promise 31: the feature level', () => {
  test('is raised by the leader once all members have spoken it for as long as it is to settle', () => {
    const bench = leader();
    expect(raised(pass(bench, settleMs, 1, 1))).toBe(false);
    const lines = pass(bench, 200, 1, 1);
    expect(lines).toContainEqual(expect.stringMatching(/feed.append .*n1 n2 n3 level 1/));
    expect(bench.status).toMatchObject({ level: 1, levels: two });
    expect(bench.committed(bench.summary.last_index)).toContainEqual(expect.stringMatching(/event level_raised/));
    expect(raised(pass(bench, 2 * settleMs, 1, 1)), 'only once').toBe(false);
  });

  test('is not raised while one member speaks it not, or has not said, or is silent', () => {
    for (const n3 of [0, null]) {
      const bench = leader();
      expect(raised(pass(bench, 2 * settleMs, 1, n3))).toBe(false);
    }
    const bench = leader();
    for (let ms = 0; ms < 2 * settleMs; ms += 100) {
      const [n2, n3] = both(bench, 1, 1);
      bench.progress(n2, { ...n3, silentMs: electionTimeoutMs + 1 });
      expect(raised([...bench.wait(100), ...bench.confirmed()])).toBe(false);
    }
  });

  test('begins to settle again when a member goes back to an older build', () => {
    const bench = leader();
    pass(bench, settleMs - 500, 1, 1);
    pass(bench, 100, 1, 0);
    expect(raised(pass(bench, settleMs - 500, 1, 1))).toBe(false);
    expect(raised(pass(bench, 1000, 1, 1))).toBe(true);
  });

  test('is not raised while a process of the leader itself is of the first version', () => {
    const bench = leader();
    bench.levels = undefined;
    expect(raised(pass(bench, 2 * settleMs, 1, 1))).toBe(false);
    expect(bench.status.levels).toEqual({ lowest: 0, highest: 0 });
  });

  test('is left to the operator where a process is told so, and then raised at once', () => {
    const bench = leader({ raiseLevel: 'manual' });
    expect(raised(pass(bench, 2 * settleMs, 1, 1))).toBe(false);
    expect(bench.admin('upgrade')).toEqual([
      expect.stringMatching(/^reply 1 .*"level":0,"highest":1.*"raises_in_ms":null,"raised":false/),
    ]);
    expect(bench.admin('upgrade', { raise: true })).toEqual([
      expect.stringMatching(/^event configuration_appended/),
      expect.stringMatching(/^feed.append .*n1 n2 n3 level 1/),
      'replicator.targets n2 n3',
    ]);
    expect(bench.admin('upgrade', { raise: true })).toEqual([expect.stringMatching(/^refuse 3 EBUSY not_done/)]);
    expect(bench.committed(bench.summary.last_index)).toContainEqual(
      expect.stringMatching(/^reply 2 .*"level":1,"highest":1.*"raised":true/),
    );
  });

  test('is refused to the operator as not done, with the names of those who keep it back', () => {
    const bench = leader();
    pass(bench, 100, 1, 0);
    expect(bench.admin('upgrade', { raise: true })).toEqual(['refuse 1 EUNSUPPORTED not_done']);
    expect(bench.admin('upgrade')).toEqual([
      expect.stringContaining(
        '{"peer_id":"n3","version":"","levels":{"lowest":0,"highest":0},"holds_back":"speaks levels 0 to 0"}',
      ),
    ]);
  });

  test('is not raised during a change, and waits for a joiner that speaks it not', () => {
    const bench = leader();
    bench.admin('add_peer', { peer_id: 'n4' });
    bench.progress(...both(bench, 1, 1), { peer: 'n4', match: 0, level: 0 });
    expect(bench.admin('upgrade', { raise: true })).toEqual(['refuse 2 EUNSUPPORTED not_done']);
    bench.progress(...both(bench, 1, 1), { peer: 'n4', match: 0, level: 1 });
    expect(bench.admin('upgrade', { raise: true })).toEqual([expect.stringMatching(/^refuse 3 EBUSY not_done/)]);
  });

  test('is carried on by each later configuration', () => {
    const bench = leader({}, { term: 1, log: [[1, 'n1 n2 n3 level 1']] });
    expect(bench.status.configuration).toMatchObject({ level: 1 });
    pass(bench, 100, 1, 1);
    bench.admin('remove_peer', { peer_id: 'n3' });
    expect(bench.status.configuration).toMatchObject({ level: 1, peers: [{ peer_id: 'n1' }, { peer_id: 'n2' }] });
  });
});

describe('promise 31: a new group', () => {
  const asked = () => {
    const bench = new Bench('n1');
    bench.open();
    bench.admin('bootstrap', { peers: ['n1', 'n2', 'n3'] }, 'peer');
    // Everybody is asked for three election timeouts, and nobody hosts it.
    for (let round = 1; round <= 31; round++) {
      bench.step({ type: 'group_answered', askId: 1, round, status: null, hosts: [] });
      bench.wait(100);
    }
    return bench;
  };

  test('is founded at the highest level that all listed peers speak', () => {
    for (const [levels, level] of [
      [two, 1],
      [undefined, 0],
    ] as const) {
      const bench = asked();
      bench.identity('n2', { levels: two });
      bench.identity('n3', { levels });
      expect(bench.summary).toMatchObject({ last_index: 1, level });
    }
  });

  test('waits for a listed peer that does not know yet what all of its processes speak', () => {
    const bench = asked();
    bench.identity('n2', { levels: two });
    bench.identity('n3', { levels: null });
    expect(bench.summary.last_index).toBe(0);
    bench.identity('n3', { levels: two });
    expect(bench.summary).toMatchObject({ last_index: 1, level: 1 });
  });
});

describe('promise 31: a new peer', () => {
  const at1: Found = { term: 1, log: [[1, 'n1 n2 n3 level 1']] };

  test('that does not speak the group’s level is refused before it counts', () => {
    const bench = leader({}, at1);
    pass(bench, 100, 1, 1);
    bench.admin('add_peer', { peer_id: 'n4' });
    const before = bench.summary.last_index;
    expect(
      bench.progress(...both(bench, 1, 1), { peer: 'n4', match: before, caughtUp: true, level: 0 }),
    ).toContainEqual('refuse 1 EUNSUPPORTED not_done');
    expect(bench.summary.last_index).toBe(before);
  });

  test('that has not said what it speaks does not count before it has', () => {
    const bench = leader({}, at1);
    pass(bench, 100, 1, 1);
    bench.admin('add_peer', { peer_id: 'n4' });
    const before = bench.summary.last_index;
    bench.progress(...both(bench, 1, 1), { peer: 'n4', match: before, caughtUp: true, level: null });
    expect(bench.summary.last_index).toBe(before);
    bench.progress(...both(bench, 1, 1), { peer: 'n4', match: before, caughtUp: true, level: 1 });
    expect(bench.summary.last_index).toBe(before + 1);
  });

  test('is taken in at level 0 though it says nothing of levels, as the first version does not', () => {
    const bench = leader();
    pass(bench, 100, 0, 0);
    bench.admin('add_peer', { peer_id: 'n4' });
    const before = bench.summary.last_index;
    bench.progress(...both(bench, 0, 0), { peer: 'n4', match: before, caughtUp: true, level: null });
    expect(bench.summary.last_index).toBe(before + 1);
  });
});

describe('promise 31: a peer that cannot read an entry', () => {
  const follower = (found: Found, levels = two, unknown = '') => {
    const bench = new Bench('n1', { levels });
    bench.machine.unknown = unknown;
    bench.levels = two;
    bench.open(found);
    return bench;
  };

  test('stops applying there, acknowledges all the same, says so, and does not stand', () => {
    const bench = follower({ term: 1, log: [[1, 'n1 n2 n3']] });
    bench.machine.unknown = 'e3';
    const lines = bench.appendEntries({ prev: [1, 1], entries: [2, 2, 2], commit: 4 });
    expect(lines).toContainEqual(expect.stringMatching(/^log-store.append .*verified 4/));
    bench.wait(100);
    expect(bench.summary).toMatchObject({ applied_index: 2, commit_index: 4 });
    expect(bench.machine.applied).toEqual(['2:e2']);
    expect(bench.core.health()).toEqual({
      healthy: false,
      reason: 'stopped applying at entry 3: it does not know e3',
    });
    expect(bench.appendEntries({ prev: [4, 2], entries: [2], commit: 5, tick: 2 })).toContainEqual(
      expect.stringMatching(/^log-store.append .*verified 5/),
    );
    expect(bench.sent.find(({ message }) => message.name === 'feed.echo')?.message.body).toMatchObject({
      cannot_lead: true,
    });
    expect(bench.wait(5 * electionTimeoutMs).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
    expect(bench.machine.applied).toEqual(['2:e2']);
  });

  test('promise 31: a linearizable read there is refused at once, with the reason; a stale one is answered', () => {
    const bench = follower({ term: 1, log: [[1, 'n1 n2 n3']] }, two, 'e3');
    bench.appendEntries({ prev: [1, 1], entries: [2], commit: 2 });
    bench.wait(100);
    // One that waits when it happens ends then.
    bench.read('early', { door: 'peer', consistency: 'linearizable' });
    bench.readIndexAnswer(1, [3, 2]);
    expect(bench.appendEntries({ prev: [2, 2], entries: [2], commit: 3, tick: 2 }).concat(bench.wait(100))).toContain(
      'refuse 1 EUNSUPPORTED not_done',
    );
    expect(bench.read('late', { door: 'peer', consistency: 'linearizable' })).toContain(
      'refuse 2 EUNSUPPORTED not_done',
    );
    expect(bench.lastError?.message).toContain('stopped applying at entry 3: it does not know e3');
    expect(bench.read('old', { door: 'peer', consistency: 'stale' }).join()).toMatch(/^reply 3/);
  });

  test.each([
    ['that cannot be read', { peers: 'nobody' }, /a configuration that this build cannot read/],
    [
      'with a field that this build does not know',
      { ...configuration('n1 n2 n3'), witness: 'n4' },
      /with fields that this build does not know: witness/,
    ],
    [
      'with such a field of its members',
      {
        ...configuration('n1 n2 n3'),
        peers: configuration('n1 n2 n3').peers.map((member) => ({ ...member, role: 'witness' })),
      },
      /with fields that this build does not know: peers.role$/,
    ],
    ['that is no message', undefined, /a configuration that this build cannot read/],
  ])('promise 31: stops before a configuration %s', (_, value, reason) => {
    const payload = value === undefined ? Uint8Array.of(0xc1) : encode(value);
    expect(configurationProblem(payload)).toMatch(reason);
    expect(configurationProblem(encode(configuration('n1 n2 n3')))).toBe('');
  });

  test.each([
    ['cannot be read', { peers: 'nobody' }],
    ['has more than this build knows', { ...configuration('n1 n2 n3'), witness: 'n4' }],
  ])('promise 31: stores a configuration that %s, does not campaign with it, and stops before it', (_, value) => {
    const bench = follower({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    const bytes = encodeBatch('configuration', asTerm(1), asLogIndex(3), [encode(value)], 1);
    const lines = bench.appendEntries({ prev: [2, 1], batches: [bytes], commit: 2 });
    expect(lines).toContainEqual(expect.stringMatching(/^log-store.append .*verified 3/));
    expect(bench.core.health().reason).toMatch(/^cannot read entry 3: a configuration /);
    expect(bench.wait(5 * electionTimeoutMs).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
    bench.appendEntries({ prev: [3, 1], entries: [1], commit: 4, tick: 2 });
    bench.wait(100);
    expect(bench.summary).toMatchObject({ applied_index: 2, commit_index: 4, last_index: 4 });
    expect(bench.core.health().reason).toMatch(/^stopped applying at entry 3: a configuration /);
  });

  test('promise 31: campaigns again once a configuration that it cannot read is truncated', () => {
    const bench = follower({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    const bytes = encodeBatch('configuration', asTerm(1), asLogIndex(3), [encode({ peers: 'nobody' })], 1);
    bench.appendEntries({ prev: [2, 1], batches: [bytes], commit: 2 });
    bench.appendEntries({ term: 3, from: 'n3', prev: [2, 1], entries: [3], commit: 2 });
    expect(bench.core.health().reason).toBe('');
  });

  test('goes on from that entry once a build runs that can read it', () => {
    const log = [[1, 'n1 n2 n3'], 1, 1, 1] as const;
    const older = follower({ term: 1, log, commit: 4 }, two, 'e3');
    older.wait(100);
    expect(older.machine.applied).toEqual(['2:e2']);
    const newer = follower({ term: 1, log, commit: 4 });
    newer.wait(100);
    expect(newer.machine.applied).toEqual(['2:e2', '3:e3', '4:e4']);
    expect(newer.core.health().reason).toBe('knows no leader');
  });

  test('that leads hands over to one that can, and steps down where there is none', () => {
    const bench = leader();
    bench.machine.unknown = 'x';
    bench.progress(...both(bench, 1, 1));
    bench.propose('x');
    bench.committed(bench.summary.last_index);
    const [n2, n3] = both(bench, 1, 1);
    bench.progress({ ...n2, cannotLead: true }, n3);
    expect(bench.wait(100)).toContainEqual(expect.stringMatching(/^replicator.transfer .*n3/));

    const alone = leader();
    alone.machine.unknown = 'x';
    alone.propose('x');
    alone.committed(alone.summary.last_index);
    const [a, b] = both(alone, 1, 1);
    alone.progress({ ...a, cannotLead: true }, { ...b, silentMs: -1 });
    expect(alone.wait(100)).toContainEqual(expect.stringMatching(/^event leader_stepped_down/));
  });

  test('of a level that is above its own stops before it, and names the level that it needs', () => {
    const bench = follower({ term: 1, log: [[1, 'n1 n2 n3'], 1] }, { lowest: 0, highest: 0 });
    bench.appendEntries({ prev: [2, 1], entries: [[2, 'n1 n2 n3 level 1']], commit: 3 });
    bench.appendEntries({ prev: [3, 2], entries: [2], level: 1, commit: 4, tick: 2 });
    bench.wait(100);
    expect(bench.summary).toMatchObject({ applied_index: 2, commit_index: 4, last_index: 4 });
    expect(bench.core.health().reason).toBe('stopped applying at entry 3: needs level 1: this process speaks 0 to 0');
  });

  test('does not lead, and says which level it needs, when it starts on a log above its level', () => {
    const bench = follower({ term: 1, log: [[1, 'n1 n2 n3 level 2'], 1] });
    expect(bench.core.health().reason).toBe('needs level 2: this process speaks 0 to 1');
    expect(bench.wait(5 * electionTimeoutMs).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
  });

  test('does not lead with a process of the first version in a group of level 1', () => {
    const bench = new Bench('n1');
    bench.levels = undefined;
    bench.open({ term: 1, log: [[1, 'n1 n2 n3 level 1'], 1] });
    expect(bench.core.health().reason).toBe('needs level 1: another process of this peer speaks 0 to 0');
    expect(bench.wait(5 * electionTimeoutMs).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
  });
});

describe('promise 31: versions of a state machine’s commands', () => {
  const reading = (commandVersion?: number) => {
    const bench = new Bench('n1', {}, commandVersion);
    bench.levels = two;
    bench.lead();
    return bench;
  };

  test('a command is proposed once all members that have said so read its version, and refused before', () => {
    const bench = reading(3);
    bench.progress({ peer: 'n2', match: 2, commandVersion: 3 }, { peer: 'n3', match: 2, commandVersion: 2 });
    expect(bench.proposeVersion(3)).toEqual(['refuse 1 EUNSUPPORTED not_done']);
    expect(bench.lastError?.message).toContain('commands of version 3 are not read by n3');
    expect(bench.proposeVersion(2)).toContainEqual(expect.stringMatching(/^feed.append .*entry 3/));
    bench.progress({ peer: 'n2', match: 2, commandVersion: 3 }, { peer: 'n3', match: 2, commandVersion: 4 });
    expect(bench.proposeVersion(3)).toContainEqual(expect.stringMatching(/^feed.append .*entry 4/));
    expect(bench.proposeVersion(4), 'n1 itself').toEqual(['refuse 4 EUNSUPPORTED not_done']);
    expect(bench.status.command_version).toBe(3);
  });

  test('a member that declares none reads version 0; one that has not been heard of holds nothing up', () => {
    const bench = reading(1);
    bench.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2, silentMs: -1 });
    expect(bench.proposeVersion(1)).toEqual(['refuse 1 EUNSUPPORTED not_done']);
    expect(bench.lastError?.message).toContain('are not read by n2:');
    expect(bench.propose('plain')).toContainEqual(expect.stringMatching(/^feed.append/));
    bench.progress({ peer: 'n2', match: 2, commandVersion: 1 }, { peer: 'n3', match: 2, silentMs: -1 });
    expect(bench.proposeVersion(1)).toContainEqual(expect.stringMatching(/^feed.append/));
    expect(reading().status.command_version).toBeUndefined();
  });

  test('a new peer that reads fewer versions than all members do is refused before it counts', () => {
    const members = [
      { peer: 'n2', match: 2, commandVersion: 2 },
      { peer: 'n3', match: 2, commandVersion: 3 },
    ];
    for (const [commandVersion, isTaken] of [
      [1, false],
      [2, true],
    ] as const) {
      const bench = reading(2);
      pass(bench, 100, 1, 1);
      bench.progress(...members);
      bench.admin('add_peer', { peer_id: 'n4' });
      const before = bench.summary.last_index;
      const lines = bench.progress(...members, { peer: 'n4', match: before, caughtUp: true, commandVersion });
      expect(bench.summary.last_index - before).toBe(isTaken ? 1 : 0);
      expect(lines.includes('refuse 1 EUNSUPPORTED not_done')).toBe(!isTaken);
    }
  });
});
