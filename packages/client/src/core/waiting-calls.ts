/**
 * Calls that are in no request yet, in the order of their ids. One that is settled meanwhile is passed over.
 */
import { limits } from '@conclave/protocol';
import type { OpenCall } from './client-request.js';

/** What is taken or settled is let go once it is more than this, and more than half. */
const compactAbove = 1024;

export class WaitingCalls {
  private calls: OpenCall[] = [];
  /** Those before are taken or settled. */
  private front = 0;
  /** Of those behind the front, at most so many are settled. */
  private settled = 0;

  /** The first one that is open. */
  get first(): OpenCall | undefined {
    while (this.front < this.calls.length && this.calls[this.front]?.settled === true) this.front += 1;
    return this.calls[this.front];
  }

  add(call: OpenCall): void {
    this.calls.push(call);
  }

  /** One of these was settled. */
  onSettled(): void {
    this.settled += 1;
    this.compact();
  }

  /** Takes calls from the front: up to so many, up to the bound of bytes but one at least, and while they are `alike`. */
  take(most: number, alike: (call: OpenCall) => boolean = () => true): OpenCall[] {
    const taken: OpenCall[] = [];
    let bytes = 0;
    for (let call = this.first; call !== undefined; call = this.first) {
      bytes += call.bytes;
      const fits = taken.length < most && (taken.length === 0 || bytes <= limits.clientRequestBytes);
      if (!fits || !alike(call)) break;
      this.front += 1;
      taken.push(call);
    }
    this.compact();
    return taken;
  }

  /** Those that are open. */
  open(): OpenCall[] {
    return this.calls.slice(this.front).filter(({ settled }) => !settled);
  }

  /** Puts calls back that were taken. */
  putBack(calls: readonly OpenCall[]): void {
    this.replace([...calls, ...this.open()].sort((one, other) => one.callId - other.callId));
  }

  private compact(): void {
    const past = this.front + this.settled;
    if (this.front === this.calls.length) this.replace([]);
    else if (past > compactAbove && 2 * past > this.calls.length) this.replace(this.open());
  }

  private replace(calls: OpenCall[]): void {
    this.calls = calls;
    this.front = 0;
    this.settled = 0;
  }
}
