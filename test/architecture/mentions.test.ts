// What documents and comments name exists: files, symbols, options, messages, decisions, and the titles of tests.

import { adminCommands, defaultTimes, events, hostCommands, kvOperations, limits, messages } from '@conclave/protocol';
import { loginOptions } from '@conclave/protocol/login';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../packages/cli/src/program.js';
import {
  divide,
  fault,
  filesIn,
  Inventory,
  linesOf,
  misplaced,
  projectFiles,
  spansOf,
  stringsOf,
  textOf,
} from './mentions.js';
import { allowedNames } from './mentions-allowed.js';

const prefixed = (prefix: string, table: object) => Object.keys(table).map((name) => `${prefix}.${name}`);
const names = new Set([
  ...Object.keys(messages),
  ...prefixed('kv', kvOperations),
  ...prefixed('admin', adminCommands),
  ...prefixed('admin', hostCommands),
  ...prefixed('event', events),
]);

function settingsOf(command: Command): string[] {
  const own = command.options.flatMap(({ long, envVar }) => [long ?? '', envVar ?? '']);
  return [command.name(), ...own, ...command.commands.flatMap(settingsOf)];
}

const secrets = loginOptions.map(({ variable }) => variable).filter((variable) => variable.endsWith('_FILE'));
const settings = [
  ...settingsOf(createProgram()),
  ...loginOptions.flatMap(({ option, variable }) => [`--${option}`, variable]),
  ...secrets.map((variable) => variable.replace(/_FILE$/, '')),
];
const inventory = new Inventory(names, settings);
const allowed = new Set(Object.keys(allowedNames));

/** Each option of the command and its variable; `retired`: an earlier name, which is refused. */
const options = optionsOf(createProgram());

function optionsOf(command: Command): { name: string; variable: string; retired: boolean }[] {
  const own = command.options.map(({ long, envVar, hidden, description }) => ({
    name: long ?? '',
    variable: envVar ?? /\(env: (\w+)\)/.exec(description)?.[1] ?? '',
    retired: hidden === true && description.startsWith('the earlier name of'),
  }));
  return [...own, ...command.commands.flatMap(optionsOf)];
}

const documents = projectFiles.filter((file) => file.endsWith('.md') && file !== 'CHANGELOG.md');
const sources = projectFiles.filter(
  (file) => /\.(ts|mjs)$/.test(file) && !/^test\/(mutants\/mutations|architecture\/mentions)/.test(file),
);

describe.each(documents)('%s', (file) => {
  const text = textOf(file);
  const { prose, code } = linesOf(text);

  it('names files, symbols, options and messages that exist', () => {
    const faults = spansOf(prose).flatMap(([line, span]) => {
      const found = fault(span, file, inventory, allowed);
      return found === undefined ? [] : [`${file}:${line} \`${span}\`: ${found}`];
    });
    const elsewhere = prose.flatMap(([line, content]) => {
      const found = misplaced(content, file, inventory);
      return found === undefined ? [] : [`${file}:${line} ${found}`];
    });
    expect([...faults, ...elsewhere]).toEqual([]);
  });

  it('shows commands with options that exist', () => {
    const faults = code.flatMap(([line, content]) => {
      if (!/^\s*(\$ )?(npx )?conclave |^\s*npm (run|start)/.test(content)) return [];
      const options = [...content.matchAll(/(?<=\s)--[a-z][a-z-]+/g)].map(([option]) => option);
      return options.filter((option) => !inventory.hasOption(option)).map((option) => `${file}:${line} ${option}`);
    });
    expect(faults).toEqual([]);
  });

  it('has links that lead somewhere, and those to a source name a symbol of it', () => {
    expect([...brokenLinks(file, text), ...brokenSourceLinks(file, text)]).toEqual([]);
  });
});

