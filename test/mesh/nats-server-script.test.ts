import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');

test('scripts/nats-server.mjs, which docker/local-images.sh runs, prints the path of a NATS server', async () => {
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [path.join(root, 'scripts/nats-server.mjs')], { cwd: root });
  const server = stdout.trim().split('\n').at(-1) ?? '';
  expect(existsSync(server)).toBe(true);
  expect((await run(server, ['--version'])).stdout).toContain('nats-server');
});
