/** The page of a real group in a real browser. Messages inside a peer's process are mirrored, so that all of them are seen. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { type KnownEventRecord, readRecording } from '@conclave/view';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { chromiumFile, keepPicture, launchBrowser } from '../support/browser.js';
import { type CommandRun, startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { ViewProcess } from '../support/view.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { Writers } from './fault-writers.js';
import { changePeers, lead } from './membership-stages.js';

const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;
let view: ViewProcess;
let browser: Browser;
let page: Page;
let recording: CommandRun;
const folder = makeFolder('view');

/** As long as the browser's own waits: a busy machine draws late. */
const eventually = <T>(look: () => Promise<T>) => expect.poll(look, { timeout: 30_000 });

/** Moves a slider as a user does; runs in the browser. */
const setRange = (element: unknown, value: string | null): void => {
  const slider = element as { value: string; dispatchEvent(event: Event): void };
  slider.value = value ?? '';
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  slider.dispatchEvent(new Event('change', { bubbles: true }));
};

describe.skipIf(chromiumFile === undefined)('the page of a group', () => {
  beforeAll(async () => {
    server = await startNats();
    stops.add(() => server.stop());
    const options = { servers: [server], peers: ['n1', 'n2', 'n3'], placement: 'one', args: ['--mirror'] } as const;
    mesh = await Mesh.found(options, stops);
    await mesh.start('n4', 'n5');
    view = await ViewProcess.start(server.url, { args: ['--allow-admin'] });
    stops.add(() => view.stop());
    recording = startCommand(server.url, ['record', '--json', path.join(folder, 'change.records')]);
    browser = await launchBrowser();
    stops.add(() => browser.close());
  });
  afterAll(async () => {
    await stops.run();
    removeFolder(folder);
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') await keepPicture(page, `failed-${task.name.replace(/\W+/g, '-').slice(0, 60)}`);
    await page.close();
  });

  async function open(width = 1280, height = 900): Promise<void> {
    page = await browser.newPage({ viewport: { width, height } });
    await page.goto(view.url);
    await page.getByRole('heading', { name: 'Peers', exact: true }).waitFor();
  }

  const row = (peer: string) => page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: peer }) });
  const text = (selector: string) => page.locator(selector).allInnerTexts();

  it('shows a change under load: new peers reach 100 %, both majorities fill, the stages follow in order', async () => {
    await lead(mesh, 'n1');
    const writers = await Writers.start([server.url], 16);
    stops.add(() => writers.stop());
    await writers.progress(300);
    await open();
    await changePeers(mesh, ['n1', 'n4', 'n5']);
    // Until it begins, the page shows the change before it, which is done.
    const change = page.locator('.change').filter({ hasText: '→ {n1,n4,n5}' });
    await change.locator('.badge.done').first().waitFor();

    expect(await text('.progress .percent')).toEqual(['100 %', '100 %']);
    expect(await text('.steps .past span')).toEqual(['Catching up', 'Joint', 'Stable']);
    // Each majority has the votes that it needs: two of three.
    await page.waitForFunction(`
      [...document.querySelectorAll('.majority.reached')].filter((one) => one.querySelectorAll('.stored').length >= 2).length === 3
    `);
    expect(await text('.majority .label')).toEqual([
      'Majority of the old members',
      'Majority of the new members',
      'Majority of the members',
    ]);
    await eventually(() => row('n2').textContent()).toContain('not a member');
    await keepPicture(page, 'change-overview');

    await page.keyboard.press('2');
    await page.locator('.diagram .arrow').first().waitFor();
    await keepPicture(page, 'change-messages');
    await page.keyboard.press('3');
    const events = (await text('.events .what')).toReversed();
    const stages = events.flatMap((event) => /^stage changed ([a-z ]+): /.exec(event)?.[1] ?? []);
    expect(stages).toEqual(['catching up', 'joint', 'stable', 'ended']);
    await keepPicture(page, 'change-timeline');
    await writers.stop();
  });

  it('shows keys and values that contain markup as text, and the value of a key live', async () => {
    const markup = '<img src="x" onerror="document.title=1"><b>bold</b>';
    await mesh.plain.insist('kv.put', { key: markup, value: `${markup} & more` });
    await open();
    await page.keyboard.press('4');
    await page.getByRole('button', { name: markup }).click();
    await eventually(() => page.locator('pre.value').textContent()).toBe(`${markup} & more`);
    expect(await page.locator('main img, main b:has-text("bold")').count()).toBe(0);
    await mesh.plain.insist('kv.put', { key: markup, value: '{"json":true}' });
    await eventually(() => page.locator('pre.value').textContent()).toBe('{"json":true}');
    await page.getByRole('button', { name: 'json' }).click();
    await eventually(() => page.locator('pre.value').textContent()).toBe('{\n  "json": true\n}');
    await page.getByRole('button', { name: 'bytes' }).click();
    await eventually(() => page.locator('pre.value').textContent()).toContain('7b 22 6a 73 6f 6e');
    expect(await page.title()).toBe('group main · Conclave');
    await keepPicture(page, 'keys');
  });

  it('shows locks and leases with their holders and remaining time', async () => {
    const { lease_id } = await mesh.plain.insist('kv.lease_grant', { ttl_ms: 600_000 });
    await mesh.plain.insist('kv.lock', { name: 'migration', owner: 'worker-7', lease_id });
    await mesh.plain.insist('kv.put', { key: 'workers/7', value: 'busy', lease_id });
    await open();
    await page.keyboard.press('4');
    const lock = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: 'migration' }) });
    await eventually(() => lock.textContent()).toMatch(/worker-7.*9 min/);
    const lease = page.getByRole('row').filter({ hasText: 'workers/7' });
    await eventually(() => lease.textContent()).toMatch(/10 min.*9 min/);
    await keepPicture(page, 'locks');
  });

  it('can be used with the keyboard alone', async () => {
    await open();
    const focused = () => page.locator(':focus').textContent();
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Skip to the content');
    const reached: (string | null)[] = [];
    for (let press = 0; press < 5; press++) {
      await page.keyboard.press('Tab');
      reached.push(await focused());
    }
    expect(reached).toEqual(['Overview', 'Messages', 'Timeline', 'Keys', 'What if']);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Messages' }).waitFor();
    await page.getByRole('region', { name: /Sequence diagram/ }).focus();
    await page.keyboard.press('ArrowUp');
    await page.locator('.details dl dt').first().waitFor();
    // Choosing a message pauses, so that it stays.
    await page.getByRole('button', { name: 'Continue' }).waitFor();
    const first = await page.locator('.details p').textContent();
    await page.keyboard.press('ArrowUp');
    await eventually(() => page.locator('.details p').textContent()).not.toBe(first);
    await keepPicture(page, 'keyboard');
  });

  it('fits into a window of 400 pixels, and into one of 4K', async () => {
    await open(400, 800);
    for (const [key, name] of ['overview', 'messages', 'timeline', 'keys', 'what-if'].entries()) {
      await page.keyboard.press(String(key + 1));
      await page.locator('main > div').waitFor();
      // Locks and leases arrive after the page of the keys.
      if (name === 'keys') await page.getByRole('row').filter({ hasText: 'workers/7' }).waitFor();
      const widths = () => page.evaluate('[document.documentElement.scrollWidth, innerWidth]');
      expect(await widths()).toEqual([400, 400]);
      await keepPicture(page, `narrow-${name}`);
    }
    await page.setViewportSize({ width: 3840, height: 2160 });
    await page.keyboard.press('1');
    await keepPicture(page, 'wide');
  });

  it('cannot be read by pages of other origins', async () => {
    const other = createServer((_, response) => response.end('<!doctype html><title>another page</title>'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', () => resolve()));
    const { port } = other.address() as AddressInfo;
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    // Runs in the browser, whose types the tests do not have.
    const read = await page.evaluate(`(async (url) => {
      const streamed = new Promise((resolve) => {
        const source = new EventSource(url + 'api/stream');
        source.addEventListener('state', () => resolve('read'));
        source.onerror = () => resolve('refused');
      });
      const refused = () => 'refused';
      const fetched = await fetch(url + 'api/keys?prefix=').then((reply) => reply.text(), refused);
      const body = JSON.stringify({ command: 'cancel_change', peer: '', request: {} });
      const sent = await fetch(url + 'api/admin/prepare', { method: 'POST', mode: 'no-cors', body }).then(({ type }) => type, refused);
      return { fetched, streamed: await streamed, sent };
    })(${JSON.stringify(view.url)})`);
    // The browser sends the command, shows no reply, and the server has refused it.
    expect(read).toEqual({ fetched: 'refused', streamed: 'refused', sent: expect.stringMatching(/opaque|refused/) });
    await new Promise((resolve) => other.close(resolve));
  });

  it('sends an admin command only after its confirmation', async () => {
    await lead(mesh, 'n1');
    await open();
    await eventually(() => row('n1').textContent()).toContain('leader');
    const dialog = page.getByRole('dialog');
    await row('n4').getByRole('button', { name: 'Make leader…' }).click();
    await dialog.getByText('Transfer the leadership to n4.').waitFor();
    await keepPicture(page, 'confirmation');
    await dialog.getByRole('button', { name: 'Do nothing' }).click();
    await dialog.waitFor({ state: 'hidden' });
    expect((await mesh.leaderStatus()).peer_id).toBe('n1');
    await row('n4').getByRole('button', { name: 'Make leader…' }).click();
    await dialog.getByRole('button', { name: 'Do it' }).click();
    await dialog.waitFor({ state: 'hidden' });
    await until('n4 leads', async () => ((await mesh.leaderStatus()).peer_id === 'n4' ? true : undefined));
    await eventually(() => row('n4').textContent()).toContain('leader');
  });

  it('shows what a planned change would require, and which peers may be restarted', async () => {
    await open();
    await page.keyboard.press('5');
    await eventually(() => page.locator('.answers').first().textContent()).toContain('may be restarted now');
    await page.getByRole('button', { name: 'n2', exact: true }).click();
    await page.getByText('Exactly one peer is added or removed: the joint stage is skipped.').waitFor();
    await page.getByRole('button', { name: 'n4', exact: true }).click();
    await page.getByText('possible now').waitFor();
    expect(await text('.what-if .steps span')).toEqual(['Catching up', 'Joint', 'Stable']);
    await keepPicture(page, 'what-if');
  });

  it('plays a recording of the change at any speed, in steps and backwards', async () => {
    const recorded = path.join(folder, 'change.records');
    recording.child.kill('SIGINT');
    const { code, out } = await recording.ended;
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ file: recorded, full: false });
    const replay = await ViewProcess.start('nats://127.0.0.1:1', { args: ['--replay', recorded] });
    stops.add(() => replay.stop());
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    await page.goto(replay.url);
    const time = page.getByRole('slider', { name: 'Time' });
    await time.waitFor();
    const [first, last] = await Promise.all([time.getAttribute('min'), time.getAttribute('max')]);
    const goTo = (at: string | null) => time.evaluate(setRange, at);
    await goTo(last);
    await page.locator('.change .badge.done').first().waitFor();
    expect(await text('.steps .past span')).toEqual(['Catching up', 'Joint', 'Stable']);
    await keepPicture(page, 'replay');
    await goTo(first);
    await page.getByText('No change was observed.').waitFor();
    // By events, over the beginning of the joint stage and back.
    const { records } = await readRecording(recorded);
    const events = records.filter(({ kind }) => kind === 'event') as KnownEventRecord[];
    const joint = events.findIndex(({ name, body }) => name === 'stage_changed' && body.stage === 'joint');
    const at = (events[joint] as KnownEventRecord).at;
    const current = page.locator('.steps .current span');
    await goTo(String(at - 1));
    await eventually(() => current.textContent()).toBe('Catching up');
    const steps = events.slice(0, joint + 1).filter((event) => event.at > at - 1).length;
    for (let step = 0; step < steps; step++) await page.keyboard.press(']');
    await eventually(() => current.textContent()).toBe('Joint');
    await page.keyboard.press('[');
    await eventually(() => current.textContent()).toBe('Catching up');
    await page.keyboard.press('b');
    await page.getByText('No change was observed.').waitFor();
  });

  it('recovers after its server was gone, and shows meanwhile that it is gone', async () => {
    await open();
    const { host } = new URL(view.url);
    await view.kill();
    await page.getByText('The connection to the server of this page is lost').waitFor();
    await keepPicture(page, 'lost-connection');
    view = await ViewProcess.start(server.url, { listen: host, args: ['--allow-admin'] });
    await page.getByText('The connection to the server of this page is lost').waitFor({ state: 'detached' });
    await eventually(() => row('n4').textContent()).toContain('member');
  });

  it('shows a killed leader, and the election of another one', async () => {
    const { peer_id: killed, term } = await mesh.leaderStatus();
    await open();
    await eventually(() => row(killed).textContent()).toContain('leader');
    await mesh.kill(killed);
    const { peer_id: next } = await mesh.leaderAfter(term, killed);
    await eventually(() => row(next).textContent()).toContain('leader');
    await eventually(() => row(killed).textContent()).toContain('down');
    await keepPicture(page, 'killed-leader');
    await page.keyboard.press('3');
    await page.locator('.events .what', { hasText: 'leader elected' }).first().waitFor();
  });
});
