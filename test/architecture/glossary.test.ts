// The glossary has every term of the wire and every option of the command, and no term with two meanings.

import {
  adminCommands,
  errorCodes,
  events,
  GroupList,
  HealthReply,
  hostCommands,
  kvOperations,
  messages,
  processCommands,
  WatchMessage,
} from '@conclave/protocol';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../packages/cli/src/program.js';
import { textOf } from './mentions.js';

interface Shape {
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
  readonly additionalProperties?: Shape | boolean;
  readonly anyOf?: readonly Shape[];
  readonly oneOf?: readonly Shape[];
  readonly prefixItems?: readonly Shape[];
}

interface Schema {
  toJSONSchema(options: { unrepresentable: 'any'; io: 'input' }): object;
}

/** The rows of the tables below a heading: the first two cells. */
function rowsOf(heading: string): { term: string; meaning: string }[] {
  const section =
    textOf('docs/glossary.md')
      .split(/^## /m)
      .find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^\| ((?:\\\||[^|])+) \| ((?:\\\||[^|])+) \|/gm)]
    .map(([, term = '', meaning = '']) => ({ term: term.trim(), meaning: meaning.trim() }))
    .filter(({ term, meaning }) => meaning !== 'meaning' && term !== '---');
}

/** The name in the first cell, without its link and its place. */
const nameOf = (term: string) =>
  term
    .replace(/^\[(.*?)\].*$/, '$1')
    .replace(/ \(.*$/, '')
    .replaceAll('`', '');

/** The names of all fields of public messages, each with the values of its enumerations. */
const fields = new Map<string, Set<string>>();

function collect(shape: Shape): void {
  const more = typeof shape.additionalProperties === 'object' ? [shape.additionalProperties] : [];
  const parts = [...(shape.anyOf ?? []), ...(shape.oneOf ?? []), ...(shape.prefixItems ?? []), ...more];
  for (const part of shape.items === undefined ? parts : [...parts, shape.items]) collect(part);
  for (const [name, field] of Object.entries(shape.properties ?? {})) {
    const values = fields.get(name) ?? new Set();
    for (const value of valuesOf(field)) values.add(value);
    fields.set(name, values);
    collect(field);
  }
}

function valuesOf(shape: Shape): string[] {
  const own = (shape.enum ?? []).filter((value) => typeof value === 'string' && value !== '') as string[];
  return [...own, ...[...(shape.anyOf ?? []), ...(shape.oneOf ?? [])].flatMap(valuesOf)];
}

const requestsAndReplies = [adminCommands, hostCommands, processCommands, kvOperations].flatMap((table) =>
  Object.values(table).flatMap(({ request, reply }): Schema[] => [request, reply]),
);
const eventSchemas: Schema[] = Object.values(events).map(({ schema }) => schema);
const schemas: Schema[] = [...requestsAndReplies, ...eventSchemas, HealthReply, GroupList, WatchMessage];
for (const schema of schemas) collect(schema.toJSONSchema({ unrepresentable: 'any', io: 'input' }) as Shape);

const terms = rowsOf('Terms');
const publicFields = rowsOf('Public fields');

describe('docs/glossary.md', () => {
  it('has every field of a public message, and no other', () => {
    expect([...new Set(publicFields.map(({ term }) => nameOf(term)))].sort()).toEqual([...fields.keys()].sort());
  });

  it('has the values of every field that has a fixed set of values, but for error codes', () => {
    const missing = [...fields].flatMap(([name, values]) => {
      const meanings = publicFields.filter(({ term }) => nameOf(term) === name).map(({ meaning }) => meaning);
      return [...values]
        .filter(
          (value) => name !== 'code' && name !== 'actors' && !meanings.some((text) => text.includes(`\`${value}\``)),
        )
        .map((value) => `${name}: ${value}`);
    });
    expect(missing).toEqual([]);
  });

  it('has every message, command, operation and event', () => {
    const listed = ['Messages between actors', 'Commands and operations', 'Events'].flatMap(rowsOf);
    const names = [
      ...Object.keys(messages),
      ...Object.keys(adminCommands).map((name) => `admin.${name}`),
      ...Object.keys(hostCommands),
      ...Object.keys(processCommands),
      ...Object.keys(kvOperations).map((name) => `kv.${name}`),
      ...Object.keys(events).map((name) => `event.${name}`),
    ];
    expect(listed.map(({ term }) => nameOf(term))).toEqual(names);
  });

  it('has every error code and every option of the command', () => {
    expect(rowsOf('Error codes').map(({ term }) => nameOf(term))).toEqual(Object.keys(errorCodes));
    const options = new Set<string>();
    const collectOptions = (command: Command) => {
      for (const { long, hidden } of command.options) {
        if (long != null && long !== '--version' && !hidden) options.add(long);
      }
      command.commands.forEach(collectOptions);
    };
    collectOptions(createProgram());
    expect([...new Set(rowsOf('Options of the command').map(({ term }) => nameOf(term)))].sort()).toEqual(
      [...options].sort(),
    );
  });

  it('has no term with two meanings', () => {
    const all = [...terms, ...publicFields, ...rowsOf('Error codes'), ...rowsOf('Options of the command')];
    const seen = all.map(({ term }) => term);
    expect(seen.filter((term, at) => seen.indexOf(term) !== at)).toEqual([]);
    const vague = publicFields.filter(({ term }) => seen.some((other) => other.startsWith(`${term} (`)));
    expect(vague).toEqual([]);
  });

  it('has the terms and the fields in alphabetical order', () => {
    for (const rows of [terms, publicFields]) {
      const order = rows.map(({ term }) => nameOf(term));
      expect(order).toEqual([...order].sort());
    }
  });
});
