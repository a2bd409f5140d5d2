import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as protocol from '@conclave/protocol';
import { expect, it } from 'vitest';
import { subjectsDocument } from '../../scripts/subjects-document.mjs';
import { root } from './source-file.js';

it('docs/subjects.md says what the schemas say (else: npm run docs)', () => {
  expect(readFileSync(path.join(root, 'docs/subjects.md'), 'utf8')).toBe(subjectsDocument(protocol));
});
