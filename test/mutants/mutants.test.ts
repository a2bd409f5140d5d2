/**
 * That the simulator can fail: a few mutants, those that it finds fast. `npm run mutants` hunts them all.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../../scripts/run.mjs';
import { control, controlParts, hunt } from './hunt.mjs';
import { mutations } from './mutations/all.mjs';
import { OutcomeStore } from './outcome-store.mjs';
import { chapters } from './rules.mjs';
import { rulesTable, seedsInTable } from './tables.mjs';
import { edited } from './workbench.mjs';

const fast = [
  'vote-counted-twice',
  'vote-sent-before-sync',
  'acknowledged-before-sync',
  'joint-commit-by-old-majority',
  'no-joint-stage',
  'retry-carried-out-twice',
];

const rules = chapters.flatMap((chapter) => chapter.rules);

test('each mutation has a unique text to replace, and a unique name', () => {
  for (const { id, edits } of mutations) {
    const texts = new Map<string, string>();
    for (const edit of edits) {
      const text = texts.get(edit.file) ?? readFileSync(path.join(root, edit.file), 'utf8');
      texts.set(edit.file, edited(text, edit, id));
    }
  }
  const ids = mutations.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThanOrEqual(40);
});

test('each rule has a mutant, or a reason why not and another test; each mutant breaks a rule', () => {
  const ids = mutations.map(({ id }) => id);
  const named = rules.flatMap(({ mutants }) => mutants);
  expect(named.filter((id) => !ids.includes(id))).toEqual([]);
  expect(ids.filter((id) => !named.includes(id))).toEqual([]);
  for (const { rule, mutants, why = '', testedBy = [] } of rules) {
    if (mutants.length > 0) continue;
    expect(why, rule).not.toBe('');
    expect(testedBy, rule).not.toEqual([]);
    expect(testedBy.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
  }
});

test('a mutation whose text is missing or not unique fails with its name', () => {
  const edit = { file: 'a.ts', find: 'b', replace: 'c' };
  expect(() => edited('a', edit, 'some-mutant')).toThrow(/some-mutant: the text is not in a.ts/);
  expect(() => edited('b b', edit, 'some-mutant')).toThrow(/some-mutant: the text is 2 times in a.ts/);
});

test('the outcome of an earlier run is valid only for the same sources and the same mutation', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'conclave-outcomes-'));
  try {
    const source = path.join(folder, 'packages', 'a', 'src', 'a.ts');
    mkdirSync(path.dirname(source), { recursive: true });
    writeFileSync(source, 'one');
    const mutation = { id: 'm', rule: 'a rule', edits: [], seeds: 60 };
    const hunted = { id: 'm', mutation, search: { seeds: [1, 2, 3] } };
    new OutcomeStore(folder).keep(hunted, { verdict: 'found', seed: 7, seconds: 1 });
    new OutcomeStore(folder).keep({ ...hunted, id: 'n' }, { verdict: 'broken', seconds: 1 });
    const again = new OutcomeStore(folder);
    expect(again.get(hunted)).toMatchObject({ seed: 7 });
    expect(again.get({ ...hunted, search: { seeds: [3, 1, 2] } })).toMatchObject({ seed: 7 });
    expect(again.get({ ...hunted, search: { seeds: [1, 2] } })).toBeUndefined();
    expect(again.get({ ...hunted, id: 'n' })).toBeUndefined();
    expect(again.get({ ...hunted, mutation: { ...mutation, rule: 'another' } })).toBeUndefined();
    writeFileSync(source, 'two');
    expect(new OutcomeStore(folder).get(hunted)).toBeUndefined();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the unchanged cores pass all seeds and scenarios that have found a mutant', () => {
  expect(controlParts(3, [2, 7], [])).toEqual([{ id: control, mutation: undefined, search: { seeds: [1, 2, 3, 7] } }]);
  expect(controlParts(60, [900], ['a.txt', 'a.txt']).map(({ id }) => id)).toEqual([
    `${control}, seeds 1 to 50`,
    `${control}, seeds 51 to 900`,
    `${control}, a.txt`,
  ]);
});

test('the last seed that found a mutant is read from the tables of docs/mutants.md', () => {
  const outcomes = new Map([['vote-not-stored', { verdict: 'found', seed: 7, invariant: 'i', seconds: 1 } as const]]);
  expect([...seedsInTable(rulesTable(outcomes))]).toEqual([['vote-not-stored', 7]]);
});

test('a mutant that only a unit test finds has a reason why no run of the simulator does', () => {
  for (const { id, test: file, why = '', seeds } of mutations) {
    if (file === undefined) continue;
    expect(existsSync(path.join(root, file)), id).toBe(true);
    expect(why, id).not.toBe('');
    expect(seeds, id).toBe(0);
  }
});

test('the simulator finds mutants, and nothing in the unchanged cores', async () => {
  const hunted = mutations.filter(({ id }) => fast.includes(id));
  const outcomes = await hunt(hunted, { controlSeeds: 1, workers: 1 });
  expect(Object.fromEntries([...outcomes].map(([id, { verdict }]) => [id, verdict]))).toEqual({
    [control]: 'survived',
    ...Object.fromEntries(fast.map((id) => [id, 'found'])),
  });
}, 900_000);