describe('the documents, but for decisions and the changelog', () => {
  const current = documents.filter((file) => !file.startsWith('docs/decisions/'));

  it('use no earlier name of an option or a variable', () => {
    const retired = options.filter((option) => option.retired).flatMap(({ name, variable }) => [name, variable]);
    const names = retired.filter((name) => name !== '');
    expect(names).toContain('--joiner');
    const faults = current.flatMap((file) => {
      const words = new Set(textOf(file).match(/(?:--)?[A-Za-z][\w-]*/g));
      return names.filter((name) => words.has(name)).map((name) => `${file}: ${name}`);
    });
    expect(faults).toEqual([]);
  });

  it('name the variable of an option where a table has both', () => {
    const rows = current.flatMap((file) =>
      [...textOf(file).matchAll(/^\| `(--[\w-]+)` \| `([A-Z_]+)` \|/gm)].map(([, name = '', variable = '']) => ({
        name,
        variable,
      })),
    );
    expect(rows.length).toBeGreaterThan(20);
    const known = (row: { name: string; variable: string }) =>
      options.some(({ name, variable }) => name === row.name && variable === row.variable);
    expect(rows.filter((row) => !known(row))).toEqual([]);
  });
});

describe('the comments of the sources', () => {
  const comments = sources.map((file) => {
    const lines = divide(textOf(file)).comments.split('\n');
    return { file, lines: lines.map((line, index) => [index + 1, line] as const) };
  });

  it('name files, symbols, options and messages that exist', () => {
    const faults = comments.flatMap(({ file, lines }) =>
      [...spansOf(lines), ...filesIn(lines)].flatMap(([line, span]) => {
        const found = fault(span, file, inventory, allowed);
        return found === undefined ? [] : [`${file}:${line} \`${span}\`: ${found}`];
      }),
    );
    expect(faults).toEqual([]);
  });

  it('and the documents cite decisions that have a record', () => {
    const records = new Set(projectFiles.map((file) => /^docs\/decisions\/(\d{4})-/.exec(file)?.[1]).filter(Boolean));
    const texts = [
      ...comments.map(({ file, lines }) => ({ file, text: lines.map(([, line]) => line).join('\n') })),
      ...documents.map((file) => ({ file, text: textOf(file) })),
    ];
    const missing = texts.flatMap(({ file, text }) =>
      [...text.matchAll(/\bdecisions?(?: records?)?[\s*/]+((?:\d{4}(?:, | and | to )?)+)/gi)]
        .flatMap(([, list = '']) => list.match(/\d{4}/g) ?? [])
        .filter((number) => !records.has(number))
        .map((number) => `${file}: ${number}`),
    );
    expect(missing).toEqual([]);
  });

  it('cite sections of docs/design.md that exist', () => {
    const sections = new Set([...textOf('docs/design.md').matchAll(/^## (\d+)\./gm)].map(([, number]) => number));
    const cited = comments.flatMap(({ lines }) =>
      lines.flatMap(([, line]) => [...line.matchAll(/DESIGN(?:,|'s)? sections? (\d+)/g)].map(([, number]) => number)),
    );
    expect(cited.length).toBeGreaterThan(10);
    expect(cited.filter((number) => !sections.has(number))).toEqual([]);
  });
});

describe('the bounds that documents name with their limit', () => {
  const units: Record<string, number> = { KiB: 1024, MiB: 1024 * 1024, s: 1000, ms: 1 };
  const bounds: Readonly<Record<string, number>> = { ...limits, ...defaultTimes };
  /** `64 MiB (`linkBytes`)`, `4,096 entries (`batchEntries`)`. */
  const quoted = documents.flatMap((file) =>
    [...textOf(file).matchAll(/([\d,]+)(?: ([A-Za-z]+))? \(`(\w+)`\)/g)].map(
      ([, number = '', unit = '', name = '']) => ({
        file,
        name,
        value: Number(number.replaceAll(',', '')) * (units[unit] ?? 1),
      }),
    ),
  );

  it('are those of limits.ts', () => {
    const known = quoted.filter(({ name }) => name in bounds);
    expect(known.length).toBeGreaterThan(25);
    expect(known.filter(({ name, value }) => bounds[name] !== value)).toEqual([]);
  });
});

describe('the tables of tests in the documents', () => {
  /** Rows `| key | file of a test | titles |`. */
  const rows = documents.flatMap((file) =>
    [...textOf(file).matchAll(/^\| [^|]+ \| `([^`|]+\.test\.ts)` \| ([^|]+) \|$/gm)].map(
      ([, test = '', titles = '']) => ({
        file,
        test,
        titles,
      }),
    ),
  );

  it('quote titles that the tests have', () => {
    expect(rows.length).toBeGreaterThan(10);
    const missing = rows.filter(({ file, test, titles }) => {
      const [found] = inventory.filesNamed(test, file);
      const text = found === undefined ? '' : textOf(found);
      return !text.includes(titles) && !titles.split('; ').every((title) => text.includes(title));
    });
    expect(missing.map(({ file, test, titles }) => `${file}: ${test}: ${titles}`)).toEqual([]);
  });
});

describe('docs/operations.md, section Health', () => {
  const section = /\n## Health\n(.*?)\n## /s.exec(textOf('docs/operations.md'))?.[1] ?? '';
  const reasons = [...section.matchAll(/^\| ((?:`[^`]+`|, )+)/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, reason = '']) => reason),
  );
  const strings = sources
    .filter((file) => file.startsWith('packages/') && file.includes('/src/'))
    .flatMap((file) => stringsOf(textOf(file)))
    .join('\n');

  it('has only reasons that the sources contain', () => {
    expect(reasons.length).toBeGreaterThan(10);
    const parts = reasons.flatMap((reason) => (/^E[A-Z]+:/.test(reason) ? [] : [reason.replace(/(?<=: ).*/, '')]));
    const fragments = parts.flatMap((part) => part.split(/\bN\b/)).map((fragment) => fragment.trim());
    expect(fragments.filter((fragment) => !strings.includes(fragment))).toEqual([]);
  });
});

it('the list of allowed names has no name that is needed no more', () => {
  const texts = [...documents, ...sources].map(textOf).join('\n');
  expect([...allowed].filter((name) => !texts.includes(name))).toEqual([]);
  expect([...allowed].filter((name) => fault(name, 'README.md', inventory, new Set()) === undefined)).toEqual([]);
});

/** The links of a document that lead to no file or to no heading. */
function brokenLinks(file: string, text: string): string[] {
  const { prose } = linesOf(text);
  const content = prose.map(([, line]) => line).join('\n');
  return [...content.matchAll(/\]\(\s*([^)\s]+)\s*\)/g)].flatMap(([, link = '']) => {
    if (/^https?:/.test(link)) return [];
    const [target = '', heading] = link.split('#');
    const [found] = target === '' ? [file] : inventory.linked(target, file);
    if (found === undefined) return [`${link}: no such file`];
    if (heading === undefined || !found.endsWith('.md')) return [];
    return headingsOf(found).has(heading) ? [] : [`${link}: no such heading`];
  });
}

/** Links such as [`NodeCore.step`](../packages/node/src/core/node-core.ts) whose symbol is not in the file. */
function brokenSourceLinks(file: string, text: string): string[] {
  return [...text.matchAll(/\[`([\w.]+)`\]\(([^)]+\.(?:ts|mjs))\)/g)].flatMap(([link, symbol = '', target = '']) => {
    const files = inventory.linked(target, file);
    const words = files.some((found) => found.endsWith(symbol)) ? [] : symbol.split('.');
    return words.filter((word) => !inventory.isIn(word, files)).map((word) => `${link}: no ${word}`);
  });
}

function headingsOf(file: string): Set<string> {
  const { prose } = linesOf(textOf(file));
  return new Set(
    prose.flatMap(([, line]) => {
      const title = /^#+ (.*)$/.exec(line)?.[1];
      if (title === undefined) return [];
      const words = title
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .trim();
      return [words.replace(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-')];
    }),
  );
}
