/** `npm run bench -- --change`, a few windows of it: that it does to a group what its rows name. */
import { afterAll, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';

const folder = makeFolder('bench-change');

afterAll(() => removeFolder(folder));

it('members are replaced and the leader is killed under load, and the longest gap is printed next to that without a change', async () => {
  const rows = ['--rows', 'replace-two,leader-killed', '--writers', '8', '--changes', '1', '--kills', '1'];
  const args = ['bench', '--change', ...rows, '--warm-up-seconds', '0', '--data-dir', folder, '--json'];
  const { code, out, error } = await startCommand('', args).ended;
  expect({ code, error }).toEqual({ code: 0, error: '' });
  const records = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(records).toMatchObject([
    { row: 'no-change', writers: 8, failed: 0, gap_ratio: 1 },
    { row: 'replace-two', writers: 8, failed: 0, unchanged_failed: 0 },
    { row: 'leader-killed', writers: 8, goal_ms: 1500 },
  ]);
  for (const { gaps_ms: gapsMs } of records) expect(gapsMs).toEqual([expect.any(Number)]);
});
