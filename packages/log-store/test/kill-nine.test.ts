/** A process that writes is killed at random points, again and again: what it had reported as synced is there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { asGroupId, asLogIndex, batchIsIntact } from '@conclave/protocol';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LevelLogStorage } from '../src/level-log-storage.js';
import { makeFolder } from './folder.js';

const groups = ['one', 'two', 'three'];
const rounds = 8;
const children = new Set<ChildProcess>();
let folder: Awaited<ReturnType<typeof makeFolder>>;
let writer: string;

beforeAll(async () => {
  folder = await makeFolder();
  writer = await bundleWriter(path.join(folder.path, 'program'));
}, 60_000);

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await folder.remove();
});

/** Puts the writer's sources into one file that Node runs, as unit tests build nothing else. */
async function bundleWriter(outDir: string): Promise<string> {
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['source', 'module', 'node'] },
    ssr: { noExternal: [/^@conclave\//] },
    build: { ssr: path.join(import.meta.dirname, 'writer.ts'), outDir, target: 'node20', minify: false },
  });
  await mkdir(outDir, { recursive: true });
  await symlink(path.resolve(import.meta.dirname, '../../../node_modules'), path.join(outDir, 'node_modules'));
  return path.join(outDir, 'writer.js');
}

/** Lets the writer report so many writes, kills it, and answers the last one of each group that it had reported. */
async function writeAndKill(data: string, reports: number): Promise<Map<string, number>> {
  const child = spawn(process.execPath, [writer, data, ...groups], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const exited = once(child, 'exit');
  const reported = new Map<string, number>();
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [group = '', index = ''] = line.split(' ');
    reported.set(group, Number(index));
    lines += 1;
    // What it writes at this very moment is cut off; what it reports until it is dead still counts.
    if (lines === reports) child.kill('SIGKILL');
  }
  const [, signal] = await exited;
  children.delete(child);
  expect(signal).toBe('SIGKILL');
  return reported;
}

it(`keeps what it reported through ${rounds} times kill -9`, { timeout: 120_000 }, async () => {
  const data = path.join(folder.path, 'data');
  for (let round = 1; round <= rounds; round++) {
    const reported = await writeAndKill(data, 1 + Math.floor(Math.random() * 150));
    const storage = new LevelLogStorage({ folder: data });
    await storage.open();
    try {
      for (const [group, last] of reported) {
        const keys = await storage.batchKeysFrom(asGroupId(group), asLogIndex(1));
        expect(keys.length, `${group} in round ${round}`).toBeGreaterThanOrEqual(last);
        expect(keys.length, 'at most the write that was cut off is there as well').toBeLessThanOrEqual(last + 1);
        const bounds = { maxBytes: 1e9, maxBatches: 1e6 };
        const range = { fromIndex: asLogIndex(1), lastIndex: asLogIndex(last), ...bounds };
        const rows = await storage.readBatches(asGroupId(group), range);
        expect(rows.filter(({ value }) => batchIsIntact(value))).toHaveLength(last);
      }
    } finally {
      await storage.close();
    }
  }
});
