/** docs/asyncapi.json, as AsyncAPI's own parser reads it. The parser is no dependency: it brings 160 packages along. */
import { cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { capture, root } from '../../scripts/run.mjs';
import { makeFolder, removeFolder } from '../support/leftovers.js';

const folder = makeFolder('asyncapi');

/** Prints the errors that the parser finds, then the version of the document. */
const program = `
import { readFileSync } from 'node:fs';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
for (const { severity, path, message } of diagnostics) {
  if (severity === DiagnosticSeverity.Error) console.log(path.join('.'), message);
}
console.log(document?.version());
`;

beforeAll(async () => {
  writeFileSync(path.join(folder, 'package.json'), '{"name":"parse","private":true,"type":"module"}\n');
  writeFileSync(path.join(folder, 'parse.mjs'), program);
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '@asyncapi/parser@3.6.6'];
  const { code, output } = await capture('npm', args, { cwd: folder });
  expect(code, output).toBe(0);
}, 120_000);

afterAll(() => removeFolder(folder));

async function parse(file: string): Promise<string> {
  const { output } = await capture(process.execPath, ['parse.mjs', file], { cwd: folder });
  return output.trim();
}

it('the description of all subjects is a valid AsyncAPI 3 document', async () => {
  cpSync(path.join(root, 'docs/asyncapi.json'), path.join(folder, 'asyncapi.json'));
  expect(await parse('asyncapi.json')).toBe('3.0.0');
});

it('the parser reports a message that refers to a schema which is not there', async () => {
  const message = { payload: { $ref: '#/components/schemas/nothing' } };
  const document = {
    asyncapi: '3.0.0',
    info: { title: 'wrong', version: '1' },
    channels: { one: { address: 'one', messages: { message } } },
  };
  writeFileSync(path.join(folder, 'wrong.json'), JSON.stringify(document));
  expect(await parse('wrong.json')).toContain('channels.one.messages.message.payload');
});
