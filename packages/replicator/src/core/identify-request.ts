/**
 * The request that asks a target for its store and its history.
 *
 * Owns: the open request. Does not own what follows from the reply.
 *
 * Invariants:
 * 1. A repeated request keeps its id, so that a late reply to it counts. A reply counts once.
 */
import type { LeaderTerm } from './leader-term.js';
import type { TargetMessages } from './target-messages.js';

export class IdentifyRequest {
  private open: { readonly requestId: number; readonly sinceMs: number } | undefined;

  constructor(
    private readonly leaderTerm: LeaderTerm,
    private readonly messages: TargetMessages,
  ) {}

  /** Sends the request; repeats an open one. */
  send(nowMs: number): void {
    if (!this.leaderTerm.mayStillSend(nowMs)) return;
    const requestId = this.open?.requestId ?? this.leaderTerm.output.nextRequestId();
    this.open = { requestId, sinceMs: nowMs };
    this.messages.sendIdentify(requestId);
  }

  /** Repeats the request once in an election timeout: for a target that is refused, or silent, until it is repaired. */
  sendRarely(nowMs: number): void {
    const isDue = nowMs - (this.open?.sinceMs ?? 0) >= this.leaderTerm.times.electionTimeoutMs;
    if (isDue) this.send(nowMs);
  }

  isInFlight(requestId: number): boolean {
    return this.open?.requestId === requestId;
  }

  /** A reply was received, but the target is asked again later, with another id. */
  repeatLater(nowMs: number): void {
    this.open = { requestId: this.leaderTerm.output.nextRequestId(), sinceMs: nowMs };
  }

  end(): void {
    this.open = undefined;
  }
}
