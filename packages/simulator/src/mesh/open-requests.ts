/** Requests that were given to nodes. Each is answered at most once. */
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

  /** The node has crashed: its requests are never answered. */
  forgetAllOf(actor: Actor): void {
    for (const [requestId, open] of this.open) if (open.actor === actor) this.open.delete(requestId);
  }

  refuseAllOf(actor: Actor, error: ErrorBody): void {
    for (const [requestId, open] of this.open) if (open.actor === actor) this.settle(requestId, { error });
  }

  /** Returns the open requests whose node still runs, in the generation that received them. */
  unanswered(): { readonly requestId: number; readonly actor: Actor }[] {
    return [...this.open]
      .filter(([, { actor, generation }]) => actor.isUp && actor.generation === generation)
      .map(([requestId, { actor }]) => ({ requestId, actor }));
  }
}
