import { expect, it } from 'vitest';
import { argumentsWithoutSecrets, withoutSecrets } from '../src/processes/hide-secrets.js';

it.each([
  [['--nats', 'nats://ann:secret@a:1'], '--nats ***@a:1'],
  [['--nats=tls://secret@a'], '--nats=***@a'],
  // A token, without a scheme; a password with characters that should have been written as %XX.
  [['--nats', 'secret@a:1'], '--nats ***@a:1'],
  [['--nats', 'nats://b,nats://ann:se cr@e,t@a:1'], '--nats ***@a:1'],
  [['--natz', 'nats://ann:secret@a:1'], '--natz nats://***@a:1'],
  [['status', 'ann:secret@a'], 'status ***@a'],
  [['kv', 'put', 'mail', 'ann@example.com'], 'kv put mail ann@example.com'],
  [['--nats', 'nats://a:1', '--owner', 'ann@host'], '--nats nats://a:1 --owner ann@host'],
  [['lease', 'keep', `12.${'s_-9'.repeat(5)}ab`], 'lease keep 12.***'],
  [['--lease', `12.${'s'.repeat(22)}`, `--lease=34.${'s'.repeat(22)}`], '--lease 12.*** --lease=34.***'],
  [
    ['kv', 'put', 'pi', '3.14159265358979', `v12.${'s'.repeat(22)}`],
    `kv put pi 3.14159265358979 v12.${'s'.repeat(22)}`,
  ],
])('the arguments %j are listed without secrets', (words, shown) => {
  expect(argumentsWithoutSecrets(words).join(' ')).toBe(shown);
});

it('an error that quotes a URL does so without its secret', () => {
  const text = 'NATS at nats://a:1, "tls://ann:p@ss@b:2" and ann:secret@c: the lock of ann@host is taken';
  expect(withoutSecrets(text)).toBe('NATS at nats://a:1, "tls://***@b:2" and ***@c: the lock of ann@host is taken');
});

it.each([
  'k'.repeat(500_000),
  `${'k'.repeat(500_000)}@`,
  'a:b='.repeat(100_000),
  `${'x='.repeat(250_000)}me@a`,
  `${'="a/'.repeat(100_000)} a@b`,
])('a long argument is searched in a time that does not grow with the square of its length: %#', (word) => {
  expect(argumentsWithoutSecrets(['kv', 'put', 'key', word])).toEqual(['kv', 'put', 'key', word]);
});
