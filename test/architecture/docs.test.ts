import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as protocol from '@conclave/protocol';
import { expect, it } from 'vitest';
import { createProgram } from '../../packages/cli/src/program.js';
import { asyncapiDocument, schemasDocument } from '../../scripts/asyncapi-document.mjs';
import { glossaryDocument } from '../../scripts/glossary-document.mjs';
import { metricsDocument } from '../../scripts/metrics-document.mjs';
import { subjectsDocument } from '../../scripts/subjects-document.mjs';
import { root } from './source-file.js';

it('docs/subjects.md matches the schemas (otherwise: npm run docs)', () => {
  expect(readFileSync(path.join(root, 'docs/subjects.md'), 'utf8')).toBe(subjectsDocument(protocol));
});

it('docs/metrics.md matches the table of metrics (otherwise: npm run docs)', () => {
  expect(readFileSync(path.join(root, 'docs/metrics.md'), 'utf8')).toBe(metricsDocument(protocol));
});

it('docs/asyncapi.json matches the schemas (otherwise: npm run docs)', () => {
  const { version } = JSON.parse(readFileSync(path.join(root, 'packages/protocol/package.json'), 'utf8'));
  expect(readFileSync(path.join(root, 'docs/asyncapi.json'), 'utf8')).toBe(asyncapiDocument(protocol, version));
});

it('the JSON Schemas describe each field that is bytes as base64, and refer to nothing that they lack', () => {
  const text = schemasDocument(protocol);
  expect(text).not.toContain('"$ref"');
  const { definitions } = JSON.parse(text);
  expect(definitions['kv.put.request'].properties.value.anyOf).toContainEqual({
    type: 'string',
    contentEncoding: 'base64',
    description: 'binary; in JSON base64',
  });
  expect(Object.keys(definitions).length).toBeGreaterThan(80);
});

it('docs/glossary.md has the lists of the schemas and of the command’s options (else: npm run docs)', () => {
  const document = readFileSync(path.join(root, 'docs/glossary.md'), 'utf8');
  expect(document).toBe(glossaryDocument(document, protocol, createProgram()));
});
