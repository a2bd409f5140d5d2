import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { DiskMonitor } from '../src/disk-monitor.js';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function measurements(watch: DiskMonitor, count: number): Promise<number[]> {
  return new Promise((resolve) => {
    const found: number[] = [];
    ends.push(
      watch.watch(({ freeBytes }) => {
        found.push(freeBytes);
        if (found.length === count) resolve(found);
      }),
    );
  });
}

it('measures again and again, and notifies later subscribers at once', async () => {
  const watch = new DiskMonitor({ folder: import.meta.dirname, reserveBytes: 0, everyMs: 1 });
  const [first] = await measurements(watch, 3);
  const { blocks, bsize } = await statfs(import.meta.dirname);
  expect(first).toBeGreaterThan(0);
  expect(first).toBeLessThanOrEqual(blocks * bsize);
  let atOnce: number | undefined;
  ends.push(
    watch.watch(({ freeBytes }) => {
      atOnce = freeBytes;
    }),
  );
  expect(atOnce).toBeGreaterThan(0);
});

it('reports once that the disk cannot be measured', async () => {
  const warnings: string[] = [];
  const warned = new Promise<void>((resolve) => {
    const warn = (text: string) => {
      warnings.push(text);
      resolve();
    };
    const folder = path.join(import.meta.dirname, 'no such folder');
    ends.push(new DiskMonitor({ folder, reserveBytes: 0, everyMs: 1, warn }).watch(() => {}));
  });
  await warned;
  await measurements(new DiskMonitor({ folder: import.meta.dirname, reserveBytes: 0, everyMs: 1 }), 20);
  expect(warnings).toEqual(['the free space of the disk cannot be measured']);
});

it('reports that the disk hangs while a measurement takes too long, and its result afterwards', async () => {
  let looks = 0;
  let end = (): void => {};
  const fault = (): Promise<undefined> => {
    looks += 1;
    return looks === 2 ? new Promise((resolve) => (end = () => resolve(undefined))) : Promise.resolve(undefined);
  };
  const watch = new DiskMonitor({ folder: import.meta.dirname, reserveBytes: 0, everyMs: 1, hangsAfterMs: 0, fault });
  const found: (string | undefined)[] = [];
  await new Promise<void>((resolve) => {
    ends.push(
      watch.watch((now) => {
        found.push(now.fault?.message);
        if (looks === 2) expect(now.fault).toMatchObject({ type: 'problem', stopsWrites: true });
        if (looks === 2) end();
        if (looks === 3 && now.fault === undefined) resolve();
      }),
    );
  });
  expect(found.some((message) => message?.startsWith('the disk of the data folder hangs'))).toBe(true);
  expect(found.at(-1)).toBeUndefined();
});
