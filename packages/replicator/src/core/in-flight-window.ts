/**
 * The messages with entries that a replicator has sent and that its target has not acknowledged.
 *
 * Owns: these messages. Does not decide what is sent again.
 *
 * Invariants:
 * 1. Messages are in the order of their entries.
 * 2. At most `limits.replicatorWindowMessages` messages, and `limits.replicatorWindowBytes` bytes, except for a single message.
 */
import { invariant, type LogIndex, limits, type Term } from '@conclave/protocol';

/** A position of the log with its term. */
export interface Position {
  readonly index: LogIndex;
  readonly term: Term;
}

export interface InFlight {
  readonly requestId: number;
  readonly prevIndex: LogIndex;
  /** The last entry in the message. */
  readonly last: Position;
  readonly bytes: number;
}

export class InFlightWindow {
  private messages: InFlight[] = [];
  private bytes = 0;

  get size(): number {
    return this.messages.length;
  }

  /** Whether a message of this many bytes may be sent. */
  hasRoom(bytes: number): boolean {
    if (this.messages.length === 0) return true;
    return this.messages.length < limits.replicatorWindowMessages && this.bytes + bytes <= limits.replicatorWindowBytes;
  }

  add(message: InFlight): void {
    const before = this.messages.at(-1);
    invariant(
      before === undefined || message.prevIndex <= before.last.index,
      'no entry is missing between messages in flight',
    );
    this.messages.push(message);
    this.bytes += message.bytes;
  }

  /** Removes acknowledged messages. @returns the last position in them; undefined: there were none */
  acknowledge(matchIndex: LogIndex): Position | undefined {
    let freed: Position | undefined;
    for (
      let first = this.messages[0];
      first !== undefined && first.last.index <= matchIndex;
      first = this.messages[0]
    ) {
      freed = first.last;
      this.bytes -= first.bytes;
      this.messages.shift();
    }
    return freed;
  }

  find(requestId: number): InFlight | undefined {
    return this.messages.find((message) => message.requestId === requestId);
  }

  clear(): void {
    this.messages = [];
    this.bytes = 0;
  }
}
