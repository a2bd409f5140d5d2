/** The image by itself: its labels and version, and a peer of it on a root file system that nothing can write. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { docker, runToEnd } from './docker.js';
import { until } from './until.js';

const name = `conclave-image-${randomBytes(4).toString('hex')}`;
const withinMs = 120_000;
const image = inject('image');
const mebibyte = 1024 * 1024;

interface Inspected {
  readonly Size: number;
  readonly Config: {
    readonly User: string;
    readonly Entrypoint: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
    readonly Healthcheck: { readonly Test: readonly string[] };
  };
}

async function inspect(what: string): Promise<Inspected> {
  return (JSON.parse(await docker('image', 'inspect', what)) as [Inspected])[0];
}

describe('the image', () => {
  it('is small, runs without root, and has labels, a health check and one entry point', async () => {
    const { Config, Size } = await inspect(image);
    const base = await inspect('node:24-bookworm-slim');
    expect(Size - base.Size).toBeLessThan(32 * mebibyte);
    expect(Config.User).toBe('node');
    expect(Config.Entrypoint).toEqual(['conclave']);
    expect(Config.Healthcheck.Test.join(' ')).toContain('conclave health');
    for (const label of ['title', 'description', 'licenses', 'version', 'revision']) {
      expect(Config.Labels[`org.opencontainers.image.${label}`]).toBeTruthy();
    }
  });

  it('has a supported version of Node.js, and no package that is bundled in the command', async () => {
    const { out } = await runToEnd('docker', ['run', '--rm', image, 'version', '--json']);
    expect(JSON.parse(out)).toMatchObject({ node: expect.stringMatching(/^24\./) });
    const packages = await docker('run', '--rm', '--entrypoint', 'ls', image, '/app/node_modules');
    expect(packages).toContain('level');
    for (const bundled of ['commander', 'pino', 'typescript', 'vitest']) expect(packages).not.toContain(bundled);
  });
});

describe('a peer of the image', () => {
  const peer = `${name}-n1`;

  beforeAll(async () => {
    await docker('network', 'create', name);
    await docker('volume', 'create', name);
    await docker(
      'run',
      '-d',
      '--name',
      `${name}-nats`,
      '--network',
      name,
      '--network-alias',
      'nats',
      'nats:2.15-alpine',
    );
    await startPeer();
  });

  afterAll(async () => {
    await runToEnd('docker', ['rm', '-f', peer, `${name}-nats`]);
    await runToEnd('docker', ['volume', 'rm', name]);
    await runToEnd('docker', ['network', 'rm', name]);
  });

  function startPeer(): Promise<string> {
    const settings = ['NATS_URL=nats://nats:4222', 'CONCLAVE_PEER=n1'].flatMap((setting) => ['-e', setting]);
    const storage = ['--read-only', '--cap-drop', 'ALL', '-v', `${name}:/var/lib/conclave`];
    return docker('run', '-d', '--name', peer, '--network', name, ...settings, ...storage, image, 'run');
  }

  const conclave = (...words: string[]) => runToEnd('docker', ['exec', peer, 'conclave', ...words]);

  it('needs no writable file system except its volume, and continues from that', async () => {
    await until('the group is founded', withinMs, async () =>
      (await conclave('bootstrap', 'n1')).code === 0 ? true : undefined,
    );
    expect((await conclave('kv', 'put', 'hello', 'world')).code).toBe(0);
    expect((await conclave('health')).code).toBe(0);
    expect((await runToEnd('docker', ['exec', peer, 'touch', '/app/x'])).code).not.toBe(0);
    expect(await docker('exec', peer, 'id', '-u')).toBe('1000');

    await docker('stop', peer);
    expect(await docker('inspect', '--format', '{{.State.ExitCode}}', peer)).toBe('0');
    await docker('rm', peer);
    await startPeer();
    const read = await until('the group serves again', withinMs, async () => {
      const { code, out } = await conclave('kv', 'get', 'hello');
      return code === 0 ? out.trim() : undefined;
    });
    expect(read).toContain('world');
  });
});
