import { expect, it } from 'vitest';
import { type Attempt, ClientRequest } from '../src/core/client-request.js';
import { openCall } from './open-call.js';

it('a request that is over lets its calls go, also where an attempt of it is still known', () => {
  const calls = [openCall(1), openCall(2)];
  const request = new ClientRequest('write', { api: 'kv', name: 'batch' }, calls);
  const attempts = [1, 2].map((requestId): Attempt => ({ requestId, request, calls, outcome: 'unknown' }));
  for (const attempt of attempts) request.sent(attempt);
  expect(request.openCalls()).toEqual(calls);
  request.end();
  expect(attempts.map((attempt) => attempt.calls)).toEqual([[], []]);
  expect(request.openCalls()).toEqual([]);
  expect(request.mayHaveRun(), 'what is known of it stays').toBe(true);
});
