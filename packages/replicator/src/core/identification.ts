/**
 * The question to a target which store and history it has.
 *
 * Owns the question that is open. Does not own what follows from the answer.
 *
 * Invariants:
 * 1. A question that is asked again keeps its id, so that a slow answer to it counts; an answer counts once.
 */
import type { Leadership } from './leadership.js';
import type { TargetMessages } from './target-messages.js';

export class Identification {
  private question: { readonly requestId: number; readonly sinceMs: number } | undefined;

  constructor(
    private readonly leadership: Leadership,
    private readonly messages: TargetMessages,
  ) {}

  /** Asks, again if need be. */
  ask(nowMs: number): void {
    if (!this.leadership.isInOffice(nowMs)) return;
    const requestId = this.question?.requestId ?? this.leadership.outlet.nextRequestId();
    this.question = { requestId, sinceMs: nowMs };
    this.messages.sendIdentify(requestId);
  }

  /** Asks of a target that is refused: rarely, as an operator has to put it right. */
  askSlowly(nowMs: number): void {
    const isDue = nowMs - (this.question?.sinceMs ?? 0) >= this.leadership.times.electionTimeoutMs;
    if (isDue) this.ask(nowMs);
  }

  isAnsweredBy(requestId: number): boolean {
    return this.question?.requestId === requestId;
  }

  /** The question is answered, but is to be asked anew. */
  repeatLater(nowMs: number): void {
    this.question = { requestId: this.leadership.outlet.nextRequestId(), sinceMs: nowMs };
  }

  end(): void {
    this.question = undefined;
  }
}
