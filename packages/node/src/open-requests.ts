/**
 * Requests that a node has received and not yet answered, by their number.
 *
 * Owns: the requests, from when they arrive until they are answered. Does not own what they mean (`node-actor.ts`).
 *
 * Invariants:
 * 1. Each request is answered once.
 * 2. They are bounded, by count and by bytes; a request past a bound is refused before it is decoded.
 */
import type { Request } from '@conclave/actor';
import { ConclaveError, type ErrorBody, limits, type Outcome } from '@conclave/protocol';

/** What a request means, once it is decoded. */
export interface UnderstoodRequest {
  /** Makes the reply of what the core answers. @throws ConclaveError */
  readonly reply: (result: unknown) => unknown;
  /** Whether it changes something: then an answer that cannot be given leaves it unknown. */
  readonly writes: boolean;
  /** Returns a reply in JSON that fits into a message, in place of one that does not; undefined: there is none. */
  readonly fit?: (reply: unknown) => unknown;
  /** Is called with the error that it was answered with; undefined: it is done. */
  readonly onAnswered?: (error: ErrorBody | undefined) => void;
}

interface OpenRequest {
  readonly request: Request;
  /** By its name it changes nothing: whatever becomes of it, it is not done. */
  readonly reads: boolean;
  understood: UnderstoodRequest | undefined;
}

export class OpenRequests {
  private readonly open = new Map<number, OpenRequest>();
  private bytes = 0;
  private nextId = 1;

  /** @param isCongested whether so much waits to be sent that large replies must not be added */
  constructor(private readonly isCongested: () => boolean) {}

  get size(): number {
    return this.open.size;
  }

  /**
   * Takes a request in, which is not decoded yet.
   * @param reads whether it changes nothing, by its name
   * @param outcome what to say of it where there is no room
   * @returns its number; undefined where it was refused
   */
  add(request: Request, reads: boolean, outcome: () => Outcome): number | undefined {
    const isFull = this.open.size >= limits.openRequests || this.bytes + request.bytes > limits.openRequestBytes;
    if (isFull) {
      request.refuse(tooMany[reads ? 'not_done' : outcome()]);
      return undefined;
    }
    const id = this.nextId++;
    this.open.set(id, { request, reads, understood: undefined });
    this.bytes += request.bytes;
    return id;
  }

  /** A request is decoded, and means this. */
  understand(id: number, understood: UnderstoodRequest): void {
    const open = this.open.get(id);
    if (open !== undefined) open.understood = understood;
  }

  reply(id: number, result: unknown): void {
    const { request, understood } = this.take(id) ?? {};
    if (request === undefined || understood === undefined) return;
    const error = this.replyWith(request, understood, result);
    if (error !== undefined) request.refuse(error);
    understood.onAnswered?.(error);
  }

  /** Replies, or returns the error to refuse the request with. */
  private replyWith(request: Request, understood: UnderstoodRequest, result: unknown): ErrorBody | undefined {
    const { reply, writes, fit } = understood;
    if (!writes && this.isCongested()) return congested;
    try {
      const body = reply(result);
      if (request.reply(body)) return undefined;
      const fitting = request.encoding === 'json' ? fit?.(body) : undefined;
      if (fitting !== undefined && request.reply(fitting)) return undefined;
      const outcome = writes ? 'unknown' : 'not_done';
      return { code: 'EINVAL', message: 'the reply is too large for a message: ask for less', outcome };
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      return ofRequest(error.toBody(), writes);
    }
  }

  /** Refuses it. A request that changes nothing is never left unknown. */
  refuse(id: number, error: ErrorBody): void {
    const open = this.take(id);
    if (open !== undefined) refuse(open, error);
  }

  /** Answers all that are open. */
  refuseAll(error: ErrorBody): void {
    for (const open of this.open.values()) refuse(open, error);
    this.open.clear();
    this.bytes = 0;
  }

  private take(id: number): OpenRequest | undefined {
    const open = this.open.get(id);
    if (open === undefined) return undefined;
    this.open.delete(id);
    this.bytes -= open.request.bytes;
    return open;
  }
}

function refuse(open: OpenRequest, error: ErrorBody): void {
  const whole = ofRequest(error, changesSomething(open));
  open.request.refuse(whole);
  open.understood?.onAnswered?.(whole);
}

function changesSomething({ reads, understood }: OpenRequest): boolean {
  return understood?.writes ?? !reads;
}

/** The error as the request is answered with it: what changes nothing and fails is not done. */
export function ofRequest(error: ErrorBody, writes: boolean): ErrorBody {
  return writes ? error : { ...error, outcome: 'not_done' };
}

const tooMany = {
  not_done: refusal(`${limits.openRequests} requests, or their bytes, are waiting for their answers`, 'not_done'),
  unknown: refusal(`${limits.openRequests} requests, or their bytes, are waiting for their answers`, 'unknown'),
};

const congested = refusal('too many replies wait to be sent', 'not_done');

function refusal(message: string, outcome: Outcome): ErrorBody {
  return new ConclaveError('EBUSY', message, outcome).toBody();
}
