import { asLogIndex, asTerm, configurationProblem, encode, encodeBatch } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { configuration } from '../format-effects.js';
import { electionTimeoutMs, type Found, NodeHarness } from '../node-harness.js';

const two = { lowest: 0, highest: 1 };
const settleMs = 5000;

/** A leader of n1, n2 and n3 that, with all of its processes, supports levels 0 and 1. */
function leader(options: ConstructorParameters<typeof NodeHarness>[1] = {}, found?: Found): NodeHarness {
  const node = new NodeHarness('n1', { levelSettleMs: settleMs, ...options });
  node.levels = two;
  node.lead(found);
  return node;
}

/** Lets time pass, while the quorum confirms the leader and its followers report which levels they support. */
function pass(node: NodeHarness, forMs: number, n2: number | null, n3: number | null): string[] {
  const lines: string[] = [];
  for (let ms = 0; ms < forMs; ms += 100) {
    node.progress(...both(node, n2, n3));
    lines.push(...node.wait(100), ...node.confirmed());
  }
  return lines;
}

function both(node: NodeHarness, n2: number | null, n3: number | null) {
  const match = node.summary.last_index;
  return [
    { peer: 'n2', match, level: n2 },
    { peer: 'n3', match, level: n3 },
  ] as const;
}

/** Whether an entry of this level is appended. */
const raised = (lines: readonly string[]) => lines.some((line) => line.includes('level 1'));

describe('promise 31: the feature level', () => {
  test('is raised by the leader once all members have supported it for the settle time', () => {
    const node = leader();
    expect(raised(pass(node, settleMs, 1, 1))).toBe(false);
    const lines = pass(node, 200, 1, 1);
    expect(lines).toContainEqual(expect.stringMatching(/feed.append .*n1 n2 n3 level 1/));
    expect(node.status).toMatchObject({ level: 1, levels: two });
    expect(node.committed(node.summary.last_index)).toContainEqual(expect.stringMatching(/event level_raised/));
    expect(raised(pass(node, 2 * settleMs, 1, 1)), 'only once').toBe(false);
  });

  test('is not raised while one member does not support it, or has not reported, or is silent', () => {
    for (const n3 of [0, null]) {
      const node = leader();
      expect(raised(pass(node, 2 * settleMs, 1, n3))).toBe(false);
    }
    const node = leader();
    for (let ms = 0; ms < 2 * settleMs; ms += 100) {
      const [n2, n3] = both(node, 1, 1);
      node.progress(n2, { ...n3, silentMs: electionTimeoutMs + 1 });
      expect(raised([...node.wait(100), ...node.confirmed()])).toBe(false);
    }
  });

  test('begins to settle again when a member returns to an older build', () => {
    const node = leader();
    pass(node, settleMs - 500, 1, 1);
    pass(node, 100, 1, 0);
    expect(raised(pass(node, settleMs - 500, 1, 1))).toBe(false);
    expect(raised(pass(node, 1000, 1, 1))).toBe(true);
  });

  test('is not raised while a process of the leader itself is of the first version', () => {
    const node = leader();
    node.levels = undefined;
    expect(raised(pass(node, 2 * settleMs, 1, 1))).toBe(false);
    expect(node.status.levels).toEqual({ lowest: 0, highest: 0 });
  });

  test('is left to the operator with `--raise-level manual`, and then raised at once', () => {
    const node = leader({ raiseLevel: 'manual' });
    expect(raised(pass(node, 2 * settleMs, 1, 1))).toBe(false);
    expect(node.admin('upgrade')).toEqual([
      expect.stringMatching(/^reply 1 .*"level":0,"highest":1.*"raises_in_ms":null,"raised":false/),
    ]);
    expect(node.admin('upgrade', { raise: true })).toEqual([
      expect.stringMatching(/^event configuration_appended/),
      expect.stringMatching(/^feed.append .*n1 n2 n3 level 1/),
      'replicator.targets n2 n3',
    ]);
    expect(node.admin('upgrade', { raise: true })).toEqual([expect.stringMatching(/^refuse 3 EBUSY not_done/)]);
    expect(node.committed(node.summary.last_index)).toContainEqual(
      expect.stringMatching(/^reply 2 .*"level":1,"highest":1.*"raised":true/),
    );
  });

  test('is refused to the operator as not done, with the names of the peers that prevent it', () => {
    const node = leader();
    pass(node, 100, 1, 0);
    expect(node.admin('upgrade', { raise: true })).toEqual(['refuse 1 EUNSUPPORTED not_done']);
    expect(node.admin('upgrade')).toEqual([
      expect.stringContaining(
        '{"peer_id":"n3","version":"","levels":{"lowest":0,"highest":0},"holds_back":"supports levels 0 to 0"}',
      ),
    ]);
  });

  test('is not raised during a change, and waits for a new peer that does not support it', () => {
    const node = leader();
    node.admin('add_peer', { peer_id: 'n4' });
    node.progress(...both(node, 1, 1), { peer: 'n4', match: 0, level: 0 });
    expect(node.admin('upgrade', { raise: true })).toEqual(['refuse 2 EUNSUPPORTED not_done']);
    node.progress(...both(node, 1, 1), { peer: 'n4', match: 0, level: 1 });
    expect(node.admin('upgrade', { raise: true })).toEqual([expect.stringMatching(/^refuse 3 EBUSY not_done/)]);
  });

  test('is inherited by each later configuration', () => {
    const node = leader({}, { term: 1, log: [[1, 'n1 n2 n3 level 1']] });
    expect(node.status.configuration).toMatchObject({ level: 1 });
    pass(node, 100, 1, 1);
    node.admin('remove_peer', { peer_id: 'n3' });
    expect(node.status.configuration).toMatchObject({ level: 1, peers: [{ peer_id: 'n1' }, { peer_id: 'n2' }] });
  });
});

