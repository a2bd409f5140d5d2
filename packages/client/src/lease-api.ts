import type { KvReply, LeaseId, PublicLeaseId } from '@conclave/protocol';
import { type Caller, type CallOptions, type ForceOptions, type GetOptions, peerIdOf } from './kv-api.js';

/** Pages of a list. `startAfter`: the last item of the page before. */
export interface PageOptions<After> extends GetOptions {
  readonly startAfter?: After;
  readonly limit?: number;
}

/**
 * Leases: what is tied to a lease is deleted when the lease was not kept for its time. Not earlier, by the monotonic clock of the leader;
 * up to about two seconds later. A new leader continues with the remaining time in the log, which may be too much by 5 s or an eighth
 * of the lease's time; at feature level 0 there is none in the log.
 */
export class LeaseApi {
  constructor(
    private readonly call: Caller,
    /** Calls back with the name of a history of the group that has ended. Returns what stops that. */
    readonly onHistoryChange: (listener: (groupUid: string) => void) => () => void = () => () => {},
  ) {}

  /** Grants a lease. `ttlMs`: from `limits.leaseMinMs` to `limits.leaseMaxMs`. */
  grant(ttlMs: number, options: CallOptions = {}): Promise<KvReply<'lease_grant'>> {
    return this.call({ operation: 'lease_grant', ttlMs }, options.timeoutMs) as Promise<KvReply<'lease_grant'>>;
  }

  /** Restores the lease's whole time. Rejects with ENOENT if it has ended. */
  keep(leaseId: LeaseId, options: CallOptions = {}): Promise<KvReply<'lease_keep'>> {
    return this.call({ operation: 'lease_keep', leaseId }, options.timeoutMs) as Promise<KvReply<'lease_keep'>>;
  }

  /**
   * Ends the lease, with all that is tied to it; `revoked` false: there was none of that id. With `force` the public part of its id
   * suffices.
   */
  revoke(leaseId: LeaseId, { force = false, timeoutMs }: ForceOptions = {}): Promise<KvReply<'lease_revoke'>> {
    return this.call({ operation: 'lease_revoke', leaseId, force }, timeoutMs) as Promise<KvReply<'lease_revoke'>>;
  }

  /**
   * A lease, by its complete id or its public part, and a page of its keys; `ttl_ms` 0: there is none of that id. `remaining_ms`:
   * the remaining time by the leader's clock; null: another peer replied.
   */
  async get(leaseId: LeaseId, options: PageOptions<string> = {}): Promise<KvReply<'lease_get'>> {
    return (await this.ask('lease_get', { lease_id: leaseId }, options)) as KvReply<'lease_get'>;
  }

  /** A page of the leases: public part of the id, time, number of keys. */
  async list(options: PageOptions<PublicLeaseId> = {}): Promise<KvReply<'lease_list'>> {
    return (await this.ask('lease_list', {}, options)) as KvReply<'lease_list'>;
  }

  private async ask(
    name: 'lease_get' | 'lease_list',
    body: object,
    { startAfter, limit, consistency, peerId, timeoutMs }: PageOptions<string | number>,
  ): Promise<unknown> {
    const paged = {
      ...body,
      ...(startAfter === undefined ? {} : { start_after: startAfter }),
      ...(limit === undefined ? {} : { limit }),
      ...(consistency === undefined ? {} : { consistency }),
    };
    return this.call({ operation: 'query', name, body: paged, peerId: peerIdOf(peerId) }, timeoutMs);
  }
}
