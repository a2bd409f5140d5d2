import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { allNodes, commandTree, isRunnable } from '../src/help/command-tree.js';
import { createProgram } from '../src/program.js';

const folder = new URL('../../../deploy/systemd/', import.meta.url);
const units = readdirSync(folder).filter((name) => name.endsWith('.service'));

/** The settings of a unit, by their names; a name may be there several times. */
function settingsOf(unit: string): readonly (readonly [string, string])[] {
  const lines = readFileSync(new URL(unit, folder), 'utf8').split('\n');
  return lines.flatMap((line) => {
    const [, name, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    return name === undefined ? [] : [[name, value ?? ''] as const];
  });
}

/** The command that a line of a unit runs, if the command line can be parsed. */
async function commandOf(line: string): Promise<string | undefined> {
  const words = line
    .replace(/^-?\/usr\/bin\/env conclave /, '')
    .replaceAll('%i', 'n1')
    .replace(/"?\$\{?CONCLAVE_PEER\}?"?/, 'n1')
    .split(' ');
  const program = createProgram();
  let ran: string | undefined;
  for (const node of allNodes(commandTree(program))) {
    node.command.exitOverride().configureOutput({ writeErr: () => undefined });
    for (const option of node.command.options) option.makeOptionMandatory(false);
    if (!isRunnable(node) || node.path.length === 0) continue;
    node.command.action(() => {
      ran = node.path.join(' ');
    });
  }
  await program.parseAsync(words, { from: 'user' });
  return ran;
}

describe.each(units)('the unit %s', (unit) => {
  const settings = settingsOf(unit);

  it('runs actors, and transfers the leadership of all groups before it stops them', async () => {
    const of = (name: string) => settings.filter(([found]) => found === name).map(([, value]) => value);
    expect(await commandOf(of('ExecStart')[0] ?? '')).toBe('run');
    expect(await commandOf(of('ExecStop')[0] ?? '')).toBe('leader transfer');
    expect(of('ExecStop')[0]).toMatch(/^-.* --from \S+ --all-groups /);
    // A process that found itself wrong stays down; a limit of starts would keep down one that waits for its disk.
    expect(of('RestartPreventExitStatus')).toEqual(['70']);
    expect(of('StartLimitIntervalSec')).toEqual(['0']);
    expect(of('User')).toEqual(['conclave']);
    expect(of('ProtectSystem')).toEqual(['strict']);
  });

  it('has each setting once', () => {
    const names = settings.map(([name]) => name);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  });
});

it('the Helm chart transfers leadership with options that the command has', async () => {
  const chart = readFileSync(new URL('../helm/conclave/templates/_helpers.tpl', folder), 'utf8');
  const [, words = ''] = /^ +conclave (leader .*) \|\| true$/m.exec(chart) ?? [];
  expect(words).toContain(' --all-groups ');
  expect(await commandOf(words)).toBe('leader transfer');
});

it('there are units for a peer and for an actor', () => {
  expect(units).toEqual(['conclave-actor@.service', 'conclave@.service']);
});
