import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { StorageUnavailable } from '@conclave/log-store';
import { ConclaveError } from '@conclave/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunOptions } from '../src/run/run-options.js';
import { type PreviousState, whenStorageWorks } from '../src/run/storage-probe.js';

let base = '';
beforeEach(() => {
  base = mkdtempSync(path.join(tmpdir(), 'conclave-probe-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** The problems that were logged. */
let problems: string[] = [];

function start<T>(
  dataDir: string,
  before: PreviousState,
  use: () => Promise<T>,
  onProblem: () => unknown = () => undefined,
) {
  problems = [];
  const log = {
    write: (_level: string, text: string, fields: { reason?: string } = {}) => {
      if (text !== 'the data folder cannot be used') return;
      problems.push(String(fields.reason));
      onProblem();
    },
  };
  // No NATS server listens there: nobody asks for the health.
  const options = {
    actors: ['log-store'],
    groups: ['main'],
    peer: 'n1',
    prefix: 'p',
    dataDir,
    nats: ['nats://127.0.0.1:1'],
  };
  return whenStorageWorks(options as unknown as RunOptions, log as never, before, use);
}

const noSpace = () => new StorageUnavailable(Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' }));

describe('a process whose data folder cannot be used', () => {
  const obstacles: Record<string, readonly [make: (folder: string) => void, obstacle: string, problem: RegExp]> = {
    'a file in its place': [(folder) => writeFileSync(folder, ''), '', /data is not a folder: move it away/],
    'a link in its place, to a file system that is not mounted': [
      (folder) => symlinkSync(`${folder}-elsewhere`, folder),
      '',
      /data is a link to a folder that does not exist: is its file system mounted/,
    ],
    'such a link in the place of the folder of LevelDB': [
      (folder) => {
        mkdirSync(folder);
        symlinkSync(`${folder}-elsewhere`, path.join(folder, 'level'));
      },
      'level',
      /level is a link to a folder that does not exist/,
    ],
    'a folder in the place of the file for the probe': [
      (folder) => mkdirSync(path.join(folder, 'probe'), { recursive: true }),
      'probe',
      /probe is not a regular file: delete it/,
    ],
  };

  it.each(Object.entries(obstacles))(
    'because of %s waits until it is removed',
    async (_, [make, obstacle, problem]) => {
      const folder = path.join(base, 'data');
      make(folder);
      const remove = () => rmSync(path.join(folder, obstacle), { recursive: true, force: true });
      expect(await start(folder, 'first', async () => 'started', remove)).toBe('started');
      expect(problems).toEqual([expect.stringMatching(problem)]);
    },
  );

  it.each(['first', 'again'] as const)(
    'starts when a store that cannot be opened now can be opened (%s)',
    async (before) => {
      mkdirSync(path.join(base, 'level'));
      writeFileSync(path.join(base, 'level', 'CURRENT'), '');
      let attempts = 0;
      const use = async () => {
        attempts += 1;
        if (attempts === 1) throw noSpace();
        return attempts;
      };
      expect(await start(base, before, use)).toBe(2);
      expect(problems).toEqual(['ENOSPC: no space']);
    },
  );

  it('ends at its first start if the store is damaged, or something else fails', async () => {
    for (const error of [new ConclaveError('ECORRUPT', 'damaged'), new Error('no application')]) {
      await expect(start(base, 'first', () => Promise.reject(error))).rejects.toBe(error);
    }
  });
});
