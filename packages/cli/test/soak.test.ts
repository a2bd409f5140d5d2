import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { asPeerId } from '@conclave/protocol';
import { describe, expect, it, onTestFinished } from 'vitest';
import { residentBytes } from '../src/processes/usage.js';
import { bytesInFolder, type Sample } from '../src/soak/sampling.js';
import { peaksOf } from '../src/soak/verdict.js';

const MiB = 1024 * 1024;

/** One look a second; megabytes on the disk of n1 and in the memory of its node. */
function samples(looks: readonly (readonly [disk: number, memory: number])[]): Sample[] {
  return looks.map(([disk, memory], seconds) => ({
    seconds,
    writes: 0,
    diskBytes: new Map([[asPeerId('n1'), disk * MiB]]),
    memoryBytes: new Map([['n1-node', memory * MiB]]),
  }));
}

describe('the resources of a soak', () => {
  it('is bounded where the last third has no higher peaks than the third before, however it began', () => {
    const looks = samples([
      [1, 50],
      [10, 100],
      [400, 300],
      [100, 200],
      [420, 220],
      [90, 210],
      [430, 200],
      [80, 230],
      [410, 220],
    ]);
    expect(peaksOf(looks, 64 * 1024 * 1024)).toEqual([
      { name: 'n1 disk', before: 420 * MiB, last: 430 * MiB, bounded: true },
      { name: 'n1-node memory', before: 220 * MiB, last: 230 * MiB, bounded: true },
    ]);
  });

  it('grows where the last third has', () => {
    const looks = samples(Array.from({ length: 9 }, (_, look) => [200 * look, 100 * look] as const));
    expect(peaksOf(looks, 64 * 1024 * 1024).map(({ bounded }) => bounded)).toEqual([false, false]);
  });

  it('may grow on a disk by one snapshot’s log, and by what LevelDB needs in one step', () => {
    const looks = samples([1, 1, 1, 100, 100, 100, 180, 180, 180].map((disk) => [disk, 1] as const));
    expect(peaksOf(looks, 2 * MiB)[0]?.bounded).toBe(true);
    const larger = samples([1, 1, 1, 100, 100, 100, 360, 360, 360].map((disk) => [disk, 1] as const));
    expect(peaksOf(larger, 2 * MiB)[0]?.bounded).toBe(false);
    expect(peaksOf(larger, 256 * MiB)[0]?.bounded).toBe(true);
  });

  it('is nothing without a look', () => {
    expect(peaksOf([], 1)).toEqual([]);
  });

  it('is the bytes of all files, and the resident memory', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'conclave-soak-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    mkdirSync(path.join(folder, 'in'));
    writeFileSync(path.join(folder, 'a'), 'abc');
    writeFileSync(path.join(folder, 'in', 'b'), 'de');
    expect(bytesInFolder(folder)).toBe(5);
    expect(bytesInFolder(path.join(folder, 'nothing'))).toBe(0);
    if (process.platform === 'linux') expect(residentBytes(process.pid)).toBeGreaterThan(MiB);
    expect(residentBytes(2 ** 30)).toBeUndefined();
  });
});
