import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { allNodes, commandTree, isRunnable } from '../src/help/command-tree.js';
import { bashScript } from '../src/help/completion/bash.js';
import { placesOf } from '../src/help/completion/candidates.js';
import { fishScript } from '../src/help/completion/fish.js';
import { zshScript } from '../src/help/completion/zsh.js';
import { examplesOf } from '../src/help/examples.js';
import { manPage } from '../src/help/man-page.js';
import { createProgram } from '../src/program.js';

const tree = commandTree(createProgram());
const nodes = allNodes(tree);

/** The help as it is printed. */
function helpOf(command: Command): string {
  let text = '';
  const writeOut = (more: string): void => {
    text += more;
  };
  command.configureOutput({ writeOut }).outputHelp();
  return text;
}

/** The words of a line, as a shell splits it. */
function shellWords(line: string): string[] {
  const [command = ''] = line.split(' > ', 1);
  return [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, one, two, three]) => one ?? two ?? three ?? '');
}

describe('the help', () => {
  it.each(nodes.map((node) => [['conclave', ...node.path].join(' '), node] as const))(
    '%s shows examples',
    (_, node) => {
      expect(helpOf(node.command)).toMatch(/\nExamples:\n {2}conclave /);
    },
  );

  it.each(nodes.flatMap(({ path }) => examplesOf(path).map(([line]) => [line] as const)))(
    'the example `%s` can be parsed',
    async (line) => {
      const program = createProgram();
      let ran: string | undefined;
      for (const node of allNodes(commandTree(program))) {
        node.command.exitOverride().configureOutput({ writeErr: () => undefined });
        if (!isRunnable(node) || node.path.length === 0) continue;
        node.command.action(() => {
          ran = node.path.join(' ');
        });
      }
      await program.parseAsync(shellWords(line).slice(1), { from: 'user' });
      expect(line.startsWith(`conclave ${ran}`)).toBe(true);
    },
  );

  it('no command has examples that is not there', () => {
    const shown = nodes.filter(({ path }) => examplesOf(path).length > 0);
    expect(shown.length).toBe(nodes.length - 1);
  });
});

describe('the man page', () => {
  const page = manPage(tree, '0.1.0');

  it('has every command, option and exit code of the help', () => {
    for (const { path: words, options, command } of nodes.filter(({ path }) => path.length > 0)) {
      if (command.registeredArguments.length > 0 || options.length > 1) {
        expect(page).toContain(['.SS "conclave', ...words].join(' ').replaceAll('-', '\\-'));
      }
      for (const { flags } of options) expect(page).toContain(`.B ${flags.replaceAll('-', '\\-')}`);
    }
    for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 70, 130]) expect(page).toContain(`.B ${code}\n`);
  });

  it('is the same in each process', () => {
    expect(page).not.toContain(String(process.pid));
    expect(page).not.toMatch(/\/home\/|\/root\//);
  });

  it('begins no line with a control character but for macros', () => {
    const macros = page
      .split('\n')
      .filter((line) => /^[.']/.test(line))
      .map((line) => line.split(' ')[0]);
    expect([...new Set(macros)].toSorted()).toEqual([
      '.B',
      '.I',
      '.PP',
      '.RE',
      '.RI',
      '.RS',
      '.SH',
      '.SS',
      '.TH',
      '.TP',
      '.fi',
      '.nf',
    ]);
  });
});

const folder = mkdtempSync(path.join(tmpdir(), 'conclave-completion-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function has(program: string): boolean {
  return spawnSync(program, ['--version']).status === 0;
}

const places = placesOf(tree);
const completions: readonly (readonly [string, string, readonly string[], readonly string[]])[] = [
  ['commands', 'conclave le', ['leader', 'lease'], ['kv']],
  ['commands of a command', 'conclave peers re', ['read-only', 'remove', 'reset'], ['restore']],
  ['options', 'conclave kv get --c', ['--consistency'], ['--keys']],
  ['options of a command whose name was followed by arguments', 'conclave kv put hello --le', ['--lease'], ['--limit']],
  ['the values of an option', 'conclave kv get hello --consistency l', ['linearizable', 'lease'], ['stale']],
  ['the values of an argument', 'conclave completion ', ['bash', 'zsh', 'fish'], ['kv']],
];

describe.runIf(has('bash'))('completion in bash', () => {
  it.each(completions)('offers %s', (_, line, wanted, unwanted) => {
    const words = line.split(' ');
    writeFileSync(path.join(folder, 'conclave.bash'), bashScript(places));
    const script = `source conclave.bash; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _conclave; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const offered = execFileSync('bash', ['--norc', '-uc', script], { cwd: folder, encoding: 'utf8' }).split('\n');
    expect(offered).toEqual(expect.arrayContaining([...wanted]));
    for (const word of unwanted) expect(offered).not.toContain(word);
  });

  it('offers files where one is wanted', () => {
    writeFileSync(path.join(folder, 'main.backup'), '');
    const script = `source conclave.bash; COMP_WORDS=(conclave backup ma); COMP_CWORD=2; _conclave; printf '%s\\n' "\${COMPREPLY[@]}"`;
    expect(execFileSync('bash', ['--norc', '-uc', script], { cwd: folder, encoding: 'utf8' })).toBe('main.backup\n');
  });
});

describe.runIf(has('zsh'))('completion in zsh', () => {
  it.each(completions)('offers %s', (_, line, wanted) => {
    const words = line.split(' ');
    writeFileSync(path.join(folder, '_conclave'), zshScript(places));
    // The completion system itself needs a terminal: this prints what it would be given.
    const script = [
      `_describe() { print -rl -- "\${(@P)2}" }; _files() { :; }`,
      'source ./_conclave',
      `words=(${words.map((word) => `'${word}'`).join(' ')}); CURRENT=${words.length}; _conclave`,
    ].join('\n');
    const offered = execFileSync('zsh', ['-fc', script], { cwd: folder, encoding: 'utf8' });
    const names = offered.split('\n').map((candidate) => candidate.split(':', 1)[0]);
    expect(names).toEqual(expect.arrayContaining([...wanted]));
  });
});

describe.runIf(has('fish'))('completion in fish', () => {
  it.each(completions)('offers %s', (_, line, wanted, unwanted) => {
    writeFileSync(path.join(folder, 'conclave.fish'), fishScript(places));
    const env = { ...process.env, HOME: folder };
    const script = `source conclave.fish; complete -C '${line}'`;
    const offered = execFileSync('fish', ['--no-config', '-c', script], { cwd: folder, encoding: 'utf8', env });
    const names = offered.split('\n').map((candidate) => candidate.split('\t', 1)[0]);
    expect(names).toEqual(expect.arrayContaining([...wanted]));
    for (const word of unwanted) expect(names).not.toContain(word);
  });
});
