import type { KvReply, LeaseId } from '@conclave/protocol';
import { type Caller, type CallOptions, type ForceOptions, type GetOptions, peerIdOf } from './kv-api.js';
import type { PageOptions } from './lease-api.js';

export interface AcquireOptions extends CallOptions {
  /** Wait in the queue if another client holds it; otherwise leave the queue. */
  readonly wait?: boolean;
}

export interface ReleaseOptions extends ForceOptions {
  /** The holder's lease. */
  readonly leaseId?: LeaseId;
}

/** Locks as the group knows them. `ConclaveClient.lock` does what a holder has to do. */
export class LockApi {
  constructor(private readonly call: Caller) {}

  /**
   * Requests a lock for this owner and lease. Its holder gets the same token again. `acquired` false: token 0; with `wait` it is
   * acquired later, which `get` or the same call again reports.
   */
  acquire(
    name: string,
    owner: string,
    leaseId: LeaseId,
    { wait = false, timeoutMs }: AcquireOptions = {},
  ): Promise<KvReply<'lock'>> {
    return this.call({ operation: 'lock', name, owner, leaseId, wait }, timeoutMs) as Promise<KvReply<'lock'>>;
  }

  /**
   * Releases a lock. `released` false: it is not held with this token, or not by this lease. It needs the id of the holder's lease, or
   * `force`, unless that id is a number.
   */
  release(name: string, token: number, options: ReleaseOptions = {}): Promise<KvReply<'unlock'>> {
    const { leaseId, force = false, timeoutMs } = options;
    return this.call({ operation: 'unlock', name, token, leaseId, force }, timeoutMs) as Promise<KvReply<'unlock'>>;
  }

  /** The holder of a lock, and how many wait for it. */
  async get(name: string, { consistency, peerId, timeoutMs }: GetOptions = {}): Promise<KvReply<'lock_get'>> {
    const body = consistency === undefined ? { name } : { name, consistency };
    const call = { operation: 'query', name: 'lock_get', body, peerId: peerIdOf(peerId) } as const;
    return (await this.call(call, timeoutMs)) as KvReply<'lock_get'>;
  }

  /** A page of the locks that are held: name, owner, public part of the holder's lease, token, and how many wait. */
  async list(options: PageOptions<string> = {}): Promise<KvReply<'lock_list'>> {
    const { startAfter, limit, consistency, peerId, timeoutMs } = options;
    const body = {
      ...(startAfter === undefined ? {} : { start_after: startAfter }),
      ...(limit === undefined ? {} : { limit }),
      ...(consistency === undefined ? {} : { consistency }),
    };
    const call = { operation: 'query', name: 'lock_list', body, peerId: peerIdOf(peerId) } as const;
    return (await this.call(call, timeoutMs)) as KvReply<'lock_list'>;
  }

  /** The same for a holder, which must learn of the loss without waiting for other calls of the client. */
  async getForHolder(name: string): Promise<KvReply<'lock_get'>> {
    const call = { operation: 'query', name: 'lock_get', body: { name }, urgent: true } as const;
    return (await this.call(call, undefined)) as KvReply<'lock_get'>;
  }
}
