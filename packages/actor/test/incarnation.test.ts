import { expect, it } from 'vitest';
import { generateId, newIncarnation } from '../src/incarnation.js';

it('no generated id begins with a hyphen, which a command would parse as an option', () => {
  const ids = Array.from({ length: 2000 }, () => [generateId(), newIncarnation()]).flat();
  expect(ids.filter((id) => !/^[A-Za-z0-9_][A-Za-z0-9_-]{15,21}$/.test(id))).toEqual([]);
  expect(new Set(ids).size).toBe(4000);
});
