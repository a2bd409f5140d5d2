/**
 * A queue of calls that are in no request yet, in the order of their ids. A call that is settled meanwhile is skipped.
 */
import { limits } from '@conclave/protocol';
import type { OpenCall } from './client-request.js';

/** Taken and settled calls are removed from the array once they are more than this, and more than half. */
const compactAbove = 1024;

export class WaitingCalls {
  private calls: OpenCall[] = [];
  /** The calls before this are taken or settled. */
  private front = 0;
  /** At most this many calls after the front are settled. */
  private settledCount = 0;

  /** The first open call. */
  get first(): OpenCall | undefined {
    while (this.front < this.calls.length && this.calls[this.front]?.isSettled === true) this.front += 1;
    return this.calls[this.front];
  }

  add(call: OpenCall): void {
    this.calls.push(call);
  }

  /** One of these calls was settled. */
  onSettled(): void {
    this.settledCount += 1;
    this.compact();
  }

  /**
   * Removes and returns calls from the front.
   * @param maxCount how many calls at most. Their bytes are bounded, too, but at least one call is returned
   * @param alike stops at the first call for which it returns false
   */
  take(maxCount: number, alike: (call: OpenCall) => boolean = () => true): OpenCall[] {
    const taken: OpenCall[] = [];
    let bytes = 0;
    for (let call = this.first; call !== undefined; call = this.first) {
      bytes += call.bytes;
      const fits = taken.length < maxCount && (taken.length === 0 || bytes <= limits.clientRequestBytes);
      if (!fits || !alike(call)) break;
      this.front += 1;
      taken.push(call);
    }
    this.compact();
    return taken;
  }

  /** The open calls. */
  open(): OpenCall[] {
    return this.calls.slice(this.front).filter(({ isSettled }) => !isSettled);
  }

  /** Puts back calls that were taken. */
  putBack(calls: readonly OpenCall[]): void {
    this.replace([...calls, ...this.open()].sort((one, other) => one.callId - other.callId));
  }

  private compact(): void {
    const past = this.front + this.settledCount;
    if (this.front === this.calls.length) this.replace([]);
    else if (past > compactAbove && 2 * past > this.calls.length) this.replace(this.open());
  }

  private replace(calls: OpenCall[]): void {
    this.calls = calls;
    this.front = 0;
    this.settledCount = 0;
  }
}
