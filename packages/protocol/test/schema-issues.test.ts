import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { formatIssues, kvOperations } from '../src/index.js';

function textOf(schema: z.ZodType, value: unknown): string {
  const parsed = schema.safeParse(value);
  if (parsed.success) throw new Error('the value is valid');
  return formatIssues(parsed.error.issues);
}

const { txn, lock, lock_get: lockGet, lease_grant: leaseGrant } = kvOperations;

describe('what a schema finds wrong with a request', () => {
  it('is said in plain words about each field', () => {
    expect(textOf(lockGet.request, { name: '' })).toBe('name: must not be empty');
    expect(textOf(lockGet.request, {})).toBe('name: is missing');
    expect(textOf(lockGet.request, { name: 7 })).toBe('name: must be a string');
    expect(textOf(lockGet.request, [])).toBe('the request: must be an object');
    expect(textOf(lockGet.request, { name: 'a', consistency: 'none' })).toBe(
      'consistency: must be "linearizable" or "lease" or "stale"',
    );
    expect(textOf(leaseGrant.request, { ttl_ms: 5 })).toBe('ttl_ms: must be at least 1000');
    expect(textOf(leaseGrant.request, { ttl_ms: 1.5 })).toContain('ttl_ms: must be a whole number');
    expect(textOf(leaseGrant.request, { ttl_ms: 90_000_000 })).toBe('ttl_ms: must be at most 86400000');
    expect(textOf(z.strictObject({}), { zzz: 1 })).toBe('the request: has no field "zzz"');
    expect(textOf(z.array(z.string()).max(1), ['a', 'b'])).toBe('the request: must have at most 1 elements');
  });

  it('keeps the text that a schema has of its own', () => {
    expect(textOf(lock.request, { name: 'k'.repeat(1025), owner: 'a', lease_id: 'a' })).toContain(
      'name: a key has at most 1024 bytes',
    );
  });

  it('is said about the nearest of several forms that a value may have', () => {
    const then = [['get', 'a']];
    expect(textOf(txn.request, { compare: [['k', 'revision', '~', 1]], then })).toBe(
      'compare.0.2: must be "=" or "!=" or "<" or ">"',
    );
    expect(textOf(txn.request, { compare: [], then: [['put', 'b', 3]] })).toBe('then.0.2: must be a string');
    expect(textOf(txn.request, { compare: [], then: [['put', '', '']] })).toBe('then.0.1: must not be empty');
    expect(textOf(txn.request, { compare: [], then: [['move', 'a']] })).toMatch(/^then\.0\.0: must be "(delete|get)"$/);
  });
});
