/** `conclave kv` as processes, on a group of one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommandRun, startCommand } from '../support/command.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops } from './fault-mesh.js';

const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: ['n1'], placement: 'one' }, stops);
  await mesh.plain.insist('kv.put', { key: 'first', value: 'v' });
});
afterAll(() => stops.run());

function start(...args: readonly string[]): CommandRun {
  return startCommand(server.url, args);
}

describe('conclave kv range', () => {
  it('lists keys in order, with revision and value, or alone', async () => {
    const { revision } = await mesh.plain.insist('kv.put', { key: 'list/b', value: 'two' });
    await mesh.plain.insist('kv.put', { key: 'list/a', value: 'one' });
    const listed = await start('kv', 'range', 'list/').ended;
    expect(listed).toMatchObject({ code: 0, out: `list/a\t${Number(revision) + 1}\tone\nlist/b\t${revision}\ttwo\n` });
    expect(await start('kv', 'range', 'list/', '--keys', '--limit', '1').ended).toMatchObject({
      code: 0,
      out: 'list/a\n',
    });
    const json = await start('kv', 'range', 'list/b', '--json').ended;
    expect(JSON.parse(json.out)).toEqual({ key: 'list/b', value: 'two', revision });
    expect(await start('kv', 'range', 'nothing').ended).toMatchObject({ code: 0, out: '' });
  });
});
