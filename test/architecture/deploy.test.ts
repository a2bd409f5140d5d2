import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { allNodes, commandTree, isRunnable } from '../../packages/cli/src/help/command-tree.js';
import { createProgram } from '../../packages/cli/src/program.js';
import { root } from './source-file.js';

/** Returns the words of the command that these words run. @throws CommanderError if the parser rejects them */
function parsed(words: readonly string[]): string {
  const program = createProgram();
  let found = '';
  for (const node of allNodes(commandTree(program))) {
    node.command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
    // A variable or a configuration file may have it.
    for (const option of node.command.options) option.makeOptionMandatory(false);
    if (isRunnable(node))
      node.command.action(() => {
        found = node.path.join(' ');
      });
  }
  program.parse(words, { from: 'user' });
  return found;
}

const files = [
  'deploy/systemd/conclave@.service',
  'deploy/systemd/conclave-actor@.service',
  'deploy/helm/conclave/templates/_helpers.tpl',
];

describe.each(files)('%s', (file) => {
  const text = readFileSync(path.join(root, file), 'utf8');

  it('runs commands with options that `conclave` has, and transfers all groups before a peer stops', () => {
    const lines = [...text.matchAll(/^\s*(?:Exec\w+=-?\/usr\/bin\/env )?conclave (.+)$/gm)].map(
      ([, line = '']) => line,
    );
    const commands = lines.map((line) =>
      line.replace(/ \|\| true$/, '').replace(/%i|"?\$\{?CONCLAVE_PEER\}?"?/g, 'n1'),
    );
    const transfers = commands.filter((command) => parsed(command.split(' ')) === 'leader transfer');
    expect(transfers).toHaveLength(1);
    expect(transfers[0]).toMatch(/ --from n1 --all-groups /);
    for (const command of commands) expect(['run', 'leader transfer']).toContain(parsed(command.split(' ')));
  });
});

it('a word that is no option of the command is rejected', () => {
  expect(() => parsed(['leader', 'transfer', '--all-peers'])).toThrow();
});
