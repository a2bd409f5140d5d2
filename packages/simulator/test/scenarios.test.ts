/**
 * Each scenario of test/scenarios has the expected output.
 * `npm run scenarios -- --rewrite` writes their present output: read it before you commit it.
 * `npm run scenarios -- --record <file>` writes a recording of those that run, for `conclave view --replay`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { KeptRecords, StoryRecorder, writeRecords } from '../src/recording/index.js';
import { formatScenario, headOf, parseScenario } from '../src/scenario/scenario-file.js';
import { ScenarioRun } from '../src/scenario/scenario-run.js';

const folder = new URL('../../../test/scenarios/', import.meta.url);
const rewrite = process.env.CONCLAVE_REWRITE === '1';
const recordingFile = process.env.CONCLAVE_RECORD;
const recorded = new KeptRecords();
const recorder = recordingFile === undefined ? undefined : new StoryRecorder((record) => recorded.add(record));
const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));

describe('scenarios', () => {
  test.each(files.map((file) => [file, headOf(readFileSync(new URL(file, folder), 'utf8'))]))(
    '%s: %s',
    (file) => {
      const path = new URL(file, folder);
      const text = readFileSync(path, 'utf8');
      const blocks = parseScenario(text);
      const run = new ScenarioRun(recorder);
      const outputs = blocks.filter(({ commands }) => commands.length > 0).map((block) => run.runBlock(block));
      const said = formatScenario(blocks, outputs);
      if (rewrite) writeFileSync(path, said);
      else expect(said).toBe(text);
    },
    60_000,
  );
});

afterAll(async () => {
  if (recordingFile !== undefined) await writeRecords(recordingFile, 'scenarios', 'sources', recorded.newest);
});