describe('promise 31: a new group', () => {
  const asked = () => {
    const node = new NodeHarness('n1');
    node.open();
    node.admin('bootstrap', { peers: ['n1', 'n2', 'n3'] }, 'peer');
    // Everybody is asked for three election timeouts, and nobody hosts it.
    for (let round = 1; round <= 31; round++) {
      node.step({ type: 'group_answered', askId: 1, round, status: null, hosts: [] });
      node.wait(100);
    }
    return node;
  };

  test('is founded at the highest level that all listed peers support', () => {
    for (const [levels, level] of [
      [two, 1],
      [undefined, 0],
    ] as const) {
      const node = asked();
      node.identity('n2', { levels: two });
      node.identity('n3', { levels });
      expect(node.summary).toMatchObject({ last_index: 1, level });
    }
  });

  test('waits for a listed peer that does not know yet which levels its processes support', () => {
    const node = asked();
    node.identity('n2', { levels: two });
    node.identity('n3', { levels: null });
    expect(node.summary.last_index).toBe(0);
    node.identity('n3', { levels: two });
    expect(node.summary).toMatchObject({ last_index: 1, level: 1 });
  });
});

describe('promise 31: a new peer', () => {
  const at1: Found = { term: 1, log: [[1, 'n1 n2 n3 level 1']] };

  test('that does not support the group’s level is refused before it is a member', () => {
    const node = leader({}, at1);
    pass(node, 100, 1, 1);
    node.admin('add_peer', { peer_id: 'n4' });
    const before = node.summary.last_index;
    expect(node.progress(...both(node, 1, 1), { peer: 'n4', match: before, caughtUp: true, level: 0 })).toContainEqual(
      'refuse 1 EUNSUPPORTED not_done',
    );
    expect(node.summary.last_index).toBe(before);
  });

  test('that has not reported its levels is not a member before it has', () => {
    const node = leader({}, at1);
    pass(node, 100, 1, 1);
    node.admin('add_peer', { peer_id: 'n4' });
    const before = node.summary.last_index;
    node.progress(...both(node, 1, 1), { peer: 'n4', match: before, caughtUp: true, level: null });
    expect(node.summary.last_index).toBe(before);
    node.progress(...both(node, 1, 1), { peer: 'n4', match: before, caughtUp: true, level: 1 });
    expect(node.summary.last_index).toBe(before + 1);
  });

  test('is added at level 0 although it reports no levels, as the first version does not', () => {
    const node = leader();
    pass(node, 100, 0, 0);
    node.admin('add_peer', { peer_id: 'n4' });
    const before = node.summary.last_index;
    node.progress(...both(node, 0, 0), { peer: 'n4', match: before, caughtUp: true, level: null });
    expect(node.summary.last_index).toBe(before + 1);
  });
});

