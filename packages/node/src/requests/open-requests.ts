/**
 * The requests that a node has received and not answered yet. Does not parse them (`parse-request.ts`).
 *
 * Invariants:
 * 1. Each request is answered once.
 * 2. They are bounded, by count and by bytes; a request past a bound is refused before it is decoded.
 */
import type { Request } from '@conclave/actor';
import { ConclaveError, type ErrorBody, limits, type Outcome } from '@conclave/protocol';

/** How to reply to a parsed request. */
export interface Responder {
  /** Makes the reply of the core's result. @throws ConclaveError */
  readonly reply: (result: unknown) => unknown;
  /** Whether it changes something: if the reply cannot be sent, the outcome is unknown. */
  readonly writes: boolean;
  /** Returns a reply in JSON that fits into a message, in place of one that does not; undefined: there is none. */
  readonly fit?: (reply: unknown) => unknown;
  /** Called with the error in the reply; undefined: the request is done. */
  readonly onReplied?: (error: ErrorBody | undefined) => void;
}

interface OpenRequest {
  readonly request: Request;
  /** A request of this name changes nothing: if it fails, it is not done. */
  readonly reads: boolean;
  /** Undefined: it is not parsed yet. */
  responder: Responder | undefined;
}

export class OpenRequests {
  private readonly open = new Map<number, OpenRequest>();
  private bytes = 0;

  /** @param isCongested whether so much waits to be sent that large replies must not be added */
  constructor(
    private readonly isCongested: () => boolean,
    private readonly nextId: () => number,
  ) {}

  /** The numbers of the open requests, oldest first. */
  get ids(): number[] {
    return [...this.open.keys()];
  }

  /** How many are open. */
  get size(): number {
    return this.open.size;
  }

  has(id: number): boolean {
    return this.open.has(id);
  }

  /**
   * Adds a request that is not parsed yet.
   * @param reads whether it changes nothing, by its name
   * @param outcome the outcome of a write for which there is no room
   * @returns its number; undefined: it was refused
   */
  add(request: Request, reads: boolean, outcome: () => Outcome): number | undefined {
    const isFull = this.open.size >= limits.openRequests || this.bytes + request.bytes > limits.openRequestBytes;
    if (isFull) {
      request.refuse(tooMany[reads ? 'not_done' : outcome()]);
      return undefined;
    }
    const id = this.nextId();
    this.open.set(id, { request, reads, responder: undefined });
    this.bytes += request.bytes;
    return id;
  }

  /** A request is parsed; `responder` replies to it. */
  onParsed(id: number, responder: Responder): void {
    const open = this.open.get(id);
    if (open !== undefined) open.responder = responder;
  }

  /** A request with a trace has reached this stage. */
  reach(id: number, stage: string, index: number): void {
    this.open.get(id)?.request.trace?.reach(stage, index);
  }

  reply(id: number, result: unknown): void {
    const { request, responder } = this.remove(id) ?? {};
    if (request === undefined || responder === undefined) return;
    const error = this.replyWith(request, responder, result);
    if (error !== undefined) request.refuse(error);
    responder.onReplied?.(error);
  }

  /** Replies, or returns the error to refuse the request with. */
  private replyWith(request: Request, responder: Responder, result: unknown): ErrorBody | undefined {
    const { reply, writes, fit } = responder;
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
      return outcomeOf(error.toBody(), writes);
    }
  }

  /** Refuses a request. One that changes nothing is never left unknown. */
  refuse(id: number, error: ErrorBody): void {
    const open = this.remove(id);
    if (open !== undefined) refuse(open, error);
  }

  /** Refuses all that are open. */
  refuseAll(error: ErrorBody): void {
    for (const open of this.open.values()) refuse(open, error);
    this.open.clear();
    this.bytes = 0;
  }

  private remove(id: number): OpenRequest | undefined {
    const open = this.open.get(id);
    if (open === undefined) return undefined;
    this.open.delete(id);
    this.bytes -= open.request.bytes;
    return open;
  }
}

function refuse({ request, reads, responder }: OpenRequest, error: ErrorBody): void {
  const whole = outcomeOf(error, responder?.writes ?? !reads);
  request.refuse(whole);
  responder?.onReplied?.(whole);
}

/** Returns the error with its outcome for this request: one that changes nothing and fails is not done. */
export function outcomeOf(error: ErrorBody, writes: boolean): ErrorBody {
  return writes ? error : { ...error, outcome: 'not_done' };
}

const tooMany = {
  not_done: refusal(`${limits.openRequests} requests, or their bytes, are waiting for their replies`, 'not_done'),
  unknown: refusal(`${limits.openRequests} requests, or their bytes, are waiting for their replies`, 'unknown'),
};

const congested = refusal('too many replies wait to be sent', 'not_done');

function refusal(message: string, outcome: Outcome): ErrorBody {
  return new ConclaveError('EBUSY', message, outcome).toBody();
}
