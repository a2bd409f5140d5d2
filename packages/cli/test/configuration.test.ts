import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyConfiguration, readConfiguration } from '../src/configuration/apply.js';
import { Contexts, currentContext } from '../src/configuration/contexts.js';
import { optionsOf } from '../src/configuration/schema.js';
import { allNodes, commandTree, isRunnable } from '../src/help/command-tree.js';
import { loginLayers, loginOf, openLogin } from '../src/login.js';
import { createProgram } from '../src/program.js';

let folder = '';
let environment: NodeJS.ProcessEnv = {};
const outer = { ...process.env };
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'conclave-configuration-'));
  environment = { XDG_CONFIG_HOME: folder };
  for (const name of Object.keys(process.env)) if (/^(NATS_URL|CONCLAVE_)/.test(name)) delete process.env[name];
});
afterEach(() => {
  Object.assign(process.env, outer);
  rmSync(folder, { recursive: true, force: true });
});

function file(text: string, name = 'conclave.yaml'): string {
  const where = path.join(folder, name);
  writeFileSync(where, text);
  return where;
}

/** The options that a command runs with, and its servers. */
async function optionsFor(words: readonly string[]) {
  const program = createProgram();
  let found: Record<string, unknown> = {};
  applyConfiguration(program, createProgram, words, environment);
  for (const { command, path: place } of allNodes(commandTree(program))) {
    command.exitOverride().configureOutput({ writeErr: () => undefined });
    if (place.length === 0) continue;
    if (isRunnable({ command, path: place, options: [], arguments: [], children: command.commands as never })) {
      command.action(() => {
        found = command.opts();
      });
    }
  }
  await program.parseAsync([...words], { from: 'user' });
  return {
    options: found,
    servers: 'nats' in found || words[0] !== 'config' ? loginOf(found, environment).servers : [],
  };
}

