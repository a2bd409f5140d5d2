import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ConclaveError, InvariantError } from '../src/errors.js';

describe('ConclaveError', () => {
  it('knows an error of another copy of this module', async () => {
    const copy = `${pathToFileURL(new URL('../src/errors.ts', import.meta.url).pathname).href}?copy`;
    const other = ((await import(copy)) as { ConclaveError: typeof ConclaveError }).ConclaveError;
    expect(other).not.toBe(ConclaveError);
    expect(new other('EINVAL', 'no') instanceof ConclaveError).toBe(true);
    expect(new ConclaveError('EINVAL', 'no') instanceof other).toBe(true);
  });

  it('is no error of another kind, and no object that looks like one', () => {
    const likeness: unknown = { name: 'ConclaveError', code: 'EINVAL', outcome: 'not_done' };
    for (const value of [new Error('EINVAL'), new InvariantError('no'), likeness, undefined]) {
      expect(value instanceof ConclaveError).toBe(false);
    }
  });

  it('is not each of the classes that extend it', () => {
    class UsageError extends ConclaveError {}
    expect(new ConclaveError('EINVAL', 'no') instanceof UsageError).toBe(false);
    expect(new UsageError('EINVAL', 'no') instanceof UsageError).toBe(true);
    expect(new UsageError('EINVAL', 'no') instanceof ConclaveError).toBe(true);
  });
});
