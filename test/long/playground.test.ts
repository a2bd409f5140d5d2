/** The playground in a real browser: the page of a simulated group, served by the command without any NATS server. */
import { questions } from '@conclave/simulator/playground';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Stops } from '../mesh/fault-mesh.js';
import { chromiumFile, keepPicture, launchBrowser } from '../support/browser.js';
import { startCommand } from '../support/command.js';
import { ViewProcess } from '../support/view.js';

const stops = new Stops();
let view: ViewProcess;
let browser: Browser;
let page: Page;

describe.skipIf(chromiumFile === undefined)('the playground', () => {
  beforeAll(async () => {
    // Nobody listens there.
    view = await ViewProcess.start('nats://127.0.0.1:1', { args: ['--simulate', '--question', 'leader-dies'] });
    stops.add(() => view.stop());
    browser = await launchBrowser();
    stops.add(() => browser.close());
    // Moving messages are drawn without a graphics processor here.
    page = await browser.newPage({ viewport: { width: 1400, height: 1000 }, reducedMotion: 'reduce' });
    await page.goto(view.url);
    await page.getByRole('region', { name: 'Controls' }).waitFor();
  });
  afterAll(() => stops.run());
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') await keepPicture(page, `failed-${task.name.replace(/\W+/g, '-').slice(0, 60)}`);
  });

  const outcome = (hasText: string) => page.locator('p.outcome[role=status]', { hasText });
  const time = (hasText: string | RegExp) => page.locator('.position output', { hasText });
  /** Peers and their processes can be paused, too. */
  const pause = () => page.locator('.controls-top').getByRole('button', { name: 'Pause' });
  const steps = () => page.locator('.question-steps > li');

  async function open(question: string): Promise<void> {
    await page.getByLabel('question').selectOption(question);
    // The choice shows what is open.
    const title = questions.find(({ name }) => name === question)?.title ?? 'Playground';
    await page.locator('header .title', { hasText: title }).waitFor();
    await page.getByRole('button', { name: 'Start again' }).click();
  }

  it('opens with the question that its command names', async () => {
    const [first] = await page.locator('.explanation h2').allTextContents();
    expect(first).toBe('How does a change stay atomic if its leader dies?');
  });

  it.each(questions.map((question) => [question.title, question] as const))(
    '%s: plays to its end, and the page shows that each outcome holds',
    async (_, { name, steps: all }) => {
      await open(name);
      for (const [at, step] of all.entries()) {
        await page.keyboard.press('n');
        const played = steps().nth(at);
        await played.locator('.badge.done').waitFor();
        const marks = await played.getByRole('img').evaluateAll((those) => those.map((one) => one.ariaLabel));
        expect(marks).toEqual(step.outcomes.map(() => 'holds'));
      }
      await outcome('All steps of the question are done.').waitFor();
      await keepPicture(page, `playground-${name}`);
    },
  );

  it('shows a group of one’s own, in which a leader is killed by a click and another one is elected', async () => {
    await open('none');
    await page.getByLabel('speed').selectOption('1');
    const leader = page.getByRole('row').filter({ has: page.locator('.role.leader') });
    await leader.getByRole('rowheader', { name: 'n1' }).waitFor();
    await leader.getByRole('button', { name: 'Kill' }).click();
    await page.locator('.health.bad', { hasText: 'down' }).waitFor();
    await page.getByRole('button', { name: 'Play' }).click();
    await leader.getByRole('rowheader', { name: 'n2' }).waitFor();
    await pause().click();
    await keepPicture(page, 'playground-killed-leader');
  });

  it('is used with the keyboard alone: message by message, event by event, and from the beginning', async () => {
    await open('none');
    await page.keyboard.press('m');
    await outcome(' -> ').waitFor();
    await time('0.000 s').waitFor({ state: 'detached' });
    for (let events = 0; events < 30; events++) await page.keyboard.press('e');
    await page.keyboard.press('r');
    await time('0.000 s').waitFor();
  });

  it('changes members to a set that is chosen, and shows both majorities', async () => {
    await open('none');
    await page.getByLabel('speed').selectOption('1');
    const members = page.getByRole('group', { name: 'new members' });
    for (const peer of ['n2', 'n3', 'n4', 'n5']) await members.getByRole('button', { name: peer }).click();
    await page.getByRole('button', { name: 'Change members' }).click();
    await page.getByRole('button', { name: 'Play' }).click();
    await page.locator('.change .badge.done').first().waitFor();
    await pause().click();
    expect(await page.locator('.majority.reached .label').allTextContents()).toEqual([
      'Majority of the old members',
      'Majority of the new members',
      'Majority of the members',
    ]);
    await keepPicture(page, 'playground-change');
  });

  it('fits into 400 pixels', async () => {
    await page.setViewportSize({ width: 400, height: 900 });
    await open('leader-dies');
    await page.keyboard.press('n');
    await steps().first().locator('.badge.done').waitFor();
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(400);
    await keepPicture(page, 'playground-400');
  });
});

describe('conclave view', () => {
  it.each([
    [['--question', 'leader-dies'], 2, '--question and --seed are for a simulated group: add --simulate'],
    [['--simulate', '--allow-admin'], 2, 'a simulation has no admin commands: --allow-admin is for a live group'],
    [['--simulate', '--replay', 'none'], 2, '--simulate and --replay show different groups'],
    [['--simulate', '--question', 'why'], 3, 'there is no question why: the questions are repeated-command, '],
  ])('rejects %j', async (args, code, error) => {
    const ended = await startCommand('nats://127.0.0.1:1', ['view', '--listen', '127.0.0.1:0', ...args]).ended;
    expect(ended.error).toContain(error);
    expect(ended.code).toBe(code);
  });
});
