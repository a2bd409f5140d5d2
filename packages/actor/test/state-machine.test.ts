import { expect, it } from 'vitest';
import { Unsupported } from '../src/core/index.js';

it('an Unsupported of another copy of this package is one, and nothing else is', () => {
  const copy = class Unsupported {
    readonly type = 'conclave.unsupported';
    constructor(readonly reason: string) {}
  };
  expect(new copy('knows no command resize') instanceof Unsupported).toBe(true);
  expect(new Unsupported('knows no command resize') instanceof Unsupported).toBe(true);
  for (const other of [undefined, null, 'conclave.unsupported', {}, { reason: 'x' }]) {
    expect(other instanceof Unsupported).toBe(false);
  }
});
