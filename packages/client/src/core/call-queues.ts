/**
 * The calls that are in no request yet, in four queues: reads, writes, and two kinds of urgent calls.
 *
 * Owns: which queue a call waits in. Does not own when a queue is sent.
 */
import type { OpenCall } from './client-request.js';
import { WaitingCalls } from './waiting-calls.js';

export class CallQueues {
  readonly reads = new WaitingCalls();
  readonly writes = new WaitingCalls();
  /** Urgent calls that keep leases alive. */
  readonly keepalives = new WaitingCalls();
  /** Urgent calls that end leases or release locks. */
  readonly releases = new WaitingCalls();

  /** Returns the queue in which the call waits until it is in a request. */
  queueOf({ call, isUrgent }: OpenCall): WaitingCalls {
    if (call.operation === 'get' || call.operation === 'query') return this.reads;
    if (!isUrgent) return this.writes;
    return call.operation === 'lease_keep' ? this.keepalives : this.releases;
  }

  /** Whether a call waits that needs a session to be sent. */
  get needsSession(): boolean {
    return this.writes.first !== undefined || this.releases.first !== undefined;
  }

  /** Returns the calls that need a session to be sent. */
  openWithSession(): OpenCall[] {
    return [...this.releases.open(), ...this.writes.open()];
  }

  /** Returns all calls that wait. */
  open(): OpenCall[] {
    return [this.keepalives, this.releases, this.writes, this.reads].flatMap((queue) => queue.open());
  }
}
