/** Requests that were given to nodes, and what became of them. Each is answered once at the most. */
import type { ErrorBody } from '@conclave/protocol';
import type { Actor } from './actor.js';
import type { Answer } from './run-observer.js';

interface Open {
  readonly actor: Actor;
  readonly generation: number;
  readonly respond: ((answer: Answer) => void) | undefined;
}

export class OpenRequests {
  private readonly open = new Map<number, Open>();
  private lastId = 0;

  constructor(private readonly onAnswered: (requestId: number, answer: Answer) => void) {}

  add(actor: Actor, respond?: (answer: Answer) => void): number {
    this.lastId += 1;
    this.open.set(this.lastId, { actor, generation: actor.generation, respond });
    return this.lastId;
  }

  settle(requestId: number, answer: Answer): void {
    const open = this.open.get(requestId);
    if (open === undefined) throw new Error(`request ${requestId} is answered twice, or after its node has died`);
    this.open.delete(requestId);
    this.onAnswered(requestId, answer);
    open.respond?.(answer);
  }

  /** The node is gone: nobody will answer. */
  forgetAllOf(actor: Actor): void {
    for (const [requestId, open] of this.open) if (open.actor === actor) this.open.delete(requestId);
  }

  refuseAllOf(actor: Actor, error: ErrorBody): void {
    for (const [requestId, open] of this.open) if (open.actor === actor) this.settle(requestId, { error });
  }

  /** What is still to be answered, by a node that can: it runs, in the life in which it was asked. */
  unanswered(): { readonly requestId: number; readonly actor: Actor }[] {
    return [...this.open]
      .filter(([, { actor, generation }]) => actor.isUp && actor.generation === generation)
      .map(([requestId, { actor }]) => ({ requestId, actor }));
  }
}
