import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findNatsServer, findOldestNatsServer, userCache } from '../src/nats-server/find-server.js';
import { type ServerSource, serverFileName } from '../src/nats-server/server-sources.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'conclave-find-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program that prints the version of a NATS server. */
function makeServer(where: string, version = 'v2.15.2'): string {
  const file = path.join(where, serverFileName);
  writeFileSync(file, `#!/bin/sh\necho nats-server: ${version}\n`);
  chmodSync(file, 0o755);
  return file;
}

const environment = (): NodeJS.ProcessEnv => ({ PATH: '' });

describe('a NATS server for commands that start one themselves', () => {
  it('is the one that the environment names, if that runs', async () => {
    const file = makeServer(folder);
    expect(await findNatsServer({ environment: { CONCLAVE_NATS_SERVER: file } })).toBe(file);
    const missing = findNatsServer({ environment: { CONCLAVE_NATS_SERVER: '/somewhere' } });
    await expect(missing).rejects.toMatchObject({ code: 'ENOENT', message: expect.stringContaining('/somewhere') });
  });

  it('is one on the PATH before any that would have to be fetched', async () => {
    const file = makeServer(folder);
    expect(await findNatsServer({ environment: { PATH: folder }, sources: [] })).toBe(file);
  });

  it('is fetched once into the cache, however many ask', async () => {
    let fetches = 0;
    const source: ServerSource = async (fetch) => {
      fetches += 1;
      expect(fetch.release).toBe('v2.9.25');
      return makeServer(fetch.folder, fetch.release);
    };
    const options = { environment: environment(), cache: folder, sources: [source] };
    const found = await Promise.all([findOldestNatsServer(options), findOldestNatsServer(options)]);
    found.push(await findOldestNatsServer({ ...options, sources: [] }));
    expect(fetches).toBe(1);
    expect(new Set(found)).toEqual(
      new Set([path.join(folder, `${process.platform}-${process.arch}`, 'v2.9.25', serverFileName)]),
    );
    // The folder of the source and the claim are gone.
    expect(readdirSync(path.dirname(path.dirname(found[0] as string)))).toEqual(['v2.9.25']);
  });

  it('comes from the next source if one has none or fails, and from no program that is something else', async () => {
    const sources: ServerSource[] = [
      async () => undefined,
      () => Promise.reject(new Error('no way out')),
      async (fetch) => {
        const file = makeServer(fetch.folder);
        writeFileSync(file, '#!/bin/sh\necho something else\n');
        return file;
      },
    ];
    const failed = findOldestNatsServer({ environment: environment(), cache: folder, sources });
    await expect(failed).rejects.toMatchObject({
      code: 'ENOENT',
      message: expect.stringMatching(/no way out[\s\S]*does not run here[\s\S]*Install one \(/),
    });
    const found = await findOldestNatsServer({
      environment: environment(),
      cache: folder,
      sources: [...sources, async (fetch) => makeServer(fetch.folder)],
    });
    expect(found.startsWith(folder)).toBe(true);
  });

  it('has its cache where the caches of the user are', () => {
    expect(userCache({ XDG_CACHE_HOME: '/caches' })).toBe('/caches/conclave');
    expect(userCache({ XDG_CACHE_HOME: 'relative' })).toMatch(/^\/.*conclave$/);
  });
});