describe('promise 31: a peer that cannot read an entry', () => {
  const follower = (found: Found, levels = two, unknown = '') => {
    const node = new NodeHarness('n1', { levels });
    node.machine.unknown = unknown;
    node.levels = two;
    node.open(found);
    return node;
  };

  test('stops applying there, continues to acknowledge, reports it, and does not campaign', () => {
    const node = follower({ term: 1, log: [[1, 'n1 n2 n3']] });
    node.machine.unknown = 'e3';
    const lines = node.appendEntries({ prev: [1, 1], entries: [2, 2, 2], commit: 4 });
    expect(lines).toContainEqual(expect.stringMatching(/^log-store.append .*verified 4/));
    node.wait(100);
    expect(node.summary).toMatchObject({ applied_index: 2, commit_index: 4 });
    expect(node.machine.applied).toEqual(['2:e2']);
    expect(node.core.health()).toEqual({
      healthy: false,
      reason: 'stopped applying at entry 3: it does not know e3',
    });
    expect(node.appendEntries({ prev: [4, 2], entries: [2], commit: 5, tick: 2 })).toContainEqual(
      expect.stringMatching(/^log-store.append .*verified 5/),
    );
    expect(node.sent.find(({ message }) => message.name === 'feed.echo')?.message.body).toMatchObject({
      cannot_lead: true,
    });
    expect(node.wait(5 * electionTimeoutMs).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
    expect(node.machine.applied).toEqual(['2:e2']);
  });

  test('promise 31: a linearizable read there is refused at once, with the reason; a stale one is answered', () => {
    const node = follower({ term: 1, log: [[1, 'n1 n2 n3']] }, two, 'e3');
    node.appendEntries({ prev: [1, 1], entries: [2], commit: 2 });
    node.wait(100);
    // One that waits when it happens ends then.
    node.read('early', { addressee: 'peer', consistency: 'linearizable' });
    node.readIndexAnswer(1, [3, 2]);
    expect(node.appendEntries({ prev: [2, 2], entries: [2], commit: 3, tick: 2 }).concat(node.wait(100))).toContain(
      'refuse 1 EUNSUPPORTED not_done',
    );
    expect(node.read('late', { addressee: 'peer', consistency: 'linearizable' })).toContain(
      'refuse 2 EUNSUPPORTED not_done',
    );
    expect(node.lastError?.message).toContain('stopped applying at entry 3: it does not know e3');
    expect(node.read('old', { addressee: 'peer', consistency: 'stale' }).join()).toMatch(/^reply 3/);
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
    const node = follower({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    const bytes = encodeBatch('configuration', asTerm(1), asLogIndex(3), [encode(value)], 1);
    const lines = node.appendEntries({ prev: [2, 1], batches: [bytes], commit: 2 });
    expect(lines).toContainEqual(expect.stringMatching(/^log-store.append .*verified 3/));
    expect(node.core.health().reason).toMatch(/^cannot read entry 3: a configuration /);
    expect(node.wait(5 * electionTimeoutMs).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
    node.appendEntries({ prev: [3, 1], entries: [1], commit: 4, tick: 2 });
    node.wait(100);
    expect(node.summary).toMatchObject({ applied_index: 2, commit_index: 4, last_index: 4 });
    expect(node.core.health().reason).toMatch(/^stopped applying at entry 3: a configuration /);
  });

  test('promise 31: campaigns again once a configuration that it cannot read is truncated', () => {
    const node = follower({ term: 1, log: [[1, 'n1 n2 n3'], 1] });
    const bytes = encodeBatch('configuration', asTerm(1), asLogIndex(3), [encode({ peers: 'nobody' })], 1);
    node.appendEntries({ prev: [2, 1], batches: [bytes], commit: 2 });
    node.appendEntries({ term: 3, from: 'n3', prev: [2, 1], entries: [3], commit: 2 });
    expect(node.core.health().reason).toBe('');
  });

  test('continues with that entry once a build runs that can read it', () => {
    const log = [[1, 'n1 n2 n3'], 1, 1, 1] as const;
    const older = follower({ term: 1, log, commit: 4 }, two, 'e3');
    older.wait(100);
    expect(older.machine.applied).toEqual(['2:e2']);
    const newer = follower({ term: 1, log, commit: 4 });
    newer.wait(100);
    expect(newer.machine.applied).toEqual(['2:e2', '3:e3', '4:e4']);
    expect(newer.core.health().reason).toBe('knows no leader');
  });

  test('that leads transfers leadership to a peer that can, and steps down if there is none', () => {
    const node = leader();
    node.machine.unknown = 'x';
    node.progress(...both(node, 1, 1));
    node.propose('x');
    node.committed(node.summary.last_index);
    const [n2, n3] = both(node, 1, 1);
    node.progress({ ...n2, cannotLead: true }, n3);
    expect(node.wait(100)).toContainEqual(expect.stringMatching(/^replicator.transfer .*n3/));

    const alone = leader();
    alone.machine.unknown = 'x';
    alone.propose('x');
    alone.committed(alone.summary.last_index);
    const [a, b] = both(alone, 1, 1);
    alone.progress({ ...a, cannotLead: true }, { ...b, silentMs: -1 });
    expect(alone.wait(100)).toContainEqual(expect.stringMatching(/^event leader_stepped_down/));
  });

  test('of a level that is above its own stops before it, and names the level that it needs', () => {
    const node = follower({ term: 1, log: [[1, 'n1 n2 n3'], 1] }, { lowest: 0, highest: 0 });
    node.appendEntries({ prev: [2, 1], entries: [[2, 'n1 n2 n3 level 1']], commit: 3 });
    node.appendEntries({ prev: [3, 2], entries: [2], level: 1, commit: 4, tick: 2 });
    node.wait(100);
    expect(node.summary).toMatchObject({ applied_index: 2, commit_index: 4, last_index: 4 });
    expect(node.core.health().reason).toBe('stopped applying at entry 3: needs level 1: this process supports 0 to 0');
  });

  test('does not lead, and reports which level it needs, when it starts with a log above its level', () => {
    const node = follower({ term: 1, log: [[1, 'n1 n2 n3 level 2'], 1] });
    expect(node.core.health().reason).toBe('needs level 2: this process supports 0 to 1');
    expect(node.wait(5 * electionTimeoutMs).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
  });

  test('does not lead with a process of the first version in a group of level 1', () => {
    const node = new NodeHarness('n1');
    node.levels = undefined;
    node.open({ term: 1, log: [[1, 'n1 n2 n3 level 1'], 1] });
    expect(node.core.health().reason).toBe('needs level 1: another process of this peer supports 0 to 0');
    expect(node.wait(5 * electionTimeoutMs).filter((line) => line.startsWith('ballot-box.elect'))).toEqual([]);
  });
});

describe('promise 31: versions of a state machine’s commands', () => {
  const reading = (commandVersion?: number) => {
    const node = new NodeHarness('n1', {}, commandVersion);
    node.levels = two;
    node.lead();
    return node;
  };

  test('a command is proposed once all members that have reported read its version, and refused before', () => {
    const node = reading(3);
    node.progress({ peer: 'n2', match: 2, commandVersion: 3 }, { peer: 'n3', match: 2, commandVersion: 2 });
    expect(node.proposeVersion(3)).toEqual(['refuse 1 EUNSUPPORTED not_done']);
    expect(node.lastError?.message).toContain('n3 cannot read commands of version 3');
    expect(node.proposeVersion(2)).toContainEqual(expect.stringMatching(/^feed.append .*entry 3/));
    node.progress({ peer: 'n2', match: 2, commandVersion: 3 }, { peer: 'n3', match: 2, commandVersion: 4 });
    expect(node.proposeVersion(3)).toContainEqual(expect.stringMatching(/^feed.append .*entry 4/));
    expect(node.proposeVersion(4), 'n1 itself').toEqual(['refuse 4 EUNSUPPORTED not_done']);
    expect(node.status.command_version).toBe(3);
  });

  test('a member that declares no version reads version 0; one that has not reported prevents nothing', () => {
    const node = reading(1);
    node.progress({ peer: 'n2', match: 2 }, { peer: 'n3', match: 2, silentMs: -1 });
    expect(node.proposeVersion(1)).toEqual(['refuse 1 EUNSUPPORTED not_done']);
    expect(node.lastError?.message).toContain('n2 cannot read commands of version');
    expect(node.propose('plain')).toContainEqual(expect.stringMatching(/^feed.append/));
    node.progress({ peer: 'n2', match: 2, commandVersion: 1 }, { peer: 'n3', match: 2, silentMs: -1 });
    expect(node.proposeVersion(1)).toContainEqual(expect.stringMatching(/^feed.append/));
    expect(reading().status.command_version).toBeUndefined();
  });

  test('a new peer that reads fewer versions than all members is refused before it is a member', () => {
    const members = [
      { peer: 'n2', match: 2, commandVersion: 2 },
      { peer: 'n3', match: 2, commandVersion: 3 },
    ];
    for (const [commandVersion, isTaken] of [
      [1, false],
      [2, true],
    ] as const) {
      const node = reading(2);
      pass(node, 100, 1, 1);
      node.progress(...members);
      node.admin('add_peer', { peer_id: 'n4' });
      const before = node.summary.last_index;
      const lines = node.progress(...members, { peer: 'n4', match: before, caughtUp: true, commandVersion });
      expect(node.summary.last_index - before).toBe(isTaken ? 1 : 0);
      expect(lines.includes('refuse 1 EUNSUPPORTED not_done')).toBe(!isTaken);
    }
  });
});
