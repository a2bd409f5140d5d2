import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { requestsJson, usageErrorOf } from '../src/parser-errors.js';
import { createProgram } from '../src/program.js';

async function errorOf(...words: string[]): Promise<unknown> {
  const program = createProgram();
  const error = await program.parseAsync(words, { from: 'user' }).catch((thrown: unknown) => thrown);
  if (!(error instanceof CommanderError)) throw new Error('the parser found nothing wrong');
  return usageErrorOf(error, program, words);
}

describe('what the parser finds wrong', () => {
  test.each([
    [['nonsense'], "unknown command 'nonsense' (see conclave --help)"],
    [['kv', 'get'], "missing required argument 'key' (see conclave kv get --help)"],
    [
      ['lease', 'grant', 'x'],
      "ttl-ms cannot be 'x': a whole number from 1000 to 86400000 is wanted (see conclave lease grant --help)",
    ],
    [
      ['demo', '--placement', 'two'],
      "--placement <kind> cannot be 'two': Allowed choices are four, one (see conclave demo --help)",
    ],
    [['kv', '--peer', 'n1'], "unknown option '--peer' (see conclave kv --help)"],
    [
      ['status', '--timeout', '1'],
      "unknown option '--timeout' (Did you mean --timeout-ms?) (see conclave status --help)",
    ],
  ])('in %j is an error with a code, and names the help of the command', async (words, message) => {
    expect(await errorOf(...words)).toMatchObject({ code: 'EINVAL', outcome: 'not_done', message });
  });
});

test('--json after -- belongs to another program', () => {
  expect(requestsJson(['status', '--json'])).toBe(true);
  expect(requestsJson(['lock', 'a', '--', 'program', '--json'])).toBe(false);
});
