/** What an operator asks before touching a peer, and what health says: on real processes and by a plain client. */
import type { Restart, StatusReply } from '@conclave/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { mayRestart, runAdviceCase } from './restart-advice.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let mesh: Mesh;
let server: NatsServer;
let servers: string;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  servers = server.url;
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four' }, stops);
  await mesh.healthy(...names);
});

afterAll(() => stops.run());

function conclave(...args: readonly string[]) {
  return startCommand(servers, args).ended;
}

/** The leader's status as soon as it is so. */
function leaderSays(what: string, isSo: (status: StatusReply) => boolean): Promise<StatusReply> {
  return until(what, async () => {
    const status = await mesh.leaderStatus();
    return isSo(status) ? status : undefined;
  });
}

function reasonAgainst({ restart }: StatusReply, peer: string): string {
  return restart.find(({ peer_id }: Restart) => peer_id === peer)?.reason ?? '';
}

function readOnly(peer: string, read_only: boolean): Promise<Record<string, unknown>> {
  return mesh.plain.insist(`${peer}.admin.read_only`, { read_only });
}

describe('a read-only peer', () => {
  it('is reachable and votes, and the others continue; it is set on plain NATS, and survives a restart', async () => {
    const { peer_id: leader } = await mesh.leaderStatus();
    const [one = '', other = ''] = names.filter((name) => name !== leader);
    const said = mesh.plain.event('read_only_changed', ({ peer_id, reason }) => peer_id === one && reason === 'told');
    expect(await readOnly(one, true)).toEqual({ read_only: true, reason: 'told' });
    await said;
    await leaderSays(`${one} is read-only`, ({ progress }) =>
      progress.some((each) => each.peer_id === one && each.read_only),
    );
    await mesh.plain.insist('kv.put', { key: 'while', value: 'one is read-only' });
    const { last_index } = await mesh.leaderStatus();
    expect((await mesh.status(one)).last_index).toBeLessThan(last_index);
    expect((await mesh.status(one)).health).toEqual({ healthy: true, reason: 'read-only: operator' });

    const remark = `the node of ${one} in group main is healthy: read-only: operator`;
    expect(await conclave('health', '--peer', one)).toMatchObject({ code: 0, out: `${remark}\n` });
    const all = await conclave('health', '--all-peers', '--json');
    const { healthy, actors } = JSON.parse(all.out) as { healthy: boolean; actors: Record<string, unknown>[] };
    expect({ code: all.code, healthy, asked: actors.length }).toEqual({ code: 0, healthy: true, asked: 12 });
    expect(actors.filter(({ reason }) => reason !== '')).toEqual([
      { group_id: 'main', peer_id: one, actor: 'node', healthy: true, reason: 'read-only: operator' },
    ]);
    expect((await conclave('status')).out).toMatch(new RegExp(`^${one} .*read-only: by an operator, .* free`, 'm'));

    await mesh.kill(one);
    const lost = await conclave('health', '--all-peers', '--timeout-ms', '500');
    expect(lost.code).toBe(1);
    for (const actor of ['node', 'log-store', 'replicator', 'ballot-box']) {
      expect(lost.error).toContain(`the ${actor} of ${one} in group main does not answer`);
    }
    await mesh.start(one);
    await until('it comes back as it was', async () =>
      (await mesh.statusOnce(one)).read_only === 'told' ? true : undefined,
    );

    // A majority: nothing new is taken, and nothing is left unknown.
    await readOnly(other, true);
    await leaderSays('both are', ({ progress }) => progress.every((each) => each.read_only));
    const refused = await mesh.plain.ask('kv.put', { key: 'refused', value: 'x' });
    expect(refused).toMatchObject({ errorCode: 507, body: { error: { code: 'EREADONLY', outcome: 'not_done' } } });
    expect(await mesh.plain.insist('kv.get', { key: 'refused' })).toMatchObject({ value: null });

    await Promise.all([readOnly(one, false), readOnly(other, false)]);
    await mesh.plain.insist('kv.put', { key: 'again', value: 'x' });
    await mesh.caughtUp(...names);
  });

  it('transfers leadership to a writable peer, and no write is lost', async () => {
    const { peer_id: leader, term } = await mesh.leaderStatus();
    await mesh.plain.insist('kv.put', { key: 'before', value: 'x' });
    await readOnly(leader, true);
    await mesh.leaderAfter(term, leader);
    await mesh.plain.insist('kv.put', { key: 'after', value: 'x' });
    expect(await mesh.plain.insist('kv.get', { key: 'before' })).toMatchObject({ value: 'x' });
    const cli = await conclave('peers', 'read-only', leader, 'off');
    expect(cli).toMatchObject({ code: 0, out: expect.stringContaining(`${leader} stores entries`) });
    await mesh.caughtUp(...names);
  });

  it('promise 32: stays leader without a writable quorum, answers reads and rejects writes', async () => {
    const { peer_id: leader, term } = await mesh.leaderStatus();
    const [one = ''] = names.filter((name) => name !== leader);
    await readOnly(one, true);
    await leaderSays(`${one} is read-only`, ({ progress }) =>
      progress.some((each) => each.peer_id === one && each.read_only),
    );
    await readOnly(leader, true);
    const refused = await mesh.plain.ask('kv.put', { key: 'refused', value: 'x' });
    expect(refused.body).toMatchObject({ error: { code: 'EREADONLY', outcome: 'not_done' } });
    expect(await mesh.plain.insist('kv.get', { key: 'after' })).toMatchObject({ value: 'x' });
    const byLease = await mesh.plain.insist('kv.get', { key: 'after', consistency: 'lease' });
    expect(byLease).toMatchObject({ value: 'x' });
    expect(await mesh.leaderStatus()).toMatchObject({ peer_id: leader, term });
    await Promise.all([readOnly(one, false), readOnly(leader, false)]);
    await mesh.plain.insist('kv.put', { key: 'again', value: 'x' });
    await mesh.caughtUp(...names);
  });
});

