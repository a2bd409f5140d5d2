import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { pageBuilder } from './built-page.js';

const builtPage = pageBuilder();

/** Compressed, all files together. */
const maxBytes = 60_000;

it('the page is small, and names no other host', async () => {
  const folder = await builtPage();
  const files = readdirSync(folder).map((name) => readFileSync(path.join(folder, name)));
  const bytes = files.reduce((sum, file) => sum + gzipSync(file, { level: 9 }).length, 0);
  expect(bytes).toBeLessThan(maxBytes);
  // Names of XML namespaces are no addresses.
  const hosts = files.flatMap((file) => file.toString().match(/https?:\/\/[^\s"'`)]+/g) ?? []);
  expect(hosts.filter((url) => !url.startsWith('http://www.w3.org/'))).toEqual([]);
});
