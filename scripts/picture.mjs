// Makes the picture of README.md: the page of a real group whose members change while clients write. Needs Chromium.
//
// usage: picture.mjs [--out <folder>]     (default: docs/images; with another folder, more pictures)

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { capture, root, runMain } from './run.mjs';
import { setUp } from './setup.mjs';

const command = path.join(root, 'packages', 'cli', 'bin', 'conclave.js');
const executable = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** Written before the change, so that new peers need a moment for it. */
const writesBefore = 8000;
const writers = 12;
const writesAfterMs = 3000;

/**
 * Starts five peers, and returns what `up` prints when they serve.
 *
 * @param {string} folder
 * @param {Record<string, string>} env
 */
async function startUp(folder, env) {
  const args = ['up', '--json', '--peers', '5', '--data-dir', folder, '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [command, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const record = JSON.parse(line);
    if (record.ready === true) {
      child.stdout.resume();
      return { child, natsUrl: record.nats_url, viewUrl: record.view_url };
    }
  }
  throw new Error('conclave up has ended');
}

/**
 * @param {string} natsUrl
 * @param {string[]} args
 */
async function conclave(natsUrl, ...args) {
  const env = { ...process.env, NATS_URL: natsUrl };
  const { code, output } = await capture(process.execPath, [command, ...args], { env });
  if (code !== 0) throw new Error(`conclave ${args.join(' ')} failed:\n${output}`);
}

/**
 * Clients that write one after the other, until they are stopped.
 *
 * @param {string} natsUrl
 */
async function startWriters(natsUrl) {
  const { ConclaveClient } = await import(
    pathToFileURL(path.join(root, 'packages', 'client', 'dist', 'index.js')).href
  );
  const client = await ConclaveClient.connect({ servers: natsUrl, groupId: 'main' });
  let isRunning = true;
  let written = 0;
  /** @type {(count: number) => Promise<void>} */
  const reach = (count) =>
    new Promise((resolve) => {
      const timer = setInterval(() => {
        if (written < count) return;
        clearInterval(timer);
        resolve();
      }, 50);
    });
  const value = 'x'.repeat(512);
  const loop = async (/** @type {number} */ number) => {
    while (isRunning) {
      // On a slow machine, a busy browser may delay a reply beyond its time.
      await client.kv.put(`orders/${number}/${written % 100}`, value).catch(() => undefined);
      written += 1;
    }
  };
  const loops = Array.from({ length: writers }, (_, number) => loop(number));
  return {
    client,
    reach,
    stop: async () => {
      isRunning = false;
      await Promise.all(loops);
      await client.close();
    },
  };
}

await runMain(async () => {
  const [flag, folder] = process.argv.slice(2);
  if (flag !== undefined && (flag !== '--out' || folder === undefined))
    throw new Error('usage: picture.mjs [--out <folder>]');
  if (!existsSync(executable)) throw new Error(`There is no ${executable}: apt-get install chromium, or set CHROMIUM.`);
  const out = path.resolve(folder ?? path.join(root, 'docs', 'images'));
  mkdirSync(out, { recursive: true });
  const { env } = await setUp({ nats: true });
  const data = mkdtempSync(path.join(tmpdir(), 'conclave-picture-'));
  const { chromium } = await import('playwright-core');
  const { child, natsUrl, viewUrl } = await startUp(data, env);
  const browser = await chromium.launch({ executablePath: executable, args: ['--no-sandbox'] });
  try {
    await conclave(natsUrl, 'peers', 'change', 'n1', 'n2', 'n3', '--yes');
    await conclave(natsUrl, 'leader', 'transfer', 'n1').catch(() => undefined);
    const load = await startWriters(natsUrl);
    await load.reach(writesBefore);
    const page = await browser.newPage({ viewport: { width: 1440, height: 1000 }, colorScheme: 'dark' });
    await page.goto(viewUrl);
    await page.getByRole('heading', { name: 'Peers', exact: true }).waitFor();
    // The change to three members is the last one that the page knows.
    const changed = conclave(natsUrl, 'peers', 'change', 'n1', 'n4', 'n5');
    await page
      .locator('.change .headline')
      .filter({ hasText: 'n4,n5}' })
      .locator('.badge.done')
      .waitFor({ timeout: 60_000 });
    await changed;
    await page.waitForTimeout(writesAfterMs);
    await page.screenshot({ path: path.join(out, 'view.png') });
    await load.stop();
    if (folder !== undefined) await morePictures(browser, page, viewUrl, out);
  } finally {
    await browser.close();
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
    rmSync(data, { recursive: true, force: true });
  }
  console.log(`the pictures are in ${out}`);
  return 0;
});

/**
 * Every view, light and dark, and of small and large windows.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {import('playwright-core').Page} page
 * @param {string} url
 * @param {string} out
 */
async function morePictures(browser, page, url, out) {
  for (const [key, name] of ['', 'overview', 'messages', 'timeline', 'keys', 'what-if'].entries()) {
    if (name === '') continue;
    await page.keyboard.press(String(key));
    await page.waitForTimeout(1500);
    await page.screenshot({ path: path.join(out, `${name}.png`) });
  }
  for (const [width, height] of /** @type {const} */ ([
    [400, 900],
    [3840, 2160],
  ])) {
    const sized = await browser.newPage({ viewport: { width, height }, colorScheme: 'light' });
    await sized.goto(url);
    await sized.getByRole('heading', { name: 'Peers', exact: true }).waitFor();
    await sized.waitForTimeout(1500);
    await sized.screenshot({ path: path.join(out, `width-${width}.png`), fullPage: width === 400 });
    await sized.keyboard.press('2');
    await sized.waitForTimeout(500);
    await sized.screenshot({ path: path.join(out, `messages-${width}.png`) });
    await sized.close();
  }
}
