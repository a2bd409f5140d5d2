/**
 * Requests on the group's subjects that a node has received and may not answer yet.
 * A leader that cannot exclude a successor (`LeaderConfirmation.isOnlyLeader`) does not answer: the successor may have received the same
 * request. The leader carries the held requests out once a quorum has echoed a later tick. If it steps down instead, it refuses them.
 * A node that does not lead also refuses requests that were in flight when it unsubscribed. Both refuse an election timeout later, so
 * that the reply of the actual leader arrives first.
 * Owns: these requests. Does not own requests that were carried out (`proposals.ts`, `leader-reads.ts`).
 * Invariants:
 * 1. Each request is carried out once or refused once.
 * 2. A request is carried out only in the term in which it was received, because a later leader may have executed it, too.
 * 3. Requests keep their order.
 */
import { limits, readCommands } from '@conclave/protocol';
import type { NodeInput } from '../inputs-and-effects.js';
import type { StepContext } from '../step-context.js';

/** A request that a node has received. */
export type NodeRequest = Extract<NodeInput, { type: 'admin' | 'propose' | 'read' | 'watch' | 'unwatch' }>;

interface Refused {
  readonly request: NodeRequest;
  readonly atMs: number;
}

/** At most this many held requests are executed in one step, so that they do not delay ticks and votes. */
const requestsPerStep = 256;

export class RequestHold {
  private held: NodeRequest[] = [];
  private refused: Refused[] = [];

  constructor(
    private readonly context: StepContext,
    private readonly carryOut: (request: NodeRequest) => void,
  ) {}

  get isEmpty(): boolean {
    return this.held.length === 0;
  }

  /** This node leads, but may not answer now: keeps the request. */
  hold(request: NodeRequest): void {
    if (this.isFull) this.refuse(request, 'EBUSY', 'too many requests wait for the leader’s quorum');
    else this.held.push(request);
  }

  /** This node does not lead: refuses the request one election timeout later. */
  refuseLater(request: NodeRequest): void {
    const { context } = this;
    if (this.isFull) return this.refuse(request, 'EBUSY', 'this peer does not lead');
    this.refused.push({ request, atMs: context.nowMs + context.options.electionTimeoutMs });
  }

  private get isFull(): boolean {
    return this.held.length + this.refused.length >= limits.openRequests;
  }

  /** This leader may answer again: carries out some of the held requests. */
  release(): void {
    for (const request of this.held.splice(0, requestsPerStep)) this.carryOut(request);
  }

  /** This leader has stepped down: refuses the held requests one election timeout later. */
  onSteppedDown(): void {
    const { held } = this;
    this.held = [];
    for (const request of held) this.refuseLater(request);
  }

  onTick(): void {
    const { nowMs } = this.context;
    if (this.refused.length === 0) return;
    const isDue = ({ atMs }: Refused): boolean => atMs <= nowMs;
    const due = this.refused.filter(isDue);
    this.refused = this.refused.filter((one) => !isDue(one));
    for (const { request } of due) this.refuse(request, 'EPERM', 'this peer does not lead');
  }

  /** This node is fenced, and does nothing any more: refuses all requests at once. */
  refuseAll(reason: string): void {
    const requests = [...this.refused.map(({ request }) => request), ...this.held];
    this.held = [];
    this.refused = [];
    for (const request of requests) this.refuse(request, 'EFENCED', reason);
  }

  /** Refuses a request that this node has not carried out. The outcome of a write is unknown, because another leader, or another node of this peer, may have executed it. */
  refuse(request: NodeRequest, code: 'EBUSY' | 'EPERM' | 'EFENCED', reason: string): void {
    this.context.refuse(request.requestId, code, reason, writes(request) ? 'unknown' : 'not_done');
  }
}

function writes(request: NodeRequest): boolean {
  if (request.type === 'admin') return !readCommands.includes(request.command);
  return request.type === 'propose';
}