describe('a peer whose disk has less free space than the reserve', () => {
  it('becomes read-only, reports the free space, and reads continue', async () => {
    const own = new Stops();
    try {
      const args = ['--disk-reserve-mb', '1000000000'];
      const full = await Mesh.open({ servers: [server], peers: ['n7'], placement: 'one', groups: ['full'], args });
      own.add(() => full.stop());
      const said = full.plain.event('read_only_changed', ({ reason }) => reason === 'disk');
      await full.start('n7');
      await said;
      await full.plain.insist('n7.admin.bootstrap', { peers: ['n7'] });
      const { read_only, disk_free_bytes, health } = await full.status('n7');
      expect({ read_only, health }).toEqual({
        read_only: 'disk',
        health: { healthy: true, reason: 'read-only: disk' },
      });
      expect(disk_free_bytes).toBeGreaterThan(0);
      const refused = await full.plain.ask('kv.put', { key: 'a', value: 'x' });
      expect(refused).toMatchObject({ errorCode: 507, body: { error: { code: 'EREADONLY', outcome: 'not_done' } } });
      expect((await full.plain.ask('admin.add_peer', { peer_id: 'n8' })).body).toMatchObject({
        error: { code: 'EREADONLY', outcome: 'not_done' },
      });
      expect(await full.plain.insist('kv.get', { key: 'a' })).toMatchObject({ value: null });
    } finally {
      await own.run();
    }
  });
});