describe('a configuration file', () => {
  it('is less than a variable, which is less than an option', async () => {
    const config = file(
      'peer: n7\nelection-timeout-ms: 3000\nnats: [nats://a:1, nats://b:2]\ngroups: [orders, main]\nmirror: true\n',
    );
    const fromFile = await optionsFor(['run', '--config', config]);
    expect(fromFile.options).toMatchObject({
      peer: 'n7',
      electionTimeoutMs: 3000,
      groups: ['orders', 'main'],
      mirror: true,
    });
    expect(fromFile.servers).toEqual(['nats://a:1', 'nats://b:2']);

    process.env.CONCLAVE_ELECTION_TIMEOUT_MS = '4000';
    environment.NATS_URL = 'nats://c:3';
    const fromVariables = await optionsFor(['run', '--config', config]);
    expect(fromVariables.options).toMatchObject({ peer: 'n7', electionTimeoutMs: 4000 });
    expect(fromVariables.servers).toEqual(['nats://c:3']);

    const given = await optionsFor([
      'run',
      '--config',
      config,
      '--election-timeout-ms',
      '5000',
      '--nats',
      'nats://d:4',
    ]);
    expect(given.options).toMatchObject({ electionTimeoutMs: 5000 });
    expect(given.servers).toEqual(['nats://d:4']);
  });

  it('is JSON as well, may be named by a variable, and may be about one command', async () => {
    const text = {
      group: 'orders',
      'timeout-ms': 900,
      commands: { 'kv range': { limit: 5, group: 'main', keys: true } },
    };
    environment.CONCLAVE_CONFIG = file(JSON.stringify(text), 'conclave.json');
    expect((await optionsFor(['kv', 'range'])).options).toMatchObject({
      limit: 5,
      group: 'main',
      keys: true,
      timeoutMs: 900,
    });
    expect((await optionsFor(['kv', 'get', 'key'])).options).toMatchObject({ group: 'orders', timeoutMs: 900 });
  });

  it('is read by the processes that a command starts, too', async () => {
    await optionsFor(['up', '--config', file('peers: 3\n'.replace('peers: 3', 'election-timeout-ms: 3000'))]);
    expect(environment.CONCLAVE_CONFIG).toBe(path.join(folder, 'conclave.yaml'));
  });

  it('may have every option of every command but those that choose it', () => {
    const program = createProgram();
    const nodes = allNodes(commandTree(program)).filter((node) => node.path.length > 0 && isRunnable(node));
    const commands = nodes.map(({ path: words, command }) => {
      const keys = optionsOf(command).map(({ flags }) => /--([a-z-]+)/.exec(flags)?.[1]);
      return [words.join(' '), Object.fromEntries(keys.map((key) => [key, null]))] as const;
    });
    const refusal = refusalOf(file(JSON.stringify({ commands: Object.fromEntries(commands) }), 'all.json'));
    // Each is known, and no value of any is null.
    expect(refusal).not.toContain('there is no setting');
    expect(refusal).toContain('commands.run.peer: ');
    expect(refusal).toContain('commands.permissions.json: ');
    expect(refusal.split('\n')).toHaveLength(nodes.flatMap(({ command }) => optionsOf(command)).length);
  });

  it('is rejected with all its faults, in the order of its lines', () => {
    const text = 'peer: n1\nelection-timeout-ms: soon\nelecton-timeout-ms: 5\ngroup: a.b\n';
    const places = refusalOf(file(text))
      .split('\n')
      .map((line) => /:(\d+:\d+): /.exec(line)?.[1]);
    expect(places).toEqual(['2:1', '3:1', '4:1']);
  });

  it.each([
    ['peer: n1\nelecton-timeout-ms: 5\n', ':2:1: there is no setting electon-timeout-ms'],
    ['commands:\n  kv get:\n    limitt: 5\n', ':3:5: there is no setting commands.kv get.limitt'],
    ['commands:\n  kv gett: {}\n', ':2:3: there is no setting commands.kv gett'],
    ['group: main\nelection-timeout-ms: soon\n', ':2:1: election-timeout-ms: a whole number from 1'],
    ['log-level: loud\n', ':1:1: log-level: Allowed choices are'],
    ['peer: a.b\n', ':1:1: peer: "a.b" is not a valid name of a peer'],
    ['mirror: sometimes\n', ':1:1: mirror: '],
    ['nats: {url: x}\n', ':1:1: nats: a text, a number or a list of them is wanted'],
    ['group: [\n', ':'],
    ['group: a\ngroup: b\n', ':2:1: Map keys must be unique'],
    ['- group\n', ':1:1: '],
  ])('%j is refused, with the place', (text, message) => {
    const config = file(text);
    expect(() => readConfiguration(createProgram(), config)).toThrow(`${config}${message}`);
  });

  it('adds nothing to the login that a command passes to its child process', async () => {
    const config = file('nats-user: ann\nnats-password-file: /nowhere\n');
    Object.assign(environment, openLogin('nats://127.0.0.1:5').environment, { CONCLAVE_CONFIG: config });
    await optionsFor(['run', '--peer', 'n1']);
    expect(loginLayers({}, environment)).toEqual([{}, { servers: 'nats://127.0.0.1:5' }]);
    expect(loginLayers({}, { CONCLAVE_CONFIG: config })).toContainEqual({ user: 'ann', passwordFile: '/nowhere' });
  });

  it('is reported if it cannot be read, or is no JSON in spite of its name', () => {
    expect(() => readConfiguration(createProgram(), path.join(folder, 'none.yaml'))).toThrow('cannot be read');
    expect(() => readConfiguration(createProgram(), file('group: main\n', 'a.json'))).toThrow('a.json: ');
  });

  it('is not quoted where it is damaged: URLs of servers may have secrets', () => {
    for (const [name, text] of [
      ['a.json', '{"nats": sesame@a}'],
      ['b.json', '{"nats": "nats://ann:sesame@a", group: main}'],
      ['c.yaml', 'nats: "a" sesame@a\n'],
      ['d.yaml', 'nats: "nats://a"sesame@b\n'],
    ] as const) {
      const refusal = refusalOf(file(text, name));
      expect(refusal).toContain(`${name}:`);
      expect(refusal).not.toContain('sesame');
    }
  });
});

