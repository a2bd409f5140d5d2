import type { OpenCall } from '../src/core/client-request.js';

/** A write that waits, due after a second. */
export function openCall(callId: number, bytes = 10): OpenCall {
  return {
    callId,
    call: { operation: 'delete', key: 'k' },
    isUrgent: false,
    timeoutMs: 1000,
    deadlineMs: 1000,
    bytes,
    sequence: 0,
    request: undefined,
    isSettled: false,
    earlier: undefined,
    later: undefined,
  };
}