describe('promise 23: status reports whether a peer may be restarted now', () => {
  it('all may if all are caught up; only the lost one if one is lost, with the reason', async () => {
    await leaderSays('all may', (status) => mayRestart(status).length === 3);
    const { peer_id: leader } = await mesh.leaderStatus();
    const [lost = '', left = ''] = names.filter((name) => name !== leader);
    await mesh.kill(lost);
    const reason = new RegExp(
      `^without it 1 of 3 would continue, and 2 are needed: ${lost} (is silent|has stored nothing) for \\d+ ms$`,
    );
    try {
      // On a busy machine another peer may be late, too, for a moment.
      await leaderSays(
        `only ${lost} may`,
        (status) => mayRestart(status).join() === lost && reason.test(reasonAgainst(status, left)),
      );
      await until('conclave status prints the reason', async () => {
        const { out } = await conclave('status');
        if (!out.includes(`${left} must not be restarted now: without it 1 of 3`)) throw new Error(out);
        return true;
      });
    } finally {
      await mesh.start(lost);
    }
    await leaderSays('all may again', (each) => mayRestart(each).length === 3);
  });

  // The whole table is in test/long.
  it.each([
    { actor: 'log-store', of: 'follower', fault: 'paused' },
    { actor: 'log-store', of: 'leader', fault: 'paused' },
    { actor: 'ballot-box', of: 'follower', fault: 'dead' },
  ] as const)(
    'promise 27: each peer that may be restarted can be stopped while the $actor of a $of is $fault',
    async (asked) => {
      await runAdviceCase(mesh, names, asked);
    },
  );

  it('a peer whose log-store is paused is no target of a transfer, and stops a rolling restart, which prints each reason once', async () => {
    await leaderSays('all may', (status) => mayRestart(status).length === 3);
    const { peer_id: leader } = await mesh.leaderStatus();
    const [paused = '', other = ''] = names.filter((name) => name !== leader);
    const logStore = mesh.peer(paused).process('log-store');
    logStore.signal('SIGSTOP');
    try {
      await leaderSays('it stores nothing', ({ progress }) =>
        progress.some(({ peer_id, stored_ms = 0 }) => peer_id === paused && stored_ms > 1000),
      );
      const refused = await mesh.plain.ask('admin.transfer_leader', { peer_id: paused });
      expect(refused.body).toMatchObject({ error: { code: 'EUNREACHABLE', outcome: 'not_done' } });
      await mesh.plain.insist('kv.put', { key: 'after', value: 'the refusal' });
      const restart = (peer: string) => conclave('restart', '--peers', peer, '--run', 'true', '--timeout-ms', '5000');
      const hangs = await restart(paused);
      expect(hangs).toMatchObject({
        code: 4,
        error: expect.stringContaining(`the log-store of ${paused} does not reply`),
      });
      const waits = await restart(other);
      expect(waits).toMatchObject({ code: 3, error: expect.stringContaining('EBUSY: stopped, not within 5000 ms') });
      const notes = waits.error.split('\n').filter((line) => line.includes('waiting until'));
      const kinds = notes.map((line) => line.replace(/\d+ ms/, ''));
      expect(kinds).toEqual([...new Set(kinds)]);
    } finally {
      logStore.signal('SIGCONT');
    }
    await leaderSays('all may again', (each) => mayRestart(each).length === 3);
  });

  it('a rolling restart that asks before each step goes through, and keeps all that was acknowledged', async () => {
    const acknowledged: number[] = [];
    let isOver = false;
    const writing = (async () => {
      for (let number = 1; !isOver; number++) {
        // During an election no peer accepts a write.
        const reply = await mesh.plain.ask('kv.put', { key: 'rolling', value: String(number) }).catch(() => undefined);
        if (reply?.errorCode === 0) acknowledged.push(number);
      }
    })();
    for (const name of names) {
      const before = acknowledged.length;
      await leaderSays(`${name} may`, (status) => mayRestart(status).includes(name));
      await mesh.kill(name);
      await until('the group goes on', async () => (acknowledged.length > before + 5 ? true : undefined));
      await mesh.start(name);
    }
    await leaderSays('all may', (status) => mayRestart(status).length === 3);
    isOver = true;
    await writing;
    const { value } = await mesh.plain.insist('kv.get', { key: 'rolling' });
    expect(Number(value)).toBeGreaterThanOrEqual(acknowledged.at(-1) ?? 0);
  });

  it('only the silent one if another peer is read-only', async () => {
    const { peer_id: leader } = await mesh.leaderStatus();
    const [full = '', left = ''] = names.filter((name) => name !== leader);
    await readOnly(full, true);
    const status = await leaderSays(`${left} must not`, (each) => !mayRestart(each).includes(left));
    expect(reasonAgainst(status, left)).toContain(`${full} is read-only`);
    expect(mayRestart(status)).toContain(full);
    await readOnly(full, false);
    await leaderSays('all may', (each) => mayRestart(each).length === 3);
  });
});

describe('promise 22: health fails, with the reason', () => {
  const health = (peer: string) => conclave('health', '--peer', peer, '--actors', 'node');

  it('of a removed peer', async () => {
    await mesh.plain.insist('admin.transfer_leader', { peer_id: 'n1' });
    await mesh.plain.insist('admin.remove_peer', { peer_id: 'n3' });
    await until('n3 is healthy', async () => ((await mesh.statusOnce('n3')).health.healthy ? undefined : true));
    expect(await health('n3')).toMatchObject({
      code: 1,
      error: expect.stringContaining('removed: this peer is no longer a member of the group'),
    });
    expect(await health('n1')).toMatchObject({ code: 0 });
  });

  it('of a node with a silent actor', async () => {
    await mesh.peer('n2').process('ballot-box').kill();
    await until('n2 is unhealthy', async () => ((await mesh.statusOnce('n2')).health.healthy ? undefined : true));
    expect(await health('n2')).toMatchObject({ code: 1, error: expect.stringContaining('silent: ballot-box') });
    await mesh.peer('n2').process('ballot-box').start();
    await mesh.healthy('n2');
  });

  it('of a node without a leader', async () => {
    await mesh.kill('n1');
    await until('n2 knows no leader', async () => ((await mesh.statusOnce('n2')).leader_id === '' ? true : undefined));
    expect(await health('n2')).toMatchObject({ code: 1, error: expect.stringContaining('knows no leader') });
    await mesh.start('n1');
    await mesh.healthy('n1', 'n2');
  });
});
