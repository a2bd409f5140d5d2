import { expect, it } from 'vitest';
import { sourceFiles } from './source-file.js';

const core = 'packages/node/src/core';
const files = sourceFiles(core);
const nodeState = files.find(({ path }) => path === `${core}/state/node-state.ts`)?.text ?? '';

/** The fields of NodeState that can be assigned, each with the comment before it. */
function fields(): { readonly name: string; readonly comment: string }[] {
  const body = nodeState.slice(nodeState.indexOf('export class NodeState'), nodeState.indexOf('  constructor('));
  const declarations = body.matchAll(
    /((?:^ {2}\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?)^ {2}(\w+)(?:: [^=;]+)?(?: = [^;]+)?;$/gm,
  );
  return [...declarations].map(([, comment = '', name = '']) => ({ name, comment }));
}

it('each field of NodeState has one writer, which its comment names', () => {
  const all = fields();
  expect(all.length).toBeGreaterThan(20);
  for (const { name, comment } of all) {
    const writer = /Writer: `([\w.-]+)`\./.exec(comment)?.[1];
    expect(writer, `the writer of ${name}`).toBeDefined();
    const writers = files
      .filter(({ text }) => new RegExp(`\\bstate\\.${name} (?:[+-]|\\?\\?)?=\\s`).test(text))
      .map(({ path }) => path.slice(path.lastIndexOf('/') + 1));
    const isFile = writer?.endsWith('.ts') === true;
    if (!isFile) expect(nodeState, `${writer}, the writer of ${name}`).toMatch(new RegExp(`^ {2}${writer}\\(`, 'm'));
    expect(writers, `writers of ${name}`).toEqual(isFile ? [writer] : []);
  }
});
