/** `npm run soak`, short: what it is for takes an hour. */
import { afterAll, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';

const folder = makeFolder('soak');

afterAll(() => removeFolder(folder));

interface Last {
  readonly writes: number;
  readonly failed: number;
  readonly first_index: number;
  readonly last_index: number;
  readonly peaks: readonly { readonly name: string; readonly last_third_bytes: number; readonly bounded: boolean }[];
}

it('the disk usage stays bounded while far more is written, and no write fails', async () => {
  const args = ['soak', '--minutes', '0.25', '--sample-seconds', '1', '--snapshot-log-mb', '2', '--data-dir', folder];
  const { out } = await startCommand('', [...args, '--json']).ended;
  const last = JSON.parse(out.trim().split('\n').at(-1) ?? '') as Last;
  expect(last.failed).toBe(0);
  expect(last.first_index).toBeGreaterThan(1);
  const disks = last.peaks.filter(({ name }) => name.endsWith('disk'));
  expect(disks).toHaveLength(3);
  for (const disk of disks) expect(disk).toMatchObject({ bounded: true });
});
