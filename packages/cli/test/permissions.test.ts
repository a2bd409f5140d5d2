import { afterEach, expect, it, vi } from 'vitest';
import { exitCodes } from '../src/exit-codes.js';
import { createProgram } from '../src/program.js';

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

it.each([
  [['--inbox-prefix', 'conclave.main'], 'conclave.main is no place for replies'],
  [['--prefix', 'a.b', '--inbox-prefix', 'a'], 'a is no place for replies: the subjects of Conclave are below a.b'],
  [['--prefix', 'a.b', '--inbox-prefix', 'a.b'], 'a.b is no place for replies'],
  [['--reply-prefix', 'x', '--reply-prefix', 'conclave'], 'conclave is no place for replies'],
])('conclave permissions %j is refused, as it would permit more than the role', async (words, message) => {
  const written: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0);
  await createProgram().parseAsync(['permissions', '--role', 'client', ...words], { from: 'user' });
  expect(process.exitCode).toBe(exitCodes.usage);
  expect(written.join('')).toContain(message);
});
