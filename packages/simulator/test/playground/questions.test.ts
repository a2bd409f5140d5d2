/** Each prepared question of the playground plays to its end, and its outcomes hold. */
import { readFileSync } from 'node:fs';
import { ViewModel } from '@conclave/view';
import { describe, expect, test } from 'vitest';
import { questions } from '../../src/playground/index.js';
import { holds } from '../../src/playground/question.js';
import { PlayedPlayground } from './played-playground.js';

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

describe.each(questions.map((question) => [question.title, question] as const))('%s', (_, { name, steps }) => {
  test('plays to its end in the playground, and all of its outcomes hold', () => {
    const played = new PlayedPlayground({ question: name });
    for (const at of steps.keys()) {
      played.finishStep();
      const { state, outcomes, error } = played.steps[at] ?? {};
      expect({ state, error }).toEqual({ state: 'done', error: '' });
      expect(outcomes?.filter(({ holds }) => holds !== true)).toEqual([]);
    }
    expect(played.state.outcome).toEqual({ text: 'All steps of the question are done.', ok: true });
    // What the page shows of it.
    const model = new ViewModel(played.playground.info);
    model.fold(played.records);
    expect(model.state.leader).toBe(played.leader ?? '');
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

test('each question of docs/membership-change.md names the command that plays it', () => {
  const commands = sections().map(({ text }) =>
    [...text.matchAll(/conclave view --simulate --question (\S+)`/g)].map(([, name]) => name),
  );
  expect(commands).toEqual(questions.map(({ name }) => [name]));
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
