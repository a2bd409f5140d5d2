/** `npm run bench` with rows of each set-up, short: that it measures what they name, and leaves nothing behind. */
import { readdirSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { makeFolder, processesThatName, removeFolder } from '../support/leftovers.js';

const folder = makeFolder('bench-rows');

afterAll(() => removeFolder(folder));

it('rows of each set-up are measured beside their baseline, or beside the row of three peers and one group', async () => {
  const rows = 'one-1,one-open-50,one-lease-1,one-five-peers,one-100-groups,one-16-kib,one-idle';
  const args = ['bench', '--rows', rows, '--seconds', '1', '--warm-up-seconds', '0', '--data-dir', folder, '--json'];
  const { code, out, error } = await startCommand('', args).ended;
  expect({ code, error }).toEqual({ code: 0, error: '' });
  const records = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const results = records.filter(({ row }) => String(row).startsWith('one-'));
  const write = { operation: 'write', placement: 'one', failed: 0, ratio: expect.any(Number) };
  expect(results).toMatchObject([
    { ...write, row: 'one-1', p50_ratio: expect.any(Number) },
    { ...write, row: 'one-1024' },
    { row: 'one-open-50', compared_with: 'one-1024', failed: 0, p999_ms: expect.any(Number) },
    { ...write, row: 'one-lease-1', operation: 'lease', p50_ratio: expect.any(Number) },
    { ...write, row: 'one-five-peers', peers: 5, compared_with: 'one-1024' },
    { ...write, row: 'one-100-groups', groups: 100, compared_with: 'one-1024' },
    { ...write, row: 'one-16-kib', value_bytes: 16_384 },
    { row: 'one-idle', cores: expect.any(Number) },
  ]);
  const { processes } = results.at(-1) as { processes: { name: string; memory_bytes: number }[] };
  expect(processes.map(({ name }) => name)).toEqual(['n1', 'n2', 'n3', 'nats-server']);
  for (const { memory_bytes: bytes } of processes) expect(bytes).toBeGreaterThan(1024 * 1024);
  // The baseline of 16 KiB is not that of 128 bytes.
  expect(records).toContainEqual(expect.objectContaining({ row: 'request-256', value_bytes: 16_384, failed: 0 }));
  expect(readdirSync(folder)).toEqual([]);
  expect(processesThatName(folder)).toEqual([]);
}, 400_000);
