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
  /** The deadline of this call, from now on; 10 s unless given here or to `connect`. */
  readonly timeoutMs?: number;
}

/** Of what ends a lease or gives a lock back. */
export interface ForceOptions extends CallOptions {
  /** Without the secret of the holder. Observers are told: an event is published. */
  readonly force?: boolean;
}

export interface GetOptions extends CallOptions {
  /**
   * `linearizable` (the default): as of a moment between call and answer, confirmed by a quorum. `lease`: the same, by the
   * leader's lease and without asking a quorum, as long as no two peers' monotonic clocks run at rates that differ by a
   * tenth. `stale` (the default of a peer that is named): what the one that answers has.
   */
  readonly consistency?: Consistency;
  /** Asks this peer instead of the leader. Other than stale, it asks the leader what is committed, and reads itself. */
  readonly peerId?: string;
}

export interface PutOptions extends CallOptions {
  /** Ties the key to this lease: it goes when the lease ends. */
  readonly leaseId?: LeaseId;
}

export interface RangeOptions extends GetOptions {
  /** Starts after this key, which need not be there. */
  readonly startAfter?: string;
  /** How many keys one page holds at most; `limits.rangeKeys` unless given. */
  readonly limit?: number;
  /** Keys and revisions alone: each value is null. */
  readonly keysOnly?: boolean;
}

export interface ChangesOptions extends GetOptions {
  /** How many one page holds at most. */
  readonly limit?: number;
}

/** Makes a call and waits for what becomes of it. */
export type Caller = (call: Call, timeoutMs: number | undefined) => Promise<unknown>;

/**
 * The key-value store. Each call resolves once it is done. Else it rejects with a `ConclaveError`, whose `outcome`
 * is always true: `not_done`, it did not happen and will not; `unknown`, it may have happened, or may happen yet.
 * A write happens at most once, however often it has to be sent.
 *
 * The writes of one tick happen in their order. Writes of different ticks that are open at the same time may change
 * places where one has to be sent again; to be sure, wait for the first before the second.
 */
export class KvApi {
  constructor(private readonly call: Caller) {}

  /**
   * Sets a key. `value`: text, or bytes, which come back as such. Answers the revision that the key has now. Without
   * `leaseId` it is tied to no lease, whatever it was before.
   */
  put(key: string, value: Value, options: PutOptions = {}): Promise<KvReply<'put'>> {
    const call = { operation: 'put', key, value, leaseId: options.leaseId } as const;
    return this.call(call, options.timeoutMs) as Promise<KvReply<'put'>>;
  }

  /** Deletes a key; `deleted` false: it was not there. */
  delete(key: string, options: CallOptions = {}): Promise<KvReply<'delete'>> {
    return this.call({ operation: 'delete', key }, options.timeoutMs) as Promise<KvReply<'delete'>>;
  }

  /** Sets a key if it has this revision (0: if it is not there). `swapped` false: it has `revision`. */
  cas(key: string, value: Value, expectedRevision: number, options: CallOptions = {}): Promise<KvReply<'cas'>> {
    const call = { operation: 'cas', key, value, expectedRevision } as const;
    return this.call(call, options.timeoutMs) as Promise<KvReply<'cas'>>;
  }

  /**
   * A transaction: if all comparisons hold carries the operations out, else the other ones; all at one moment, or
   * nothing. Say, a key that nobody has yet: `txn([['k', 'revision', '=', 0]], [['put', 'k', 'mine']], [['get', 'k']])`.
   * `results` are those of the branch that was taken; each write in it has a revision of its own.
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

  /** Reads a key; value null and revision 0 where it is not there. */
  async get(key: string, options: GetOptions = {}): Promise<KvReply<'get'>> {
    const peerId = peerIdOf(options.peerId);
    const call = { operation: 'get', key, consistency: options.consistency, peerId } as const;
    return (await this.call(call, options.timeoutMs)) as KvReply<'get'>;
  }

  /**
   * One page of the keys with a prefix (empty: of all), in the order of their UTF-8 bytes: key, value, revision. With
   * `more`, the next page starts after the last key of this one. `revision` is the group's, as of this page.
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
   * What has changed of the keys with a prefix, from a revision on: `[revision, 'put', key, value, lease?]` or `[revision,
   * 'delete', key]`. The next page, or what comes later, is from `next_revision`. Rejects with ECOMPACTED where that is
   * no longer known: `range` tells what is there, and the revision to go on behind.
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

/** @throws ConclaveError EINVAL where the name is none of a peer. */
export function peerIdOf(name: string | undefined): PeerId | undefined {
  if (name === undefined) return undefined;
  const parsed = PeerId.safeParse(name);
  if (parsed.success) return parsed.data;
  throw new ConclaveError('EINVAL', `${JSON.stringify(name)} is no name of a peer`);
}
