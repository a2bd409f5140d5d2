/**
 * What peers, commands and clients of the first version (build 64bc040) can read, of the values with a fixed list: they parse
 * what this version sends while a group is upgraded peer by peer. `first-version-values.json` was taken from its schemas.
 */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { z } from 'zod';
import { adminCommands, events, hostCommands, kvOperations, messages } from '../src/index.js';

interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly entries?: Readonly<Record<string, string>>;
  readonly values?: readonly unknown[];
  readonly element?: z.ZodType;
  readonly innerType?: z.ZodType;
  readonly items?: readonly z.ZodType[];
  readonly options?: readonly z.ZodType[];
  readonly in?: z.ZodType;
  readonly out?: z.ZodType;
}

type Values = Map<string, Set<string>>;

const unreadable =
  'an error with a code that the first version does not know: it cannot read the reply, and reports `unknown`';
/** Values that the first version does not know, and what follows. */
const later: Readonly<Record<string, string>> = {
  EHISTORY: unreadable,
  EUNSUPPORTED: unreadable,
  ELOGIN: unreadable,
  wants_snapshot: 'sent only in a group of feature level 1 or above, which no peer of the first version can join',
};

function collect(schema: z.ZodType, path: string, found: Values): void {
  const definition = schema.def as unknown as Definition;
  const list = definition.type === 'enum' ? Object.values(definition.entries ?? {}) : (definition.values ?? []);
  for (const value of list) found.set(path, (found.get(path) ?? new Set()).add(String(value)));
  for (const [name, inner] of Object.entries(definition.shape ?? {})) collect(inner, `${path}.${name}`, found);
  const { element, innerType, items = [], options = [] } = definition;
  if (element !== undefined) collect(element, `${path}[]`, found);
  for (const inner of [innerType, definition.in, definition.out, ...options]) {
    if (inner !== undefined) collect(inner, path, found);
  }
  for (const [at, inner] of items.entries()) collect(inner, `${path}[${at}]`, found);
}

function valuesOf(tables: Readonly<Record<string, object>>): Values {
  const found: Values = new Map();
  for (const [table, rows] of Object.entries(tables)) {
    for (const [name, row] of Object.entries(rows)) {
      for (const [part, schema] of Object.entries(row as object)) {
        if (typeof schema === 'object' && schema !== null && 'def' in schema) {
          collect(schema as z.ZodType, `${table}:${name}.${part}`, found);
        }
      }
    }
  }
  return found;
}

it('every listed value of the first version is kept, and no other one is sent to it', () => {
  const file = new URL('first-version-values.json', import.meta.url);
  const first = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string[]>;
  const now = valuesOf({ messages, adminCommands, kvOperations, hostCommands, events });
  expect(Object.keys(first).length).toBeGreaterThan(20);
  for (const [path, values] of Object.entries(first)) {
    const present = [...(now.get(path) ?? [])].filter((value) => later[value] === undefined);
    expect(present.sort(), path).toEqual([...values].sort());
  }
});
