/** Each prepared question of the playground plays to its end, and its outcomes hold. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { holds } from '../../src/playground/question.js';
import { questions } from '../../src/playground/questions/index.js';
import { ScenarioRun } from '../../src/scenario/scenario-run.js';

const page = readFileSync(new URL('../../../../docs/membership-change.md', import.meta.url), 'utf8');

/** The sections of the page under `# Questions`: their headings, and their texts. */
function sections(): { readonly title: string; readonly text: string }[] {
  const [, after = ''] = page.split(/^# Questions$/m);
  const [part = ''] = after.split(/^# /m);
  return part
    .split(/^## /m)
    .slice(1)
    .map((section) => ({ title: section.slice(0, section.indexOf('\n')), text: section }));
}

describe.each(questions.map((question) => [question.title, question] as const))('%s', (_, { steps }) => {
  test('plays to its end, and all of its outcomes hold', () => {
    const run = new ScenarioRun();
    for (const { commands, outcomes, text } of steps) {
      const printed = run.runBlock({
        source: [],
        commands: commands.map((command, line) => ({ text: command, line })),
        expected: [],
      });
      const missing = outcomes.filter((outcome) => !holds(outcome, printed));
      expect(missing, `${text}\n${printed.join('\n')}`).toEqual([]);
    }
  });

  test('asserts something after each step', () => {
    for (const { outcomes } of steps) {
      expect(outcomes.length).toBeGreaterThan(0);
      for (const { line, no } of outcomes) expect(line ?? no).toBeDefined();
    }
  });
});

test('the questions are those of docs/membership-change.md, in its order', () => {
  expect(questions.map(({ title }) => title)).toEqual(sections().map(({ title }) => title));
});

test('the names of the questions differ, and are words with hyphens', () => {
  const names = questions.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
});

test('an outcome that was not printed does not hold, nor does one that must not be printed', () => {
  expect(holds({ says: 'n1 leads', line: 'n1: leads term 2' }, ['n1: leads term 3'])).toBe(false);
  expect(holds({ says: 'nobody leads', no: 'leads term' }, ['n1: leads term 3'])).toBe(false);
  expect(holds({ says: 'n1 leads alone', line: 'n1: leads term 3', no: 'n2: leads' }, ['n1: leads term 3'])).toBe(true);
});
