/** What `conclave peers change` leaves on a person's terminal, and what it asks there. */
import path from 'node:path';
import { Terminal } from '@xterm/headless';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { exitOf, spawnGuarded } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops } from './fault-mesh.js';

const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: ['n1', 'n2', 'n3'], placement: 'one' }, stops);
  await mesh.peer('n4').start();
  await mesh.plain.insist('kv.put', { key: 'first', value: 'v' });
});
afterAll(() => stops.run());

const command = path.resolve('packages/cli/bin/conclave.js');

/** Runs it on a terminal of that width. `answer` is typed once it asks. */
async function onTerminal(columns: number, args: readonly string[], answer?: string) {
  const words = `stty cols ${columns} rows 40 -echo; exec ${process.execPath} ${command} ${args.join(' ')}`;
  const child = spawnGuarded('script', ['-qec', words, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NATS_URL: server.url, TERM: 'xterm' },
  });
  const terminal = new Terminal({ cols: columns, rows: 40, allowProposedApi: true });
  let written = '';
  let isAnswered = false;
  const drawn: Promise<void>[] = [];
  child.stdout?.on('data', (data: Buffer) => {
    written += data.toString();
    drawn.push(new Promise((resolve) => terminal.write(data, resolve)));
    if (!isAnswered && answer !== undefined && written.includes('[y/N] ')) {
      isAnswered = true;
      child.stdin?.write(`${answer}\n`);
    }
  });
  const { code } = await exitOf(child);
  await Promise.all(drawn);
  const { buffer } = terminal;
  const lines = Array.from({ length: buffer.active.length }, (_, at) => buffer.active.getLine(at));
  const screen: string[] = [];
  for (const line of lines) {
    const text = line?.translateToString(true) ?? '';
    // What was too long for one line goes on in the next.
    if (line?.isWrapped === true) screen.push(`${screen.pop() ?? ''}${text}`);
    else screen.push(text);
  }
  return { code, screen: screen.filter((text) => text !== '') };
}

const known = [
  /^stage (catching up|joint|stable): \{[n1-4,]+\} to \{[n1-4,]+\}$/,
  /^n\d: \{[n1-4,]+\} (is )?committed.*$/,
  /^n\d leads in term \d+$/,
  /^n\d .*(steps down|stepped down).*$/,
  /^missing votes: .*$/,
  /^(asked|over|stage [a-z ]+), .*$/,
  /^ {2}n\d +\[[#-]{30}\] \d+ %( {2}.*)?$/,
  /^done: \{[n1-4,]+\} to \{[n1-4,]+\} in [^-#]*$/,
];

describe('conclave peers change on a terminal', () => {
  it.each([
    [60, ['n1', 'n2', 'n4']],
    [120, ['n1', 'n2', 'n3']],
  ] as const)('leaves whole lines and no remnants of others, %i columns wide', async (columns, peers) => {
    const { code, screen } = await onTerminal(columns, ['peers', 'change', ...peers]);
    expect({ code, strange: screen.filter((line) => !known.some((one) => one.test(line))), screen }).toMatchObject({
      code: 0,
      strange: [],
    });
    expect(screen.at(-1)).toMatch(/^done: /);
  });

  it('asks before it reduces the fault tolerance, does nothing on no, and needs --yes without a terminal', async () => {
    const members = async () => {
      const { configuration } = await mesh.plain.insist('admin.status');
      return (configuration as { peers: unknown[] }).peers.length;
    };
    const asked = await onTerminal(100, ['peers', 'remove', 'n3'], 'n');
    expect(asked.code).toBe(1);
    expect(asked.screen.join('\n')).toContain('The group can lose 1 of {n1,n2,n3} and go on');
    const refused = await startCommand(server.url, ['peers', 'remove', 'n3']).ended;
    expect(refused).toMatchObject({ code: 2, error: expect.stringContaining('not done without --yes') });
    expect(await members()).toBe(3);
    expect((await startCommand(server.url, ['peers', 'remove', 'n9']).ended).out).toBe(
      'n9 is no member of the group main: nothing to do\n',
    );
    expect(await onTerminal(100, ['peers', 'remove', 'n3'], 'y')).toMatchObject({ code: 0 });
    expect(await members()).toBe(2);
    expect(await startCommand(server.url, ['peers', 'add', 'n3']).ended).toMatchObject({ code: 0 });
  });

  it('names the new leader after a transfer, and prints a short summary after a change', async () => {
    const { leader_id } = await mesh.plain.insist('admin.status');
    const { code, out } = await startCommand(server.url, ['leader', 'transfer']).ended;
    expect(code).toBe(0);
    expect(out).toMatch(/^n\d leads now\n$/);
    expect(out).not.toContain(leader_id);
  });
});
