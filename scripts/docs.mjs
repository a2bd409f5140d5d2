// Writes the documents that are generated.

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';
import { subjectsDocument } from './subjects-document.mjs';

await runMain(async () => {
  await setUp();
  const built = path.join(root, 'packages', 'protocol', 'dist', 'index.js');
  const protocol = await import(pathToFileURL(built).href);
  const docs = path.join(root, 'docs');
  mkdirSync(docs, { recursive: true });
  writeFileSync(path.join(docs, 'subjects.md'), subjectsDocument(protocol));
  return 0;
});
