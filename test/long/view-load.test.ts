/** The page of a group that sends 1,000 messages per second for a minute: neither the server nor the page grows. */
import { readFileSync } from 'node:fs';
import { asGroupId, asPeerId, encode, Subjects } from '@conclave/protocol';
import { connect } from 'nats';
import { afterAll, describe, expect, it } from 'vitest';
import { Stops } from '../mesh/fault-mesh.js';
import { chromiumFile, keepPicture, launchBrowser } from '../support/browser.js';
import { startNats } from '../support/nats.js';
import { ViewProcess } from '../support/view.js';

const stops = new Stops();
afterAll(() => stops.run());

const perSecond = 1000;
const seconds = 60;
/** Messages are sent in bursts of this time. */
const burstMs = 20;
const mebibyte = 1024 * 1024;

/** Acknowledgements as log-stores send them, of which the page shows all with this rate. */
function acknowledgement(index: number): Uint8Array {
  return encode({
    group_id: 'main',
    group_uid: 'u',
    peer_id: `n${(index % 3) + 1}`,
    store_id: 's',
    session: 1,
    seq: index,
    leader_id: 'n1',
    leader_term: 1,
    match_index: index,
  });
}

/** The resident memory of a process, in bytes. */
function memoryOf(processId: number): number {
  const [, pages = '0'] = readFileSync(`/proc/${processId}/statm`, 'utf8').split(' ');
  return Number(pages) * 4096;
}

describe.skipIf(chromiumFile === undefined)('the page at 1,000 messages per second', () => {
  it('needs no more memory after a minute than after a third of it, in the page and in its server', async () => {
    const server = await startNats();
    stops.add(() => server.stop());
    const view = await ViewProcess.start(server.url, { args: ['--message-rate', '2000'] });
    stops.add(() => view.stop());
    const browser = await launchBrowser();
    stops.add(() => browser.close());
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    await page.goto(view.url);
    await page.getByRole('heading', { name: 'Peers', exact: true }).waitFor();
    const debug = await page.context().newCDPSession(page);
    const heapOf = async (): Promise<number> => {
      await debug.send('HeapProfiler.collectGarbage');
      return (await debug.send('Runtime.getHeapUsage')).usedSize;
    };

    const connection = await connect({ servers: server.url });
    stops.add(() => connection.close());
    const subjects = new Subjects();
    const address = { groupId: asGroupId('main'), peerId: asPeerId('n1'), recipient: 'feed' } as const;
    let sent = 0;
    const began = performance.now();
    /** Sends what is due until `until` seconds have passed since the beginning. */
    const sendUntil = async (until: number): Promise<void> => {
      while (performance.now() - began < until * 1000) {
        const due = ((performance.now() - began) / 1000) * perSecond;
        for (; sent < due; sent++) {
          const from = asPeerId(`n${(sent % 3) + 1}`);
          connection.publish(subjects.message(address, 'stored', from), acknowledgement(sent));
        }
        await new Promise((resolve) => setTimeout(resolve, burstMs));
      }
    };

    await sendUntil(seconds / 3);
    const early = { page: await heapOf(), server: memoryOf(view.processId) };
    await page.keyboard.press('2');
    await page.locator('.diagram .arrow').first().waitFor();
    await sendUntil((2 * seconds) / 3);
    await page.keyboard.press('3');
    await sendUntil(seconds);
    const late = { page: await heapOf(), server: memoryOf(view.processId) };

    expect(sent).toBeGreaterThan(0.9 * perSecond * seconds);
    // All lists have reached their bounds in the first third.
    expect(late.page - early.page).toBeLessThan(12 * mebibyte);
    expect(late.server - early.server).toBeLessThan(48 * mebibyte);
    // It has kept up: the newest messages are shown.
    await page.keyboard.press('2');
    await connection.flush();
    await keepPicture(page, 'load');
    await page.getByRole('region', { name: /Sequence diagram/ }).focus();
    await page.keyboard.press('PageDown');
    await expect
      .poll(async () => Number(/match_index(\d+)/.exec((await page.locator('.details').textContent()) ?? '')?.[1]), {
        timeout: 30_000,
      })
      .toBeGreaterThan(sent - 5 * perSecond);
  });
});
