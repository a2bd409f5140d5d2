import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { FolderFault } from '../src/data-folder-monitor.js';
import { DiskMonitor, type DiskReport } from '../src/disk-monitor.js';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function measurements(watch: DiskMonitor, count: number): Promise<(number | undefined)[]> {
  return new Promise((resolve) => {
    const found: (number | undefined)[] = [];
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

it('reports each time that the disk cannot be measured, or what else is wrong', async () => {
  const folder = path.join(import.meta.dirname, 'no such folder');
  const wrong = { type: 'problem', message: 'EMFILE', stopsWrites: false } as const;
  const faults = [undefined, wrong, new Error('no list of files')];
  const found: DiskReport[] = [];
  await new Promise<void>((resolve) => {
    const fault = async (): Promise<FolderFault | undefined> => {
      const next = faults[found.length];
      if (next instanceof Error) throw next;
      return next;
    };
    ends.push(
      new DiskMonitor({ folder, reserveBytes: 0, everyMs: 1, fault }).watch((now) => {
        found.push(now);
        if (found.length === faults.length) resolve();
      }),
    );
  });
  const message = expect.stringMatching('^the disk of the data folder cannot be measured: ');
  const cannotMeasure = { freeBytes: undefined, fault: { type: 'problem', message, stopsWrites: false } };
  expect(found).toEqual([cannotMeasure, { freeBytes: undefined, fault: wrong }, cannotMeasure]);
});

it('reports what is wrong also if the size of the store cannot be measured, and warns of that once', async () => {
  const warnings: string[] = [];
  const storeFolder = path.join(import.meta.dirname, 'no such folder');
  const options = { folder: import.meta.dirname, storeFolder, reserveBytes: 0, everyMs: 1 };
  const monitor = new DiskMonitor({ ...options, warn: (text) => warnings.push(text) });
  const found = await measurements(monitor, 25);
  expect(found.every((bytes) => Number(bytes) > 0)).toBe(true);
  expect(warnings).toEqual(['the size of the store cannot be measured']);
});

it('reports that the disk hangs also if it has never been measured', async () => {
  const fault = () => new Promise<undefined>(() => {});
  const watch = new DiskMonitor({ folder: import.meta.dirname, reserveBytes: 0, everyMs: 1, hangsAfterMs: 0, fault });
  expect(await measurements(watch, 1)).toEqual([undefined]);
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
        if (looks === 2 && now.fault !== undefined)
          expect(now.fault).toMatchObject({ type: 'problem', stopsWrites: true });
        if (looks === 2) end();
        if (looks === 3 && now.fault === undefined) resolve();
      }),
    );
  });
  expect(found.some((message) => message?.startsWith('the disk of the data folder hangs'))).toBe(true);
  expect(found.at(-1)).toBeUndefined();
});
