import type { KvReply } from '@conclave/protocol';
import { type Caller, type CallOptions, type GetOptions, peerIdOf } from './kv-api.js';

/** Pages of a list. `startAfter`: the last one of the page before. */
export interface PageOptions<After> extends GetOptions {
  readonly startAfter?: After;
  readonly limit?: number;
}

/**
 * Leases: what is tied to one goes when nobody has kept it for its time. Not before, by the monotonic clock of the
 * leader; up to about two seconds later; and a leader that comes to lead gives each lease its whole time again.
 */
export class LeaseApi {
  constructor(private readonly call: Caller) {}

  /** Grants a lease. `ttlMs`: from `limits.leaseLeastMs` to `limits.leaseMostMs`. */
  grant(ttlMs: number, options: CallOptions = {}): Promise<KvReply<'lease_grant'>> {
    return this.call({ operation: 'lease_grant', ttlMs }, options.timeoutMs) as Promise<KvReply<'lease_grant'>>;
  }

  /** Gives the lease its whole time again. Rejects with ENOENT where it has ended. */
  keep(leaseId: number, options: CallOptions = {}): Promise<KvReply<'lease_keep'>> {
    return this.call({ operation: 'lease_keep', leaseId }, options.timeoutMs) as Promise<KvReply<'lease_keep'>>;
  }

  /** Ends the lease, with all that is tied to it; `revoked` false: there was none of that id. */
  revoke(leaseId: number, options: CallOptions = {}): Promise<KvReply<'lease_revoke'>> {
    return this.call({ operation: 'lease_revoke', leaseId }, options.timeoutMs) as Promise<KvReply<'lease_revoke'>>;
  }

  /** A lease and a page of its keys; `ttl_ms` 0: there is none of that id. */
  async get(leaseId: number, options: PageOptions<string> = {}): Promise<KvReply<'lease_get'>> {
    return (await this.ask('lease_get', { lease_id: leaseId }, options)) as KvReply<'lease_get'>;
  }

  /** A page of the leases: id, time, number of keys. */
  async list(options: PageOptions<number> = {}): Promise<KvReply<'lease_list'>> {
    return (await this.ask('lease_list', {}, options)) as KvReply<'lease_list'>;
  }

  private async ask(
    name: 'lease_get' | 'lease_list',
    body: object,
    { startAfter, limit, consistency, peerId, timeoutMs }: PageOptions<string | number>,
  ): Promise<unknown> {
    const asked = {
      ...body,
      ...(startAfter === undefined ? {} : { start_after: startAfter }),
      ...(limit === undefined ? {} : { limit }),
      ...(consistency === undefined ? {} : { consistency }),
    };
    return this.call({ operation: 'query', name, body: asked, peerId: peerIdOf(peerId) }, timeoutMs);
  }
}
