/**
 * The open calls of a client: those that the application has made and that are not settled yet.
 *
 * Owns: their number, which is bounded, and their deadlines. Does not own the requests that contain them.
 *
 * Invariants:
 * 1. At most `limits.clientCalls` calls are open, and in addition at most `limits.clientUrgentCalls` urgent calls.
 */
import { type ErrorBody, type ErrorCode, limits } from '@conclave/protocol';
import type { Call } from './call.js';
import type { OpenCall } from './client-request.js';
import { Deadlines } from './deadlines.js';
import { isUrgent, sizeOrError, timeoutOf } from './validate-call.js';

export class OpenCalls {
  private readonly deadlines = new Deadlines<OpenCall>();
  private normalCount = 0;
  private urgentCount = 0;

  /** @param timeoutMs how long a call may take by default */
  constructor(private readonly timeoutMs: number) {}

  get size(): number {
    return this.normalCount + this.urgentCount;
  }

  /**
   * Opens a call.
   * @param timeout in milliseconds; undefined: the default of this call
   * @returns why the call is not opened, if it is not valid or too many calls are open: it is not done
   */
  open(
    callId: number,
    call: Call,
    timeout: number | undefined,
    nowMs: number,
  ): OpenCall | { readonly error: ErrorBody } {
    const urgent = isUrgent(call);
    const count = urgent ? this.urgentCount : this.normalCount;
    if (count >= (urgent ? limits.clientUrgentCalls : limits.clientCalls)) {
      return { error: notDone('EBUSY', `${count} calls are open`) };
    }
    const bytes = sizeOrError(call);
    if (typeof bytes !== 'number') return { error: bytes };
    const timeoutMs = timeout ?? timeoutOf(call, this.timeoutMs);
    if (!(timeoutMs > 0)) return { error: notDone('EINVAL', 'a time-out is above 0') };
    const open: OpenCall = {
      callId,
      call,
      isUrgent: urgent,
      timeoutMs,
      deadlineMs: nowMs + timeoutMs,
      bytes,
      sequence: 0,
      request: undefined,
      isSettled: false,
      earlier: undefined,
      later: undefined,
    };
    if (urgent) this.urgentCount += 1;
    else this.normalCount += 1;
    this.deadlines.add(open);
    return open;
  }

  /** The call is settled. */
  delete(call: OpenCall): void {
    if (call.isUrgent) this.urgentCount -= 1;
    else this.normalCount -= 1;
    this.deadlines.delete(call);
  }

  /** Returns the calls whose deadline has passed. */
  overdue(nowMs: number): OpenCall[] {
    return this.deadlines.due(nowMs);
  }

  /** The next deadline; infinite: no call is open. */
  get nextDeadlineMs(): number {
    return this.deadlines.earliestMs();
  }

  all(): OpenCall[] {
    return this.deadlines.all();
  }
}

export function notDone(code: ErrorCode, message: string): ErrorBody {
  return { code, message, outcome: 'not_done' };
}