function refusalOf(config: string): string {
  try {
    readConfiguration(createProgram(), config);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a context', () => {
  const contexts = () => new Contexts(commandTree(createProgram()), environment);

  it('of a folder that cannot be read is not reported as missing', () => {
    const home = mkdtempSync(path.join(tmpdir(), 'conclave-contexts-'));
    try {
      mkdirSync(path.join(home, 'conclave'));
      symlinkSync('contexts', path.join(home, 'conclave', 'contexts'));
      const unreadable = new Contexts(commandTree(createProgram()), { XDG_CONFIG_HOME: home });
      expect(() => unreadable.list()).toThrow('ELOOP');
      expect(() => unreadable.use('production')).toThrow('ELOOP');
    } finally {
      rmSync(home, { recursive: true });
    }
  });

  it('contains where a group is, for the commands that use it and not for those that run peers', async () => {
    contexts().add('production', { nats: ['nats://far:4222'], group: 'orders' });
    contexts().use('production');
    const asked = await optionsFor(['status']);
    expect(asked.options).toMatchObject({ group: 'orders' });
    expect(asked.servers).toEqual(['nats://far:4222']);
    expect((await optionsFor(['up'])).options).toMatchObject({ group: 'main' });
    expect((await optionsFor(['status', '--config', file('group: main\n')])).options).toMatchObject({ group: 'main' });
    delete environment.CONCLAVE_CONFIG;
    contexts().add('other', { group: 'other' });
    expect((await optionsFor(['status', '--context', 'other'])).options).toMatchObject({ group: 'other' });
    contexts().remove('production');
    expect(currentContext(environment)).toBeUndefined();
  });

  it('may be one of the nats tool', async () => {
    process.env.XDG_CONFIG_HOME = folder;
    mkdirSync(path.join(folder, 'nats', 'context'), { recursive: true });
    writeFileSync(path.join(folder, 'nats', 'context', 'far.json'), '{"url":"nats://of-the-tool:4222"}');
    expect(contexts().list()).toEqual(['nats:far']);
    contexts().use('nats:far');
    expect((await optionsFor(['kv', 'get', 'key'])).servers).toEqual(['nats://of-the-tool:4222']);
    contexts().add('mine', { 'nats-context': 'far', group: 'orders' });
    expect((await optionsFor(['kv', 'get', 'key', '--context', 'mine'])).servers).toEqual(['nats://of-the-tool:4222']);
  });

  it('can be used in every folder: the paths of its files are absolute', () => {
    contexts().add('mine', { 'nats-creds': 'operator.creds', 'nats-tls-ca': '/etc/ca.pem', 'nats-user': 'ann' });
    expect(contexts().read('mine')).toEqual({
      'nats-creds': path.resolve('operator.creds'),
      'nats-tls-ca': '/etc/ca.pem',
      'nats-user': 'ann',
    });
    contexts().add('of-the-tool', { 'nats-context': 'far' });
    contexts().add('of-a-file', { 'nats-context': './far.json' });
    expect(contexts().read('of-the-tool')).toEqual({ 'nats-context': 'far' });
    expect(contexts().read('of-a-file')).toEqual({ 'nats-context': path.resolve('far.json') });
  });

  it('is a file that only its user reads, and refused where it is not there', async () => {
    expect(() => contexts().use('none')).toThrow('there is no context none; create one with `conclave context add`');
    contexts().add('mine', { group: 'orders' });
    expect(statSync(path.join(folder, 'conclave', 'contexts', 'mine.json')).mode & 0o077).toBe(0);
    expect(() => contexts().use('none')).toThrow('there is no context none; there are mine');
    expect(() => contexts().add('../x', {})).toThrow('no name of a context');
    expect(() => contexts().remove('nats:x')).toThrow('nats context rm');
    await expect(optionsFor(['status', '--context', 'none'])).rejects.toThrow('there is no context none');
  });
});

describe('a setting that has the content of a file instead of its name', () => {
  const contents = [
    '{"url": "nats://a:1", "password": "geheim"}',
    '{\n  "password": "geheim"\n}',
    'nats-user: ann\nnats-password-file: geheim\n',
    'nats: geheim@a:1',
    `SU${'A'.repeat(50)}GEHEIM`,
  ];
  const settings: Record<string, (content: string) => Promise<unknown>> = {
    '--config': (content) => optionsFor(['status', '--config', content]),
    CONCLAVE_CONFIG: (content) => {
      environment.CONCLAVE_CONFIG = content;
      return optionsFor(['status']);
    },
    CONCLAVE_CONTEXT: (content) => {
      environment.CONCLAVE_CONTEXT = content;
      return optionsFor(['status']);
    },
    '--context': (content) => optionsFor(['status', '--context', content]),
    '--context of the nats command': (content) => optionsFor(['status', '--context', `nats:${content}`]),
    'context add': async (content) => new Contexts(commandTree(createProgram()), environment).add(content, {}),
  };

  it.each(Object.keys(settings))('%s is reported without that content', async (name) => {
    for (const content of contents) {
      const error = await settings[name]?.(content).then(
        () => undefined,
        (thrown: Error) => thrown,
      );
      // A seed is a possible name of a context.
      if (name === 'context add' && content.startsWith('SU')) continue;
      expect(error?.message, content).toMatch(/the content of|the given name/);
      expect(error?.message.toLowerCase()).not.toContain('geheim');
    }
  });
});
