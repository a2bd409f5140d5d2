/** `npm run bench -- --catch-up`, with a short log: that it measures what its rows name. */
import { afterAll, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';

const folder = makeFolder('bench-catch-up');
const entries = 12_000;

afterAll(() => removeFolder(folder));

it('a new peer catches up under load, from the log and from a snapshot, and the run measures how fast', async () => {
  const args = ['bench', '--catch-up', '--entries', String(entries), '--load', '100', '--data-dir', folder, '--json'];
  const { code, out, error } = await startCommand('', args).ended;
  expect({ code, error }).toEqual({ code: 0, error: '' });
  const rows = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number | string>);
  expect(rows.map(({ row }) => row)).toEqual(['catch-up-from-log', 'catch-up-from-snapshot']);
  for (const row of rows) {
    expect(row).toMatchObject({ failed: 0 });
    expect(row.entries).toBeGreaterThan(entries);
    expect(row.stored_bytes, 'each entry has a value of 128 bytes').toBeGreaterThan(128 * entries);
    expect(row.ratio).toBeGreaterThan(0);
    expect(Number(row.applied_seconds)).toBeGreaterThanOrEqual(Number(row.seconds));
  }
});
