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

/** What is typed once the terminal shows `after`. */
interface Typed {
  readonly after: string;
  readonly keys: string;
}

function answerOf(keys: string): Typed {
  return { after: '[y/N] ', keys };
}

const [ctrlC, ctrlD] = ['\u0003', '\u0004'];

/** Runs it on a terminal of that width. */
async function onTerminal(columns: number, args: readonly string[], typed?: Typed) {
  const words = `stty cols ${columns} rows 40 -echo; exec ${process.execPath} ${command} ${args.join(' ')}`;
  const child = spawnGuarded('script', ['-qec', words, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NATS_URL: server.url, TERM: 'xterm' },
  });
  const terminal = new Terminal({ cols: columns, rows: 40, allowProposedApi: true });
  let written = '';
  let isTyped = false;
  const drawn: Promise<void>[] = [];
  child.stdout?.on('data', (data: Buffer) => {
    written += data.toString();
    drawn.push(new Promise((resolve) => terminal.write(data, resolve)));
    if (!isTyped && typed !== undefined && written.includes(typed.after)) {
      isTyped = true;
      child.stdin?.write(typed.keys);
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
  return { code, written, screen: screen.filter((text) => text !== '') };
}

const known = [
  /^stage (catching up|joint|stable): \{[n1-4,]+\} to \{[n1-4,]+\}$/,
  /^n\d: \{[n1-4,]+\} (is )?committed.*$/,
  /^n\d leads in term \d+$/,
  /^n\d was removed from the group, at index \d+$/,
  /^n\d .*(steps down|stepped down).*$/,
  /^missing votes: .*$/,
  /^(asked|over|stage [a-z ]+), .*$/,
  /^ {2}n\d +\[[#-]{20,30}\] \d+ %( .*)?$/,
  /^done: \{[n1-4,]+\} to \{[n1-4,]+\} in [^-#]*$/,
];

describe('conclave peers change on a terminal', () => {
  it.each([
    [60, ['n1', 'n2', 'n4']],
    [120, ['n1', 'n2', 'n3']],
    [40, ['n1', 'n2', 'n4']],
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
    const asked = await onTerminal(100, ['peers', 'remove', 'n3'], answerOf('n\n'));
    expect(asked.code).toBe(1);
    expect(asked.screen.join('\n')).toContain('The group can lose 1 of {n1,n2,n3} and continue');
    const refused = await startCommand(server.url, ['peers', 'remove', 'n3']).ended;
    expect(refused).toMatchObject({ code: 2, error: expect.stringContaining('not done without --yes') });
    expect(await members()).toBe(3);
    expect((await startCommand(server.url, ['peers', 'remove', 'n9']).ended).out).toBe(
      'n9 is no member of the group main: nothing to do\n',
    );
    expect(await onTerminal(100, ['peers', 'remove', 'n3'], answerOf('y\n'))).toMatchObject({ code: 0 });
    expect(await members()).toBe(2);
    expect(await startCommand(server.url, ['peers', 'add', 'n3']).ended).toMatchObject({ code: 0 });
  });

  it.each([
    ['Ctrl-C', ctrlC, 130, 'conclave: interrupted'],
    ['the end of the input', ctrlD, 1, 'conclave: nothing was done'],
  ] as const)('ends at %s in place of an answer', async (_, keys, code, last) => {
    for (const args of [
      ['peers', 'remove', 'n3'],
      ['groups', 'delete', 'main', '--peers', 'n1'],
    ]) {
      const ended = await onTerminal(200, args, answerOf(keys));
      expect({ args, code: ended.code, last: ended.screen.at(-1) }).toEqual({ args, code, last });
    }
    expect(((await mesh.plain.insist('admin.status')).configuration as { peers: unknown[] }).peers).toHaveLength(3);
  });

  it('ends at Ctrl-C during a change, leaves the terminal as it was, and prints how the change continues', async () => {
    // A new peer that answers nothing.
    const silent = mesh.peer('n4').process('node');
    silent.signal('SIGSTOP');
    const ended = await onTerminal(120, ['peers', 'add', 'n4'], { after: 'stage catching up, ', keys: ctrlC });
    silent.signal('SIGCONT');
    expect(ended).toMatchObject({ code: 130 });
    expect(ended.screen.join('\n')).toContain('the group may continue the change: see `conclave status`');
    for (const [shown, hidden] of [
      ['\u001b[?25h', '\u001b[?25l'],
      ['\u001b[?7h', '\u001b[?7l'],
    ] as const) {
      expect(ended.written).toContain(hidden);
      expect(ended.written.lastIndexOf(shown)).toBeGreaterThan(ended.written.lastIndexOf(hidden));
    }
    await startCommand(server.url, ['peers', 'cancel']).ended;
  });

  it('names the new leader after a transfer, and prints a short summary after a change', async () => {
    const { leader_id } = await mesh.plain.insist('admin.status');
    const { code, out } = await startCommand(server.url, ['leader', 'transfer']).ended;
    expect(code).toBe(0);
    expect(out).toMatch(/^n\d leads now\n$/);
    expect(out).not.toContain(leader_id);
  });
});
