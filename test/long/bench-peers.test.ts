/** `npm run bench -- --peers`, short: that each system is measured, and that nothing of any is left behind. */
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findProgram } from '../../packages/cli/src/processes/find-program.js';
import { until } from '../mesh/fault-mesh.js';
import { startCommand } from '../support/command.js';
import { makeFolder, processesThatName, removeFolder } from '../support/leftovers.js';

const folder = makeFolder('bench-peers');
const programs = makeFolder('bench-programs');
const few = ['--peers', '--seconds', '1', '--warm-up-seconds', '0', '--data-dir', folder];
let hasEtcd = false;

beforeAll(async () => {
  const options = { title: 'an etcd', variable: 'CONCLAVE_ETCD', prints: 'etcd Version', environment: process.env };
  hasEtcd = (await findProgram('etcd', options)) !== undefined;
});
afterAll(() => {
  removeFolder(folder);
  removeFolder(programs);
});

function expectNothingLeft(): void {
  expect(readdirSync(folder)).toEqual([]);
  expect(processesThatName(folder)).toEqual([]);
}

describe('the bench beside other systems', () => {
  it('measures each that is installed, and prints how to get the others', async () => {
    const { code, out, error } = await startCommand('', [
      'bench',
      ...few,
      '--rows',
      'one,etcd-64,jetstream-64',
      '--json',
    ]).ended;
    expect(code, error).toBe(0);
    const records = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const rows = ['one-1', 'one-64', 'one-256', 'one-1024', ...(hasEtcd ? ['etcd-64'] : []), 'jetstream-64'];
    const measured = records.filter((record) => 'operations' in record);
    expect(measured.map(({ row }) => row)).toEqual(rows);
    for (const record of measured) {
      expect(record).toMatchObject({ failed: 0 });
      expect(record.operations).toBeGreaterThan(0);
    }
    const ratios = { row: 'one-64', writes_ratio: expect.any(Number), p50_ratio: expect.any(Number) };
    expect(records.filter((record) => 'against' in record)).toMatchObject([
      ...(hasEtcd ? [{ ...ratios, against: 'etcd-64' }] : []),
      { ...ratios, against: 'jetstream-64' },
    ]);
    const missing = /^etcd is not measured: there is no server: install etcd .*\n$/;
    expect(error).toMatch(hasEtcd ? /^$/ : missing);
    expectNothingLeft();
  }, 300_000);

  it('leaves nothing behind if it is interrupted while the servers of another system run', async () => {
    const args = ['bench', ...few, '--rows', 'jetstream-1', '--seconds', '600', '--json'];
    const { child, ended } = startCommand('', args);
    await until('the servers run', async () => {
      const servers = processesThatName(folder).filter((line) => line.includes('nats.conf'));
      return servers.length >= 3 || child.exitCode !== null ? true : undefined;
    });
    expect(child.exitCode).toBeNull();
    child.kill('SIGTERM');
    expect((await ended).code).not.toBe(0);
    expectNothingLeft();
  });

  it('leaves nothing behind if the servers do not start, and reports what one of them printed', async () => {
    const broken = path.join(programs, 'etcd');
    const lines = ['#!/bin/sh', '[ "$1" = --version ] && echo "etcd Version: 0" && exit', 'echo "no room" && exit 1'];
    writeFileSync(broken, lines.join('\n'), { mode: 0o755 });
    const args = ['bench', ...few, '--rows', 'etcd-1', '--json'];
    const { code, error } = await startCommand('', args, { CONCLAVE_ETCD: broken }).ended;
    expect({ code, error }).toMatchObject({ code: 4, error: expect.stringContaining('m1 ended: no room') });
    expectNothingLeft();
  });

  it('rejects servers that it has not started itself', async () => {
    const { code, error } = await startCommand('', ['bench', ...few, '--tls', '--json']).ended;
    expect({ code, error }).toMatchObject({ code: 2, error: expect.stringContaining('--peers') });
  });
});
