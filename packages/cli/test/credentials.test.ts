import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { asGroupId, asPeerId } from '@conclave/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CredentialsOptions, makeCredentials } from '../src/credentials/credentials-folder.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'conclave-credentials-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const nowMs = Date.UTC(2026, 10, 29);
const dayMs = 86_400_000;
const make = (options: Partial<CredentialsOptions> = {}) =>
  makeCredentials({
    folder,
    peers: [asPeerId('n1'), asPeerId('n2')],
    groups: [asGroupId('main')],
    prefix: 'conclave',
    hosts: ['nats1', '127.0.0.1'],
    routes: [],
    natsFolder: '/credentials',
    nowMs,
    ...options,
  });
const read = (name: string) => readFileSync(path.join(folder, name), 'utf8');

describe('a folder of credentials', () => {
  it('has a secret for each peer and role, which its owner alone can read', () => {
    make();
    for (const name of ['peer-n1', 'peer-n2', 'operator', 'client', 'reader', 'observer']) {
      expect(read(`${name}/login.nk`)).toMatch(/^SU[A-Z2-7]{56}$/);
      expect(statSync(path.join(folder, name, 'login.nk')).mode & 0o777).toBe(0o600);
    }
    for (const name of ['authority/ca-key.pem', 'nats/server-key.pem', 'nats/nats.conf']) {
      expect(statSync(path.join(folder, name)).mode & 0o777).toBe(0o600);
    }
  });

  it('puts no secret into the configuration of the servers', () => {
    make();
    expect(read('nats/nats.conf')).not.toContain(read('client/login.nk'));
    expect(read('nats/nats.conf')).toMatch(/nkey: U[A-Z2-7]{55}\n/);
  });

  it('is left as it is by a second run, and gets what a further peer needs', () => {
    make();
    const before = read('peer-n1/login.nk');
    expect(make()).toEqual([]);
    const peers = ['n1', 'n2', 'n3'].map(asPeerId);
    expect(make({ peers })).toEqual(['peer-n3/login.nk', 'peer-n3/ca.pem', 'nats/nats.conf']);
    expect(read('peer-n1/login.nk')).toBe(before);
  });

  it('keeps the peers that a later run does not name, and forgets those whose folder was deleted', () => {
    make();
    const peers = [asPeerId('n3')];
    make({ peers });
    expect(read('nats/nats.conf').match(/# peer-n\d/g)).toEqual(['# peer-n1', '# peer-n2', '# peer-n3']);
    rmSync(path.join(folder, 'peer-n2'), { recursive: true });
    expect(make({ peers })).toEqual(['nats/nats.conf']);
    expect(read('nats/nats.conf').match(/# peer-n\d/g)).toEqual(['# peer-n1', '# peer-n3']);
  });

  it('has a certificate of its authority for each host, and a new one for a host more and before its end', () => {
    make();
    const first = new X509Certificate(read('nats/server.pem'));
    expect(first.verify(new X509Certificate(read('client/ca.pem')).publicKey)).toBe(true);
    expect([first.checkHost('nats1'), first.checkIP('127.0.0.1'), first.checkHost('nats2')]).toEqual([
      'nats1',
      '127.0.0.1',
      undefined,
    ]);
    expect(make({ hosts: ['nats1', 'nats2', '127.0.0.1'] })).toEqual(['nats/server-key.pem', 'nats/server.pem']);
    expect(new X509Certificate(read('nats/server.pem')).checkHost('nats2')).toBe('nats2');
    expect(make({ nowMs: nowMs + 700 * dayMs })).toEqual([]);
    expect(make({ nowMs: nowMs + 800 * dayMs })).toEqual(['nats/server-key.pem', 'nats/server.pem']);
  });
});
