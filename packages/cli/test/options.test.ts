import { Command } from 'commander';
import { describe, expect, it, vi } from 'vitest';
import { type CommonOptions, parsePeers, withCommonOptions, withRenamedOption } from '../src/options.js';

describe('peers', () => {
  it.each([[['n1', 'n4', 'n5']], [['n1,n4,n5']], [['n1,', 'n4', ',n5']], [['n1, n4,n5']]])(
    'are words, commas, or both: %j',
    (words) => {
      expect(parsePeers(words)).toEqual(['n1', 'n4', 'n5']);
    },
  );

  it.each([
    [[], 'name at least one peer'],
    [[','], 'name at least one peer'],
    [['n1', 'n1'], 'a peer is named twice'],
    [['n1.x'], '"n1.x" is not a valid peer name'],
    [['admin'], '"admin" is not a valid peer name'],
    [Array.from({ length: 32 }, (_, index) => `n${index}`), 'a configuration has at most 31 peers'],
  ])('are refused: %j', (words, why) => {
    expect(() => parsePeers(words)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => parsePeers(words)).toThrow(why);
  });
});

describe('common options', () => {
  function parse(...words: string[]): CommonOptions {
    const command = withCommonOptions(new Command())
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    return command.parse(words, { from: 'user' }).opts();
  }

  it('have defaults', () => {
    const { group, prefix, json, timeoutMs } = parse();
    expect({ group, prefix, json, timeoutMs }).toEqual({
      group: 'main',
      prefix: 'conclave',
      json: false,
      timeoutMs: undefined,
    });
  });

  it('are read', () => {
    const words = ['--nats', 'nats://a:1, b:2', '--group', 'orders', '--prefix', 'a.b', '--timeout-ms', '5', '--json'];
    expect(parse(...words)).toEqual({
      nats: ['nats://a:1', 'b:2'],
      group: 'orders',
      prefix: 'a.b',
      timeoutMs: 5,
      json: true,
    });
  });

  it.each([
    ['--group', 'a.b'],
    ['--group', 'kv'],
    ['--prefix', 'a..b'],
    ['--nats', ','],
    ['--timeout-ms', '0'],
    ['--timeout-ms', '1e3'],
    ['--timeout-ms', 'soon'],
  ])('are refused: %s %s', (option, value) => {
    expect(() => parse(option, value)).toThrow(expect.objectContaining({ code: 'commander.invalidArgument' }));
  });
});

describe('the earlier name of an option', () => {
  function parse(words: readonly string[], environment: Readonly<Record<string, string>> = {}): unknown {
    const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
    withRenamedOption(command, '--farewell-ms <ms>', '--removal-notice-ms', 'CONCLAVE_FAREWELL_MS');
    withRenamedOption(command, '--joiner', '--catch-up');
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    try {
      return command.parse(words, { from: 'user' }).opts();
    } finally {
      vi.unstubAllEnvs();
    }
  }

  it('is refused with the name that the option has now, also as a variable and without a value', () => {
    const renamed = (name: string) =>
      expect.objectContaining({ message: expect.stringContaining(`called ${name} now`) });
    expect(() => parse(['--farewell-ms', '5'])).toThrow(renamed('--removal-notice-ms'));
    expect(() => parse([], { CONCLAVE_FAREWELL_MS: '5' })).toThrow(renamed('--removal-notice-ms'));
    expect(() => parse(['--joiner'])).toThrow(renamed('--catch-up'));
    expect(parse([])).toEqual({});
  });
});
