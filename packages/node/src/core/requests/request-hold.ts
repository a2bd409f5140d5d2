/**
 * Requests on the group's subjects that a node has received and may not answer yet.
 * A leader that its quorum has not confirmed lately does not answer: another peer may lead by now, and has received the same
 * request. It carries the requests out once it is confirmed again. Once it has stepped down it refuses them; so does a node that
 * receives a request which was in flight when it unsubscribed. They are refused an election timeout later, so that the reply of
 * the leader arrives first.
 * Owns: these requests. Does not own requests that were carried out (`proposals.ts`, `leader-reads.ts`).
 * Invariants:
 * 1. Each request is carried out once or refused once.
 * 2. A request is carried out only in the term in which it was received: a later leader may have done it meanwhile.
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

/** Requests that one step carries out, so that many do not delay ticks and votes. */
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

  /** This node leads, and cannot answer now. */
  hold(request: NodeRequest): void {
    if (this.isFull) this.refuse(request, 'EBUSY', 'too many requests wait for the leader’s quorum');
    else this.held.push(request);
  }

  /** This node does not lead. */
  refuseLater(request: NodeRequest): void {
    const { context } = this;
    if (this.isFull) return this.refuse(request, 'EBUSY', 'this peer does not lead');
    this.refused.push({ request, atMs: context.nowMs + context.options.electionTimeoutMs });
  }

  private get isFull(): boolean {
    return this.held.length + this.refused.length >= limits.openRequests;
  }

  /** The leader is confirmed: carries out some of the requests that wait. */
  release(): void {
    for (const request of this.held.splice(0, requestsPerStep)) this.carryOut(request);
  }

  /** The leadership has ended. */
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

  /** This node does nothing any more. */
  refuseAll(reason: string): void {
    const requests = [...this.refused.map(({ request }) => request), ...this.held];
    this.held = [];
    this.refused = [];
    for (const request of requests) this.refuse(request, 'EFENCED', reason);
  }

  /** Refuses a request that this node has not carried out. Another leader, or another node, may have. */
  refuse(request: NodeRequest, code: 'EBUSY' | 'EPERM' | 'EFENCED', reason: string): void {
    this.context.refuse(request.requestId, code, reason, writes(request) ? 'unknown' : 'not_done');
  }
}

function writes(request: NodeRequest): boolean {
  if (request.type === 'admin') return !readCommands.includes(request.command);
  return request.type === 'propose';
}
