/** Chromium for the tests of the page: Debian's, or the one that CHROMIUM names. */
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Undefined: there is none. */
export const chromiumFile: string | undefined = places.find((file) => file !== undefined && existsSync(file));

if (chromiumFile === undefined) {
  console.log(
    'The tests of the page are left out: there is no Chromium. Install it (apt-get install chromium), or set CHROMIUM.',
  );
}

/** Where the tests put pictures of what they see. */
const screenshots = fileURLToPath(new URL('../../.cache/screenshots/', import.meta.url));

export function launchBrowser(): Promise<Browser> {
  // In a container, Chromium runs as root, whom its sandbox does not accept.
  return chromium.launch({ executablePath: chromiumFile as string, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** Keeps a picture of the page for people: `.cache/screenshots/<name>.png`. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: path.join(screenshots, `${name}.png`) });
}
