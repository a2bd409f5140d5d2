import { ConclaveError, type Consistency, type KvReply, PeerId, type Value } from '@conclave/protocol';
import type { Call } from './core/index.js';

export interface CallOptions {
  /** The deadline of this call, from now on; 10 s unless given here or to `connect`. */
  readonly timeoutMs?: number;
}

export interface GetOptions extends CallOptions {
  /** `linearizable` (the default): as of a moment between call and answer. `stale`: what the one that answers has. */
  readonly consistency?: Consistency;
  /** Asks this peer instead of the leader; its answer is stale. */
  readonly peerId?: string;
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

  /** Sets a key. `value`: text, or bytes, which come back as such. Answers the revision that the key has now. */
  put(key: string, value: Value, options: CallOptions = {}): Promise<KvReply<'put'>> {
    return this.call({ operation: 'put', key, value }, options.timeoutMs) as Promise<KvReply<'put'>>;
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

  /** Reads a key; value null and revision 0 where it is not there. */
  async get(key: string, options: GetOptions = {}): Promise<KvReply<'get'>> {
    const peerId = peerIdOf(options.peerId);
    const call = { operation: 'get', key, consistency: options.consistency, peerId } as const;
    return (await this.call(call, options.timeoutMs)) as KvReply<'get'>;
  }
}

/** @throws ConclaveError EINVAL where the name is none of a peer. */
export function peerIdOf(name: string | undefined): PeerId | undefined {
  if (name === undefined) return undefined;
  const parsed = PeerId.safeParse(name);
  if (parsed.success) return parsed.data;
  throw new ConclaveError('EINVAL', `${JSON.stringify(name)} is no name of a peer`);
}
