// Writes the documents that are generated.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { asyncapiDocument } from './asyncapi-document.mjs';
import { glossaryDocument } from './glossary-document.mjs';
import { metricsDocument } from './metrics-document.mjs';
import { root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';
import { subjectsDocument } from './subjects-document.mjs';

await runMain(async () => {
  await setUp();
  const protocol = await built('protocol/dist/index.js');
  const { createProgram } = await built('cli/dist/program.js');
  const docs = path.join(root, 'docs');
  mkdirSync(docs, { recursive: true });
  writeFileSync(path.join(docs, 'subjects.md'), subjectsDocument(protocol));
  writeFileSync(path.join(docs, 'metrics.md'), metricsDocument(protocol));
  const { version } = JSON.parse(readFileSync(path.join(root, 'packages/protocol/package.json'), 'utf8'));
  writeFileSync(path.join(docs, 'asyncapi.json'), asyncapiDocument(protocol, version));
  const glossary = path.join(docs, 'glossary.md');
  writeFileSync(glossary, glossaryDocument(readFileSync(glossary, 'utf8'), protocol, createProgram()));
  return 0;
});

/** @param {string} file in `packages/` */
function built(file) {
  return import(pathToFileURL(path.join(root, 'packages', file)).href);
}
