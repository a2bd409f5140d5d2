import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as protocol from '@conclave/protocol';
import { expect, it } from 'vitest';
import { createProgram } from '../../packages/cli/src/program.js';
import { glossaryDocument } from '../../scripts/glossary-document.mjs';
import { subjectsDocument } from '../../scripts/subjects-document.mjs';
import { root } from './source-file.js';

it('docs/subjects.md matches the schemas (otherwise: npm run docs)', () => {
  expect(readFileSync(path.join(root, 'docs/subjects.md'), 'utf8')).toBe(subjectsDocument(protocol));
});

it('docs/glossary.md has the lists of the schemas and of the command’s options (else: npm run docs)', () => {
  const document = readFileSync(path.join(root, 'docs/glossary.md'), 'utf8');
  expect(document).toBe(glossaryDocument(document, protocol, createProgram()));
});
