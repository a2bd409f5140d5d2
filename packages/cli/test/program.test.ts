import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../src/program.js';

/** `peers change` and the like, without the hidden ones. */
function words(command: Command, before = ''): string[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .flatMap((child) => {
      if (child.name() === 'help') return [];
      const name = `${before}${child.name()}`;
      return child.commands.length === 0 ? [name] : words(child, `${name} `);
    });
}

function commandOf(name: string): Command {
  let command = createProgram();
  for (const word of name.split(' ')) {
    const child = command.commands.find((candidate) => candidate.name() === word);
    if (child === undefined) throw new Error(`no command ${name}`);
    command = child;
  }
  return command;
}

const all = words(createProgram());

describe('docker-compose.yml', () => {
  it('hands on each setting of `run` but those that it sets itself', () => {
    const compose = readFileSync(new URL('../../../docker-compose.yml', import.meta.url), 'utf8');
    const settings = commandOf('run').options.flatMap(({ envVar, hidden }) => (hidden ? [] : (envVar ?? [])));
    const own = ['CONCLAVE_PEER', 'CONCLAVE_ACTORS', 'CONCLAVE_DATA_DIR', 'NATS_URL'];
    const missing = settings.filter((name) => !own.includes(name) && !compose.includes(`\n  ${name}:\n`));
    expect(settings.length).toBeGreaterThan(own.length);
    expect(missing).toEqual([]);
  });
});

describe('the command', () => {
  it('has the words of DESIGN section 7', () => {
    expect(all).toEqual([
      'run',
      'up',
      'bootstrap',
      'status',
      'check',
      'credentials',
      'groups list',
      'groups create',
      'groups delete',
      'upgrade',
      'peers add',
      'peers remove',
      'peers change',
      'peers read-only',
      'peers reset',
      'peers cancel',
      'restart',
      'leader transfer',
      'snapshot',
      'kv put',
      'kv get',
      'kv range',
      'kv watch',
      'kv delete',
      'kv cas',
      'txn',
      'lease grant',
      'lease keep',
      'lease revoke',
      'lease get',
      'lease list',
      'lock list',
      'lock get',
      'lock run',
      'watch',
      'view',
      'record',
      'permissions',
      'backup',
      'restore',
      'bench',
      'soak',
      'demo',
      'health',
      'exporter',
      'log-level',
      'profile',
      'config check',
      'context add',
      'context use',
      'context list',
      'context remove',
      'version',
      'completion',
      'man',
    ]);
  });

  it.each(all.filter((name) => !['run', 'health', 'completion', 'man'].includes(name)))(
    '%s knows --json and describes what it does',
    (name) => {
      const command = commandOf(name);
      expect(command.options.map((option) => option.long)).toContain('--json');
      expect(command.description()).not.toBe('');
    },
  );

  it.each([
    ['groups list', '--group'],
    ['groups create', '--group'],
    ['groups delete', '--group'],
    ['watch', '--timeout-ms'],
    ['kv watch', '--timeout-ms'],
  ])('%s does not offer %s, which would do nothing', (name, option) => {
    const offered = commandOf(name).options.map(({ long }) => long);
    expect(offered).not.toContain(option);
    expect(offered).toEqual(expect.arrayContaining(['--nats', '--prefix', '--json']));
  });

  it('groups list prints once which peers it asks', () => {
    const help = commandOf('groups list').helpInformation().replace(/\s+/g, ' ');
    expect(help).toContain(
      '--peers <names> these peers, separated by commas (default: all that publish a list) --nats',
    );
  });

  it.each([
    [['nonsense'], 'unknown command'],
    [['kv', 'get'], 'missing required argument'],
    [['lock', 'name'], 'missing required argument'],
    [['kv', 'cas', 'key', 'soon', 'value'], 'whole number'],
    [['groups', 'create', 'orders'], "required option '--peers <names>'"],
    [['peers', 'add', 'a.b'], 'is not a valid name of a peer'],
    [['watch', '--events', 'nothing'], 'there is no event nothing'],
    [['up', '--peers', '0'], 'whole number from 1 to 9'],
    [['demo', '--placement', 'two'], 'Allowed choices are four, one'],
    [['bench', '--seconds', '-1'], 'whole number'],
    [['health', '--all-peers', '--al-groups'], "unknown option '--al-groups'"],
  ])('refuses %j before it does anything', async (args, why) => {
    const program = createProgram();
    const error = { exitCode: 1, message: expect.stringContaining(why) };
    await expect(program.parseAsync(args, { from: 'user' })).rejects.toMatchObject(error);
  });
});
