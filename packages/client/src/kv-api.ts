import {
  type Comparison,
  ConclaveError,
  type Consistency,
  type KvReply,
  type LeaseId,
  type Operation,
  PeerId,
  type Value,
} from '@conclave/protocol';
import type { Call } from './core/index.js';

export interface CallOptions {
  /** The deadline of this call, from now; 10 s by default, or as given to `connect`. */
  readonly timeoutMs?: number;
}

/** Options of calls that end a lease or release a lock. */
export interface ForceOptions extends CallOptions {
  /** Without the secret of the holder. An event is published for observers. */
  readonly force?: boolean;
}

export interface GetOptions extends CallOptions {
  /**
   * `linearizable` (the default): the value at some moment between call and reply, confirmed by a quorum. `lease`: the same, by the
   * leader lease without a quorum, as long as the rates of the peers' monotonic clocks differ by less than a tenth. `stale` (the
   * default of a named peer): the value at the replying peer.
   */
  readonly consistency?: Consistency;
  /** Sends it to this peer instead of the leader. Unless stale, the peer asks the leader for the commit index, and reads itself. */
  readonly peerId?: string;
}

export interface PutOptions extends CallOptions {
  /** Ties the key to this lease: it is deleted when the lease ends. */
  readonly leaseId?: LeaseId;
}

export interface RangeOptions extends GetOptions {
  /** Starts after this key, which need not exist. */
  readonly startAfter?: string;
  /** The most keys of one page; `limits.rangeKeys` by default. */
  readonly limit?: number;
  /** Keys and revisions only: each value is null. */
  readonly keysOnly?: boolean;
}

export interface ChangesOptions extends GetOptions {
  /** The most changes of one page. */
  readonly limit?: number;
}

/** Makes a call and waits for its outcome. */
export type Caller = (call: Call, timeoutMs: number | undefined) => Promise<unknown>;

/**
 * The key-value store. Each call resolves once it is done. Otherwise it rejects with a `ConclaveError`, whose `outcome` is always
 * true: `not_done`, it was not executed and will not be; `unknown`, it may have been executed, or may still be. A write is executed at
 * most once, however often it is sent.
 *
 * The writes of one turn of the event loop are executed in their order. Open writes of different turns may be reordered if one is
 * resent. If the order matters, wait for the first write before you request the second.
 */
export class KvApi {
  constructor(private readonly call: Caller) {}

  /**
   * Sets a key. `value`: text, or bytes, which are returned as such. Returns the key's new revision. Without `leaseId` it is tied to no
   * lease, even if it was before.
   */
  put(key: string, value: Value, options: PutOptions = {}): Promise<KvReply<'put'>> {
    const call = { operation: 'put', key, value, leaseId: options.leaseId } as const;
    return this.call(call, options.timeoutMs) as Promise<KvReply<'put'>>;
  }

  /** Deletes a key; `deleted` false: it did not exist. */
  delete(key: string, options: CallOptions = {}): Promise<KvReply<'delete'>> {
    return this.call({ operation: 'delete', key }, options.timeoutMs) as Promise<KvReply<'delete'>>;
  }

  /** Sets a key if it has this revision (0: if it does not exist). `swapped` false: it has `revision`. */
  cas(key: string, value: Value, expectedRevision: number, options: CallOptions = {}): Promise<KvReply<'cas'>> {
    const call = { operation: 'cas', key, value, expectedRevision } as const;
    return this.call(call, options.timeoutMs) as Promise<KvReply<'cas'>>;
  }

  /**
   * A transaction: if all comparisons hold, executes the operations, otherwise the other ones; atomically. For example, create a key that
   * does not exist: `txn([['k', 'revision', '=', 0]], [['put', 'k', 'mine']], [['get', 'k']])`. `results` are those of the executed
   * branch; each write in it has its own revision.
   */
  txn(
    compare: readonly Comparison[],
    operations: readonly Operation[],
    otherwise: readonly Operation[] = [],
    options: CallOptions = {},
  ): Promise<KvReply<'txn'>> {
    const call = { operation: 'txn', compare, operations, otherwise } as const;
    return this.call(call, options.timeoutMs) as Promise<KvReply<'txn'>>;
  }

  /** Reads a key; value null and revision 0: it does not exist. */
  async get(key: string, options: GetOptions = {}): Promise<KvReply<'get'>> {
    const peerId = peerIdOf(options.peerId);
    const call = { operation: 'get', key, consistency: options.consistency, peerId } as const;
    return (await this.call(call, options.timeoutMs)) as KvReply<'get'>;
  }

  /**
   * One page of the keys with a prefix (empty: all), in the order of their UTF-8 bytes: key, value, revision. With `more`, the
   * next page starts after the last key of this one. `revision` is the group's, as of this page.
   */
  async range(prefix: string, options: RangeOptions = {}): Promise<KvReply<'range'>> {
    const { consistency, startAfter, limit, keysOnly, timeoutMs } = options;
    const body = {
      prefix,
      ...(startAfter === undefined ? {} : { start_after: startAfter }),
      ...(limit === undefined ? {} : { limit }),
      ...(keysOnly === undefined ? {} : { keys_only: keysOnly }),
      ...(consistency === undefined ? {} : { consistency }),
    };
    const call = { operation: 'query', name: 'range', body, peerId: peerIdOf(options.peerId) } as const;
    return (await this.call(call, timeoutMs)) as KvReply<'range'>;
  }

  /**
   * The changes of the keys with a prefix, from a revision on: `[revision, 'put', key, value, lease?]` or `[revision,
   * 'delete', key]`. The next page, or later changes, start at `next_revision`. Rejects with ECOMPACTED if the changes are no
   * longer known: `range` returns the state, and the revision after which to continue.
   */
  async changes(prefix: string, fromRevision: number, options: ChangesOptions = {}): Promise<KvReply<'changes'>> {
    const { consistency, limit, timeoutMs } = options;
    const body = {
      prefix,
      from_revision: fromRevision,
      ...(limit === undefined ? {} : { limit }),
      ...(consistency === undefined ? {} : { consistency }),
    };
    const call = { operation: 'query', name: 'changes', body, peerId: peerIdOf(options.peerId) } as const;
    return (await this.call(call, timeoutMs)) as KvReply<'changes'>;
  }

  /** All keys with a prefix, page by page. Each page is as of its own moment, the pages together are not. */
  async *scan(prefix: string, options: RangeOptions = {}): AsyncGenerator<KvReply<'range'>['found'][number], void> {
    let startAfter = options.startAfter;
    for (;;) {
      const { found, more } = await this.range(prefix, startAfter === undefined ? options : { ...options, startAfter });
      yield* found;
      if (!more) return;
      startAfter = found.at(-1)?.[0];
    }
  }
}

/** @throws ConclaveError EINVAL if it is not a valid name of a peer */
export function peerIdOf(name: string | undefined): PeerId | undefined {
  if (name === undefined) return undefined;
  const parsed = PeerId.safeParse(name);
  if (parsed.success) return parsed.data;
  throw new ConclaveError('EINVAL', `${JSON.stringify(name)} is not a valid name of a peer`);
}
