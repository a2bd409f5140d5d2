/**
 * Each scenario of test/scenarios has the expected output.
 * `npm run scenarios -- --rewrite` writes their present output: read it before you commit it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { formatScenario, headOf, parseScenario } from '../src/scenario/scenario-file.js';
import { ScenarioRun } from '../src/scenario/scenario-run.js';

const folder = new URL('../../../test/scenarios/', import.meta.url);
const rewrite = process.env.CONCLAVE_REWRITE === '1';
const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));

describe('scenarios', () => {
  test.each(files.map((file) => [file, headOf(readFileSync(new URL(file, folder), 'utf8'))]))(
    '%s: %s',
    (file) => {
      const path = new URL(file, folder);
      const text = readFileSync(path, 'utf8');
      const blocks = parseScenario(text);
      const run = new ScenarioRun();
      const outputs = blocks.filter(({ commands }) => commands.length > 0).map((block) => run.runBlock(block));
      const said = formatScenario(blocks, outputs);
      if (rewrite) writeFileSync(path, said);
      else expect(said).toBe(text);
    },
    60_000,
  );
});
