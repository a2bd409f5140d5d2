/** Requests at a node's door that its core has not yet answered, by their number. */
import type { Request } from '@conclave/actor';
import { ConclaveError, type ErrorBody, limits } from '@conclave/protocol';

export interface OpenRequest {
  readonly request: Request;
  /** Makes the reply of what the core answers. @throws ConclaveError */
  readonly reply: (result: unknown) => unknown;
  /** Whether it changes something: then an answer that cannot be given leaves it unknown. */
  readonly writes: boolean;
  /** Returns a reply in JSON that fits into a message, in place of one that does not; undefined: there is none. */
  readonly fit?: (reply: unknown) => unknown;
}

export class OpenRequests {
  private readonly open = new Map<number, OpenRequest>();
  private nextId = 1;

  get size(): number {
    return this.open.size;
  }

  /**
   * Takes a request in.
   * @returns its number
   * @throws ConclaveError EBUSY where too many are open.
   */
  add(request: OpenRequest): number {
    if (this.open.size >= limits.openRequests) {
      throw new ConclaveError('EBUSY', `${limits.openRequests} requests are waiting for their answers`);
    }
    const id = this.nextId++;
    this.open.set(id, request);
    return id;
  }

  reply(id: number, result: unknown): void {
    const open = this.take(id);
    if (open === undefined) return;
    const { request, reply, writes, fit } = open;
    try {
      const body = reply(result);
      if (request.reply(body)) return;
      const fitting = request.encoding === 'json' ? fit?.(body) : undefined;
      if (fitting !== undefined && request.reply(fitting)) return;
      const outcome = writes ? 'unknown' : 'not_done';
      request.refuse({ code: 'EINVAL', message: 'the reply is too large for a message: ask for less', outcome });
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      request.refuse(error.toBody());
    }
  }

  refuse(id: number, error: ErrorBody): void {
    this.take(id)?.request.refuse(error);
  }

  drop(id: number): void {
    this.take(id)?.request.drop();
  }

  /** Answers all that are open. */
  refuseAll(error: ErrorBody): void {
    for (const { request } of this.open.values()) request.refuse(error);
    this.open.clear();
  }

  private take(id: number): OpenRequest | undefined {
    const open = this.open.get(id);
    this.open.delete(id);
    return open;
  }
}
